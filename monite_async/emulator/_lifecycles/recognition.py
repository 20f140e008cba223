"""OCR besides payables': tasks of its own, and uploaded receipts and credit notes, all on the emulator's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS, Collection
from monite_async.emulator._errors import refusal
from monite_async.emulator._files import DOCUMENTS, store_file
from monite_async.emulator._generic import Json, answer, change, create, found, list_page, ruled
from monite_async.emulator._message import Response, as_object
from monite_async.emulator._multipart import file_part
from monite_async.emulator._state import Record

__all__ = ["RECOGNITION_OPERATIONS", "attach", "settle_upload", "start_upload"]

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


def _due(call: Call) -> datetime:
    return call.now + timedelta(seconds=call.world.settings.ocr_seconds)


def _settle(call: Call, record: Record) -> bool:
    due = record.private.get("ocr_due")
    if isinstance(due, datetime) and call.now >= due:
        del record.private["ocr_due"]
        kind = record.data.get("document_type") or "invoice"
        change(call, record, {"status": "success", "recognized_data": {**_SEEN, "type": kind}}, _TASKS)
    return True


def _start(call: Call, kind: object) -> Response:
    record = create(call, {"status": "processing", "document_type": kind or "invoice"}, _TASKS)
    record.private["ocr_due"] = _due(call)
    _settle(call, record)
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


def _get(call: Call) -> Response:
    record = found(call, _TASKS)
    _settle(call, record)
    return answer(call, record)


def _list(call: Call) -> Response:
    return list_page(call, _TASKS, seen=lambda record: _settle(call, record))


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


def start_upload(
    call: Call, collection: Collection, fields: Mapping[str, object], seen: Mapping[str, object]
) -> Record:
    """Store what was uploaded and send it to OCR; ``seen`` is what that will find."""
    record = create(call, {"ocr_status": "processing", **fields}, collection)
    record.private["ocr_due"] = _due(call)
    record.private["ocr_seen"] = dict(seen)
    return record


def settle_upload(call: Call, record: Record, collection: Collection) -> bool:
    """Bring an uploaded document up to date: OCR may have ended since it was last looked at."""
    due = record.private.get("ocr_due")
    if isinstance(due, datetime) and call.now >= due:
        del record.private["ocr_due"]
        seen = as_object(record.private.pop("ocr_seen"))
        missing = {name: value for name, value in seen.items() if record.data.get(name) in {None, "draft"}}
        change(call, record, {**missing, "ocr_status": "success"}, collection)
    return True


RECOGNITION_OPERATIONS = ruled(
    {
        "get_ocr_tasks": _list,
        "post_ocr_tasks": _from_url,
        "post_ocr_tasks_upload_from_file": _from_file,
        "get_ocr_tasks_id": _get,
    }
)
"""How OCR tasks are emulated."""
