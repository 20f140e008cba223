"""The connections of one event loop: LIFO idle ones, FIFO waiters, everything O(1).

A *slot* is the right to have one connection open. Whoever holds one (a dialling caller, a connection, a waiter that
was just woken) gives it on exactly once; the pool is sound when ``open`` equals the slots held. While anyone waits,
nothing is idle.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import NamedTuple

from monite_async._http.connection import BUFFER, Connection
from monite_async._http.dial import dial
from monite_async._http.failures import ClosedError, PoolTimeoutError
from monite_async._http.framing import MakeFraming
from monite_async._http.place import Origin

__all__ = ["Pool", "PoolStats"]

_ORPHANS: list[Connection] = []
"""Connections of a parent process; kept, because collecting an open one warns and closes."""


class PoolStats(NamedTuple):
    """A pool at one moment.

    Attributes:
        open: Connections that are open or being opened.
        idle: Those of them that wait for a request.
        waiting: Requests that wait for a connection.
        opened: Connections opened since the start.
    """

    open: int
    idle: int
    waiting: int
    opened: int


class Pool:
    """The connections of one event loop; used only from that loop, but for ``orphan`` and ``drop``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        max_connections: int,
        keepalive_expiry: float,
        max_head_bytes: int,
        framing: MakeFraming,
        context: ssl.SSLContext | None,
        trust_env: bool = True,
        ending: bool = False,
    ) -> None:
        """Make an empty pool; no I/O happens here.

        Args:
            loop: The loop that it serves.
            max_connections: Most connections open at once, over all origins.
            keepalive_expiry: Seconds that an idle connection is kept.
            max_head_bytes: Most bytes of the head of an answer.
            framing: Makes what reads the answers of a connection.
            context: TLS context, or None for the process's own.
            trust_env: Whether the environment may name the certificate authorities of the process's own.
            ending: Whether the loop is shutting down: then no connection outlives its exchange.
        """
        self.closed: bool = False
        self._ending = ending
        self._loop = loop
        self._max = max_connections
        self._expiry = keepalive_expiry
        self._max_head_bytes = max_head_bytes
        self._framing = framing
        self._context = context
        self._trust_env = trust_env
        self._buffer = memoryview(bytearray(BUFFER))
        self._slots = 0
        self._opened = 0
        self._all: set[Connection] = set()
        self._idle: dict[Origin, OrderedDict[Connection, None]] = {}
        self._waiters: OrderedDict[asyncio.Future[Connection | None], Origin] = OrderedDict()
        self._reaper: asyncio.TimerHandle | None = None
        self._guard: AsyncGenerator[None, None] | None = None

    def stats(self) -> PoolStats:
        """Count."""
        idle = sum(map(len, self._idle.values()))
        return PoolStats(open=self._slots, idle=idle, waiting=len(self._waiters), opened=self._opened)

    def take(self, origin: Origin) -> Connection | None:
        """Return the connection used last if it is idle and can be used; None means that ``acquire`` has to be asked."""
        connection = self._take_idle(origin)
        if connection is None or connection.fresh():
            return connection
        self.discard(connection)
        return None

    async def acquire(
        self, origin: Origin, *, pool_timeout: float | None, connect_timeout: float | None, until: float = math.inf
    ) -> Connection:
        """Return a connection for one exchange: the last used, a new one, or the first that becomes free.

        Args:
            origin: Where to.
            pool_timeout: Seconds to wait for a free one, or None for no limit.
            connect_timeout: Seconds to wait for a new one, or None for no limit.
            until: When to give up, by the clock of the loop, whatever it waits for.

        Raises:
            PoolTimeoutError: None became free in time.
            ConnectFailedError: No connection could be made.
            ConnectTimeoutError: No connection could be made in time.
            ClosedError: The pool was closed meanwhile.
        """
        connection = self._take_idle(origin)
        if connection is None and not self._claim():
            connection = await self._queue(origin, pool_timeout)
        if connection is not None:
            if connection.fresh():
                return connection
            self._forget(connection)  # its slot stays ours
        if until < math.inf:
            left = max(0.0, until - self._loop.time())
            connect_timeout = left if connect_timeout is None else min(connect_timeout, left)
        return await self._dial(origin, connect_timeout)

    def release(self, connection: Connection) -> None:
        """Take a connection back after a whole exchange; it is used again if it can be."""
        if connection in self._all and not self._ending and connection.recycle():
            self._offer(connection)
        else:
            self.discard(connection)

    def discard(self, connection: Connection) -> None:
        """Abort a connection and give its slot on; without effect when that has been done."""
        if connection in self._all:
            self._forget(connection)
            self._free_slot()

    def close(self) -> None:
        """Abort everything and fail everyone who waits; without effect when repeated."""
        self.closed = True
        for connection in list(self._all):
            self._forget(connection)
            self._slots -= 1
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(ClosedError("The transport was closed while a connection was waited for"))
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None

    async def aclose(self) -> None:
        """Close, and let the loop run until the sockets are closed."""
        self.close()
        if self._guard is not None:
            await self._guard.aclose()

    def drop(self) -> None:
        """Close the sockets of a pool whose loop was closed without notice."""
        for connection in self._all:
            connection.sock.close()
        self._all.clear()

    def orphan(self) -> None:
        """Let go of the parent's connections in a forked child.

        Closing them properly would send a TLS farewell or take them out of the parent's epoll set; so the child's
        copy of each descriptor is pointed at /dev/null instead, which also makes a second close of it harmless.
        """
        null = os.open(os.devnull, os.O_RDWR)
        orphans, self._all = self._all, set()
        for connection in orphans:
            with suppress(OSError):
                os.dup2(null, connection.sock.fileno(), inheritable=False)
        os.close(null)
        _ORPHANS.extend(orphans)

    # Slots.

    def _claim(self) -> bool:
        """Take a slot if there is one, at the cost of another origin's oldest idle connection if need be."""
        if self._slots < self._max:
            self._slots += 1
            return True
        for idle in self._idle.values():
            if idle:
                self._forget(next(iter(idle)))
                return True
        return False

    def _free_slot(self) -> None:
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots -= 1

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection.idle:
            connection.idle = False
            self._idle[connection.origin].pop(connection, None)
        connection.abort()

    # Idle connections and those who wait for one.

    def _take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        if not idle:
            return None
        connection, _ = idle.popitem()
        connection.idle = False
        if self._loop.time() - connection.idle_since <= self._expiry:
            return connection
        self.discard(connection)  # the newest is too old, so all are: the reaper was kept from running
        return None

    def _offer(self, connection: Connection) -> None:
        """Hand a usable connection to the first waiter, or keep it."""
        while self._waiters:
            waiter, origin = self._waiters.popitem(last=False)
            if waiter.done():
                continue
            if origin == connection.origin:
                waiter.set_result(connection)
            else:
                self._forget(connection)
                waiter.set_result(None)
            return
        connection.idle = True
        connection.idle_since = self._loop.time()
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = OrderedDict()
        idle[connection] = None
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._expiry, self._reap)

    def _reap(self) -> None:
        """Close what was idle for too long; come back only if anything is still idle."""
        self._reaper = None
        horizon = self._loop.time() - self._expiry
        oldest: float | None = None
        for idle in self._idle.values():
            while idle:
                connection = next(iter(idle))
                if connection.idle_since > horizon:
                    oldest = connection.idle_since if oldest is None else min(oldest, connection.idle_since)
                    break
                self.discard(connection)
        if oldest is not None:
            self._reaper = self._loop.call_at(oldest + self._expiry, self._reap)

    async def _queue(self, origin: Origin, timeout: float | None) -> Connection | None:
        """Wait in line; returns a connection, or None for the slot to open one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters[waiter] = origin
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter, timeout)
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled in the very moment in which it was served: what it got goes to the next.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is None:
                    self._free_slot()
                elif connection in self._all:
                    self._offer(connection)
            raise
        finally:
            self._waiters.pop(waiter, None)
            if timer is not None:
                timer.cancel()

    # New connections.

    async def _dial(self, origin: Origin, timeout: float | None) -> Connection:
        try:
            if self._guard is None and not self._ending:
                self._guard = self._until_loop_ends()
                await anext(self._guard)
            connection = await dial(
                origin,
                lambda sock: self._make(origin, sock),
                timeout=timeout,
                context=self._context,
                trust_env=self._trust_env,
            )
        except BaseException:
            self._free_slot()
            raise
        self._opened += 1
        self._all.add(connection)
        if self.closed:
            self.discard(connection)
            raise ClosedError("The transport was closed while a connection was made")
        return connection

    def _make(self, origin: Origin, sock: socket.socket) -> Connection:
        framing = self._framing(self._max_head_bytes)
        return Connection(self._loop, origin, sock, framing=framing, buffer=self._buffer, on_dead=self.discard)

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        """Be told of the loop's end: it closes the generators that it has seen (``loop.shutdown_asyncgens``).

        So a client that nobody closed leaves no socket behind, and no ResourceWarning, when ``asyncio.run`` returns.
        """
        try:
            yield
        finally:
            self.close()
            for _ in range(3):  # uvloop needs as many rounds to let go of a handle
                await asyncio.sleep(0)


def _expire(waiter: asyncio.Future[Connection | None], timeout: float) -> None:
    if not waiter.done():
        waiter.set_exception(PoolTimeoutError(f"No connection became free within {timeout} s"))
