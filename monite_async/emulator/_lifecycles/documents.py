"""Purchase orders, delivery notes, receipts: documents that show their entity and counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast
from uuid import uuid4

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import refusal
from monite_async.emulator._files import PDF, file_url, keep_file
from monite_async.emulator._generic import Json, answer, change, create, found, later, list_page, ruled
from monite_async.emulator._lifecycles.receivable_base import located, party, source_of
from monite_async.emulator._lifecycles.recognition import attach, uploaded
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._names import name_of
from monite_async.emulator._state import Record

__all__ = ["DOCUMENT_OPERATIONS", "next_number"]

_ORDERS = COLLECTIONS["/payable_purchase_orders"]
_NOTES = COLLECTIONS["/delivery_notes"]
_RECEIPTS = COLLECTIONS["/receipts"]
_ADDRESSES = "/counterparts/{counterpart_id}/addresses"
_SEEN: Mapping[str, object] = {
    "currency": "EUR",
    "document_id": "OCR-0001",
    "merchant_name": "Acme Paper Ltd",
    "total_amount": 11_900,
}


def next_number(call: Call, kind: str, prefix: str) -> str:
    """Return the next number of a kind of document of the entity."""
    counters = as_object(cast("Record", call.entity).private["next_numbers"])
    number = counters.get(kind)
    value = number if isinstance(number, int) else 1
    counters[kind] = value + 1
    return f"{prefix}-{value:05}"


def _counterpart(call: Call, source: Mapping[str, object]) -> Json:
    counterpart = located(call, "/counterparts", source["counterpart_id"])
    made: Json = {"counterpart": counterpart.view()}
    address = source.get("counterpart_address_id")
    if address is not None:
        made["counterpart_address"] = located(call, _ADDRESSES, address, counterpart.id).view()
    return made


def _print(call: Call, record: Record, fields: Sequence[str]) -> Response:
    """Let the PDF of a new document be there a little later, and answer with the document."""
    url = file_url(call.world, keep_file(call.world, "application/pdf", PDF))
    later(call, record, call.world.settings.pdf_seconds, dict.fromkeys(fields, url))
    return answer(call, record)


# -- purchase orders


def _create_order(call: Call) -> Response:
    entity = cast("Record", call.entity)
    facts = {"status": "draft", "entity": entity.view(), "document_id": next_number(call, "purchase_order", "PO")}
    record = create(call, {**facts, **_counterpart(call, call.body), **call.body}, _ORDERS)
    return _print(call, record, ("file_url",))


def _counterpart_name(order: Record) -> object:
    return name_of(as_object(order.data["counterpart"]))


def _list_orders(call: Call) -> Response:
    return list_page(call, _ORDERS, getters={"counterpart.name": _counterpart_name})


def _update_order(call: Call) -> Response:
    record = found(call, _ORDERS)
    if record.data["status"] != "draft":
        message = f"Action update is not allowed for a purchase order in status {record.data['status']}"
        raise refusal(call.world.settings.wrong_state_status, message)
    source = {**source_of(record), **{name: value for name, value in call.body.items() if value is not None}}
    return answer(call, change(call, record, {**call.body, **_counterpart(call, source)}, _ORDERS))


def _preview(call: Call) -> Response:
    found(call, _ORDERS)
    return answer(call, {"body_preview": call.body["body_text"], "subject_preview": call.body["subject_text"]})


def _send(call: Call) -> Response:
    record = found(call, _ORDERS)
    change(call, record, {"status": "issued", "issued_at": call.now.date().isoformat()}, _ORDERS)
    return answer(call, {"mail_id": str(uuid4())})


def _order_variables(call: Call) -> Response:
    names = ("document_id", "entity_name", "counterpart_name")
    variables = [{"name": name, "description": name.replace("_", " ")} for name in names]
    subtype = {"object_subtype": "purchase_order", "object_type": "payables_purchase_order", "variables": variables}
    return answer(call, {"data": [subtype]})


# -- delivery notes


def _lines(call: Call, lines: object) -> list[object]:
    made: list[object] = []
    for line in (as_object(entry) for entry in as_list(lines)):
        product = as_object(line.get("product"))
        if line.get("product_id") is not None:
            stored = located(call, "/products", line["product_id"])
            unit = call.world.state.find(stored.text("measure_unit_id"))
            product = {**stored.view(), "measure_unit": None if unit is None else unit.view()}
        made.append({"quantity": line["quantity"], "product": product})
    return made


def _create_note(call: Call) -> Response:
    body: Json = dict(call.body)
    if body.get("based_on") is not None:
        origin = located(call, "/receivables", body["based_on"])
        held = source_of(origin)
        body |= {
            "based_on_document_id": origin.data.get("document_id"),
            "counterpart_address_id": held.get("counterpart_billing_address_id"),
            "counterpart_id": held["counterpart_id"],
            "line_items": held.get("line_items"),
        }
    entity = cast("Record", call.entity)
    facts: Json = {
        **_counterpart(call, body),
        "document_id": body.get("document_id") or next_number(call, "delivery_note", "DN"),
        "entity": party(call),
        "entity_address": entity.data["address"],
        "file_language": "en",
        "original_file_language": "en",
        "status": "created",
    }
    shown = {name: value for name, value in body.items() if name not in {"document_id", "line_items"}}
    record = create(call, {**facts, **shown, "line_items": _lines(call, body.get("line_items"))}, _NOTES)
    return _print(call, record, ("file_url", "original_file_url"))


def _update_note(call: Call) -> Response:
    record = found(call, _NOTES)
    if record.data["status"] != "created":
        message = f"Action update is not allowed for a delivery note in status {record.data['status']}"
        raise refusal(call.world.settings.wrong_state_status, message)
    changes = dict(call.body)
    if changes.get("line_items") is not None:
        changes["line_items"] = _lines(call, changes["line_items"])
    source = {**source_of(record), **{name: value for name, value in changes.items() if value is not None}}
    return answer(call, change(call, record, {**changes, **_counterpart(call, source)}, _NOTES))


# -- receipts


def _create_receipt(call: Call) -> Response:
    body = {name: value for name, value in call.body.items() if name != "base64_encoded_file"}
    return answer(call, create(call, {"origin": "upload", "source_of_data": "user_specified", **body}, _RECEIPTS))


def _upload_receipt(call: Call) -> Response:
    facts = {"origin": "upload", "source_of_data": "ocr", **attach(call, "receipts")}
    return uploaded(call, _RECEIPTS, facts, _SEEN)


def _attach_to_receipt(call: Call) -> Response:
    record = found(call, _RECEIPTS)
    if record.data.get("file_id") is not None:
        raise refusal(409, "The receipt has a file already")
    return answer(call, change(call, record, attach(call, "receipts"), _RECEIPTS))


DOCUMENT_OPERATIONS = ruled(
    {
        "get_payable_purchase_orders": _list_orders,
        "post_payable_purchase_orders": _create_order,
        "patch_payable_purchase_orders_id": _update_order,
        "post_payable_purchase_orders_id_preview": _preview,
        "post_payable_purchase_orders_id_send": _send,
        "get_payable_purchase_orders_variables": _order_variables,
        "post_delivery_notes": _create_note,
        "patch_delivery_notes_id": _update_note,
        "post_receipts": _create_receipt,
        "post_receipts_upload_from_file": _upload_receipt,
        "post_receipts_id_attach_file": _attach_to_receipt,
    }
)
"""How purchase orders, delivery notes and receipts are emulated."""
