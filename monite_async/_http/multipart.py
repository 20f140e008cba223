"""Bodies of uploads: multipart/form-data, streamed."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Final, cast

from monite_async._errors import ConfigurationError
from monite_async._files import FilePart, file_part, is_file
from monite_async._http.body import Body
from monite_async._http.encode import field_text, utf8
from monite_async._http.exchange import Fields
from monite_async._options import UNSET

__all__ = ["MultipartBody", "multipart_body"]

_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""How a browser writes names in ``Content-Disposition`` (WHATWG HTML, multipart/form-data encoding)."""


_FILE: Final = "file"
"""What the field with the file is called in every upload of the API."""


class MultipartBody:
    """A multipart/form-data body (RFC 7578), streamed: files are never held in memory as a whole."""

    __slots__ = ("_end", "_parts", "fields", "length", "wire")

    def __init__(self, boundary: bytes, parts: list[tuple[bytes, FilePart | None]]) -> None:
        self._parts = parts
        self._end = b"--" + boundary + b"--\r\n"
        sizes = [None if part is None else part.size for _, part in parts]
        known = all(part is None or part.size is not None for _, part in parts)
        # Every file is followed by the line break before the next delimiter.
        total = sum(len(head) for head, _ in parts) + len(self._end)
        total += sum(size + 2 for size in sizes if size is not None)
        framing = (b"content-length", str(total).encode("ascii")) if known else (b"transfer-encoding", b"chunked")
        self.fields: Fields = (framing, (b"content-type", b"multipart/form-data; boundary=" + boundary))
        self.wire: bytes = b"".join(b"%b: %b\r\n" % field for field in self.fields)
        self.length: int | None = total if known else None

    def __repr__(self) -> str:
        return "<MultipartBody>"

    @property
    def content(self) -> bytes:
        """See ``Body.content``."""
        return b""

    @property
    def replayable(self) -> bool:
        """See ``Body.replayable``."""
        return all(part is None or part.ready for _, part in self._parts)

    def open(self) -> AsyncGenerator[bytes, None]:
        """See ``Body.open``."""
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        for head, part in self._parts:
            yield head
            if part is not None:
                async with contextlib.aclosing(part.chunks()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                        del chunk  # which would stand in a traceback with locals when the source of the next one fails
                yield b"\r\n"
        yield self._end


async def multipart_body(fields: Mapping[str, object], *, limit: int | None = None) -> Body:
    """Return the multipart body of a call; lists repeat the field, ``UNSET`` is left out.

    Args:
        fields: What to send.
        limit: Most bytes that each file in it may have.

    Raises:
        ConfigurationError: A file cannot be read or is too large, or a field has no form here.
    """
    boundary = secrets.token_hex(16).encode("ascii")
    parts: list[tuple[bytes, FilePart | None]] = []
    for name, value in fields.items():
        for item in _items(value):
            if is_file(item):
                part = await file_part(name, item, limit=limit)
                parts.append((_head(boundary, name, part), part))
            elif name == _FILE and isinstance(item, str):
                raise ConfigurationError(
                    "file is a str, which could be a path or the content; pass pathlib.Path(...) or bytes"
                )
            else:
                text = field_text(name, item)
                parts.append((_head(boundary, name, None) + utf8(text, name) + b"\r\n", None))
    if not parts:
        raise ConfigurationError("a multipart body needs at least one field")
    return MultipartBody(boundary, parts)


def _items(value: object) -> list[object]:
    if value is UNSET:
        return []
    return list(cast("Iterable[object]", value)) if isinstance(value, list | tuple) else [value]


def _head(boundary: bytes, name: str, part: FilePart | None) -> bytes:
    lines = f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
    if part is not None:
        lines += f'; filename="{part.filename.translate(_ESCAPES)}"\r\nContent-Type: {part.content_type}'
    return b"--" + boundary + b"\r\n" + lines.encode("utf-8", "replace") + b"\r\n\r\n"
