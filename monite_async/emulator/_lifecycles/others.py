"""Single operations that are a little more than the generic engine: e-invoicing, AI conversations, tags."""

from __future__ import annotations

from typing import cast

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._contract.shapes import RESULTS
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import answer, change, context, create, found, list_page, no_body, records, ruled
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._names import name_of
from monite_async.emulator._shapes import build
from monite_async.emulator._state import Record

__all__ = ["OTHER_OPERATIONS"]

_CONNECTIONS = COLLECTIONS["/einvoicing_connections"]


def _connect(call: Call) -> Response:
    name = name_of(cast("Record", call.entity).data)
    return answer(call, create(call, {**call.body, "legal_name": name, "credentials": [], "status": "active"}))


def _add_credentials(call: Call) -> Response:
    connection = found(call, _CONNECTIONS)
    held = as_list(as_object(connection.private["source"]).get("credentials"))
    source = {**call.body, "einvoicing_connection_id": connection.id}
    made = as_object(build(RESULTS[call.route.operation_id], source, context(call)))
    change(call, connection, {"credentials": [*held, made]}, _CONNECTIONS)
    return answer(call, made)


def _search(call: Call) -> Response:
    """Look among the connections of this emulator: there is no network behind it."""
    wanted = (call.query["network_schema"], call.query["network_identifier"])
    for entity in call.world.state.entities.of(""):
        for connection in records(call, _CONNECTIONS.path, entity.id):
            for entry in as_list(connection.data.get("credentials")):
                held = as_object(entry)
                if (held.get("network_credentials_schema"), held.get("network_credentials_identifier")) == wanted:
                    return answer(call, {"exists": True})
    return answer(call, {"exists": False})


def _add_tag(call: Call) -> Response:
    if any(tag.data["name"] == call.body["name"] for tag in records(call, "/tags")):
        raise refusal(409, "A tag with this name exists already")
    return answer(call, create(call, call.body))


def _list_products(call: Call) -> Response:
    return list_page(call, getters={"currency": lambda product: as_object(product.data["price"]).get("currency")})


def _change_prompt(call: Call) -> Response:
    change(call, found(call), call.body)
    return no_body(call)


OTHER_OPERATIONS = ruled(
    {
        "post_einvoicing_connections": _connect,
        "post_einvoicing_connections_id_network_credentials": _add_credentials,
        "get_einvoice_search": _search,
        "get_products": _list_products,
        "post_tags": _add_tag,
        "patch_ai_prompts_id": _change_prompt,
    }
)
"""How these operations are emulated."""
