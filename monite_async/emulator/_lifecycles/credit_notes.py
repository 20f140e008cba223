"""Credit notes of vendors: create or upload, lines, rules of validation; their transitions are data elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, change, create, found, records, ruled
from monite_async.emulator._lifecycles.recognition import attach, cancel_recognition, uploaded
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._state import Record

__all__ = ["CREDIT_NOTE_OPERATIONS"]

_NOTES = COLLECTIONS["/payable_credit_notes"]
_LINES = COLLECTIONS["/payable_credit_notes/{credit_note_id}/line_items"]
_REQUIRED = ("document_id", "issued_at")
_FINAL = frozenset({"approved", "rejected", "canceled"})
_SEEN: Mapping[str, object] = {
    "currency": "EUR",
    "document_id": "OCR-0001",
    "issued_at": "2024-01-31",
    "subtotal": 10_000,
    "tax": 1900,
    "tax_amount": 1900,
    "total_amount": 11_900,
}


def _create(call: Call) -> Response:
    facts: Json = {"origin": "upload", "source_of_data": "user_specified", "status": "new", **call.body}
    return answer(call, create(call, facts, _NOTES))


def _upload(call: Call) -> Response:
    facts: Json = {"origin": "upload", "source_of_data": "ocr", "status": "new", **attach(call, "payables")}
    return uploaded(call, _NOTES, facts, _SEEN)


def _editable(call: Call) -> Record:
    record = call.world.state.table(_NOTES.path).get(call.params["credit_note_id"].lower(), call.entity_id)
    if record is None:
        raise refusal(404, "Credit note not found")
    if record.data["status"] in _FINAL:
        message = f"Action update is not allowed for a credit note in status {record.data['status']}"
        raise refusal(call.world.settings.wrong_state_status, message)
    return record


def _update(call: Call) -> Response:
    return answer(call, change(call, _editable(call), call.body, _NOTES))


def _cancel_ocr(call: Call) -> Response:
    return cancel_recognition(call, _NOTES)


def _missing(call: Call, record: Record) -> list[str]:
    wanted = as_list(call.world.state.partner.get("credit_note_fields")) or list(_REQUIRED)
    return [str(name) for name in wanted if record.data.get(str(name)) is None]


def _validate(call: Call) -> Response:
    record = found(call, _NOTES)
    errors = [{"loc": [name], "msg": "Field required", "type": "missing"} for name in _missing(call, record)]
    return answer(call, {"id": record.id, "validation_errors": errors})


def _rules(call: Call) -> Response:
    wanted = as_list(call.world.state.partner.get("credit_note_fields")) or list(_REQUIRED)
    return answer(call, {"required_fields": wanted})


def _put_rules(call: Call) -> Response:
    call.world.state.partner["credit_note_fields"] = call.body["required_fields"]
    return answer(call, {"required_fields": call.body["required_fields"]})


def _reset_rules(call: Call) -> Response:
    call.world.state.partner.pop("credit_note_fields", None)
    return _rules(call)


def _priced(line: Mapping[str, object]) -> Json:
    quantity, price, tax = line.get("quantity"), line.get("unit_price"), line.get("tax")
    if not isinstance(quantity, int | float) or not isinstance(price, int):
        return dict(line)
    subtotal = round(quantity * price)
    tax_amount = round(subtotal * tax / 10_000) if isinstance(tax, int) else 0
    return {**line, "subtotal": subtotal, "tax_amount": tax_amount, "total": subtotal + tax_amount}


def _add_line(call: Call) -> Response:
    return answer(call, create(call, _priced(call.body), _LINES, _editable(call).id))


def _line(call: Call, note: Record) -> Record:
    line = call.world.state.table(_LINES.path).get(call.params["line_item_id"].lower(), note.id)
    if line is None:
        raise refusal(404, "Line item not found")
    return line


def _update_line(call: Call) -> Response:
    line = _line(call, _editable(call))
    return answer(call, change(call, line, _priced({**line.data, **call.body}), _LINES))


def _lines(call: Call, note: Record) -> Response:
    return answer(call, {"data": [line.view() for line in records(call, _LINES.path, note.id)]})


def _replace_lines(call: Call) -> Response:
    note = _editable(call)
    for line in records(call, _LINES.path, note.id):
        call.world.state.table(_LINES.path).remove(line)
    for entry in as_list(call.body["data"]):
        create(call, {**_priced(as_object(entry)), "credit_note_id": note.id}, _LINES, note.id)
    return _lines(call, note)


def _delete_line(call: Call) -> Response:
    note = _editable(call)
    call.world.state.table(_LINES.path).remove(_line(call, note))
    return _lines(call, note)


CREDIT_NOTE_OPERATIONS = ruled(
    {
        "post_payable_credit_notes": _create,
        "post_payable_credit_notes_upload_from_file": _upload,
        "patch_payable_credit_notes_id": _update,
        "post_payable_credit_notes_id_cancel_ocr": _cancel_ocr,
        "get_payable_credit_notes_id_validate": _validate,
        "get_payable_credit_notes_validations": _rules,
        "put_payable_credit_notes_validations": _put_rules,
        "post_payable_credit_notes_validations_reset": _reset_rules,
        "post_payable_credit_notes_id_line_items": _add_line,
        "put_payable_credit_notes_id_line_items": _replace_lines,
        "patch_payable_credit_notes_id_line_items_id": _update_line,
        "delete_payable_credit_notes_id_line_items_id": _delete_line,
    }
)
"""How credit notes of vendors are emulated."""
