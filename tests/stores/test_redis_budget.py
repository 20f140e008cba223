"""A budget that processes share through Redis: evenly, by the server's clock, and gone when Redis is."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async_stores import EncryptedFileTokenStore, MemoryTokenStore, RateBudget, RedisTokenStore, StoreError
from monite_async_stores._redis_scripts import Names
from tests.stores.redis_server import Cluster, RedisServer, free_port
from tests.stores.redis_tools import PATIENT, opened
from tests.stores.test_redis_rules import RIGHTS


def a_budget() -> str:
    """Return a name that no other test uses."""
    return secrets.token_hex(16)


def key_of(name: str, namespace: str = "monite") -> str:
    """Return the key of a budget."""
    return f"{{{namespace}:{name}}}:b"


def test_only_redis_offers_one() -> None:
    """The protocol tells a store with a budget from one without."""
    store = RedisTokenStore.from_url(f"redis://127.0.0.1:{free_port()}/0")
    assert isinstance(store, RateBudget)
    assert not isinstance(MemoryTokenStore(), RateBudget)
    assert not issubclass(EncryptedFileTokenStore, RateBudget)


def test_units_follow_each_other_whoever_draws(redis_server: RedisServer) -> None:
    """What one process drew another one comes after, each unit one interval after the last."""

    async def main() -> None:
        name = a_budget()
        async with opened(redis_server.url) as one, opened(redis_server.url) as other:
            # Ten seconds apart: what passes in the test is nothing beside it.
            waits = [await store.draw(name, 1, rate=0.1, burst=1) for store in (one, other, one)]
            assert waits == pytest.approx([0, 10, 20], abs=4)
            assert await other.draw(name, 3, rate=0.2, burst=1) == pytest.approx(30, abs=4)
            assert await one.draw(name, 1, rate=0.2, burst=1) == pytest.approx(45, abs=4)

    asyncio.run(main())


def test_a_burst_may_go_at_once_and_no_more(redis_server: RedisServer) -> None:
    """After a pause the burst is there for whoever comes first; the rest is one interval apart."""

    async def main() -> None:
        name = a_budget()
        async with opened(redis_server.url) as one, opened(redis_server.url) as other:
            waits = [await store.draw(name, 2, rate=0.2, burst=4) for store in (one, other, one, other)]
            assert waits == pytest.approx([-15, -5, 5, 15], abs=4)

    asyncio.run(main())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.sampled_from([0.5, 4.0, 50.0]), st.integers(1, 5))
def test_together_all_draws_keep_the_rate(redis_server: RedisServer, plan: list[int], rate: float, burst: int) -> None:
    """In any stretch of time there are no more units than the rate gives, and the burst."""

    async def main() -> None:
        name = a_budget()
        units: list[float] = []
        async with opened(redis_server.url) as store:
            loop = asyncio.get_running_loop()
            for count in plan:
                before = loop.time()
                wait = await store.draw(name, count, rate=rate, burst=burst)
                units += [max(before, before + wait + number / rate) for number in range(count)]
                took.append(loop.time() - before)
        for first, begin in enumerate(units):
            for last in range(first, len(units)):
                assert last - first + 1 <= burst + rate * (units[last] - begin + 2 * max(took)) + 1e-3

    took: list[float] = []
    asyncio.run(main())


def test_it_is_forgotten_when_nobody_draws(redis_server: RedisServer) -> None:
    """The key goes by itself a second after the last unit is due; it holds a time and nothing else."""

    async def main() -> None:
        name = a_budget()
        async with opened(redis_server.url) as store:
            await store.draw(name, 10, rate=10, burst=1)
        left = redis_server.admin("PTTL", key_of(name))
        assert isinstance(left, int)
        assert 0 < left <= 2001
        value = redis_server.admin("GET", key_of(name))
        assert isinstance(value, bytes)
        assert value.replace(b".", b"").isdigit()

    asyncio.run(main())


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "99999999999999.000"),
        ("SET", "garbage"),
        ("SET", "12"),
        ("LPUSH", "x"),
    ],
    ids=["clock set back", "garbage", "long ago", "another type"],
)
def test_what_makes_no_sense_is_begun_anew(redis_server: RedisServer, command: tuple[str, str]) -> None:
    """A due time far ahead, text that is no time, a key of another type: the budget is full again."""

    async def main() -> None:
        name = a_budget()
        redis_server.admin(command[0], key_of(name), command[1])
        async with opened(redis_server.url) as store:
            assert await store.draw(name, 1, rate=10, burst=3) == pytest.approx(-0.2)
            assert await store.draw(name, 1, rate=10, burst=3) > -0.2

    asyncio.run(main())


def test_namespaces_and_names_are_apart(redis_server: RedisServer) -> None:
    """Budgets of other names, and of other namespaces, are others."""

    async def main() -> None:
        name = a_budget()
        async with opened(redis_server.url) as one, opened(redis_server.url, namespace="other") as other:
            await one.draw(name, 10, rate=1, burst=1)
            assert await one.draw(a_budget(), 1, rate=1, burst=1) == 0
            assert await other.draw(name, 1, rate=1, burst=1) == 0
        assert redis_server.admin("EXISTS", key_of(name, "other")) == 1

    asyncio.run(main())
    assert Names("a").budget("b") == "{a:b}:b"


def test_a_cluster_keeps_one_too() -> None:
    """A budget is one key, wherever that lies."""

    async def main(cluster: Cluster) -> None:
        from redis.asyncio import RedisCluster

        client = RedisCluster(host="127.0.0.1", port=cluster.servers[0].port)
        store = RedisTokenStore(client, timeout=PATIENT)
        try:
            for name in [a_budget() for _ in range(6)]:
                assert await store.draw(name, 5, rate=1, burst=1) == 0
                assert await store.draw(name, 5, rate=1, burst=1) == pytest.approx(5, abs=3)
        finally:
            await store.aclose()
            await client.aclose()

    with Cluster() as cluster:
        asyncio.run(main(cluster))


def test_the_least_rights_suffice(redis_server: RedisServer) -> None:
    """A budget needs no right beyond those that tokens need."""

    async def main() -> None:
        async with opened(redis_server.url.replace("redis://", "redis://drawer:pass@")) as store:
            assert await store.draw(a_budget(), 1, rate=1, burst=1) == 0

    redis_server.admin("ACL", "SETUSER", "drawer", "on", ">pass", *RIGHTS.split())
    try:
        asyncio.run(main())
    finally:
        redis_server.admin("ACL", "DELUSER", "drawer")


def test_without_redis_there_is_none_and_then_a_new_one() -> None:
    """Refused, frozen or restarted: ``StoreError`` within the time limit, and the budget is full when Redis is back."""

    async def main() -> None:
        with RedisServer() as server:
            async with opened(server.url) as store:
                name = a_budget()
                await store.draw(name, 10, rate=1, burst=1)
                server.restart()
                assert await store.draw(name, 1, rate=1, burst=1) == 0
                server.admin("SCRIPT", "FLUSH")
                assert await store.draw(name, 1, rate=1, burst=1) > 0
                server.admin("FLUSHALL")
                assert await store.draw(name, 1, rate=1, burst=1) == 0
            async with opened(server.url, timeout=0.05) as store:
                server.freeze()
                with pytest.raises(StoreError):
                    await store.draw(name, 1, rate=1, burst=1)
                server.thaw()
                server.kill()
                with pytest.raises(StoreError):
                    await store.draw(name, 1, rate=1, burst=1)

    asyncio.run(main())


def test_an_answer_of_another_script_is_no_time(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that this version does not give is an error of the store, and not a wait of nonsense."""
    from monite_async_stores import _redis
    from monite_async_stores._redis_scripts import Script

    async def main() -> None:
        async with opened(redis_server.url) as store:
            with pytest.raises(StoreError, match="no script of this version"):
                await store.draw(a_budget(), 1, rate=1, burst=1)

    text = "return {'busy', 5}"
    digest = redis_server.admin.text("SCRIPT", "LOAD", text)
    monkeypatch.setattr(_redis, "DRAW", Script(text, digest))
    asyncio.run(main())
