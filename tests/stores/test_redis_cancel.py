"""Operations cut off at any point: nobody ever gets an answer that belongs to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from monite_async_stores import Hit, RecordName, RedisTokenStore, StoreError, _breaker
from tests.stores.redis_proxy import Proxy
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import a_name, ask, opened, put

CUTS = 10_000
AT_ONCE = 16
CUT_SECONDS = (0.012, 0.04)
"""Operations are cut off within the one or the other, drawn anew for each: short enough to hit, long enough to miss."""


class Tally:
    """What became of operations."""

    def __init__(self) -> None:
        self.answered = 0
        self.cancelled = 0
        self.failed = 0


async def cut_off(store: RedisTokenStore, number: int, name: RecordName, dice: random.Random, tally: Tally) -> None:
    """Ask for one value, and be cut off after some time: by a cancellation, or by a time limit of the caller's own."""
    task = asyncio.ensure_future(ask(store, name, "z"))
    delay = dice.random() * dice.choice(CUT_SECONDS)
    try:
        if dice.random() < 0.5:
            asyncio.get_running_loop().call_later(delay, task.cancel)
            answer = await task
        else:
            async with asyncio.timeout(delay):
                answer = await task
    except (asyncio.CancelledError, TimeoutError):
        tally.cancelled += 1
    except StoreError:
        tally.failed += 1
    else:
        assert isinstance(answer, Hit)
        assert answer.value == b"value of %d" % number, "an answer that belongs to somebody else"
        tally.answered += 1


async def hammer(store: RedisTokenStore, names: list[RecordName], dice: random.Random, cuts: int) -> Tally:
    """Cut off so many operations, some at once, and return what became of all."""
    tally = Tally()
    while tally.cancelled < cuts:
        some = [dice.randrange(len(names)) for _ in range(AT_ONCE)]
        await asyncio.gather(*(cut_off(store, number, names[number], dice, tally) for number in some))
    return tally


def test_ten_thousand_cuts_mix_up_nothing(redis_server: RedisServer) -> None:
    """Cancelled and timed out at random points of slow exchanges, no operation reads what was meant for another."""

    async def main() -> None:
        dice = random.Random(19)
        with Proxy(redis_server.port, delay=lambda: dice.random() * 0.001) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                names = [a_name() for _ in range(20)]
                for number, name in enumerate(names):
                    await put(store, name, b"value of %d" % number)
                tally = await hammer(store, names, dice, CUTS)
                assert tally.failed == 0, "a caller's cancellation is not an outage"
                assert tally.answered > CUTS / 20, "some must get through for this to prove anything"
                for number, name in enumerate(names):
                    answer = await ask(store, name)
                    assert isinstance(answer, Hit)
                    assert answer.value == b"value of %d" % number

    asyncio.run(main())


def test_connections_cut_at_random_mix_up_nothing(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With connections also cut in the middle, operations fail or get their own answers, and it ends with the cutting."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.02, 0.02))

    async def main() -> None:
        dice = random.Random(20)
        with Proxy(redis_server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                names = [a_name() for _ in range(20)]
                for number, name in enumerate(names):
                    await put(store, name, b"value of %d" % number)
                proxy.delay = proxy.cut_now_and_then(0.05)
                tally = await hammer(store, names, dice, CUTS // 20)
                assert tally.answered
                proxy.delay = None
                answer = None
                while answer is None:
                    with contextlib.suppress(StoreError):
                        answer = await ask(store, names[7])
                    await asyncio.sleep(0.02)
                assert isinstance(answer, Hit)
                assert answer.value == b"value of 7"

    asyncio.run(main())


def test_a_cancelled_dial_leaves_the_next_one_to_dial(redis_server: RedisServer) -> None:
    """When whoever was making the connection is cancelled, those who wait for it make one themselves."""

    async def main() -> None:
        with Proxy(redis_server.port) as proxy:
            proxy.freeze()
            async with opened(f"redis://user:x@127.0.0.1:{proxy.port}/0") as dead:
                waiting = [asyncio.ensure_future(ask(dead, a_name())) for _ in range(3)]
                while proxy.accepted < 1:
                    await asyncio.sleep(0.005)
                waiting[0].cancel()
                while proxy.accepted < 2:
                    await asyncio.sleep(0.005)
                waiting[1].cancel()
                waiting[2].cancel()
                answers = await asyncio.gather(*waiting, return_exceptions=True)
                assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)

    asyncio.run(main())


def test_closing_under_way_leaves_no_connection(redis_server: RedisServer) -> None:
    """Operations under way when the store is closed still end, and their connections are not kept."""

    async def main() -> None:
        with Proxy(redis_server.port, delay=lambda: 0.02) as proxy:
            store = RedisTokenStore.from_url(f"redis://127.0.0.1:{proxy.port}/0?client_name=closing", timeout=5)
            await put(store, a_name())
            under_way = [asyncio.ensure_future(ask(store, a_name())) for _ in range(5)]
            await asyncio.sleep(0.01)
            await store.aclose()
            await store.aclose()
            await asyncio.gather(*under_way)
            while "name=closing" in redis_server.admin.text("CLIENT", "LIST"):
                await asyncio.sleep(0.01)
            await put(store, a_name())
            await store.aclose()

    asyncio.run(main())
