"""Cancellation of calls on real sockets: whatever is cut off, the next call succeeds and nothing is left over."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from monite_async import AsyncMonite, RetryPolicy
from monite_async._http.native import Native
from tests.http._servers import Server, answer, both_loops, read_request, turns
from tests.scripted import CLIENT_ID, CLIENT_SECRET

TOKEN = answer(json.dumps({"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 1800}).encode())
ITEM = b'{"id": "1", "text": "' + b"x" * 3000 + b'"}'


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve tokens and items, the latter in two pieces with a turn of the loop between them."""
    while True:
        head, _ = await read_request(reader)
        if b"/auth/token" in head:
            writer.write(TOKEN)
        else:
            whole = answer(ITEM, "content-type: application/json")
            writer.write(whole[:200])
            await writer.drain()
            await turns(2)
            writer.write(whole[200:])


def client(server: Server) -> AsyncMonite:
    """Return a client of a server on loopback."""
    return AsyncMonite(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        base_url=f"{server.origin}/v1",
        retry=RetryPolicy(max_retries=0),
    )


async def check(monite: AsyncMonite) -> None:
    """Make one more call, and see that no connection is out of the pool's hands."""
    async with asyncio.timeout(5):
        assert len(await monite.request("GET", "/things", cast_to=bytes)) == len(ITEM)
    transport = monite._core.engine.carrier
    assert isinstance(transport, Native)
    stats = transport.stats()
    assert (stats.open - stats.idle, stats.waiting) == (0, 0)


@both_loops
async def test_every_await_point_in_turn() -> None:
    """A first call is cancelled one turn of the loop later each time; token, pool and limiter are sound afterwards."""
    async with Server(serve) as server:
        count, finished = 0, False
        while not finished:
            async with client(server) as monite:
                task = asyncio.ensure_future(monite.request("POST", "/things", json={"a": "b" * 1000}, cast_to=bytes))
                await turns(count)
                finished = task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await check(monite)
            count += 1
        assert count > 5


@both_loops
async def test_every_await_point_of_an_upload(tmp_path: Path) -> None:
    """The same for a body that is read from a file while it is sent."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(600_000))
    async with Server(serve) as server, client(server) as monite:
        for count in range(0, 100_000, 3):
            task = asyncio.ensure_future(monite.request("POST", "/files", multipart={"file": path}, cast_to=bytes))
            await turns(count)
            finished = task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await check(monite)
            if finished:
                break


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("seed", range(2))
def test_random_cancellation(seed: int) -> None:
    """Two hundred rounds of calls cut off anywhere; after each the next call succeeds at once."""

    async def main() -> None:
        chance = random.Random(seed)
        async with Server(serve) as server, client(server) as monite:
            for _ in range(200):
                tasks = [asyncio.ensure_future(monite.request("GET", "/things", cast_to=bytes)) for _ in range(8)]
                for task in tasks:
                    await turns(chance.randrange(6))
                    if chance.random() < 0.7:
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await check(monite)

    asyncio.run(main())


@both_loops
async def test_a_cancelled_wait_between_tries() -> None:
    """A call that is cancelled while it waits to be repeated ends there."""
    answered = asyncio.Event()

    async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            bad = answer(b"{}", "retry-after: 30", status="503 Service Unavailable")
            writer.write(TOKEN if b"/auth/token" in head else answer(ITEM) if b"/things" in head else bad)
            if b"/bad" in head:
                answered.set()

    async with Server(failing) as server, client(server) as monite:
        patient = monite.with_options(retry=RetryPolicy(max_retries=2))
        task = asyncio.ensure_future(patient.request("GET", "/bad"))
        await answered.wait()
        await turns(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await check(monite)
