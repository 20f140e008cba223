"""An httpx transport with a pool of its own, for one event loop or many.

It stands where ``httpx.AsyncHTTPTransport`` would, so that anything with httpx's transport interface can stand in for
it. What it does better: a pool whose cost does not grow with its size, a first-come-first-served queue, and
cancellation at any point costs one connection and nothing else. HTTP/1.1 only, no proxies.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import h11
import httpx

from monite_async._http.connection import Connection, Head, Origin
from monite_async._http.pool import Pool, PoolStats, TransportClosedError

__all__ = ["PoolStats", "PooledTransport", "TransportClosedError", "unsent"]

_UNSENT: Final = "monite_async_unsent"
_PORTS: Final = {"http": 80, "https": 443}


def unsent(exc: BaseException) -> bool:
    """Tell whether a failed request provably never left this process, so that repeating it cannot do harm.

    True for failures to connect, for pool timeouts, and for whatever this transport raised before the first byte of
    the request was handed to a socket. False means "unknown".
    """
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return True
    return getattr(exc, _UNSENT, False) is True


def _affordable() -> int:
    """Return how many connections to open at most: not so many that nothing is left for the files of others."""
    most = 1000
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            most = min(most, max(8, soft // 2))
    return most


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends requests over pooled HTTP/1.1 connections.

    One transport may be used from several event loops and threads, at once or one after another: each loop has its
    own connections. In a forked child it starts anew and leaves the parent's connections alone.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        keepalive_expiry: float = 15.0,
        connect_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        max_head_bytes: int = 64 * 1024,
    ) -> None:
        """Make a transport; no I/O happens here and no loop is needed.

        Args:
            max_connections: Most connections open at once per event loop; further requests wait in line. None means
                1,000, or half of what this process may open where that is less.
            keepalive_expiry: Seconds after which an idle connection is closed.
            connect_timeout: Seconds for making a connection when the request's ``timeout`` extension says nothing.
            ssl_context: TLS context; None takes one that the whole process shares.
            max_head_bytes: Most bytes that the head of an answer may have.

        Raises:
            ValueError: A limit is not positive.
        """
        max_connections = _affordable() if max_connections is None else max_connections
        if max_connections < 1 or keepalive_expiry <= 0 or connect_timeout <= 0 or max_head_bytes < 1:
            raise ValueError("PooledTransport: every limit must be positive")
        self._max_connections = max_connections
        self._keepalive_expiry = keepalive_expiry
        self._connect_timeout = connect_timeout
        self._context = ssl_context
        self._max_head_bytes = max_head_bytes
        self._closed = False
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        _transports.add(self)

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
            origin, head, stream = _origin(request), _head(request), _stream(request)
            pool = self._pool()
            connection = await pool.acquire(
                origin,
                pool_timeout=timeout.get("pool"),
                connect_timeout=timeout.get("connect", self._connect_timeout),
            )
            read = timeout.get("read")
            answer = await connection.send(head, stream, write_timeout=timeout.get("write"), read_timeout=read)
            chunks: list[bytes] = []
            complete = connection.ready(chunks)
        except BaseException as exc:
            _annotate(exc, request, sent=connection is not None and connection.written)
            if pool is not None and connection is not None:
                pool.discard(connection)
            raise
        body: httpx.AsyncByteStream
        if complete:
            pool.release(connection)
            body = httpx.ByteStream(b"".join(chunks))
        else:
            body = _Body(pool, connection, request, chunks, read)
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw_items(),
            stream=body,
            extensions={"http_version": b"HTTP/" + answer.http_version, "reason_phrase": answer.reason},
        )

    async def aclose(self) -> None:
        """Close all connections, those of other loops too; requests under way fail. May be repeated."""
        self._closed = True
        with self._lock:
            pools, self._pools = self._pools, {}
        here = asyncio.get_running_loop()
        for loop, pool in pools.items():
            if loop is not here:
                _close_elsewhere(loop, pool)
        if here in pools:
            await pools[here].aclose()

    def stats(self) -> PoolStats:
        """Count the connections and waiters of the running loop."""
        pool = self._pools.get(asyncio.get_running_loop())
        return PoolStats(0, 0, 0, 0) if pool is None else pool.stats()

    def _pool(self) -> Pool:
        """Return the pool of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is not None and not pool.closed:
            return pool
        with self._lock:
            if self._closed:
                raise TransportClosedError("The transport was closed; make a new one")
            for other in [other for other in self._pools if other.is_closed()]:
                self._pools.pop(other).drop()
            pool = self._pools[loop] = Pool(
                loop,
                max_connections=self._max_connections,
                keepalive_expiry=self._keepalive_expiry,
                max_head_bytes=self._max_head_bytes,
                context=self._context,
                ending=pool is not None,  # closed by the loop's end, or it would not be here
            )
        return pool

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # whoever held it does not exist in this process
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.orphan()


class _Body(httpx.AsyncByteStream):
    """The body of an answer that had not all arrived with its head."""

    def __init__(
        self, pool: Pool, connection: Connection, request: httpx.Request, chunks: list[bytes], timeout: float | None
    ) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._request = request
        self._chunks = chunks
        self._timeout = timeout
        self._complete = False
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            connection = self._connection
            if self._complete:
                raise StopAsyncIteration
            if connection is None:
                raise httpx.ReadError("The answer was closed before it was read to its end", request=self._request)
            try:
                self._complete = connection.ready(self._chunks)
                if not self._complete and not self._chunks:
                    await connection.more(self._timeout)
            except BaseException as exc:
                _annotate(exc, self._request, sent=True)
                self._connection = None
                self._pool.discard(connection)
                raise
            if self._complete:
                self._connection = None
                self._pool.release(connection)
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Let go of the connection; it is kept if the rest of the body is already here."""
        self._complete = self._complete and not self._chunks
        self._chunks = []
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(httpx.RemoteProtocolError):
                connection.ready([])
            self._pool.release(connection)  # which discards it unless that was all

    def __del__(self) -> None:
        # Nobody closed the answer; its slot must not be lost. The collector may run in any thread.
        if self._connection is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # it was closed this very moment
                self._loop.call_soon_threadsafe(self._pool.discard, self._connection)


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    port = url.port or _PORTS.get(url.scheme)
    if port is None or not url.raw_host:
        raise httpx.UnsupportedProtocol("The URL of a request must begin with http:// or https:// and name a host")
    return url.scheme, url.raw_host.decode("ascii"), port


def _head(request: httpx.Request) -> Head:
    try:
        return Head(h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw))
    except h11.LocalProtocolError:
        pass
    # Raised out here: h11's exception quotes the header, and must not even be the context of ours.
    raise httpx.LocalProtocolError("The request's head holds something that HTTP/1.1 does not allow")


def _stream(request: httpx.Request) -> httpx.AsyncByteStream:
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise TypeError("The body of the request is a synchronous stream; give bytes or an asynchronous iterator")
    return request.stream


def _annotate(exc: BaseException, request: httpx.Request, *, sent: bool) -> None:
    if isinstance(exc, httpx.RequestError):
        exc.request = request
        if not sent:
            setattr(exc, _UNSENT, True)


def _close_elsewhere(loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
    try:
        loop.call_soon_threadsafe(pool.close)
    except RuntimeError:  # that loop is closed
        pool.drop()


def _forked() -> None:
    for transport in list(_transports):
        transport._after_fork()


_transports: Final[weakref.WeakSet[PooledTransport]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)
