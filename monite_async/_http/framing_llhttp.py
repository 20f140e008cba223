"""Answers read without h11: the ``Framing`` of ``transport="fast"``.

A head is what one regular expression says, which is stricter than h11 (no bare line feeds, no folded lines, no control
characters), and has to say beyond doubt how its body is delimited. A body with a length is counted. One in chunks is
decoded by llhttp, the parser of Node.js, through httptools: llhttp reads its head as well, and has to agree. It never
sees anything else, because it would read on into whatever follows an answer.
``tests/http/test_framing_differential.py`` holds all of it against h11.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpResponseParser

from monite_async._http.framing import CUT_OFF, HEAD_TOO_LARGE, INVALID, NO_ANSWER

__all__ = ["LlhttpFraming"]

_HEAD: Final = re.compile(
    rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*+)\r\n"
)
"""A whole head (RFC 9112, sections 4 and 5; RFC 9110, section 5.5): version, status, reason, lines of the fields."""

_START: Final = b"HTTP/1."
_SIZES: Final = frozenset({b"content-length", b"transfer-encoding"})
_DELIMITING: Final = _SIZES | {b"connection"}
_BODILESS: Final = frozenset({204, 304})

_MAX_FIELDS: Final = 512
"""Most fields of a head: several times what any server sends, so that a hostile one cannot make us build thousands."""

_MAX_DIGITS: Final = 18
"""Most digits of a length: an exabyte is enough."""

_UNKNOWN: Final = -1
"""The length of a body that ends when its last chunk says so, or the connection does."""


class LlhttpFraming:
    """The ``Framing`` of the fast engine; see there for the attributes.

    Args:
        max_head_bytes: Most bytes that the head of an answer may have, and most that may arrive in a row without any
            of them being body (extensions of chunks, trailers).
    """

    __slots__ = (
        "_chunked",
        "_ended",
        "_last",
        "_left",
        "_max_head_bytes",
        "_method",
        "_parser",
        "_received",
        "_unread",
        "_void",
        "chunks",
        "complete",
        "error",
        "headers",
        "reason",
        "status",
        "version",
    )

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self.reset()

    def reset(self) -> None:
        """See ``Framing.reset``."""
        self.status: int = 0
        self.reason: bytes = b""
        self.version: bytes = b"1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.complete: bool = False
        self.error: str | None = None
        self._method: bytes | None = None
        self._parser: HttpResponseParser | None = None
        self._received = self._chunked = self._last = self._ended = False
        self._unread = b""
        self._left = _UNKNOWN
        self._void = 0

    @property
    def reusable(self) -> bool:
        """See ``Framing.reusable``."""
        return self.complete and not (self._last or self._ended)

    def begin(self, method: bytes, *, last: bool = False) -> None:
        """See ``Framing.begin``."""
        self._method = method
        self._last = last
        if self._unread:
            self._read_head(self._unread)
        if self._ended:
            self.eof()

    def feed(self, data: bytes) -> None:
        """See ``Framing.feed``."""
        self._received = True
        if self.complete:
            self._last = True  # whatever this is, it would be taken for the next answer
        elif self.error is not None:
            return
        elif self.status:
            self._read_body(data)
        else:
            if self._unread:
                data = self._unread + data
            if self._method is None:
                self._unread = data
            else:
                self._read_head(data)

    def eof(self) -> None:
        """See ``Framing.eof``."""
        self._ended = True
        if self._method is None or self.complete or self.error is not None:
            return
        if self.status and self._left == _UNKNOWN and not self._chunked:
            self.on_message_complete()
        else:
            self._fail(CUT_OFF if self._received else NO_ANSWER)

    # What llhttp calls.

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self.complete:
            self.chunks.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the answer."""
        self.complete = True
        self._parser = None  # it holds this object, and the two would live until the collector finds them

    def on_header(self, name: bytes, _: bytes) -> None:
        """Refuse a trailer that would say how long the body is, as h11 does."""
        if self.status and name.lower() in _SIZES:
            raise HttpParserError

    # The head.

    def _read_head(self, data: bytes) -> None:
        """Read the first head that is not an interim one, and what follows it."""
        start = 0
        while (match := _HEAD.match(data, start)) is not None:
            end = match.end()
            status = int(match[2])
            if end - start > self._max_head_bytes:
                return self._fail(HEAD_TOO_LARGE)
            headers = _fields(match[4])
            if status >= 200:
                self._take_head(match, status, headers)
                if end < len(data) and self.error is None:
                    self.feed(data[end:])
                return None
            if status == 101 or any(name in _SIZES for name, _ in headers):
                return self._fail(INVALID)
            start = end
        return self._await_head(data[start:])

    def _await_head(self, data: bytes) -> None:
        """Keep the beginning of a head for later, unless it already shows that it is none."""
        end = data.find(b"\r\n\r\n")
        if not (data.startswith(_START) or _START.startswith(data)):
            self._fail(INVALID)
        elif (len(data) if end < 0 else end + 4) > self._max_head_bytes:
            self._fail(HEAD_TOO_LARGE)
        elif end >= 0:
            self._fail(INVALID)
        else:
            self._unread = data

    def _take_head(self, match: re.Match[bytes], status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if len(headers) > _MAX_FIELDS:
            return self._fail(HEAD_TOO_LARGE)
        if not self._delimit(headers) or (self._method == b"CONNECT" and status < 300):
            return self._fail(INVALID)
        if self._chunked:
            self._parser = HttpResponseParser(self)
            self._parse(match[0])
        self.status, self.version, self.reason, self.headers = status, match[1], match[3] or b"", headers
        self._last |= match[1] == b"1.0"
        if self.error is None and (self._left == 0 or status in _BODILESS or self._method == b"HEAD"):
            self.on_message_complete()
        return None

    def _delimit(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Find out where the body will end; False when the head does not say so beyond doubt."""
        for name, value in headers:
            if name not in _DELIMITING:
                continue
            if name == b"connection":
                self._last |= b"close" in [option.strip(b"\t ") for option in value.lower().split(b",")]
            elif self._chunked or self._left != _UNKNOWN:
                return False  # two lengths, or a length and chunks: how requests are smuggled
            elif name == b"transfer-encoding":
                self._chunked = value.lower() == b"chunked"
                if not self._chunked:
                    return False
            elif value.isdigit() and len(value) <= _MAX_DIGITS:
                self._left = int(value)
            else:
                return False
        return True

    # The body.

    def _read_body(self, data: bytes) -> None:
        if self._chunked:
            self._read_chunks(memoryview(data))
        elif self._left == _UNKNOWN:
            self.chunks.append(data)
        else:
            self.chunks.append(data[: self._left])
            self._last |= len(data) > self._left
            self._left = max(0, self._left - len(data))
            if self._left == 0:
                self.on_message_complete()

    def _read_chunks(self, data: memoryview) -> None:
        """Read on; the last byte goes alone: if the body ended before it, it belongs to no answer."""
        pieces = len(self.chunks)
        self._parse(data[:-1])
        if self.complete:
            self._last = True
            return
        self._parse(data[-1:])
        self._void = 0 if len(self.chunks) > pieces else self._void + len(data)
        if self._void > self._max_head_bytes and not self.complete:
            self._fail(HEAD_TOO_LARGE)

    def _parse(self, data: bytes | memoryview) -> None:
        parser = self._parser
        if parser is None:
            return
        try:
            parser.feed_data(data)
        except HttpParserError:
            # Once the answer is complete, this is about bytes that do not belong to it.
            if not self.complete:
                self._fail(INVALID)

    def _fail(self, error: str) -> None:
        self.error = self.error or error
        self._parser = None


def _fields(lines: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower(), value.strip(b"\t ")) for name, _, value in [line.partition(b":") for line in lines.splitlines()]
    ]
