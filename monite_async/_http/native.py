"""Requests over this library's own connections: a pool per event loop, and no library of HTTP objects in between."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from monite_async._errors import (
    ConnectError,
    PoolTimeout,
    RequestTimeout,
    ResponseValidationError,
    TransportError,
)
from monite_async._http.connection import HIGH_WATER, Connection
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
from monite_async._http.failures import (
    BadRequestError,
    BrokenError,
    ClosedError,
    ConnectFailedError,
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    WireError,
    WriteTimeoutError,
)
from monite_async._http.framing import MakeFraming
from monite_async._http.pool import Pool, PoolStats
from monite_async._http.reply import ReplyHeaders

__all__ = ["Native", "Rest", "lost"]

CONNECT: Final = 5.0
"""Seconds for making a connection, names and TLS included, where nothing else is said."""
POOL_SHARE: Final = 0.9
"""Share of a try that may be spent waiting for a connection: what ends it is then known not to have been sent."""


class Native:
    """Sends requests over pooled HTTP/1.1 connections; a ``Carrier``.

    It may be used from several event loops and threads, at once or one after another: each loop has its own
    connections. In a forked child it starts anew and leaves the parent's connections alone.

    Args:
        max_connections: Most connections open at once per event loop; further requests wait in line. None means 1,000,
            or half of what this process may open where that is less.
        keepalive_expiry: Seconds after which an idle connection is closed.
        connect_timeout: Seconds for making a connection, names and TLS included.
        ssl_context: TLS context; None takes one that the whole process shares.
        max_head_bytes: Most bytes that the head of an answer may have.
        framing: Makes what reads the answers of a connection; None takes h11.
        trust_env: Whether the environment may name the certificate authorities of the process's context.

    Raises:
        ValueError: A limit is not positive.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        keepalive_expiry: float = 15.0,
        connect_timeout: float = CONNECT,
        ssl_context: ssl.SSLContext | None = None,
        max_head_bytes: int = 64 * 1024,
        framing: MakeFraming | None = None,
        trust_env: bool = True,
    ) -> None:
        max_connections = affordable() if max_connections is None else max_connections
        if max_connections < 1 or keepalive_expiry <= 0 or connect_timeout <= 0 or max_head_bytes < 1:
            raise ValueError("every limit must be positive")
        if framing is None:
            from monite_async._http.framing_h11 import H11Framing

            framing = H11Framing
        self.max_connections = max_connections
        self.connect_timeout = connect_timeout
        self._keepalive_expiry = keepalive_expiry
        self._context = ssl_context
        self._max_head_bytes = max_head_bytes
        self._framing = framing
        self._trust_env = trust_env
        self._closed = False
        self._lock = threading.Lock()
        self.pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        _living.add(self)

    def __repr__(self) -> str:
        return "<Native>"

    async def exchange(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Lost:
        """See ``Carrier.exchange``."""
        connection: Connection | None = None
        try:
            pool = self.pool()
            connection = pool.take(outgoing.place.origin) or await self._acquire(pool, outgoing, until)
            try:
                await _send(connection, outgoing, token, until)
                answer = await _whole(connection, outgoing, max_bytes, until)
            except BaseException:
                pool.discard(connection)
                raise
        except WireError as exc:
            return lost(exc, sent=connection is not None and connection.written)
        pool.release(connection)
        return answer

    async def open(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Opened | Lost:
        """See ``Carrier.open``."""
        connection: Connection | None = None
        try:
            pool = self.pool()
            connection = pool.take(outgoing.place.origin) or await self._acquire(pool, outgoing, until)
            try:
                await _send(connection, outgoing, token, until)
                if 200 <= connection.framing.status < 300:
                    return await _open(pool, connection, until)
                answer = await _whole(connection, outgoing, max_bytes, until)
            except BaseException:
                pool.discard(connection)
                raise
        except WireError as exc:
            return lost(exc, sent=connection is not None and connection.written)
        pool.release(connection)
        return answer

    async def _acquire(self, pool: Pool, outgoing: Outgoing, until: float) -> Connection:
        left = max(0.0, until - asyncio.get_running_loop().time())
        return await pool.acquire(
            outgoing.place.origin, pool_timeout=POOL_SHARE * left, connect_timeout=self.connect_timeout, until=until
        )

    def pool(self) -> Pool:
        """Return the pool of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self.pools.get(loop)
        if pool is not None and not pool.closed:
            return pool
        with self._lock:
            if self._closed:
                raise ClosedError("The transport was closed; make a new one")
            for other in [other for other in self.pools if other.is_closed()]:
                self.pools.pop(other).drop()
            pool = self.pools[loop] = Pool(
                loop,
                max_connections=self.max_connections,
                keepalive_expiry=self._keepalive_expiry,
                max_head_bytes=self._max_head_bytes,
                framing=self._framing,
                context=self._context,
                trust_env=self._trust_env,
                ending=pool is not None,  # closed by the loop's end, or it would not be here
            )
        return pool

    def stats(self) -> PoolStats:
        """Count the connections and waiters of the running loop."""
        pool = self.pools.get(asyncio.get_running_loop())
        return PoolStats(0, 0, 0, 0) if pool is None else pool.stats()

    async def aclose(self) -> None:
        """Close all connections, those of other loops too; requests under way fail. May be repeated."""
        self._closed = True
        with self._lock:
            pools, self.pools = self.pools, {}
        here = asyncio.get_running_loop()
        for loop, pool in pools.items():
            if loop is not here:
                _close_elsewhere(loop, pool)
        if here in pools:
            await pools[here].aclose()

    def after_fork(self) -> None:
        """Start anew in a forked child."""
        self._lock = threading.Lock()  # whoever held it does not exist in this process
        pools, self.pools = self.pools, {}
        for pool in pools.values():
            pool.orphan()


class Rest:
    """The rest of an answer's body; the ``Pieces`` of a connection."""

    __slots__ = ("__weakref__", "_complete", "_connection", "_loop", "_pool")

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._complete = False
        self._loop = asyncio.get_running_loop()

    async def more(self, until: float) -> bytes:
        """Return the next bytes, none at the end.

        Args:
            until: When to give up waiting for them, by the clock of the running loop.

        Raises:
            WireError: The rest cannot be had, or was closed.
        """
        while True:
            connection = self._connection
            if connection is None:
                if self._complete:
                    return b""
                raise BrokenError("The answer was closed before it was read to its end")
            framing = connection.framing
            chunks, framing.chunks = framing.chunks, []
            if framing.complete:
                self._complete = True
                self._connection = None
                self._pool.release(connection)
            if chunks or self._complete:
                return b"".join(chunks)
            try:
                await connection.news(until)
            except BaseException:
                self._let_go()
                raise

    async def next(self, until: float) -> bytes | Lost:
        """See ``Pieces.next``."""
        try:
            return await self.more(until)
        except WireError as exc:
            return lost(exc, sent=True)

    async def aclose(self) -> None:
        """Let go of the connection; it is kept if the rest of the body is already here."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)  # which discards it unless that was all

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)

    def __del__(self) -> None:
        # Nobody closed the answer; its slot must not be lost. The collector may run in any thread.
        if self._connection is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # it was closed this very moment
                self._loop.call_soon_threadsafe(self._pool.discard, self._connection)


def lost(exc: WireError, *, sent: bool) -> Lost:
    """Return a failure of a connection as the outcome of a try.

    Args:
        exc: The failure.
        sent: Whether any byte of the request may have left.
    """
    unsent = exc.unsent or not sent
    if isinstance(exc, ConnectTimeoutError):
        return Lost(ConnectError, "no connection could be made in time", unsent=unsent)
    if isinstance(exc, ConnectFailedError):
        return Lost(ConnectError, f"no connection could be made: {exc}", unsent=unsent)
    if isinstance(exc, PoolTimeoutError):
        return Lost(PoolTimeout, "no connection became free in time", unsent=unsent)
    if isinstance(exc, ReadTimeoutError | WriteTimeoutError):
        return Lost(RequestTimeout, "no complete answer came in time", unsent=unsent)
    text = str(exc)  # of our own making, with nothing of the request or the answer in it
    return Lost(
        TransportError,
        f"the connection failed: {text[:1].lower()}{text[1:]}",
        unsent=unsent,
        again=not isinstance(exc, BadRequestError),
    )


async def _send(connection: Connection, outgoing: Outgoing, token: Bearer | None, until: float) -> None:
    """Send a request and wait for the head of its answer."""
    body = outgoing.body.open()
    # No variable for the request: a traceback may show those of its frames, and there are secrets in it.
    connection.begin(outgoing.method.encode("ascii"), outgoing.encode(token), whole=body is None)
    if body is not None:
        await _send_body(connection, body, outgoing.body.length, until)
    while not connection.framing.status:
        await connection.news(until)


async def _send_body(
    connection: Connection, body: AsyncGenerator[bytes, None], length: int | None, until: float
) -> None:
    scope = asyncio.timeout_at(until)  # where the body comes from may be slow as well
    try:
        async with scope, aclosing(body):
            await connection.send_body(body, length, until=until)
    except TimeoutError:
        if not scope.expired():
            raise
        raise WriteTimeoutError from None


async def _whole(connection: Connection, outgoing: Outgoing, max_bytes: int, until: float) -> Answer | Lost:
    """Return the answer whose head is here, its body read to the end unless it is too long."""
    framing = connection.framing
    status, headers = framing.status, ReplyHeaders(framing.headers)
    fine = 200 <= status < 300
    room = max_bytes if fine else min(max_bytes, MAX_ERROR_BODY)
    try:
        if outgoing.method != "HEAD" and not framing.complete and announced(headers) > room:
            content = None
        else:
            content = await _read(connection, coding_of(headers), room, until)
    except UnsupportedEncodingError as exc:
        problem = str(exc)
    else:
        if content is not None or not fine:
            return Answer(status, headers, content or b"")
        return too_long(max_bytes)
    return Lost(ResponseValidationError, problem, again=False) if fine else Answer(status, headers, b"")


async def _read(connection: Connection, coding: str, room: int, until: float) -> bytes | None:
    """Return the decompressed body, or None as soon as it is known to be longer than ``room`` bytes."""
    framing = connection.framing
    if not coding:
        # Nobody needs to see the body before its end, unless it is too long.
        connection.appetite = room + HIGH_WATER
    inflater: Inflater | None = None
    pieces: list[bytes] = []
    while True:
        complete = framing.complete
        chunks, framing.chunks = framing.chunks, []
        for chunk in chunks:
            if not coding:
                room -= len(chunk)
                pieces.append(chunk)
                continue
            inflater = inflater or Inflater(coding)
            room -= _inflate(inflater, chunk, room, pieces)
        if room < 0:
            return None
        if complete:
            break
        await connection.news(until)
    if inflater is not None:
        inflater.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _inflate(inflater: Inflater, packed: bytes, room: int, into: list[bytes]) -> int:
    """Decompress some bytes, no further than to what shows that they are too many; return how many came of them."""
    taken = 0
    for at in range(0, len(packed), SLICE):
        if taken > room:
            break
        piece = inflater.feed(packed[at : at + SLICE], room - taken)
        taken += len(piece)
        into.append(piece)
    return taken


async def _open(pool: Pool, connection: Connection, until: float) -> Opened | Lost:
    """Return an answer with the first bytes of its body: until these are there, another try does no harm."""
    framing = connection.framing
    status, headers = framing.status, ReplyHeaders(framing.headers)
    rest = Rest(pool, connection)
    first = await rest.more(until)
    coding = coding_of(headers)
    try:
        inflater = Inflater(coding) if coding and first else None
    except UnsupportedEncodingError as exc:
        problem = str(exc)
    else:
        return Opened(status, headers, rest, first, inflater)
    await rest.aclose()
    return Lost(ResponseValidationError, problem, again=False)


def affordable() -> int:
    """Return how many connections to open at most: not so many that nothing is left for the files of others."""
    most = 1000
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            most = min(most, max(8, soft // 2))
    return most


def _close_elsewhere(loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
    try:
        loop.call_soon_threadsafe(pool.close)
    except RuntimeError:  # that loop is closed
        pool.drop()


def _forked() -> None:
    for each in list(_living):
        each.after_fork()


_living: Final[weakref.WeakSet[Native]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forked)
