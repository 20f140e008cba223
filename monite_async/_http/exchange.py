"""One try: a request handed to whatever carries it, and what comes of that.

Whatever goes wrong comes back as a value, not as an exception: exceptions of HTTP libraries hold the request, with the
token in its headers, and anything raised from within their handlers would carry them along as its context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from monite_async._errors import MoniteError, ResponseValidationError
from monite_async._http.failures import BadRequestError

if TYPE_CHECKING:
    from monite_async._http.body import Body
    from monite_async._http.decode import Answer, Inflater
    from monite_async._http.place import Place
    from monite_async._http.reply import ReplyHeaders

__all__ = [
    "MAX_ERROR_BODY",
    "SLICE",
    "Bearer",
    "Carrier",
    "Fields",
    "Head",
    "Lost",
    "Opened",
    "Outgoing",
    "Pieces",
    "announced",
    "coding_of",
    "too_long",
]

Fields = tuple[tuple[bytes, bytes], ...]

MAX_ERROR_BODY: Final = 1024 * 1024
SLICE: Final = 64 * 1024
"""Bytes that are decompressed at once, so that a bomb is noticed before it is large."""
_MAX_DIGITS: Final = 20
_NAME: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""What a token of RFC 9110, section 5.6.2, is made of."""
_VISIBLE: Final = bytes(range(0x21, 0x7F))
_VALUE: Final = b"\t " + _VISIBLE


class Lost:
    """No answer that can be used.

    Attributes:
        error: The class of the error to raise for it.
        text: What happened; holds nothing of the request or the answer.
        unsent: No byte of the request left this process.
        again: Another try could have another outcome.
    """

    __slots__ = ("again", "error", "text", "unsent")

    def __init__(self, error: type[MoniteError], text: str, *, unsent: bool = False, again: bool = True) -> None:
        self.error: type[MoniteError] = error
        self.text: str = text
        self.unsent: bool = unsent
        self.again: bool = again

    def __repr__(self) -> str:
        return f"<Lost {self.text}>"


class Bearer(Protocol):
    """A token that can be sent, and does not show itself."""

    @property
    def header(self) -> bytes:
        """The header value."""
        ...


class Head:
    """Header fields that many requests have in common: checked and encoded once; they never show themselves.

    Attributes:
        fields: The fields, names in lower case.
        wire: The same as the lines of a head.

    Raises:
        BadRequestError: One of them is not a header field (RFC 9110, section 5).
    """

    __slots__ = ("fields", "wire")

    def __init__(self, fields: Fields) -> None:
        self.fields: Fields = fields
        good = all(name and not name.translate(None, _NAME) and is_value(value) for name, value in fields)
        if not good:
            raise BadRequestError("The request's head holds something that HTTP/1.1 does not allow")
        self.wire: bytes = _lines(fields)

    def __repr__(self) -> str:
        return "<Head>"

    def over(self, extra: Fields) -> Head:
        """Return it with these fields in the place of those of the same name."""
        if not extra:
            return self
        names = {name for name, _ in extra}
        kept = tuple([field for field in self.fields if field[0] not in names])
        head = Head(extra)  # ours were checked when they were new
        head.wire = (self.wire if len(kept) == len(self.fields) else _lines(kept)) + head.wire
        head.fields = kept + extra
        return head


def _lines(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def is_value(value: bytes) -> bool:
    """Tell whether these bytes may stand behind the colon of a header field: visible ASCII on one line."""
    return bool(value) and not value.translate(None, _VALUE) and value == value.strip()


class Outgoing:
    """A request as it goes on the wire, except for its token; it never shows itself.

    Attributes:
        method: HTTP method, upper case.
        place: Where it goes.
        target: Path and query, quoted.
        head: Its header fields, without those of the token and of the body.
        body: Its body.
        token_header: What carries the token.
        public: It goes to whoever a link names: no token is sent with it.
    """

    __slots__ = ("body", "head", "method", "place", "public", "target", "token_header")

    def __init__(
        self,
        method: str,
        place: Place,
        target: bytes,
        head: Head,
        body: Body,
        token_header: bytes = b"authorization",
        *,
        public: bool = False,
    ) -> None:
        self.method: str = method
        self.place: Place = place
        self.target: bytes = target
        self.head: Head = head
        self.body: Body = body
        self.token_header: bytes = token_header
        self.public: bool = public

    def __repr__(self) -> str:
        return f"<Outgoing {self.method}>"

    def to(self, place: Place, target: bytes) -> Outgoing:
        """Return the same request to another place."""
        head = self.head.over(((b"host", place.authority),))
        return Outgoing(self.method, place, target, head, self.body, self.token_header, public=self.public)

    def encode(self, token: Bearer | None) -> bytes:
        """Return its head with the token, and its body if that is in memory.

        Raises:
            BadRequestError: Method, target or token cannot stand in a head.
        """
        # No variables for what is secret: a traceback may show those of its frames.
        body = self.body
        method = self.method.encode()
        sound = (
            method and not method.translate(None, _NAME) and self.target and not self.target.translate(None, _VISIBLE)
        )
        if not sound or (token is not None and not is_value(token.header)):
            raise BadRequestError("The request's head holds something that HTTP/1.1 does not allow")
        if token is None:
            return b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method, self.target, self.head.wire, body.wire, body.content)
        return b"%b %b HTTP/1.1\r\n%b%b: %b\r\n%b\r\n%b" % (
            method, self.target, self.head.wire, self.token_header, token.header, body.wire, body.content
        )  # fmt: skip


