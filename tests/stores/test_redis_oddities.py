"""Whatever lies in Redis under the store's keys, and whenever Redis forgets something, the store goes on."""

from __future__ import annotations

import asyncio

import pytest

from monite_async_stores import Busy, Committed, Granted, Hit, Negative, RecordName, TokenStore
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import a_name, ask, grant, key_of, opened, put

WRONG_TYPES: dict[str, tuple[str, ...]] = {
    "string": ("SET", "%", "something"),
    "list": ("RPUSH", "%", "something"),
    "hash": ("HSET", "%", "some", "thing"),
    "set": ("SADD", "%", "something"),
    "zset": ("ZADD", "%", "1", "something"),
}


async def works(store: TokenStore, name: RecordName) -> None:
    """Assert that a whole cycle works for this name."""
    gen = await grant(store, name, "x", bad_gen=10**14)
    assert isinstance(await ask(store, name, "y", bad_gen=10**14), Busy)
    assert await store.commit(name, "x", gen, b"new", lifetime_ms=60_000, left_ms=60_000) == Committed()
    answer = await ask(store, name, "y")
    assert isinstance(answer, Hit)
    assert (answer.gen, answer.value) == (gen, b"new")
    assert await store.invalidate(name, gen) is True


@pytest.mark.parametrize("kind", ["t", "l", "n", "f"])
@pytest.mark.parametrize("wrong", WRONG_TYPES)
def test_a_key_of_another_type_is_replaced(kind: str, wrong: str, redis_server: RedisServer) -> None:
    """A value of a wrong type under any of the four keys stops no operation, and is gone after the next cycle."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            for operation in ("acquire", "commit", "fail", "invalidate", "purge"):
                name = a_name()
                words = [key_of(name, kind) if word == "%" else word for word in WRONG_TYPES[wrong]]
                redis_server.admin(*words)
                if (kind, wrong) == ("n", "string"):
                    redis_server.admin("PEXPIRE", key_of(name, kind), 60_000)
                if operation == "acquire":
                    answer = await ask(store, name, "x")
                    expected = Negative if (kind, wrong) == ("n", "string") else Granted
                    assert isinstance(answer, expected)
                elif operation == "commit":
                    assert await store.commit(name, "x", 10**13, b"v", lifetime_ms=9, left_ms=9) == Committed()
                elif operation == "fail":
                    await store.fail(name, "x", "transient:server:503", ttl_ms=0)
                elif operation == "invalidate":
                    assert await store.invalidate(name, 5) is False
                else:
                    await store.purge(name)
                redis_server.admin("DEL", key_of(name, "n"), key_of(name, "l"))
                await works(store, name)

    asyncio.run(main())


@pytest.mark.parametrize(
    "fields",
    [
        ("gen", "7"),
        ("value", "v"),
        ("gen", "7", "lifetime", "60000"),
        ("gen", "7", "value", "v"),
        ("gen", "seven", "lifetime", "60000", "value", "v"),
        ("gen", "-7", "lifetime", "60000", "value", "v"),
        ("gen", "9" * 16, "lifetime", "60000", "value", "v"),
        ("gen", "1e3", "lifetime", "60000", "value", "v"),
        ("gen", "7", "lifetime", "nan", "value", "v"),
        ("gen", "", "lifetime", "", "value", ""),
    ],
)
def test_half_a_record_is_no_record(fields: tuple[str, ...], redis_server: RedisServer) -> None:
    """A record without all its parts, or with numbers that are none, is a miss and is replaced."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            for commit_first in (False, True):
                name = a_name()
                redis_server.admin("HSET", key_of(name, "t"), *fields)
                redis_server.admin("PEXPIRE", key_of(name, "t"), 60_000)
                if commit_first:
                    committed = await store.commit(name, "x", 7, b"v", lifetime_ms=60_000, left_ms=60_000)
                    assert committed == Committed()
                    assert isinstance(await ask(store, name), Hit)
                else:
                    assert isinstance(await ask(store, name), Granted)
                    assert redis_server.admin("EXISTS", key_of(name, "t")) == 0

    asyncio.run(main())


def test_what_would_live_for_ever_is_dropped(redis_server: RedisServer) -> None:
    """A record, a lease or a failure whose time to live somebody took away counts as over."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            gen = await put(store, name)
            redis_server.admin("PERSIST", key_of(name, "t"))
            newer = await grant(store, name)
            assert newer > gen
            redis_server.admin("PERSIST", key_of(name, "l"))
            assert await grant(store, name, "b") > newer
            await store.fail(name, "b", "transient:server:503", ttl_ms=60_000)
            assert isinstance(await ask(store, name), Negative)
            redis_server.admin("PERSIST", key_of(name, "n"))
            assert isinstance(await ask(store, name), Granted)
            redis_server.admin("PERSIST", key_of(name, "f"))
            await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
            await works(store, name)

    asyncio.run(main())


def test_no_life_is_longer_than_its_lifetime(redis_server: RedisServer) -> None:
    """A time to live that somebody prolonged is cut to the lifetime: a token cannot be kept alive from outside."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            await put(store, name, life_ms=30_000)
            redis_server.admin("PEXPIRE", key_of(name, "t"), 10**9)
            answer = await ask(store, name)
            assert isinstance(answer, Hit)
            assert answer.left_ms == 30_000

    asyncio.run(main())


