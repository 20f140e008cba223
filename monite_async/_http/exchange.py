"""One try: a request handed to a transport, its answer read within bounds.

Whatever goes wrong comes back as a value, not as an exception: exceptions of HTTP libraries hold the request, with the
token in its headers, and anything raised from within their handlers would carry them along as its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
from monite_async._tokens.record import AccessToken

__all__ = ["Lost", "Outgoing", "exchange", "phase_limits"]

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


class Outgoing:
    """A request as it goes on the wire, except for its token; it never shows itself."""

    __slots__ = ("body", "headers", "limits", "method", "token_header", "url")

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        headers: tuple[tuple[bytes, bytes], ...],
        body: Body,
        limits: Mapping[str, float],
        token_header: bytes = b"authorization",
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.limits = limits
        self.token_header = token_header

    def __repr__(self) -> str:
        return f"<Outgoing {self.method}>"

    def to(self, url: httpx.URL) -> Outgoing:
        """Return the same request to another place."""
        return Outgoing(self.method, url, self.headers, self.body, self.limits, self.token_header)

    def request(self, token: AccessToken | None, body: httpx.AsyncByteStream) -> httpx.Request:
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


async def exchange(
    transport: httpx.AsyncBaseTransport,
    outgoing: Outgoing,
    token: AccessToken | None,
    *,
    until: float,
    max_bytes: int,
) -> Answer | Lost:
    """Send one request and read its answer to the end.

    Args:
        transport: What carries it.
        outgoing: The request.
        token: The token to send, if any.
        until: When to give up, by the clock of the running loop.
        max_bytes: Length of the decompressed body of an answer that is still read.
    """
    body = outgoing.body.open()
    try:
        async with asyncio.timeout_at(until):
            response = await transport.handle_async_request(outgoing.request(token, body))
            return await _receive(response, max_bytes, head=outgoing.method == "HEAD")
    except TimeoutError:
        return Lost(RequestTimeout, "no complete answer came in time")
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as exc:
        return _lost(exc)
    finally:
        await body.aclose()


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


async def _receive(response: httpx.Response, max_bytes: int, *, head: bool) -> Answer | Lost:
    status = response.status_code
    fine = 200 <= status < 300
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        return Lost(TransportError, "the transport gave an answer that cannot be read asynchronously", again=False)
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
    coding = headers.get("content-encoding", "identity").strip().lower()
    chunks: list[bytes] = []
    if coding in {"", "identity"}:
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
