"""A strict reader of ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message

from monite_async.emulator._errors import detail, invalid
from monite_async.emulator._message import Request

__all__ = ["Part", "field_text", "file_part", "parts"]


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form: its name, file name, media type and content."""

    name: str
    filename: str | None
    mimetype: str
    content: bytes = field(repr=False)


def parts(request: Request) -> list[Part]:
    """Return the fields of a form; raises ValueError unless the body is one, complete to its last boundary."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise ValueError("the body is no multipart/form-data")
    mark = b"\r\n--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + request.body).split(mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise ValueError("the last boundary is missing")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, separator, content = piece.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("a part has no headers")
    header = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            header[key.strip()] = value.strip()
    name = str(header.get_param("name", failobj="", header="content-disposition"))
    if not name:
        raise ValueError("a part has no name")
    return Part(name, header.get_filename(), header.get_content_type(), content)


def file_part(request: Request) -> Part:
    """Return the field ``file``; raises the 422 that FastAPI gives when it is missing or the body is no form."""
    try:
        found = [part for part in parts(request) if part.name == "file" and part.filename is not None]
    except ValueError as error:
        raise invalid(detail(("body",), f"There was an error parsing the body: {error}", "value_error")) from None
    if not found:
        raise invalid(detail(("body", "file"), "Field required", "missing"))
    return found[0]


def field_text(request: Request, name: str) -> str | None:
    """Return a field of a form that has been read before as text, None without it."""
    found = [part.content for part in parts(request) if part.name == name and part.filename is None]
    return found[-1].decode("utf-8", "replace") if found else None
