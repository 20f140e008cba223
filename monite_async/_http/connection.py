"""One HTTP/1.1 connection: h11 does the framing, the event loop's own transport does the I/O.

A connection carries one exchange at a time and knows nothing of pools. Whatever goes wrong in an exchange, a
cancellation included, its owner calls ``abort()``: a connection is used again only after an exchange that both sides
finished, with nothing left over (RFC 9112, section 9.3).

No error raised here holds text of h11's: its messages quote header lines.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import cast

import h11
import httpx

__all__ = ["Connection", "Head", "Origin"]

Origin = tuple[str, str, int]
"""Scheme, host and port: what a connection can be used for."""

HIGH_WATER = 64 * 1024
"""Unread bytes above which the socket is no longer read; one read adds at most 256 KiB (asyncio's own limit)."""

_SLICE = 64 * 1024
"""Largest piece of a request body that is handed to the loop at once."""


class Head:
    """The head of a request; a traceback that shows variables shows h11's own with its headers, the token among them.

    Attributes:
        event: h11's.
    """

    __slots__ = ("event",)

    def __init__(self, event: h11.Request) -> None:
        self.event = event


class Connection(asyncio.Protocol):
    """A connection to one origin.

    Attributes:
        origin: What it is connected to.
        idle: Whether it waits for its next exchange; set by the pool.
        idle_since: When it went idle, in seconds of the loop's clock.
        written: Whether any byte of the current exchange's request may have left.
    """

    __slots__ = (
        "_dead",
        "_error",
        "_h11",
        "_loop",
        "_max_head_bytes",
        "_on_dead",
        "_poll",
        "_read_paused",
        "_received",
        "_transport",
        "_unread",
        "_waiter",
        "_write_paused",
        "idle",
        "idle_since",
        "origin",
        "sock",
        "written",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        sock: socket.socket,
        *,
        max_head_bytes: int,
        on_dead: Callable[[Connection], None],
    ) -> None:
        """Describe a connection; the loop's ``create_connection`` brings it to life.

        Args:
            loop: The loop that it lives on.
            origin: What it is connected to.
            sock: The connected socket; kept so that a forked child can let go of it.
            max_head_bytes: Most bytes that the head of an answer may have.
            on_dead: Called when it ends, or becomes useless, while idle.
        """
        self.origin = origin
        self.sock = sock
        self.idle = False
        self.idle_since = 0.0
        self.written = False
        self._loop = loop
        self._on_dead = on_dead
        self._max_head_bytes = max_head_bytes
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._error: Exception | None = None
        self._dead = False
        self._read_paused = self._write_paused = False
        self._unread = self._received = 0
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the loop's transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer what arrived; more than the high-water mark stops the reading of the socket."""
        if self.idle:
            # Nothing was asked, so this is no answer: often the 408 of a server that is about to close.
            self._on_dead(self)
            return
        self._h11.receive_data(data)
        self._unread += len(data)
        self._received += len(data)
        if self._unread > HIGH_WATER and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        self._wake()

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
        if self._transport is not None:
            self._transport.abort()

    def fresh(self) -> bool:
        """Tell whether an exchange can start: alive, and the peer has said nothing since the last one.

        The loop may not yet have seen that a server closed its end; the kernel has. Asking it here (1 us) is what
        keeps a request from being written into a connection that is known to be dead.
        """
        return not (self._dead or self._poll.poll(0))

    def recycle(self) -> bool:
        """Make ready for another exchange; False when that cannot be (then abort it)."""
        framing = self._h11
        if self._dead or framing.our_state is not h11.DONE or framing.their_state is not h11.DONE:
            return False
        if framing.trailing_data[0]:
            return False  # bytes that belong to no answer would be taken for the next one
        framing.start_next_cycle()
        self.written = False
        self._unread = self._received = 0
        self._resume_reading()
        return True

    # One exchange.

    async def send(
        self,
        head: Head,
        body: AsyncIterable[bytes],
        *,
        write_timeout: float | None,
        read_timeout: float | None,
    ) -> h11.Response:
        """Send a request and return the head of its final answer.

        An answer that arrives before the body was sent ends the sending: the server has made up its mind.

        Args:
            head: The request's head.
            body: The request's body.
            write_timeout: Seconds that the peer may take none of the body, or None for no limit.
            read_timeout: Seconds that the peer may stay silent, or None for no limit.

        Raises:
            httpx.TransportError: The exchange failed; ``written`` says whether the request may have been seen.
        """
        if self._dead:
            raise httpx.RemoteProtocolError("The server closed the connection before the request was sent")
        if isinstance(body, httpx.ByteStream):
            if self._write_whole(head, body):
                return await self._answer(read_timeout)
            body = _slices(body)
        self._write(self._frame(head.event))
        return await self._send_body(body, write_timeout) or await self._answer(read_timeout)

    def ready(self, into: list[bytes]) -> bool:
        """Append what has arrived of the body, without waiting; True when that is all of it.

        Raises:
            httpx.RemoteProtocolError: The framing is broken or the body was cut off.
        """
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                into.append(bytes(event.data))
            else:
                return isinstance(event, h11.EndOfMessage)

    async def more(self, timeout: float | None) -> None:
        """Wait until something arrives.

        Args:
            timeout: Seconds to wait, or None for no limit.

        Raises:
            httpx.ReadTimeout: Nothing arrived in time.
            httpx.ReadError: The connection broke.
        """
        if self._dead:
            raise httpx.ReadError("The connection broke before the answer was complete") from self._error
        self._unread = 0
        self._resume_reading()
        if not await self._wait(timeout):
            raise httpx.ReadTimeout(f"The server sent nothing for {timeout} s")

    def _write_whole(self, head: Head, body: httpx.ByteStream) -> bool:
        """Write a request in one piece; False when its body is too long for that."""
        size = sum(map(len, body))
        if size > _SLICE:
            return False
        # No variables for the bytes: a traceback may show those of its frames, and there are secrets among them.
        self._write(
            self._frame(head.event)
            + (self._frame(h11.Data(data=b"".join(body))) if size else b"")
            + self._frame(h11.EndOfMessage())
        )
        return True

    async def _answer(self, timeout: float | None) -> h11.Response:
        while True:
            head = self._head()
            if head is not None:
                return head
            await self.more(timeout)

    async def _send_body(self, body: AsyncIterable[bytes], timeout: float | None) -> h11.Response | None:
        async for chunk in body:
            head = await self._early_head()
            if head is not None:
                return head
            if chunk:
                self._write(self._frame(h11.Data(data=chunk)))
            while self._write_paused:
                head = self._head()
                if head is not None:
                    return head
                if not await self._wait(timeout):
                    raise httpx.WriteTimeout(f"The server took nothing of the request for {timeout} s")
        head = await self._early_head()
        if head is None:
            self._write(self._frame(h11.EndOfMessage()))
        return head

    async def _early_head(self) -> h11.Response | None:
        if not self._dead and self._poll.poll(0):
            # Let the loop read before we write: a write into a connection that was reset loses what came in.
            await asyncio.sleep(0)
        head = self._head()
        if head is None and self._dead:
            raise httpx.WriteError("The connection broke while the request was sent") from self._error
        return head

    def _head(self) -> h11.Response | None:
        """Return the head of the final answer if it is there; interim ones (100, 103) are passed over."""
        while True:
            event = self._next()
            if isinstance(event, h11.Response):
                if self._received > self._max_head_bytes:
                    size = sum(len(name) + len(value) + 4 for name, value in event.headers)
                    if size > self._max_head_bytes:
                        raise httpx.RemoteProtocolError("The head of the server's answer is too large")
                return event
            if event is None:
                return None

    def _next(self) -> h11.Event | None:
        """Return h11's next event, or None when it needs more; what cannot be part of an answer is an error."""
        hint = 0
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as exc:
            event, hint = h11.PAUSED, exc.error_status_hint
        # Raised out here, so that h11's exception, which quotes the answer, is not even its context.
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise httpx.RemoteProtocolError(self._explain(hint))
        return event

    def _explain(self, hint: int) -> str:
        if hint == 431:
            return "The head of the server's answer is too large"
        if self._h11.trailing_data[1]:
            if self._received == 0:
                return "The server closed the connection without an answer"
            return "The server closed the connection before its answer was complete"
        return "The server's answer is not valid HTTP/1.1"

    def _frame(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._h11.send(event)
        except h11.LocalProtocolError:
            pass
        del event  # a traceback may show the variables of its frames
        # Out here for the same reason as above.
        raise httpx.LocalProtocolError("The request's body does not match the length in its head")

    def _write(self, data: bytes) -> None:
        self.written = True
        cast("asyncio.Transport", self._transport).write(data)

    async def _wait(self, timeout: float | None) -> bool:
        """Wait for any news; False when the time passed without."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        timer = None if timeout is None else self._loop.call_later(timeout, _settle, waiter, False)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None:
            _settle(self._waiter, True)

    def _end(self, exc: Exception | None) -> None:
        if not self._dead:
            self._dead = True
            self._error = exc or self._cut_off()
            if self._error is None:
                self._h11.receive_data(b"")
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


async def _slices(body: httpx.ByteStream) -> AsyncIterator[bytes]:
    for chunk in body:
        for start in range(0, len(chunk), _SLICE):
            yield chunk[start : start + _SLICE]
