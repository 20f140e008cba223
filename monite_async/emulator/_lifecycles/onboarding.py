"""Onboarding: data, documents, links and payment methods of an entity; nobody checks them here."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from monite_async.emulator._call import Call, named_entity
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._events import emit
from monite_async.emulator._generic import Json, answer, found, merged, no_body, ruled
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._state import Record, iso

__all__ = ["ONBOARDING_OPERATIONS"]

_LIFETIME = timedelta(days=7)


def _get_data(call: Call) -> Response:
    return answer(call, as_object(named_entity(call).private.get("onboarding")))


def _put_data(call: Call) -> Response:
    entity = named_entity(call)
    entity.private["onboarding"] = dict(call.body)
    return _get_data(call)


def _patch_data(call: Call) -> Response:
    entity = named_entity(call)
    entity.private["onboarding"] = merged(as_object(entity.private.get("onboarding")), call.body)
    return _get_data(call)


def _accept_entity(call: Call) -> Response:
    named_entity(call)
    return no_body(call)


def _accept_person(call: Call) -> Response:
    found(call, COLLECTIONS["/persons"])
    return no_body(call)


def _no_requirements(call: Call) -> Response:
    named_entity(call)
    lists: Json = {"currently_due": [], "eventually_due": [], "pending_verification": []}
    return answer(call, {"requirements": lists, "verification_status": "enabled"})


def _methods(call: Call, chosen: Json) -> list[object]:
    plain = as_list(chosen.get("payment_methods"))
    rows: list[object] = []
    for direction in ("receive", "send"):
        names = [*as_list(chosen.get(f"payment_methods_{direction}")), *(plain if direction == "receive" else [])]
        rows += [{"direction": direction, "name": str(n), "status": "active", "type": n} for n in dict.fromkeys(names)]
    return rows


def _get_methods(call: Call) -> Response:
    chosen = as_object(named_entity(call).private.get("payment_methods"))
    return answer(call, {"data": _methods(call, chosen)})


def _put_methods(call: Call) -> Response:
    entity = named_entity(call)
    before = _has_us_ach(call, entity)
    entity.private["payment_methods"] = dict(call.body)
    after = _has_us_ach(call, entity)
    if before != after:
        state = "activated" if after else "deactivated"
        emit(call, "/entities", f"payment_method.us_ach.{state}", entity)
    return _get_methods(call)


def _has_us_ach(call: Call, entity: Record) -> bool:
    chosen = _methods(call, as_object(entity.private.get("payment_methods")))
    return any(as_object(method)["type"] == "us_ach" for method in chosen)


def _link(call: Call) -> Response:
    link_id = str(uuid4())
    expires = call.body.get("expires_at") or iso(call.now + _LIFETIME)
    url = f"{call.world.origin}/onboarding/{link_id}"
    return answer(
        call,
        {**call.body, "id": link_id, "created_at": iso(call.now), "expires_at": expires, "url": url},
    )


def _requirements(call: Call) -> Response:
    return answer(call, {"data": []})


ONBOARDING_OPERATIONS = ruled(
    {
        "get_entities_id_onboarding_data": _get_data,
        "put_entities_id_onboarding_data": _put_data,
        "patch_entities_id_onboarding_data": _patch_data,
        "post_entities_id_documents": _accept_entity,
        "post_onboarding_documents": no_body,
        "post_persons_id_documents": _accept_person,
        "post_persons_id_onboarding_documents": _accept_person,
        "get_entities_id_onboarding_requirements": _no_requirements,
        "get_onboarding_requirements": _requirements,
        "get_entities_id_payment_methods": _get_methods,
        "put_entities_id_payment_methods": _put_methods,
        "post_onboarding_links": _link,
        "post_payment_onboarding_links": _link,
    }
)
"""How onboarding is emulated: nothing is ever missing."""
