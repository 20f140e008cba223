"""Cancellation at any point costs one connection at most, and nothing else.

Here over httpx's interface and on one engine: the steps are those of the pool, which both share. ``test_cancel_rounds``
goes 10,000 rounds on each of them.
"""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from monite_async._http.transport import PooledTransport, PoolStats
from tests.http._servers import Chunks, Server, answer, both_loops, call, every_engine, read_request, turns, until

ROUNDS = 200


class Moody:
    """A server that takes its time, answers in pieces, and now and then closes the connection behind an answer."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; the answer's body is the request's path, many times over."""
        while True:
            head, body = await read_request(reader)
            path = head.split(b" ")[1]
            await turns(self.random.randrange(8))
            raw = answer(path * 50 + body)
            cut = self.random.randrange(len(raw))
            writer.write(raw[:cut])
            await turns(self.random.randrange(4))
            writer.write(raw[cut:])
            if self.random.random() < 0.1:
                return


async def _one(transport: PooledTransport, origin: str, dice: random.Random, name: str) -> None:
    """Make one call of a random kind; its answer must be its own."""
    body = b"".join(b"%d," % number for number in range(dice.randrange(100)))
    kind = dice.randrange(3)
    content = None if kind == 0 else body if kind == 1 else Chunks([body, b"|", body])
    sent = b"" if kind == 0 else body if kind == 1 else body + b"|" + body
    response = await call(transport, f"{origin}/{name}", "GET" if kind == 0 else "POST", content=content)
    assert response.content == f"/{name}".encode() * 50 + sent


async def _round(transport: PooledTransport, origin: str, dice: random.Random) -> None:
    tasks = [asyncio.create_task(_one(transport, origin, dice, str(number))) for number in range(8)]
    for task in dice.sample(tasks, dice.randrange(1, 9)):
        await turns(dice.randrange(5))
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        # The server closes without notice at times: a request that was already written may then be lost.
        assert outcome is None or isinstance(outcome, asyncio.CancelledError | httpx.TransportError), outcome


@pytest.mark.usefixtures("unmeasured")
@both_loops
@pytest.mark.parametrize("seed", range(2))
async def test_200_rounds_of_random_cancellation_leave_no_trace(seed: int) -> None:
    """After every round the accounts are exact and the next call succeeds within a second; no answer goes astray."""
    dice = random.Random(seed)
    async with Server(Moody(seed)) as server, PooledTransport(max_connections=3) as transport:
        for _ in range(ROUNDS):
            await _round(transport, server.origin, dice)
            stats = transport.stats()
            assert (stats.open, stats.waiting) == (stats.idle, 0)
            async with asyncio.timeout(1):
                await _patiently(transport, server.origin)
        await until(lambda: transport.stats().open == transport.stats().idle == server.open)


async def _patiently(transport: PooledTransport, origin: str) -> None:
    """Make the next call; a server that has just closed the connection behind its last answer is given time to."""
    await turns(10)
    assert (await call(transport, f"{origin}/next")).content == b"/next" * 50


async def _slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        for byte in answer(b"four"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)


@both_loops
@pytest.mark.parametrize("kind", ["dial", "reuse", "wait"])
async def test_an_exchange_may_be_cancelled_at_every_step(kind: str) -> None:
    """A call cancelled at each of its steps in turn leaves an exact account, and the next call works."""
    async with Server(_slow) as server:
        steps = 0
        while True:
            steps += 1
            async with PooledTransport(max_connections=1) as transport:
                if kind != "dial":
                    await call(transport, server.origin)
                other = asyncio.create_task(call(transport, server.origin)) if kind == "wait" else None
                await asyncio.sleep(0)
                task = asyncio.create_task(call(transport, server.origin, "POST", content=Chunks([b"a", b"b"])))
                await turns(steps)
                task.cancel()
                await asyncio.wait([task])
                if other is not None:
                    assert (await other).content == b"four"
                stats = transport.stats()
                assert (stats.open, stats.waiting) == (stats.idle, 0)
                assert (await call(transport, server.origin)).content == b"four"
                assert transport.stats().idle == 1
            if not task.cancelled():
                assert (await task).content == b"four"
                break
        assert steps > 20
        await until(lambda: server.open == 0)


@every_engine
async def test_a_half_read_answer_is_never_read_by_the_next_call() -> None:
    """A call cancelled within its answer takes its connection with it: the next answer is the next call's own."""
    async with Server(Moody(7)) as server, PooledTransport(max_connections=1) as transport:
        for number in range(40):
            task = asyncio.create_task(call(transport, f"{server.origin}/old{number}"))
            await turns(number)
            task.cancel()
            await asyncio.wait([task])
            await turns(10)
            assert (await call(transport, f"{server.origin}/new")).content == b"/new" * 50


@both_loops
async def test_a_burst_cancelled_as_a_whole_leaves_nothing() -> None:
    """300 calls cancelled at once, in line, dialling and exchanging, free every connection at once."""
    async with Server(_slow) as server, PooledTransport(max_connections=20) as transport:
        tasks = [asyncio.create_task(call(transport, server.origin)) for _ in range(300)]
        await until(lambda: transport.stats().opened >= 10)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert transport.stats() == PoolStats(0, 0, 0, transport.stats().opened)
        await until(lambda: server.open == 0)
        assert (await call(transport, server.origin)).content == b"four"