def test_scripts_may_be_flushed_at_any_time(redis_server: RedisServer) -> None:
    """A server that forgot the scripts is told them again, operation by operation."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            redis_server.admin("SCRIPT", "FLUSH")
            gen = await grant(store, name)
            redis_server.admin("SCRIPT", "FLUSH")
            assert await store.commit(name, "a", gen, b"v", lifetime_ms=60_000, left_ms=60_000) == Committed()
            redis_server.admin("SCRIPT", "FLUSH")
            assert await store.invalidate(name, gen) is True
            await grant(store, name)
            redis_server.admin("SCRIPT", "FLUSH")
            await store.fail(name, "a", "transient:server:503", ttl_ms=60_000)
            redis_server.admin("SCRIPT", "FLUSH")
            await store.purge(name)
            await works(store, name)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["t", "l", "n", "f"])
def test_any_key_may_be_evicted(kind: str, redis_server: RedisServer) -> None:
    """With any of the four keys gone between any two steps nothing fails, and one value more is made at most."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            for step in range(4):
                name = a_name()
                granted: list[int] = []

                async def refresh(step: int = step, name: RecordName = name, granted: list[int] = granted) -> None:
                    bad_gen = granted[-1] if granted else 0
                    granted.append(await grant(store, name, "a", bad_gen=bad_gen))
                    if step == 1:
                        redis_server.admin("DEL", key_of(name, kind))
                    other = await ask(store, name, "b", bad_gen=bad_gen)
                    if isinstance(other, Granted):  # the lease was evicted: one more is made
                        granted.append(other.gen)
                        await store.commit(name, "b", other.gen, b"b", lifetime_ms=60_000, left_ms=60_000)
                    if step == 2:
                        redis_server.admin("DEL", key_of(name, kind))
                    await store.commit(name, "a", granted[0], b"a", lifetime_ms=60_000, left_ms=60_000)

                await refresh()
                if step == 3:
                    redis_server.admin("DEL", key_of(name, kind))
                answer = await ask(store, name, "c")
                if isinstance(answer, Granted):
                    granted.append(answer.gen)
                    committed = await store.commit(name, "c", answer.gen, b"c", lifetime_ms=60_000, left_ms=60_000)
                    assert committed == Committed()
                assert isinstance(await ask(store, name, "d"), Hit)
                assert granted == sorted(set(granted))
                assert len(granted) <= 2

    asyncio.run(main())


def test_generations_grow_though_the_clock_went_back(redis_server: RedisServer) -> None:
    """Generations from a time when the server's clock was ahead stay lower than all that come after."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            redis_server.admin("HSET", key_of(name, "f"), "high", 10**14)
            seen = [await grant(store, name)]
            await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
            seen.append(await put(store, name))
            assert await store.invalidate(name, seen[-1]) is True
            seen.append(await grant(store, name))
            await store.purge(name)
            seen.append(await grant(store, name))
            redis_server.admin("DEL", key_of(name, "f"))
            seen.append(await grant(store, name))
            assert seen == sorted(set(seen))
            assert seen[0] == 10**14 + 1

    asyncio.run(main())


def test_an_invalidated_generation_is_remembered_without_its_memory(redis_server: RedisServer) -> None:
    """When the memory of generations was evicted, the one that is dropped is remembered for the next lease."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            gen = await put(store, name, bad_gen=10**14)
            redis_server.admin("DEL", key_of(name, "f"))
            assert await store.invalidate(name, gen) is True
            assert await grant(store, name) == gen + 1

    asyncio.run(main())


def test_nothing_stays_in_redis_for_ever(redis_server: RedisServer) -> None:
    """Every key that an operation leaves behind has a time to live."""

    async def main() -> None:
        async with opened(redis_server.url, namespace="brief") as store:
            name = a_name()
            await put(store, name)
            await grant(store, name, bad_gen=10**14)
            other = a_name()
            await grant(store, other)
            await store.fail(other, "a", "transient:server:503", ttl_ms=60_000)
            gone = a_name()
            await store.invalidate(gone, await put(store, gone))
            purged = a_name()
            await store.purge(purged)
            keys = redis_server.admin.items("KEYS", "{brief:*")
            assert len(keys) == 7
            for key in keys:
                assert isinstance(key, bytes)
                left = redis_server.admin("PTTL", key)
                assert isinstance(left, int)
                assert 0 < left <= 3_600_000, key

    asyncio.run(main())
