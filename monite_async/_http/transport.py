"""This library's own connections as an httpx transport.

It stands where ``httpx.AsyncHTTPTransport`` would, so that anything with httpx's transport interface can stand in for
it. What it does better: a pool whose cost does not grow with its size, a first-come-first-served queue, and
cancellation at any point costs one connection and nothing else. HTTP/1.1 only, no proxies.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

import h11
import httpx

from monite_async._http.body import INLINE
from monite_async._http.connection import Connection
from monite_async._http.failures import (
    BadAnswerError,
    BadRequestError,
    BrokenError,
    ClosedError,
    ConnectFailedError,
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    WireError,
    WriteBrokenError,
    WriteTimeoutError,
)
from monite_async._http.native import CONNECT, Native, Rest
from monite_async._http.place import Place, place_of
from monite_async._http.pool import Pool, PoolStats

__all__ = ["PoolStats", "PooledTransport", "TransportClosedError", "unsent"]

_UNSENT: Final = "monite_async_unsent"


class TransportClosedError(httpx.TransportError, RuntimeError):
    """The transport was used after ``aclose()``, or closed while it was waited for."""


_ERRORS: Final[dict[type[WireError], type[httpx.TransportError]]] = {
    BadAnswerError: httpx.RemoteProtocolError,
    BadRequestError: httpx.LocalProtocolError,
    BrokenError: httpx.ReadError,
    ClosedError: TransportClosedError,
    ConnectFailedError: httpx.ConnectError,
    ConnectTimeoutError: httpx.ConnectTimeout,
    PoolTimeoutError: httpx.PoolTimeout,
    ReadTimeoutError: httpx.ReadTimeout,
    WriteBrokenError: httpx.WriteError,
    WriteTimeoutError: httpx.WriteTimeout,
}


def unsent(exc: BaseException) -> bool:
    """Tell whether a failed request provably never left this process, so that repeating it cannot do harm.

    True for failures to connect, for pool timeouts, and for whatever this transport raised before the first byte of
    the request was handed to a socket. False means "unknown".
    """
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return True
    return getattr(exc, _UNSENT, False) is True


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends requests over pooled HTTP/1.1 connections.

    One transport may be used from several event loops and threads, at once or one after another: each loop has its
    own connections. In a forked child it starts anew and leaves the parent's connections alone. A client of this
    library that is given one uses its connections directly.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        keepalive_expiry: float = 15.0,
        connect_timeout: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_head_bytes: int = 64 * 1024,
    ) -> None:
        """Make a transport; no I/O happens here and no loop is needed.

        Args:
            max_connections: Most connections open at once per event loop; further requests wait in line. None means
                1,000, or half of what this process may open where that is less.
            keepalive_expiry: Seconds after which an idle connection is closed.
            connect_timeout: Most seconds for making a connection, names and TLS included, whatever the ``timeout`` of a
                request says. None means what that says, and 5 where it says nothing.
            ssl_context: TLS context; None takes one that the whole process shares.
            max_head_bytes: Most bytes that the head of an answer may have.

        Raises:
            ValueError: A limit is not positive.
        """
        self._connect_timeout = connect_timeout
        self.native: Native = Native(
            max_connections=max_connections,
            keepalive_expiry=keepalive_expiry,
            connect_timeout=CONNECT if connect_timeout is None else connect_timeout,
            ssl_context=ssl_context,
            max_head_bytes=max_head_bytes,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, the body still streaming unless it has all arrived.

        The request's extension ``timeout`` may hold ``connect``, ``read``, ``write`` and ``pool``, in seconds or None,
        as httpx defines them.

        Raises:
            httpx.TransportError: No answer could be had; ``unsent`` tells whether the request may have been seen.
        """
        timeout: dict[str, float | None] = request.extensions.get("timeout", {})
        connection: Connection | None = None
        pool: Pool | None = None
        try:
            outgoing = _Outgoing(request)
            pool = self.native.pool()
            connection = await pool.acquire(
                outgoing.place.origin,
                pool_timeout=timeout.get("pool"),
                connect_timeout=self._connecting(timeout.get("connect", CONNECT)),
            )
            await outgoing.send(connection, _seconds(timeout, "write"))
            await connection.head(_later(timeout))
            return await _response(pool, connection, request)
        except BaseException as exc:
            sent = connection is not None and connection.written
            if pool is not None and connection is not None:
                pool.discard(connection)
            problem, cause = _told(exc, request, sent=sent), exc.__cause__
            if problem is exc:
                raise
        # Raised out here: what is known of the failure inside must not be its context.
        raise problem from cause

    def _connecting(self, asked: float | None) -> float | None:
        """Return the seconds for making a connection, None for no limit."""
        own = self._connect_timeout
        return asked if own is None else own if asked is None else min(own, asked)

    async def aclose(self) -> None:
        """Close all connections, those of other loops too; requests under way fail. May be repeated."""
        await self.native.aclose()

    def stats(self) -> PoolStats:
        """Count the connections and waiters of the running loop."""
        return self.native.stats()


