"""One HTTP/1.1 connection: a framing reads the answers, the event loop's own transport does the I/O.

A connection carries one exchange at a time and knows nothing of pools. Whatever goes wrong in an exchange, a
cancellation included, its owner calls ``abort()``: a connection is used again only after an exchange that both sides
finished, with nothing left over (RFC 9112, section 9.3).
"""

from __future__ import annotations

import asyncio
import math
import select
import socket
import ssl
from collections.abc import AsyncIterable, Callable
from typing import cast

from monite_async._http.failures import (
    BadAnswerError,
    BadRequestError,
    BrokenError,
    ReadTimeoutError,
    WriteBrokenError,
    WriteTimeoutError,
)
from monite_async._http.framing import Framing
from monite_async._http.place import Origin

__all__ = ["BUFFER", "HIGH_WATER", "Connection"]

HIGH_WATER = 64 * 1024
"""Unread bytes above which the socket is no longer read; one read adds at most ``BUFFER``."""

BUFFER = 256 * 1024
"""Most bytes that are read from a socket at once, as many as the loop's own buffers have."""


class Connection(asyncio.BufferedProtocol):
    """A connection to one origin.

    Attributes:
        origin: What it is connected to.
        framing: Holds what has arrived of the answer.
        appetite: Unread bytes up to which the reader of the answer need not be woken before its end; set by the reader.
        idle: Whether it waits for its next exchange; set by the pool.
        idle_since: When it went idle, in seconds of the loop's clock.
        written: Whether any byte of the current exchange's request may have left.
    """

    __slots__ = (
        "_buffer", "_dead", "_error", "_loop", "_on_dead", "_passed", "_poll", "_read_paused", "_sending", "_timer", "_timer_at",
        "_transport", "_unread", "_until", "_waiter", "_whole", "_write_paused", "appetite", "framing", "idle", "idle_since",
        "origin", "sock", "written",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        sock: socket.socket,
        *,
        framing: Framing,
        buffer: memoryview,
        on_dead: Callable[[Connection], None],
    ) -> None:
        """Describe a connection; the loop's ``create_connection`` brings it to life.

        Args:
            loop: The loop that it lives on.
            origin: What it is connected to.
            sock: The connected socket; kept so that a forked child can let go of it.
            framing: Reads its answers.
            buffer: Where the loop puts what it reads; it is taken out at once, so all connections of a loop share one.
            on_dead: Called when it ends, or becomes useless, while idle.
        """
        self.origin: Origin = origin
        self.sock: socket.socket = sock
        self.framing: Framing = framing
        self.appetite: int = 0
        self.idle: bool = False
        self.idle_since: float = 0.0
        self.written: bool = False
        self._loop = loop
        self._buffer = buffer
        self._on_dead = on_dead
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._sending: asyncio.Timeout | None = None
        self._until = self._timer_at = math.inf
        self._passed = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._dead = False
        self._whole = False
        self._read_paused = self._write_paused = False
        self._unread = 0
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the loop's transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what has arrived: a new buffer for each read would cost more than the read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read what arrived; more than the reader wants at once stops the reading of the socket."""
        if self.idle:
            # Nothing was asked, so this is no answer: often the 408 of a server that is about to close.
            self._on_dead(self)
            return
        framing = self.framing
        ended = framing.complete
        framing.feed(bytes(self._buffer[:nbytes]))
        self._unread += nbytes
        if framing.complete or self._unread > self.appetite or framing.error is not None:
            self._wake()
        if framing.complete and not ended:
            return  # reading on shows whether anything follows: TLS would hold it back for the next exchange
        if self._unread > HIGH_WATER and self._unread > self.appetite and not self._read_paused:
            self._read_paused = True
            cast("asyncio.Transport", self._transport).pause_reading()

    def eof_received(self) -> None:
        """Note the end of the peer's side; returning None lets the loop close ours."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        self._end(exc)
        self._write_paused = False

    def pause_writing(self) -> None:
        """Note that the peer reads more slowly than we write."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Go on writing."""
        self._write_paused = False
        self._wake()

    # What the pool calls.

    def abort(self) -> None:
        """Close at once, without a farewell; may be called in any state and more than once."""
        self._dead = True
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def fresh(self) -> bool:
        """Tell whether an exchange can start: alive, and the peer has said nothing since the last one.

        The loop may not yet have seen that a server closed its end; the kernel has. Asking it here (1 us) is what
        keeps a request from being written into a connection that is known to be dead. What the loop did read since the
        last exchange, while the connection was handed on, would be taken for the answer of the next.
        """
        return not (self._dead or self._unread or self._poll.poll(0))

    def recycle(self) -> bool:
        """Make ready for another exchange; False when that cannot be (then abort it)."""
        if self._dead or not self._whole or not self.framing.reusable:
            return False
        self.framing.reset()
        self.written = self._whole = False
        self._unread = self.appetite = 0
        self._resume_reading()
        return True

    # One exchange.

    def begin(self, method: bytes, request: bytes, *, whole: bool, last: bool = False) -> None:
        """Write the head of a request, or all of it.

        Args:
            method: Its method.
            request: The head, and the body if that is short.
            whole: This is all of it; otherwise ``send_body`` follows.
            last: The head says ``Connection: close``.

        Raises:
            BrokenError: The connection has ended; nothing was sent.
        """
        if self._dead:
            raise BadAnswerError("The server closed the connection before the request was sent")
        self.framing.begin(method, last=last)
        self._whole = whole
        self._write(request)

    async def send_body(
        self, body: AsyncIterable[bytes], length: int | None, *, timeout: float = math.inf, until: float = math.inf
    ) -> None:
        """Send the body of the request that was begun.

        An answer that arrives before the body was sent ends the sending, also where the body comes from has stalled: the
        server has made up its mind. So does the end of the connection.

        Args:
            body: The body.
            length: The bytes that the head promised, or None when it promised chunks.
            timeout: Seconds that the peer may take none of it.
            until: When to give up, by the clock of the loop.

        Raises:
            BadRequestError: The body has another length.
            WriteBrokenError: The connection broke.
            WriteTimeoutError: The peer took too long.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._sending = scope
                await self._send_pieces(body, length, timeout, until)
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._sending = None
        if scope.expired():
            self._is_answered()

    async def _send_pieces(self, body: AsyncIterable[bytes], length: int | None, timeout: float, until: float) -> None:
        left = length
        async for chunk in body:
            if await self._answered():
                return
            if left is not None:
                left -= len(chunk)
                if left < 0:
                    break
            if chunk:
                self._write(chunk if left is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
            del chunk  # which would stand in a traceback with locals when the source of the next one fails
            while self._write_paused:
                if self._head_is_here():
                    return
                if not await self._wait(min(until, self._loop.time() + timeout)):
                    raise WriteTimeoutError
        if left:
            raise BadRequestError("The request's body does not match the length in its head")
        if not await self._answered():
            if left is None:
                self._write(b"0\r\n\r\n")
            self._whole = True

    async def head(self, until: float) -> None:
        """Wait for the head of the answer; raises as ``news`` does."""
        while not self.framing.status:
            await self.news(until)

    async def news(self, until: float) -> None:
        """Wait until something arrives, when all that had arrived is not enough.

        Args:
            until: When to give up, by the clock of the loop.

        Raises:
            BadAnswerError: The answer is broken.
            BrokenError: The connection broke.
            ReadTimeoutError: Nothing arrived in time.
        """
        if self.framing.error is not None:
            raise BadAnswerError(self.framing.error)
        if self._dead:
            raise BrokenError("The connection broke before the answer was complete") from self._error
        self._unread = 0
        if self._read_paused:
            self._resume_reading()
        if not await self._wait(until):
            raise ReadTimeoutError

    async def _answered(self) -> bool:
        """Tell whether the server has answered already, and the rest of the body need not be sent."""
        if not self._dead and self._poll.poll(0):
            # Let the loop read before we write: a write into a connection that was reset loses what came in. asyncio
            # runs whoever is ready already before what it reads in the same turn.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return self._is_answered()

    def _is_answered(self) -> bool:
        if self._head_is_here():
            return True
        if self._dead:
            raise WriteBrokenError("The connection broke while the request was sent") from self._error
        return False

    def _head_is_here(self) -> bool:
        if self.framing.error is not None and not self.framing.status:
            raise BadAnswerError(self.framing.error)
        return self.framing.status != 0

    def _write(self, data: bytes) -> None:
        self.written = True
        cast("asyncio.Transport", self._transport).write(data)

    async def _wait(self, until: float) -> bool:
        """Wait for any news; False when the time passed without."""
        if until <= self._passed:
            return False  # where bytes never stop coming, they would be news for ever
        self._until = until
        if until < self._timer_at:
            self._set_timer(until)
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = None

    def _set_timer(self, at: float) -> None:
        """Set the timer; one that comes too early is kept, and set anew then: cheaper than one for each wait."""
        self._stop_timer()
        self._timer, self._timer_at = self._loop.call_at(at, self._time_is_up), at

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, math.inf

    def _time_is_up(self) -> None:
        due = self._passed = self._timer_at
        self._timer, self._timer_at = None, math.inf
        if self._waiter is None:
            return  # it is idle
        if self._until <= due:
            _settle(self._waiter, False)
        elif self._until < math.inf:
            self._set_timer(self._until)

    def _wake(self) -> None:
        sending = self._sending
        if self._waiter is not None:
            _settle(self._waiter, True)
        elif (
            sending is not None and not sending.expired() and (self._dead or self.framing.status or self.framing.error)
        ):
            sending.reschedule(self._loop.time())

    def _end(self, exc: Exception | None) -> None:
        self._stop_timer()
        if not self._dead:
            self._dead = True
            self._error = exc or self._cut_off()
            if self._error is None:
                self.framing.eof()
        if self.idle:
            self._on_dead(self)
        self._wake()

    def _cut_off(self) -> Exception | None:
        """Tell whether TLS ended without the peer's farewell: then it is no end that a body could have.

        The loops report both ends alike, OpenSSL tells them apart (RFC 9112, section 9.8).
        """
        tls: ssl.SSLObject | None = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if tls is None:
            return None
        try:
            tls.read(1)
        except ssl.SSLError:
            return ConnectionResetError("TLS ended without close_notify")
        return None

    def _resume_reading(self) -> None:
        if self._read_paused and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()


def _settle(waiter: asyncio.Future[bool], news: bool) -> None:
    if not waiter.done():
        waiter.set_result(news)
