"""The front end behind a socket: HTTP/1.1 on asyncio streams, framed by h11."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import h11

from monite_async.emulator._message import Delivery, Request, decoded_path, wire_headers

if TYPE_CHECKING:
    import ssl

    from monite_async.emulator._emulator import Emulator

__all__ = ["listen", "raise_file_limit"]

_BACKLOG = 4096
_READ_SIZE = 65_536
_DRAIN_ABOVE = 262_144


def raise_file_limit() -> None:
    """Let the process open as many files as it may: thousands of connections are wanted."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Connection:
    """One connection: requests one after another until either side ends it."""

    def __init__(self, emulator: Emulator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._emulator = emulator
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._out = bytearray()

    async def serve(self) -> None:
        """Answer requests until the connection ends."""
        while (request := await self._request()) is not None:
            delivery = self._emulator.exchange(request)
            if not await self._deliver(delivery, head=request.method == "HEAD") or not self._reusable():
                return

    def _reusable(self) -> bool:
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        event = self._http.next_event()
        while event is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
                await self._flush()
            self._http.receive_data(await self._reader.read(_READ_SIZE))
            event = self._http.next_event()
        return event

    async def _request(self) -> Request | None:
        """Return the next request with its whole body, None when the client is gone or talks no HTTP."""
        try:
            head = await self._event()
            if not isinstance(head, h11.Request):
                return None
            body = bytearray()
            # One byte above the limit is enough to refuse the request; the rest is read and forgotten.
            limit = self._emulator.settings.max_body + 1
            while isinstance(event := await self._event(), h11.Data):
                body += event.data[: limit - len(body)]
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        try:
            return _request(head, bytes(body))
        except ValueError:  # a target that is no address at all
            await self._refuse(400)
            return None

    async def _refuse(self, status: int) -> None:
        self._write(h11.Response(status_code=status, headers=[("content-length", "0"), ("connection", "close")]))
        self._write(h11.EndOfMessage())
        await self._flush()

    async def _deliver(self, delivery: Delivery, *, head: bool) -> bool:
        """Send an answer; tell whether the connection is still good."""
        if delivery.drop == "refuse":
            return self._abort()
        if delivery.gate is not None:
            await delivery.gate.passed()
        if delivery.delay:
            await asyncio.sleep(delivery.delay)
        if delivery.drop is not None:
            return self._abort()
        response = delivery.response
        headers = wire_headers(response.headers)
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", formatdate(self._emulator.clock.timestamp(), usegmt=True).encode("ascii")))
        if response.status != 204:
            headers.append((b"content-length", str(delivery.length).encode("ascii")))
        self._write(h11.Response(status_code=response.status, headers=headers))
        await self._send_body(delivery, head=head)
        if delivery.truncate is not None:
            await self._flush()
            return False
        self._write(h11.EndOfMessage())
        await self._flush()
        return True

    async def _send_body(self, delivery: Delivery, *, head: bool) -> None:
        for chunk in () if head else delivery.chunks():
            self._write(h11.Data(data=chunk))
            if len(self._out) > _DRAIN_ABOVE:
                await self._flush()

    def _write(self, event: h11.Event) -> None:
        self._out += self._http.send(event) or b""

    async def _flush(self) -> None:
        """Send what was written so far: a small answer leaves in one piece."""
        self._writer.write(bytes(self._out))
        self._out.clear()
        await self._writer.drain()

    def _abort(self) -> bool:
        self._writer.transport.abort()
        return False


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("latin-1"))
    return Request(
        method=head.method.decode("ascii").upper(),
        path=decoded_path(target.path),
        query=tuple(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


class _Server:
    """Tracks the open connections, so that all can be ended."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection in a task of its own."""
        task = asyncio.ensure_future(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Connection(self._emulator, reader, writer).serve()
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def end(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def listen(
    emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[str, None]:
    """Serve an emulator on a socket of the running loop.

    Args:
        emulator: What to serve.
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        tls: Serve HTTPS with this context.

    Yields:
        The base URL for clients (``http://127.0.0.1:8765/v1``); until the end it is the emulator's own.
    """
    server = _Server(emulator)
    listener = await asyncio.start_server(server.accept, host, port, backlog=_BACKLOG, ssl=tls)
    name = f"[{host}]" if ":" in host else host
    before, emulator.origin = (
        emulator.origin,
        f"{'http' if tls is None else 'https'}://{name}:{listener.sockets[0].getsockname()[1]}",
    )
    try:
        yield emulator.base_url
    finally:
        listener.close()
        await server.end()
        await listener.wait_closed()
        emulator.origin = before
