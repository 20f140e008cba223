"""Files of their own: upload, list, read, delete."""

from __future__ import annotations

import hashlib

from monite_async.emulator._call import Call, no_content
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import detail, gateway_refusal, invalid
from monite_async.emulator._files import file_url
from monite_async.emulator._generic import answer, change, create, found, list_page, ruled
from monite_async.emulator._message import Response
from monite_async.emulator._multipart import field_text, file_part

__all__ = ["FILE_OPERATIONS"]

_FILES = COLLECTIONS["/files"]
_TYPES = ("attachments", "identity_documents", "additional_identity_documents")
_LIMIT = 15 * 2**20


def _upload(call: Call) -> Response:
    part = file_part(call.request)
    purpose = field_text(call.request, "file_type")
    if purpose not in _TYPES:
        expected = ", ".join(repr(name) for name in _TYPES)
        problem = ("Field required", "missing") if purpose is None else (f"Input should be {expected}", "enum")
        raise invalid(detail(("body", "file_type"), *problem))
    if len(part.content) > _LIMIT:
        raise gateway_refusal(413, "Request size limit exceeded")
    name = part.filename or "file"
    facts: dict[str, object] = {
        "file_type": purpose,
        "md5": hashlib.md5(part.content, usedforsecurity=False).hexdigest(),
        "mimetype": part.mimetype,
        "name": name,
        "region": "eu-central-1",
        "s3_bucket": "emulator",
        "size": len(part.content),
    }
    record = create(call, facts, _FILES, "")
    call.world.state.files[record.id] = (part.mimetype, part.content)
    place = f"{purpose}/{record.id}"
    return answer(call, change(call, record, {"s3_file_path": place, "url": file_url(call.world, record.id)}, _FILES))


def _list(call: Call) -> Response:
    if not {"id__in", "file_type"} & set(call.query):
        raise invalid(detail(("query", "file_type"), "id__in or file_type is needed", "missing"))
    return list_page(call, _FILES)


def _delete(call: Call) -> Response:
    record = found(call, _FILES)
    call.world.state.table(_FILES.path).remove(record)
    call.world.state.files.pop(record.id, None)
    return no_content()


FILE_OPERATIONS = ruled({"get_files": _list, "post_files": _upload, "delete_files_id": _delete})
"""How files are emulated."""