class _Outgoing:
    """A request of httpx's, held against h11's rules; it never shows itself."""

    __slots__ = ("_event", "_length", "_stream", "place")

    def __init__(self, request: httpx.Request) -> None:
        place = place_of(request.url)
        if place is None:
            raise httpx.UnsupportedProtocol("The URL of a request must begin with http:// or https:// and name a host")
        event = _event(request)
        if event is None:
            raise httpx.LocalProtocolError("The request's head holds something that HTTP/1.1 does not allow")
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("The body of the request is a synchronous stream; give bytes or an asynchronous iterator")
        fields = dict(event.headers)
        self.place: Place = place
        self._event = event
        self._stream = request.stream
        self._length = None if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))

    async def send(self, connection: Connection, timeout: float) -> None:
        """Send it.

        Args:
            connection: Over which.
            timeout: Seconds that the peer may take none of the body.

        Raises:
            WireError: It could not be sent.
        """
        stream, event = self._stream, self._event
        last = any(name == b"connection" and b"close" in value.lower() for name, value in event.headers)
        if isinstance(stream, httpx.ByteStream):
            size = sum(map(len, stream))
            if size <= INLINE and self._length is not None:
                if size != self._length:
                    raise BadRequestError("The request's body does not match the length in its head")
                # No variables for the bytes: a traceback may show those of its frames, and there are secrets among them.
                connection.begin(event.method, self._head() + b"".join(stream), whole=True, last=last)
                return
        connection.begin(event.method, self._head(), whole=False, last=last)
        body = _slices(stream) if isinstance(stream, httpx.ByteStream) else stream
        await connection.send_body(body, self._length, timeout=timeout)

    def _head(self) -> bytes:
        event = self._event
        fields = b"".join([b"%b: %b\r\n" % field for field in event.headers.raw_items()])
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (event.method, event.target, fields)


def _event(request: httpx.Request) -> h11.Request | None:
    """Return h11's view of a request, or None when h11 refuses it: its exception quotes the header."""
    try:
        return h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
    except h11.LocalProtocolError:
        return None


async def _slices(body: httpx.ByteStream) -> AsyncIterator[bytes]:
    for chunk in body:
        for start in range(0, len(chunk), INLINE):
            yield chunk[start : start + INLINE]


async def _response(pool: Pool, connection: Connection, request: httpx.Request) -> httpx.Response:
    """Return the answer whose head is here."""
    framing = connection.framing
    status, headers = framing.status, framing.headers
    extensions = {"http_version": b"HTTP/" + framing.version, "reason_phrase": framing.reason}
    rest = Rest(pool, connection)
    stream = httpx.ByteStream(await rest.more(math.inf)) if framing.complete else _Body(rest, request)
    return httpx.Response(status, headers=headers, stream=stream, extensions=extensions)


class _Body(httpx.AsyncByteStream):
    """The body of an answer that had not all arrived with its head."""

    def __init__(self, rest: Rest, request: httpx.Request) -> None:
        self._rest = rest
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._rest.more(_later(self._request.extensions.get("timeout", {})))
        except WireError as exc:
            problem, cause = _told(exc, self._request, sent=True), exc.__cause__
        else:
            if piece:
                return piece
            raise StopAsyncIteration
        raise problem from cause

    async def aclose(self) -> None:
        """Let go of the connection; it is kept if the rest of the body is already here."""
        await self._rest.aclose()


def _seconds(timeout: Mapping[str, float | None], phase: str) -> float:
    limit = timeout.get(phase)
    return math.inf if limit is None else limit


def _later(timeout: Mapping[str, float | None]) -> float:
    """Return until when the peer may stay silent, by the clock of the running loop."""
    return asyncio.get_running_loop().time() + _seconds(timeout, "read")


def _told(exc: BaseException, request: httpx.Request, *, sent: bool) -> BaseException:
    """Return a failure as httpx says it, with the request it is about."""
    if isinstance(exc, WireError):
        timeout = request.extensions.get("timeout", {})
        text = str(exc)
        if isinstance(exc, ReadTimeoutError):
            text = f"The server sent nothing for {timeout['read']} s"
        elif isinstance(exc, WriteTimeoutError):
            text = f"The server took nothing of the request for {timeout['write']} s"
        exc = _ERRORS[type(exc)](text)
    if isinstance(exc, httpx.RequestError):
        exc.request = request
        if not sent:
            setattr(exc, _UNSENT, True)
    return exc
