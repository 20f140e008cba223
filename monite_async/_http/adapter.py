"""Requests over any httpx transport: mocks, proxies, HTTP/2, or whatever a caller brings."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import httpx

from monite_async._errors import (
    ConnectError,
    PoolTimeout,
    RequestTimeout,
    ResponseValidationError,
    TransportError,
)
from monite_async._http.body import Body
from monite_async._http.decode import Answer, Inflater, UnsupportedEncodingError
from monite_async._http.exchange import (
    MAX_ERROR_BODY,
    SLICE,
    Bearer,
    Lost,
    Opened,
    Outgoing,
    announced,
    coding_of,
    too_long,
)
from monite_async._http.native import CONNECT, POOL_SHARE
from monite_async._http.reply import ReplyHeaders
from monite_async._http.transport import PooledTransport, unsent

__all__ = ["HttpxCarrier"]

_FAILURES: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError)
_UNREADABLE: Final = Lost(
    TransportError, "the transport gave an answer that cannot be read asynchronously", again=False
)


class HttpxCarrier:
    """Sends requests over an httpx transport; a ``Carrier``.

    Args:
        transport: The transport; closed with the carrier.
    """

    __slots__ = ("_connect", "transport")

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        # A subclass of ours comes here, too, and was told how long to take.
        self._connect = transport.native.connect_timeout if isinstance(transport, PooledTransport) else CONNECT

    def __repr__(self) -> str:
        return "<HttpxCarrier>"

    async def exchange(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Lost:
        """See ``Carrier.exchange``."""
        body = _stream(outgoing.body)
        try:
            async with asyncio.timeout_at(until):
                response = await self.transport.handle_async_request(self._request(outgoing, token, body, until))
                return await _receive(response, max_bytes, head=outgoing.method == "HEAD")
        except TimeoutError:
            return Lost(RequestTimeout, "no complete answer came in time")
        except _FAILURES as exc:
            return _lost(exc)
        finally:
            await body.aclose()

    async def open(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Opened | Lost:
        """See ``Carrier.open``."""
        body = _stream(outgoing.body)
        try:
            async with asyncio.timeout_at(until):
                response = await self.transport.handle_async_request(self._request(outgoing, token, body, until))
                if 200 <= response.status_code < 300:
                    return await _open(response)
                return await _receive(response, max_bytes, head=outgoing.method == "HEAD")
        except TimeoutError:
            return Lost(RequestTimeout, "no complete answer came in time")
        except _FAILURES as exc:
            return _lost(exc)
        finally:
            await body.aclose()

    async def aclose(self) -> None:
        """Close the transport; may be repeated."""
        await self.transport.aclose()

    def _request(
        self, outgoing: Outgoing, token: Bearer | None, body: httpx.AsyncByteStream, until: float
    ) -> httpx.Request:
        """Return a request with its token and its body, for a transport."""
        left = max(0.0, until - asyncio.get_running_loop().time())
        limits = {"connect": min(self._connect, left), "pool": POOL_SHARE * left, "read": left, "write": left}
        secret = () if token is None else ((outgoing.token_header, token.header),)
        return httpx.Request(
            outgoing.method,
            _url(outgoing.place.root + outgoing.target.decode("ascii")),
            headers=[*outgoing.head.fields, *secret, *outgoing.body.fields],
            stream=body,
            extensions={"timeout": limits},
        )


class _Stream(httpx.AsyncByteStream):
    """A body that is sent piece by piece; it never shows itself."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        await self._pieces.aclose()


def _stream(body: Body) -> httpx.AsyncByteStream:
    pieces = body.open()
    return httpx.ByteStream(body.content) if pieces is None else _Stream(pieces)


@functools.lru_cache(maxsize=1024)
def _url(text: str) -> httpx.URL:
    # Parsing costs 20 microseconds, a quarter of everything that is done around a call.
    return httpx.URL(text)


class _Pieces:
    """The ``Pieces`` of an httpx stream."""

    __slots__ = ("_chunks", "_stream")

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self._chunks = aiter(stream)

    async def more(self) -> bytes:
        """Return the next bytes, none at the end."""
        while True:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return b""
            if chunk:
                return chunk

    async def next(self, until: float) -> bytes | Lost:
        """See ``Pieces.next``."""
        try:
            async with asyncio.timeout_at(until):
                return await self.more()
        except TimeoutError:
            return Lost(RequestTimeout, "the rest of the answer did not come in time")
        except _FAILURES as exc:
            return _lost(exc)

    async def aclose(self) -> None:
        """See ``Pieces.aclose``."""
        await self._stream.aclose()


async def _open(response: httpx.Response) -> Opened | Lost:
    """Return an answer with the first bytes of its body: until these are there, another try does no harm."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        return _UNREADABLE
    try:
        pieces = _Pieces(stream)
        first = await pieces.more()
        coding = coding_of(response.headers)
        inflater = Inflater(coding) if coding and first else None
        return Opened(response.status_code, ReplyHeaders.of(response.headers.raw), pieces, first, inflater)
    except UnsupportedEncodingError as exc:
        problem = str(exc)
        await stream.aclose()
    except BaseException:
        await stream.aclose()
        raise
    return Lost(ResponseValidationError, problem, again=False)


async def _receive(response: httpx.Response, max_bytes: int, *, head: bool) -> Answer | Lost:
    status = response.status_code
    fine = 200 <= status < 300
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        return _UNREADABLE
    room = max_bytes if fine else min(max_bytes, MAX_ERROR_BODY)
    try:
        content = (
            None if not head and announced(response.headers) > room else await _read(response.headers, stream, room)
        )
    except UnsupportedEncodingError as exc:
        problem = str(exc)
    else:
        if content is not None or not fine:
            return Answer(status, ReplyHeaders.of(response.headers.raw), content or b"")
        return too_long(max_bytes)
    finally:
        await stream.aclose()
    return (
        Lost(ResponseValidationError, problem, again=False)
        if fine
        else Answer(status, ReplyHeaders.of(response.headers.raw), b"")
    )


async def _read(headers: httpx.Headers, stream: httpx.AsyncByteStream, room: int) -> bytes | None:
    """Return the decompressed body, or None as soon as it is known to be longer than ``room`` bytes."""
    coding = coding_of(headers)
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
        for at in range(0, len(packed), SLICE):
            chunk = inflater.feed(packed[at : at + SLICE], room)
            room -= len(chunk)
            if room < 0:
                return None
            chunks.append(chunk)
    if inflater is not None:
        inflater.finish()
    return b"".join(chunks)


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
