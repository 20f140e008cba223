"""One try: a request handed to a transport, its answer read within bounds.

Whatever goes wrong comes back as a value, not as an exception: exceptions of HTTP libraries hold the request, with the
token in its headers, and anything raised from within their handlers would carry them along as its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, overload

import httpx

from monite_async._errors import (
    ConnectError,
    MoniteError,
    PoolTimeout,
    RequestTimeout,
    ResponseValidationError,
    TransportError,
)
from monite_async._http.body import Body
from monite_async._http.decode import Answer, Inflater, UnsupportedEncodingError
from monite_async._http.transport import unsent

__all__ = ["Bearer", "Lost", "Opened", "Outgoing", "exchange", "phase_limits"]

_MAX_ERROR_BODY: Final = 1024 * 1024
_SLICE: Final = 64 * 1024
_CONNECT: Final = 5.0
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer that can be used.

    Attributes:
        error: The class of the error to raise for it.
        text: What happened; holds nothing of the request or the answer.
        unsent: No byte of the request left this process.
        again: Another try could have another outcome.
    """

    error: type[MoniteError]
    text: str
    unsent: bool = False
    again: bool = True


class Bearer(Protocol):
    """A token that can be sent, and does not show itself."""

    @property
    def header(self) -> bytes:
        """The header value."""
        ...


class Outgoing:
    """A request as it goes on the wire, except for its token; it never shows itself.

    Attributes:
        public: It goes to whoever a link names: no token is sent with it.
    """

    __slots__ = ("body", "headers", "limits", "method", "public", "token_header", "url")

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        headers: tuple[tuple[bytes, bytes], ...],
        body: Body,
        limits: Mapping[str, float],
        token_header: bytes = b"authorization",
        *,
        public: bool = False,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.limits = limits
        self.token_header = token_header
        self.public = public

    def __repr__(self) -> str:
        return f"<Outgoing {self.method}>"

    def to(self, url: httpx.URL) -> Outgoing:
        """Return the same request to another place."""
        headers = tuple((name, url.netloc if name == b"host" else value) for name, value in self.headers)
        return Outgoing(self.method, url, headers, self.body, self.limits, self.token_header, public=self.public)

    def request(self, token: Bearer | None, body: httpx.AsyncByteStream) -> httpx.Request:
        """Return it with its token and an opened body, for a transport."""
        secret = () if token is None else ((self.token_header, token.header),)
        return httpx.Request(
            self.method,
            self.url,
            headers=[*self.headers, *secret, *self.body.headers],
            stream=body,
            extensions={"timeout": self.limits},
        )


def phase_limits(timeout: float) -> Mapping[str, float]:
    """Return the limits of the phases of a try, in seconds, as httpx transports take them.

    Waiting for a connection ends a little before the try does: what ends it is then known not to have been sent.
    """
    return {"connect": min(_CONNECT, timeout), "pool": 0.9 * timeout, "read": timeout, "write": timeout}


@overload
async def exchange(
    transport: httpx.AsyncBaseTransport,
    outgoing: Outgoing,
    token: Bearer | None,
    *,
    until: float,
    max_bytes: int,
    keep: Literal[False] = False,
) -> Answer | Lost: ...
@overload
async def exchange(
    transport: httpx.AsyncBaseTransport,
    outgoing: Outgoing,
    token: Bearer | None,
    *,
    until: float,
    max_bytes: int,
    keep: bool,
) -> Answer | Opened | Lost: ...
async def exchange(
    transport: httpx.AsyncBaseTransport,
    outgoing: Outgoing,
    token: Bearer | None,
    *,
    until: float,
    max_bytes: int,
    keep: bool = False,
) -> Answer | Opened | Lost:
    """Send one request and read its answer to the end.

    Args:
        transport: What carries it.
        outgoing: The request.
        token: The token to send, if any.
        until: When to give up, by the clock of the running loop.
        max_bytes: Length of the decompressed body of an answer that is still read.
        keep: Of a successful answer, read the beginning only and leave the rest to the caller.
    """
    body = outgoing.body.open()
    try:
        async with asyncio.timeout_at(until):
            response = await transport.handle_async_request(outgoing.request(token, body))
            if keep and 200 <= response.status_code < 300:
                return await _open(response)
            return await _receive(response, max_bytes, head=outgoing.method == "HEAD")
    except TimeoutError:
        return Lost(RequestTimeout, "no complete answer came in time")
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as exc:
        return _lost(exc)
    finally:
        await body.aclose()


