"""Raw servers on real sockets, and a decorator that runs a test on both event loops and looks for leaks."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, Self

import httpx
import pydantic
import pytest
import uvloop

from monite_async._http import framing_h11
from monite_async._http.framing import MakeFraming
from monite_async._http.framing_h11 import H11Framing
from monite_async._http.framing_llhttp import LlhttpFraming
from monite_async._http.transport import PooledTransport
from tests.blocking import no_blocking_in

P = ParamSpec("P")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE = 30
"""Seconds after which a test is taken to hang."""

LOADED = pydantic.BaseModel
"""Pydantic loads itself at the first use of a name, and loading reads files, which a test on the loop must not do."""

Factory = Callable[[], asyncio.AbstractEventLoop]
ENGINES: dict[str, MakeFraming] = {"h11": H11Framing, "fast": LlhttpFraming}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def sockets() -> set[str]:
    """Return the sockets that this process has open."""
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(entry.readlink()))
    return {each for each in found if each.startswith("socket:")}


def both_loops(test: Callable[P, Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine test on asyncio and on uvloop; it fails when it blocks, or leaves a task or a socket behind."""
    return _on(test, {loop: (factory, H11Framing) for loop, factory in LOOPS.items()})


def every_engine(test: Callable[P, Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine test as ``both_loops`` does, with each of the engines that read answers."""
    cases = {
        f"{loop}-{engine}": (factory, framing) for loop, factory in LOOPS.items() for engine, framing in ENGINES.items()
    }
    return _on(test, cases)


def _on(test: Callable[P, Awaitable[None]], cases: dict[str, tuple[Factory, MakeFraming]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(on: tuple[Factory, MakeFraming], *args: P.args, **kwargs: P.kwargs) -> None:
        factory, framing = on
        before = sockets()
        with (
            asyncio.Runner(loop_factory=factory) as runner,
            no_blocking_in("monite_async"),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(framing_h11, "H11Framing", framing)  # what is taken where nothing is said
            runner.run(_checked(test(*args, **kwargs)))
        gc.collect()
        assert sockets() <= before

    own = inspect.Parameter("on", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [own, *inspect.signature(test).parameters.values()]
    run.__dict__["__signature__"] = inspect.Signature(parameters)  # what pytest asks for fixtures
    return pytest.mark.parametrize("on", list(cases.values()), ids=list(cases))(run)


async def _checked(test: Awaitable[None]) -> None:
    before = sockets()
    async with asyncio.timeout(PATIENCE):
        await test
        # The other end of a handshake that failed belongs to nobody yet: only the loop can close it, once it hears.
        await until(lambda: len(asyncio.all_tasks()) == 1 and sockets() <= before)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; the test's own time limit ends a vain wait."""
    while not condition():
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Let the loop turn a number of times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Server:
    """A server on loopback; a coroutine written by the test serves each connection."""

    def __init__(
        self, handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", limit: int = 65536
    ) -> None:
        self.handler = handler
        self.accepted = 0
        self.open = 0
        self.failures: list[Exception] = []
        self._tls = tls
        self._host = host
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls, limit=self._limit)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        # Whoever has come already is let in, and then sent away with the others: closed in between, asyncio would drop the
        # connection without closing it.
        await turns(5)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await turns(5)
        assert self.failures == []

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Not in the task: cancelled before its first step, it would leave the connection open.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            await self.handler(reader, writer)
        except (OSError, EOFError):
            pass  # the client went away, which is what many of these tests are about
        except Exception as exc:
            # uvloop also says so with a RuntimeError; anything else is the fault of the test, or of the client.
            if not (isinstance(exc, RuntimeError) and writer.transport.is_closing()):
                self.failures.append(exc)
        finally:
            self.open -= 1


@contextmanager
def server_thread(tls: ssl.SSLContext | None = None) -> Generator[tuple[Server, asyncio.AbstractEventLoop], None, None]:
    """Run a server that counts its answers in a thread of its own; gives its loop, too."""
    ready: list[tuple[Server, asyncio.AbstractEventLoop, asyncio.Event]] = []
    started = threading.Event()
    count = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while True:
            await read_request(reader)
            count += 1
            writer.write(answer(b"%d" % count))

    async def serve() -> None:
        stop = asyncio.Event()
        async with Server(handler, tls=tls) as server:
            ready.append((server, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    server, loop, stop = ready[0]
    try:
        yield server, loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one request; returns its head and its body.

    Raises:
        EOFError: The client closed the connection.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readuntil(b"\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return head, body
    if b"content-length:" in lower:
        return head, await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
    return head, b""


def answer(body: bytes = b"ok", *extra: str, status: str = "200 OK") -> bytes:
    """Return the bytes of an answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *extra, "", ""]
    return "\r\n".join(lines).encode() + body


def replies(*raw: bytes, close: bool = False) -> Handler:
    """Serve each request of a connection with the next of these answers, the last one for ever."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(raw)
        while True:
            await read_request(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            if close:
                writer.close()
                return

    return handler


def pieces(raw: Iterable[bytes], *, close: bool = False) -> Handler:
    """Serve each request of a connection with these pieces, so that the client reads them one by one."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in raw:
                writer.write(piece)
                await turns(4)
            if close:
                writer.close()
                return

    return handler


async def call(
    transport: PooledTransport,
    url: str,
    method: str = "GET",
    *,
    content: bytes | httpx.AsyncByteStream | None = None,
    headers: dict[str, str] | None = None,
    **timeout: float | None,
) -> httpx.Response:
    """Send one request and read its whole answer."""
    response = await start(transport, url, method, content=content, headers=headers, **timeout)
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


async def start(
    transport: PooledTransport,
    url: str,
    method: str = "GET",
    *,
    content: bytes | httpx.AsyncByteStream | None = None,
    headers: dict[str, str] | None = None,
    **timeout: float | None,
) -> httpx.Response:
    """Send one request and return its answer with the body unread."""
    stream = content if isinstance(content, httpx.AsyncByteStream) else None
    extra = {"transfer-encoding": "chunked"} if stream is not None else {}
    request = httpx.Request(
        method,
        url,
        content=content if isinstance(content, bytes) else None,
        headers={**extra, **(headers or {})},
        extensions={"timeout": timeout},
    )
    if stream is not None:
        request.headers.pop("content-length", None)
        request.stream = stream
    return await transport.handle_async_request(request)


class Chunks(httpx.AsyncByteStream):
    """A request body in pieces; between them the loop turns."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.sent += 1
            yield chunk
            await asyncio.sleep(0)