class Carrier(Protocol):
    """Carries requests: this library's own connections, or somebody else's transport."""

    async def exchange(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Lost:
        """Send one request and read its answer to the end.

        Args:
            outgoing: The request.
            token: The token to send, if any.
            until: When to give up, by the clock of the running loop.
            max_bytes: Length of the decompressed body of an answer that is still read.
        """
        ...

    async def open(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Opened | Lost:
        """Send one request; of a successful answer read the beginning only and leave the rest to the caller.

        Args:
            outgoing: The request.
            token: The token to send, if any.
            until: When to give up, by the clock of the running loop.
            max_bytes: Length of the decompressed body of any other answer that is still read.
        """
        ...

    async def aclose(self) -> None:
        """Close what it opened; may be repeated."""
        ...


class Pieces(Protocol):
    """The body of an answer that is still coming."""

    async def next(self, until: float) -> bytes | Lost:
        """Return its next bytes as they came, none at its end, or what went wrong."""
        ...

    async def aclose(self) -> None:
        """Close it: a connection with an unread rest is closed with it; may be repeated."""
        ...


class Opened:
    """A successful answer whose body is still coming; it never shows it.

    Attributes:
        status: HTTP status.
        headers: Its headers, looked up without regard to case.
    """

    __slots__ = ("_first", "_inflater", "_pieces", "headers", "status")

    def __init__(
        self, status: int, headers: ReplyHeaders, pieces: Pieces, first: bytes, inflater: Inflater | None
    ) -> None:
        self.status: int = status
        self.headers: ReplyHeaders = headers
        self._pieces = pieces
        self._first = first
        self._inflater = inflater

    def __repr__(self) -> str:
        return f"<Opened {self.status}>"

    async def read(self, until: float) -> bytes | Lost:
        """Return the next bytes of the body, none at its end, or what went wrong.

        Args:
            until: When to give up waiting for them, by the clock of the running loop.
        """
        inflater = self._inflater
        if inflater is None:
            return await self._packed(until)
        from monite_async._http.decode import UnsupportedEncodingError

        try:
            piece = inflater.some(b"", SLICE)
            while not piece:
                packed = await self._packed(until)
                if isinstance(packed, Lost):
                    return packed
                if not packed:
                    inflater.finish()
                    return b""
                piece = inflater.some(packed, SLICE)
                del packed  # or it stands in a traceback with locals when the next bytes fail to come
        except UnsupportedEncodingError as exc:
            problem = str(exc)
        else:
            return piece
        return Lost(ResponseValidationError, problem, again=False)

    async def _packed(self, until: float) -> bytes | Lost:
        """Return the next bytes as they came, none at the end."""
        first, self._first = self._first, b""
        return first or await self._pieces.next(until)

    async def aclose(self) -> None:
        """Close the answer: a connection with an unread rest is closed with it; may be repeated."""
        await self._pieces.aclose()


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the content coding of an answer, empty for none."""
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def announced(headers: Mapping[str, str]) -> int:
    """Return the length that an answer announces, 0 when it does not, or not in a number that can be."""
    length = headers.get("content-length", "")
    return int(length) if len(length) < _MAX_DIGITS and length.isascii() and length.isdecimal() else 0


def too_long(max_bytes: int) -> Lost:
    """Return what becomes of a successful answer that is longer than the caller allows."""
    return Lost(ResponseValidationError, f"the answer is longer than max_response_bytes ({max_bytes})", again=False)