class Opened:
    """A successful answer whose body is still coming; it never shows it.

    Attributes:
        status: HTTP status.
        headers: Its headers, looked up without regard to case.
    """

    __slots__ = ("_chunks", "_first", "_inflater", "_stream", "headers", "status")

    def __init__(
        self, response: httpx.Response, stream: httpx.AsyncByteStream, chunks: AsyncIterator[bytes], first: bytes
    ) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._stream = stream
        self._chunks = chunks
        self._first = first
        coding = _coding(response.headers)
        self._inflater = Inflater(coding) if coding and first else None

    def __repr__(self) -> str:
        return f"<Opened {self.status}>"

    async def read(self, until: float) -> bytes | Lost:
        """Return the next bytes of the body, none at its end, or what went wrong.

        Args:
            until: When to give up waiting for them, by the clock of the running loop.
        """
        try:
            async with asyncio.timeout_at(until):
                return await self._read()
        except TimeoutError:
            return Lost(RequestTimeout, "the rest of the answer did not come in time")
        except UnsupportedEncodingError as exc:
            problem = str(exc)
        except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
            return _lost(exc)
        return Lost(ResponseValidationError, problem, again=False)

    async def _read(self) -> bytes:
        inflater = self._inflater
        if inflater is None:
            return await self._packed()
        piece = inflater.some(b"", _SLICE)
        while not piece:
            packed = await self._packed()
            if not packed:
                inflater.finish()
                return b""
            piece = inflater.some(packed, _SLICE)
        return piece

    async def _packed(self) -> bytes:
        """Return the next bytes as they came, none at the end."""
        chunk, self._first = self._first, b""
        while not chunk:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return b""
        return chunk

    async def aclose(self) -> None:
        """Close the answer: a connection with an unread rest is closed with it; may be repeated."""
        await self._stream.aclose()


async def _open(response: httpx.Response) -> Opened | Lost:
    """Return an answer with the first bytes of its body: until these are there, another try does no harm."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        return _UNREADABLE
    try:
        chunks = aiter(stream)
        first = b""
        while not first:
            try:
                first = await anext(chunks)
            except StopAsyncIteration:
                break
        return Opened(response, stream, chunks, first)
    except UnsupportedEncodingError as exc:
        problem = str(exc)
        await stream.aclose()
    except BaseException:
        await stream.aclose()
        raise
    return Lost(ResponseValidationError, problem, again=False)


def _coding(headers: httpx.Headers) -> str:
    """Return the content coding of an answer, empty for none."""
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def _lost(exc: Exception) -> Lost:
    never_sent = unsent(exc)
    if isinstance(exc, httpx.ConnectTimeout):
        return Lost(ConnectError, "no connection could be made in time", unsent=never_sent)
    if isinstance(exc, httpx.ConnectError):
        # Only here the text of the cause is safe: no header was ever near it.
        return Lost(ConnectError, f"no connection could be made: {exc}", unsent=never_sent)
    if isinstance(exc, httpx.PoolTimeout):
        return Lost(PoolTimeout, "no connection became free in time", unsent=never_sent)
    if isinstance(exc, httpx.TimeoutException):
        return Lost(RequestTimeout, "no complete answer came in time", unsent=never_sent)
    again = not isinstance(exc, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL)
    return Lost(TransportError, f"the connection failed ({type(exc).__name__})", unsent=never_sent, again=again)


_UNREADABLE: Final = Lost(
    TransportError, "the transport gave an answer that cannot be read asynchronously", again=False
)


async def _receive(response: httpx.Response, max_bytes: int, *, head: bool) -> Answer | Lost:
    status = response.status_code
    fine = 200 <= status < 300
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        return _UNREADABLE
    room = max_bytes if fine else min(max_bytes, _MAX_ERROR_BODY)
    try:
        content = (
            None if not head and _announced(response.headers) > room else await _read(response.headers, stream, room)
        )
    except UnsupportedEncodingError as exc:
        problem = str(exc)
    else:
        if content is not None or not fine:
            return Answer(status, response.headers, content or b"")
        problem = f"the answer is longer than max_response_bytes ({max_bytes})"
    finally:
        await stream.aclose()
    if not fine:
        return Answer(status, response.headers, b"")
    return Lost(ResponseValidationError, problem, again=False)


async def _read(headers: httpx.Headers, stream: httpx.AsyncByteStream, room: int) -> bytes | None:
    """Return the decompressed body, or None as soon as it is known to be longer than ``room`` bytes."""
    coding = _coding(headers)
    chunks: list[bytes] = []
    if not coding:
        async for chunk in stream:
            room -= len(chunk)
            if room < 0:
                return None
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    inflater: Inflater | None = None
    async for packed in stream:
        inflater = inflater or Inflater(coding)
        for at in range(0, len(packed), _SLICE):
            chunk = inflater.feed(packed[at : at + _SLICE], room)
            room -= len(chunk)
            if room < 0:
                return None
            chunks.append(chunk)
    if inflater is not None:
        inflater.finish()
    return b"".join(chunks)


def _announced(headers: httpx.Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if len(length) < _MAX_DIGITS and length.isascii() and length.isdecimal() else 0
