"""Answers read by llhttp, the parser of Node.js, through httptools: the ``Framing`` of ``transport="fast"``.

llhttp reads every answer: status, headers, body, and where it ends. What stands around it makes it as strict as h11.
Before it, a guard over the bytes of a head, from which nothing is taken but where the head ends: one regular expression
(no bare line feeds, no folded lines, no control characters) and limits of size and number. Behind it, a look at the
fields that llhttp found, which have to say beyond doubt how the body is delimited. And what llhttp cannot know: that
the answer to HEAD has no body, that nobody asked for CONNECT or 101, that nothing may follow an answer.
``tests/http/test_framing_differential.py`` holds all of it against h11.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpResponseParser

from monite_async._http.framing import CUT_OFF, HEAD_TOO_LARGE, INVALID, NO_ANSWER

__all__ = ["LlhttpFraming"]

_HEAD: Final = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*+\r\n"
)
"""A whole head without anything that two parsers could read differently (RFC 9112, 4 and 5; RFC 9110, 5.5)."""

_START: Final = b"HTTP/1."
_DELIMITING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_BODILESS: Final = frozenset({204, 304})

_MAX_FIELDS: Final = 512
"""Most fields of a head: several times what any server sends, so that a hostile one cannot make us build thousands."""


class LlhttpFraming:
    """The ``Framing`` of the fast engine; see there for the attributes.

    Args:
        max_head_bytes: Most bytes that the head of an answer may have, and most that may arrive in a row without any
            of them being head or body (interim answers, extensions of chunks, trailers).
    """

    __slots__ = (
        "_chunked",
        "_closes",
        "_ended",
        "_fields",
        "_last",
        "_max_head_bytes",
        "_method",
        "_parser",
        "_phrase",
        "_received",
        "_sized",
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
        self._received = self._ended = self._last = False
        self._sized = self._chunked = self._closes = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._phrase = self._unread = b""
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
        if self.error is not None:
            return
        if self.status:
            self._read_body(memoryview(data))
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
        if self.status and not (self._sized or self._chunked):
            self.on_message_complete()
        else:
            self._fail(CUT_OFF if self._received else NO_ANSWER)

    # What llhttp calls.

    def on_status(self, phrase: bytes) -> None:
        """Take the reason phrase."""
        self._phrase = phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field, or pass over a trailer."""
        name = name.lower()
        if name in _DELIMITING:
            self._delimit(name, value)
        if not self.status:
            self._fields.append((name, value.rstrip(b"\t ")))

    def on_headers_complete(self) -> None:
        """Take the head, unless it is an interim one, or one that leaves a doubt."""
        parser = self._parser
        if parser is None:
            raise HttpParserError  # this would be another answer
        status = parser.get_status_code()
        if status < 200:
            if status == 101 or self._sized or self._chunked:
                raise HttpParserError
            return
        if self._method == b"CONNECT" and status < 300:
            raise HttpParserError
        self.status, self.reason, self.headers = status, self._phrase, self._fields
        if parser.get_http_version() == "1.0":
            self.version = b"1.0"
            self._closes = True
        self._last |= self._closes
        if status in _BODILESS or self._method == b"HEAD":
            self.on_message_complete()  # llhttp might wait for what never comes

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self.chunks.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the answer, which an interim one is not."""
        self.complete = self.status != 0
        self._parser = None  # it holds this object, and the two would live until the collector finds them

    def _delimit(self, name: bytes, value: bytes) -> None:
        """Learn where the body will end; refuse what leaves a doubt of it, or llhttp would pass over."""
        if name == b"connection":
            self._closes |= b"close" in [option.strip(b"\t ") for option in value.lower().split(b",")]
        elif self._sized or self._chunked or self.status:
            raise HttpParserError  # two lengths, a length and chunks (how requests are smuggled), or a trailer
        elif b"\t" in value:
            raise HttpParserError  # llhttp takes "chunked" and a tab for another coding; its releases differ on lengths
        elif name == b"content-length":
            self._sized = True  # llhttp sees to it that this is a number
        elif value.rstrip().lower() == b"chunked":
            self._chunked = True
        else:
            raise HttpParserError

    # What llhttp is given.

    def _read_head(self, data: bytes) -> None:
        """Read the first head that is not an interim one, and what follows it."""
        start = 0
        while (match := _HEAD.match(data, start)) is not None:
            end = match.end()
            if end - start > self._max_head_bytes or data.count(b"\n", start, end) > _MAX_FIELDS + 2:
                return self._fail(HEAD_TOO_LARGE)
            self._fields, self._phrase, self._closes = [], b"", False
            self._parser = HttpResponseParser(self)
            self._parse(match[0])
            if self.status:
                self._void = 0
                return self._read_body(memoryview(data)[end:]) if end < len(data) else None
            if self.error is not None:
                return None
            self._void += end - start
            if self._void > self._max_head_bytes:
                return self._fail(HEAD_TOO_LARGE)
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

    def _read_body(self, data: memoryview) -> None:
        if self.complete:
            self._last = True  # whatever this is, it would be taken for the next answer
        elif self._chunked:
            self._read_chunks(data)
        else:
            self._parse(data)
            self._last |= self.complete and len(self.chunks[-1]) < len(data)

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
