"""OCR besides payables': tasks of its own, and uploaded receipts and credit notes, all on the emulator's clock."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS, Collection
from monite_async.emulator._errors import refusal
from monite_async.emulator._files import DOCUMENTS, store_file
from monite_async.emulator._generic import Json, answer, change, create, found, later, ruled, settle
from monite_async.emulator._message import Response
from monite_async.emulator._multipart import file_part

__all__ = ["RECOGNITION_OPERATIONS", "attach", "cancel_recognition", "uploaded"]

_TASKS = COLLECTIONS["/ocr_tasks"]
_LIMIT = 20 * 2**20
_PARTY: Mapping[str, object] = {"name": "Acme Paper Ltd", "email": "billing@acme-paper.test"}
_SEEN: Mapping[str, object] = {
    "currency": "EUR",
    "document_number": "OCR-0001",
    "recipient": _PARTY,
    "sender": _PARTY,
    "subtotal": 10_000,
    "tax_amount": 1900,
    "tax_rate": 1900,
    "total_amount": 11_900,
}


def _start(call: Call, kind: object) -> Response:
    record = create(call, {"status": "processing", "document_type": kind or "invoice"}, _TASKS)
    seen = {"status": "success", "recognized_data": {**_SEEN, "type": kind or "invoice"}}
    later(call, record, call.world.settings.ocr_seconds, seen)
    settle(call.world, record, _TASKS)
    return answer(call, record)


def _from_url(call: Call) -> Response:
    return _start(call, call.body.get("document_type"))


def _from_file(call: Call) -> Response:
    part = file_part(call.request)
    if part.mimetype not in DOCUMENTS:
        raise refusal(415, "This type of file is not supported.")
    if len(part.content) > _LIMIT:
        raise refusal(413, "The file is too large.")
    return _start(call, None)


def attach(call: Call, purpose: str) -> Json:
    """Store the uploaded file of a call and return the fields that show it."""
    part = file_part(call.request)
    name = part.filename or "file.pdf"
    file = store_file(
        call.world,
        name,
        part.content,
        file_type=purpose,
        allowed=DOCUMENTS,
        limit=_LIMIT,
        mimetype=part.mimetype,
    )
    return {"file_id": file["id"], "file_url": file["url"]}


def uploaded(call: Call, collection: Collection, fields: Mapping[str, object], seen: Mapping[str, object]) -> Response:
    """Store what was uploaded, send it to OCR, and answer with it; ``seen`` is what that will find."""
    record = create(call, {"ocr_status": "processing", **fields}, collection)
    seconds = call.world.settings.ocr_seconds
    later(call, record, seconds, {"ocr_status": "success"}, fill=seen)
    settle(call.world, record, collection)
    return answer(call, record)


def cancel_recognition(call: Call, collection: Collection) -> Response:
    """Call OCR of an uploaded document off."""
    record = found(call, collection)
    if record.data.get("ocr_status") != "processing":
        noun = collection.noun.lower()
        raise refusal(call.world.settings.wrong_state_status, f"OCR is not in progress for this {noun}")
    record.private["later"] = []
    return answer(call, change(call, record, {"ocr_status": "canceled"}, collection))


RECOGNITION_OPERATIONS = ruled(
    {
        "post_ocr_tasks": _from_url,
        "post_ocr_tasks_upload_from_file": _from_file,
    }
)
"""How OCR tasks are emulated."""
