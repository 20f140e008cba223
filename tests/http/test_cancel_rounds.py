"""Ten thousand rounds per engine: cancelled anywhere, against a server that misbehaves in every way, nothing leaks."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trustme

from monite_async._http.body import EMPTY, Body, BytesBody
from monite_async._http.decode import Answer
from monite_async._http.exchange import Head, Lost, Opened, Outgoing
from monite_async._http.framing import MakeFraming
from monite_async._http.native import Native
from monite_async._http.place import Place
from tests.http._others import client_side, server_side
from tests.http._servers import ENGINES, LOOPS, answer, turns, until

pytestmark = pytest.mark.usefixtures("unmeasured")

ROUNDS = {"asyncio": 2_000, "uvloop": 8_000}
"""Of each engine, by loop: uvloop takes a quarter of the time. One in twenty is over TLS."""
MOODS = [
    "whole",
    "pieces",
    "byte by byte",
    "silent",
    "half",
    "reset",
    "cut",
    "long head",
    "long body",
    "garbage",
    "stale",
    "half open",
]
_LIMIT = 20_000


class Moody(asyncio.Protocol):
    """Serves one connection, each request in the mood that its path names."""

    def __init__(self, living: set[Moody]) -> None:
        self._living = living
        self._buffer = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._living.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._living.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        if len(rest) >= length:
            self._buffer = b""
            self._serve(head.split(b" ")[1].decode()[1:].replace("-", " "))

    def _serve(self, mood: str) -> None:
        write, good = self.transport.write, answer(b"x" * 1000)
        if mood in {"whole", "stale", "half open"}:
            write(good)
        elif mood == "pieces":
            self._dribble([good[:30], good[30:400], good[400:]])
        elif mood == "byte by byte":
            self._dribble([good[at : at + 1] for at in range(40)] + [good[40:]])
        elif mood in {"half", "cut"}:
            write(good[:500])
        elif mood == "long head":
            write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * _LIMIT)
        elif mood == "long body":
            write(answer(b"x" * 2 * _LIMIT))
        elif mood == "garbage":
            write(b"SPEAK FRIEND\r\n\r\n")
        if mood in {"cut", "stale"}:
            self.transport.close()
        elif mood == "reset":
            self.transport.abort()
        elif mood == "half open" and self.transport.can_write_eof():  # TLS cannot
            self.transport.write_eof()

    def _dribble(self, pieces: list[bytes]) -> None:
        if pieces and not self.transport.is_closing():
            self.transport.write(pieces[0])
            asyncio.get_running_loop().call_soon(self._dribble, pieces[1:])


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None) -> AsyncGenerator[tuple[Place, set[Moody]], None]:
    """Run a moody server; gives where it is and its open connections."""
    living: set[Moody] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Moody(living), "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    yield Place.parse(f"{'https' if tls else 'http'}://127.0.0.1:{port}"), living
    server.close()
    for each in list(living):
        each.transport.abort()
    await until(lambda: not living)


class Pieces(BytesBody):
    """A body that is sent in pieces, with turns of the loop between them."""

    def __init__(self) -> None:
        super().__init__(b"x" * 50)
        self.content = b""

    def open(self) -> AsyncGenerator[bytes, None]:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for _ in range(5):
            yield b"x" * 10
            await asyncio.sleep(0)


def _body(dice: random.Random) -> Body:
    return EMPTY if dice.random() < 0.8 else dice.choice([BytesBody(b"x" * 50), Pieces()])


async def _call(native: Native, place: Place, mood: str, body: Body, *, keep: bool) -> Answer | Lost:
    head = Head(((b"host", place.authority),))
    outgoing = Outgoing(
        "POST" if body is not EMPTY else "GET", place, b"/" + mood.replace(" ", "-").encode(), head, body
    )
    until_ = asyncio.get_running_loop().time() + 30
    if not keep:
        return await native.exchange(outgoing, None, until=until_, max_bytes=_LIMIT)
    opened = await native.open(outgoing, None, until=until_, max_bytes=_LIMIT)
    if not isinstance(opened, Opened):
        return opened
    try:
        content = b""
        while piece := await opened.read(until_):
            if isinstance(piece, Lost):
                return piece
            content += piece
        return Answer(opened.status, opened.headers, content)
    finally:
        await opened.aclose()


def _fits(mood: str, outcome: Answer | Lost, keep: bool) -> bool:
    if mood in {"whole", "pieces", "byte by byte", "stale", "half open"}:
        return isinstance(outcome, Answer) and outcome.content == b"x" * 1000
    if mood == "long body" and keep:
        return isinstance(outcome, Answer) and len(outcome.content) == 2 * _LIMIT
    return isinstance(outcome, Lost)


async def _rounds(framing: MakeFraming, count: int, seed: int, authority: trustme.CA | None) -> None:
    dice = random.Random(seed)
    tls = None if authority is None else server_side(authority.issue_cert("127.0.0.1"))
    trust = None if authority is None else client_side(authority)
    native = Native(framing=framing, ssl_context=trust, max_head_bytes=_LIMIT // 2, max_connections=2)
    async with serving(tls) as (place, living):
        for _ in range(count):
            mood, keep = dice.choice(MOODS), dice.random() < 0.3
            task = asyncio.create_task(_call(native, place, mood, _body(dice), keep=keep))
            # A call takes 5 to 60 turns; what never ends by itself is always cut off.
            steps = dice.randrange(40)
            for _ in range(steps if dice.random() < 0.8 or mood in {"silent", "half"} else 10_000):
                if task.done():
                    break
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or _fits(mood, task.result(), keep), (mood, task)
            stats = native.stats()
            assert (stats.open, stats.waiting) == (stats.idle, 0), mood
            await turns(2)  # for what the server has just closed
            async with asyncio.timeout(1):
                following = await _call(native, place, "whole", EMPTY, keep=False)
            assert _fits("whole", following, keep=False), (mood, following)
        await until(lambda: native.stats().open == native.stats().idle == len(living))
        await native.aclose()


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("loop", list(LOOPS))
def test_10000_rounds_of_random_cancellation(loop: str, engine: str) -> None:
    """After each round the accounts are exact, no connection is lost, and the next call succeeds within a second."""
    _run(LOOPS[loop], ENGINES[engine], ROUNDS[loop] * 19 // 20, None)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("loop", list(LOOPS))
def test_rounds_of_random_cancellation_over_tls(loop: str, engine: str) -> None:
    """The same where a handshake can be cut off as well."""
    _run(LOOPS[loop], ENGINES[engine], ROUNDS[loop] // 20, trustme.CA())


def _run(
    factory: Callable[[], asyncio.AbstractEventLoop], framing: MakeFraming, count: int, authority: trustme.CA | None
) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_rounds(framing, count, 1, authority))
