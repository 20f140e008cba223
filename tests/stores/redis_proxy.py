"""A TCP proxy between a store and its Redis: it delays, cuts, freezes, and speaks TLS in front."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeVar

__all__ = ["Proxy"]

T = TypeVar("T")


class Proxy:
    """Runs in a thread with an event loop of its own, so that it serves any number of loops and processes.

    Args:
        port: Where to pass everything on to.
        delay: Draws how long to hold back each piece that the server sends, in seconds; None for not at all.
        tls: Speak TLS to the clients.

    Attributes:
        accepted: Connections made to it so far.
    """

    def __init__(
        self, port: int, *, delay: Callable[[], float] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.delay = delay
        self.accepted = 0
        self.port = 0
        self._target = port
        self._tls = tls
        self._refuse = False
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Cut all connections, now."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Cut all connections, and every new one."""
        self._refuse = True
        self.cut()

    def accept(self) -> None:
        """Take new connections again."""
        self._refuse = False

    def freeze(self) -> None:
        """Pass nothing on."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def thaw(self) -> None:
        """Go on passing on."""
        self._loop.call_soon_threadsafe(self._open.set)

    def cut_now_and_then(self, chance: float) -> Callable[[], float]:
        """Return a delay that cuts all connections with some chance, and holds back up to 3 ms otherwise."""

        def delay() -> float:
            if random.random() < chance:
                for writer in self._writers:
                    writer.transport.abort()
            return random.random() * 0.003

        return delay

    async def _listen(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        self._writers.add(writer)
        try:
            if not self._refuse:
                await self._pass_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(up_writer)
            pumps = [
                asyncio.ensure_future(self._pump(reader, up_writer, None)),
                asyncio.ensure_future(self._pump(up_reader, writer, lambda: self.delay)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                self._writers.discard(up_writer)
                up_writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        delay: Callable[[], Callable[[], float] | None] | None,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                draw = delay() if delay is not None else None
                if draw is not None:
                    await asyncio.sleep(draw())
                await self._open.wait()
                writer.write(data)
                await writer.drain()

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        self.delay = None
        while self._tasks:
            await self._cut()
            await asyncio.wait(self._tasks, timeout=0.05)

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)
