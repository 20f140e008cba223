"""Operations cut off at any point: nobody ever gets an answer that belongs to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

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


async def operate(store: RedisTokenStore, number: int, name: RecordName, dice: random.Random) -> bool:
    """Ask for one value, commit one or have nothing purged; return whether the answer was a value, and the right one."""
    draw = dice.random()
    if draw < 0.1:
        await store.purge(a_name())
        return False
    answer: object
    if draw < 0.3:
        answer = await store.commit(name, "z", 1, b"of no account", lifetime_ms=60_000, left_ms=60_000)
    else:
        answer = await ask(store, name, "z")
    assert isinstance(answer, Hit)
    assert answer.value == b"value of %d" % number, "an answer that belongs to somebody else"
    return True


async def cut_off(store: RedisTokenStore, number: int, name: RecordName, dice: random.Random, tally: Tally) -> None:
    """Begin an operation, and be cut off after some time: by a cancellation, or by a time limit of the caller's own."""
    task = asyncio.ensure_future(operate(store, number, name, dice))
    delay = dice.random() * dice.choice(CUT_SECONDS)
    try:
        if dice.random() < 0.5:
            asyncio.get_running_loop().call_later(delay, task.cancel)
            tally.answered += await task
        else:
            async with asyncio.timeout(delay):
                tally.answered += await task
    except (asyncio.CancelledError, TimeoutError):
        tally.cancelled += 1
    except StoreError:
        tally.failed += 1


async def hammer(store: RedisTokenStore, names: list[RecordName], dice: random.Random, cuts: int) -> Tally:
    """Cut off so many operations, some at once, and return what became of all."""
    tally = Tally()
    while tally.cancelled < cuts:
        some = [dice.randrange(len(names)) for _ in range(AT_ONCE)]
        await asyncio.gather(*(cut_off(store, number, names[number], dice, tally) for number in some))
    return tally


@pytest.fixture(params=["in the clear", "with a password", "by TLS"])
def door(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[Proxy, str]]:
    """A slow way to Redis: the proxy, and the URL through it."""
    dice = random.Random(18)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    with authority.issue_cert("localhost").private_key_and_cert_chain_pem.tempfile() as path:
        tls.load_cert_chain(path)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    redis_server.admin("ACL", "SETUSER", "hammer", "on", ">pass", "~*", "&*", "+@all")
    by_tls = request.param == "by TLS"
    with Proxy(redis_server.port, delay=lambda: dice.random() * 0.001, tls=tls if by_tls else None) as proxy:
        user = "" if request.param == "in the clear" else "hammer:pass@"
        if by_tls:
            yield proxy, f"rediss://{user}localhost:{proxy.port}/0?ssl_ca_certs={bundle}"
        else:
            yield proxy, f"redis://{user}localhost:{proxy.port}/0"


@pytest.mark.usefixtures("unmeasured")
def test_ten_thousand_cuts_mix_up_nothing(door: tuple[Proxy, str], request: pytest.FixtureRequest) -> None:
    """Cancelled and timed out at random points of slow exchanges, no operation reads what was meant for another.

    Also where connections begin with a password or TLS; a few at a time are made anew meanwhile.
    """
    proxy, url = door
    cuts = CUTS if "clear" in request.node.name else CUTS // 10

    async def main() -> None:
        dice = random.Random(19)
        async with opened(url) as store:
            names = [a_name() for _ in range(20)]
            for number, name in enumerate(names):
                await put(store, name, b"value of %d" % number)
            answered = 0
            for _ in range(10):
                tally = await hammer(store, names, dice, cuts // 10)
                assert tally.failed == 0, "a caller's cancellation is not an outage"
                answered += tally.answered
                await store._here().lines.drop()
            assert answered > cuts / 20, "some must get through for this to prove anything"
            assert proxy.accepted >= 10
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
                lines = dead._here().lines
                waiting = [asyncio.ensure_future(lines.run_all([("k", ("PING",))], limit=60)) for _ in range(3)]
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


def test_exchanges_cancelled_themselves_mix_up_nothing(redis_server: RedisServer) -> None:
    """Where connections are used directly, as for a look, whoever is cut off leaves none that is out of step."""

    async def main() -> None:
        dice = random.Random(21)
        with Proxy(redis_server.port, delay=lambda: dice.random() * 0.001) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                names = [a_name() for _ in range(20)]
                gens = {name.name: await put(store, name) for name in names}
                looked = 0
                for _ in range(500):
                    some = dice.sample(names, 3)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(dice.random() * 0.02):
                            events, unread = await store._look(some)
                            assert [event.name for event in events] == [name.name for name in some]
                            assert all(event.gen == gens[event.name] for event in events)
                            assert not unread
                            looked += 1
                assert 10 < looked < 490

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


def test_a_look_under_way_at_the_end_leaves_no_connection(redis_server: RedisServer) -> None:
    """An exchange that is none of the turns, as a look, still ends when the connections are closed, and keeps none."""

    async def main() -> None:
        with Proxy(redis_server.port, delay=lambda: 0.02) as proxy:
            store = RedisTokenStore.from_url(f"redis://127.0.0.1:{proxy.port}/0?client_name=looking", timeout=5)
            name = a_name()
            gen = await put(store, name)
            looking = asyncio.ensure_future(store._look([name]))
            await asyncio.sleep(0.005)
            await store.aclose()
            events, _ = await looking
            assert [event.gen for event in events] == [gen]
            while "name=looking" in redis_server.admin.text("CLIENT", "LIST"):
                await asyncio.sleep(0.01)

    asyncio.run(main())
