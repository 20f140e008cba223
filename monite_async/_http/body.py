"""Bodies of requests: made once per call, opened once per try."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, Protocol

from monite_async._errors import ConfigurationError
from monite_async._http.encode import encode_json
from monite_async._http.exchange import Fields
from monite_async._options import UNSET

__all__ = ["EMPTY", "INLINE", "Body", "BytesBody", "json_body"]

INLINE: Final = 64 * 1024
"""Most bytes of a body that are written in one piece with the head."""


class Body(Protocol):
    """A body that can be sent, and maybe sent again; it never shows itself."""

    @property
    def fields(self) -> Fields:
        """The header fields that describe it."""
        ...

    @property
    def wire(self) -> bytes:
        """The same as the lines of a head."""
        ...

    @property
    def content(self) -> bytes:
        """All of it, if it is short enough to be written together with the head; nothing for any other."""
        ...

    @property
    def length(self) -> int | None:
        """Its length in bytes, or None when it is sent in chunks."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether it can be opened (once more)."""
        ...

    def open(self) -> AsyncGenerator[bytes, None] | None:
        """Return it from its beginning, piece by piece; None when ``content`` is all of it."""
        ...


class BytesBody:
    """A body in memory."""

    __slots__ = ("_bytes", "content", "fields", "wire")

    def __init__(self, content: bytes, content_type: bytes | None = None) -> None:
        self._bytes = content
        self.content: bytes = content if len(content) <= INLINE else b""
        length = b"%d" % len(content)
        self.fields: Fields = ((b"content-length", length),)
        self.wire: bytes = b"content-length: %b\r\n" % length
        if content_type is not None:
            self.fields = (*self.fields, (b"content-type", content_type))
            self.wire += b"content-type: %b\r\n" % content_type

    def __repr__(self) -> str:
        return "<BytesBody>"

    @property
    def length(self) -> int:
        """See ``Body.length``."""
        return len(self._bytes)

    @property
    def replayable(self) -> bool:
        """See ``Body.replayable``."""
        return True

    def open(self) -> AsyncGenerator[bytes, None] | None:
        """See ``Body.open``."""
        return None if len(self._bytes) <= INLINE else self._slices()

    async def _slices(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._bytes), INLINE):
            yield self._bytes[start : start + INLINE]


class _Empty(BytesBody):
    """No body at all, for a method that expects none."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(b"")
        self.fields, self.wire = (), b""


EMPTY: Final[Body] = _Empty()
_NOTHING: Final[Body] = BytesBody(b"")
_EXPECTING: Final = frozenset({"POST", "PUT", "PATCH"})


def json_body(method: str, value: object, *, needed: bool = False) -> Body:
    """Return the JSON body of a call; ``UNSET`` and None mean that there is none.

    Raises:
        ConfigurationError: Something in it has no JSON form, or there is none where one is needed.
    """
    if value is UNSET or value is None:
        if needed:
            raise ConfigurationError("body is required: the API can do nothing without it, and None would send nothing")
        # RFC 9110, section 8.6: a method that anticipates content says that there is none.
        return _NOTHING if method in _EXPECTING else EMPTY
    return BytesBody(encode_json(value), b"application/json")
