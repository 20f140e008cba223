"""Counterparts: organizations and individuals, with the address that each is created with, and their metadata."""

from __future__ import annotations

from monite_async.emulator._call import Call, no_content
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._events import emit
from monite_async.emulator._filters import Getter, Getters
from monite_async.emulator._generic import answer, change, create, found, list_page, remove, ruled
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._names import name_of
from monite_async.emulator._state import Record

__all__ = ["COUNTERPART_OPERATIONS"]

_HOME = COLLECTIONS["/counterparts"]
_ADDRESSES = COLLECTIONS["/counterparts/{counterpart_id}/addresses"]


def _inner(record: Record) -> dict[str, object]:
    return as_object(record.data.get(record.text("type")))


def _name(record: Record) -> str:
    return name_of(record.data)


_GETTERS: Getters = {
    "counterpart_name": _name,
    "email": lambda record: _inner(record).get("email"),
    "is_customer": lambda record: _inner(record).get("is_customer"),
    "is_vendor": lambda record: _inner(record).get("is_vendor"),
    "tag_ids": lambda record: [as_object(tag).get("id") for tag in as_list(_inner(record).get("tags"))],
}


def _list(call: Call) -> Response:
    def children(kind: str, name: str) -> Getter:
        table = call.world.state.table(f"{_HOME.path}/{{counterpart_id}}/{kind}")
        return lambda record: [child.data.get(name) for child in table.of(record.id)]

    names = ("city", "country", "line1", "line2", "postal_code", "state")
    of_children: Getters = {
        **{f"address.{name}": children("addresses", name) for name in names},
        **{name: children("bank_accounts", name) for name in ("account_number", "iban", "sort_code")},
        "vat_id": children("vat_ids", "value"),
    }
    return list_page(call, _HOME, getters={**_GETTERS, **of_children})


def _create(call: Call) -> Response:
    body = dict(call.body)
    kind = str(body["type"])
    inner = as_object(body.get(kind))
    address = as_object(inner.pop("address", None))
    record = create(call, {"created_automatically": False, "reminders_enabled": True, "language": "en", **body})
    place = create(call, {**address, "counterpart_id": record.id}, _ADDRESSES, record.id)
    change(call, record, {"default_billing_address_id": place.id, "default_shipping_address_id": place.id})
    return answer(call, record)


def _update(call: Call) -> Response:
    record = found(call)
    other = "individual" if record.data["type"] == "organization" else "organization"
    if call.body.get(other) is not None:
        raise invalid(detail(("body", other), f"The counterpart is of type {record.data['type']}", "value_error"))
    return answer(call, change(call, record, call.body))


def _delete_address(call: Call) -> Response:
    address = found(call, _ADDRESSES)
    counterpart = call.world.state.find(address.group)
    held = {} if counterpart is None else counterpart.data
    if address.id in {held.get("default_billing_address_id"), held.get("default_shipping_address_id")}:
        raise refusal(409, "A default address of a counterpart cannot be deleted")
    remove(call, address)
    return no_content()


def _get_metadata(call: Call) -> Response:
    return answer(call, {"metadata": found(call, _HOME).private.get("metadata", {})})


def _put_metadata(call: Call) -> Response:
    record = found(call, _HOME)
    record.private["metadata"] = call.body["metadata"]
    emit(call, _HOME.path, "metadata_update", record)
    return answer(call, {"metadata": call.body["metadata"]})


COUNTERPART_OPERATIONS = ruled(
    {
        "get_counterparts": _list,
        "post_counterparts": _create,
        "patch_counterparts_id": _update,
        "delete_counterparts_id_addresses_id": _delete_address,
        "get_counterparts_id_partner_metadata": _get_metadata,
        "put_counterparts_id_partner_metadata": _put_metadata,
    }
)
"""How counterparts are emulated, their children apart."""
