"""The look at the records in use: what was dropped, what was lost, and what cannot be told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from redis.asyncio import RedisCluster

from monite_async_stores import Keyring, RecordName, RedisTokenStore, StoreError, StoreEvent, _breaker, _redis_look
from monite_async_stores._redis_look import Contested
from tests.stores.redis_server import Cluster, RedisServer, ServerError, until
from tests.stores.redis_tools import PATIENT, Ear, Keep, a_name, ask, eventually, grant, key_of, opened, put, run

OLD, NEW = Keyring("old key " * 4), Keyring("new key " * 4)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with RedisServer("--lua-time-limit", "50") as server:
        yield server


async def seen(store: RedisTokenStore, *names: RecordName) -> list[StoreEvent]:
    """Return what a look at these records tells."""
    return (await store._look(names))[0]


def test_what_was_dropped_is_told_apart_from_what_was_lost(redis_server: RedisServer) -> None:
    """A record dropped on purpose is invalid up to the highest generation; one of which nothing is left was lost."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            assert await store._look([]) == ([], [])
            kept, invalidated, purged, granted, lost = names = [a_name() for _ in range(5)]
            gens = {name: await put(store, name) for name in (kept, invalidated, purged, lost)}
            await store.invalidate(invalidated, gens[invalidated])
            await store.purge(purged)
            gens[granted] = await grant(store, granted)
            redis_server.admin("DEL", *(key_of(lost, kind) for kind in "tlnf"))
            events = {event.name: event for event in await seen(store, *names)}
            assert events[kept.name] == StoreEvent("seen", kept.name, gens[kept])
            assert events[invalidated.name] == StoreEvent("invalid", invalidated.name, gens[invalidated])
            assert events[purged.name].kind == "invalid"
            assert events[purged.name].gen >= gens[purged]
            assert events[granted.name] == StoreEvent("invalid", granted.name, gens[granted])
            assert events[lost.name] == StoreEvent("seen", lost.name, 0)

    asyncio.run(main())


def test_an_emptied_redis_has_lost_everything(own_server: RedisServer) -> None:
    """After a flush, and after a restart without what was saved, nothing counts as dropped."""

    async def main() -> None:
        async with opened(own_server.url) as store:
            for empty in (lambda: own_server.admin("FLUSHALL"), own_server.restart):
                names = [a_name() for _ in range(3)]
                for name in names:
                    await put(store, name)
                await asyncio.to_thread(empty)
                assert await seen(store, *names) == [StoreEvent("seen", name.name, 0) for name in names]

    asyncio.run(main())


def test_what_was_refused_while_it_was_lost_is_dropped(redis_server: RedisServer) -> None:
    """A generation invalidated after the store forgot it is invalid for whoever missed the message: not put back."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            gen = await put(store, name)
            redis_server.admin("DEL", *(key_of(name, kind) for kind in "tlnf"))
            assert await store.invalidate(name, gen) is False
            assert await seen(store, name) == [StoreEvent("invalid", name.name, gen)]
            newer = await put(store, name)
            assert newer > gen
            assert await store.invalidate(name, gen) is False
            assert await seen(store, name) == [StoreEvent("seen", name.name, newer)]

    asyncio.run(main())


@pytest.mark.parametrize("junk", [("SET", "of a wrong type"), ("HSET", "gen", "no number"), ("HSET", "value", "alone")])
def test_junk_is_no_record(junk: tuple[str, ...], redis_server: RedisServer) -> None:
    """Keys of a wrong type, or without a generation, count as gone, the memory of generations as well."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            redis_server.admin(junk[0], key_of(name, "t"), *junk[1:])
            assert await seen(store, name) == [StoreEvent("seen", name.name, 0)]
            redis_server.admin("SET", key_of(name, "f"), "of a wrong type")
            assert await seen(store, name) == [StoreEvent("seen", name.name, 0)]
            redis_server.admin("DEL", key_of(name, "f"))
            redis_server.admin("HSET", key_of(name, "f"), "high", "17")
            assert await seen(store, name) == [StoreEvent("invalid", name.name, 17)]

    asyncio.run(main())


@pytest.mark.parametrize("break_it", ["no right", "busy"])
def test_an_error_drops_nothing(break_it: str, own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the look is answered with errors, nothing is told of any record, and it is looked at again later."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.02, 0.02))

    async def main() -> None:
        async with opened(own_server.url, timeout=0.5) as store:
            names = [a_name() for _ in range(3)]
            gens = [await put(store, name) for name in names]
            script = threading.Thread(target=keep_busy, args=(own_server,))
            if break_it == "busy":
                script.start()
                await asyncio.to_thread(until_busy, own_server)
            else:
                own_server.admin("ACL", "SETUSER", "default", "-hmget", "-hget")
            with pytest.raises(StoreError, match="BUSY: a script" if break_it == "busy" else "lacks a right"):
                await store._look(names)
            if break_it == "busy":
                own_server.admin("SCRIPT", "KILL")
                await asyncio.to_thread(script.join)
            else:
                own_server.admin("ACL", "SETUSER", "default", "+@all")
            events = await seen(store, *names)
            assert events == [StoreEvent("seen", name.name, gen) for name, gen in zip(names, gens, strict=True)]

    def keep_busy(server: RedisServer) -> None:
        other = RedisServer(port=server.port).admin
        with pytest.raises(ServerError):
            other("EVAL", "while true do end", 0)
        other.close()

    def until_busy(server: RedisServer) -> None:
        until(lambda: is_busy(server), "the script")

    def is_busy(server: RedisServer) -> bool:
        try:
            server.admin("GET", "x")
        except ServerError as error:
            return str(error).startswith("BUSY")
        return False

    asyncio.run(main())


def test_one_error_keeps_nothing_from_the_others(redis_server: RedisServer) -> None:
    """A record that may not be read is left for the next look; what the look learned of the others is told."""

    async def main() -> None:
        readable, memory_hidden, hidden = a_name(), a_name(), a_name()
        allowed = (f"~{key_of(readable, '*')}", f"~{key_of(memory_hidden, 't')}")
        redis_server.admin("ACL", "SETUSER", "half", "on", ">x", "resetkeys", *allowed, "&*", "+@all")
        async with (
            opened(redis_server.url) as store,
            opened(f"redis://half:x@127.0.0.1:{redis_server.port}/0") as half,
        ):
            gens = {name: await put(store, name) for name in (readable, memory_hidden, hidden)}
            names = [hidden, readable, memory_hidden]
            events, unread = await half._look(names)
            assert [event.name for event in events] == [readable.name, memory_hidden.name]
            assert unread == [hidden]
            await store.invalidate(memory_hidden, gens[memory_hidden])
            events, unread = await half._look(names)
            assert events == [StoreEvent("seen", readable.name, gens[readable])]
            assert unread == [hidden, memory_hidden]
        redis_server.admin("ACL", "LOG", "RESET")

    asyncio.run(main())


def test_values_that_nobody_here_can_open_are_no_news(redis_server: RedisServer) -> None:
    """Of a value sealed with a key that is not in the ring, only what was refused before it is told."""

    async def main() -> None:
        async with opened(redis_server.url, keyring=OLD) as old, opened(redis_server.url, keyring=NEW) as new:
            name = a_name()
            gen = await put(old, name)
            assert await seen(new, name) == []
            assert await seen(old, name) == [StoreEvent("seen", name.name, gen)]
            await old.purge(name)
            await put(old, name)
            floor = redis_server.admin("HGET", key_of(name, "f"), "floor")
            assert isinstance(floor, bytes)
            assert await seen(new, name) == [StoreEvent("invalid", name.name, int(floor))]

    asyncio.run(main())


def test_processes_without_a_key_in_common_leave_each_other_alone(redis_server: RedisServer) -> None:
    """A commit that cannot be opened is not told, by message or by looking; whoever can open it hears of it."""
    namespace = f"look-{a_name().name}"

    async def main() -> None:
        async with (
            opened(redis_server.url, namespace=namespace, keyring=OLD) as old,
            opened(redis_server.url, namespace=namespace, keyring=NEW) as new,
            opened(redis_server.url, namespace=namespace, keyring=Keyring("old key " * 4, "new key " * 4)) as both,
            opened(redis_server.url, namespace=namespace) as derived,
        ):
            ears = [Ear(), Ear(), Ear()]
            for store, ear in zip((new, both, derived), ears, strict=True):
                store.watch(ear)
                await ask(store, a_name())
            await eventually(
                lambda: redis_server.admin.items("PUBSUB", "NUMSUB", f"{namespace}:events")[1] == 3, "ears"
            )
            name = a_name()
            gen = await put(old, name)
            await old.purge(name)
            await eventually(lambda: all(ear.has("purge", name) for ear in ears), "the last message")
            assert [ear.has("commit", name, gen) for ear in ears] == [False, True, False]

    asyncio.run(main())


def test_a_contested_record_is_no_news_for_a_while(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once somebody stored what cannot be opened here, what others store there is no news either, until that is long ago.

    Else each value would have all others of its deployment ask for it, find it replaced, and make one more.
    """

    async def main() -> None:
        async with opened(redis_server.url, keyring=OLD) as old, opened(redis_server.url, keyring=NEW) as new:
            name, other = a_name(), a_name()
            await put(new, name)
            assert await seen(old, name) == []
            gens = [await put(old, name), await put(old, other)]
            assert await seen(old, name, other) == [StoreEvent("seen", other.name, gens[1])]
            later = monotonic() + 601.0
            monkeypatch.setattr(_redis_look, "monotonic", lambda: later)
            assert StoreEvent("seen", name.name, gens[0]) in await seen(old, name, other)

    asyncio.run(main())


def test_contested_names_are_bounded() -> None:
    """Two thousand contested names are remembered, the last ones."""
    contested = Contested()
    for number in range(2001):
        assert not contested.is_news(f"{number}", opens=False)
    assert contested.is_news("0", opens=True)
    assert not contested.is_news("1", opens=True)
    assert len(contested._until) == 2000


def test_in_a_cluster_a_dead_server_hides_only_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one server of a cluster gone, records on the others are still told of, and the rest is kept for later."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.0, 0.0))

    async def main(keep: Keep) -> None:
        store = keep(RedisTokenStore(RedisCluster(host="127.0.0.1", port=own.servers[0].port), timeout=PATIENT))
        names = [a_name() for _ in range(30)]
        for name in names:
            await put(store, name)
        for server in own.servers:
            server.admin("CONFIG", "SET", "cluster-require-full-coverage", "no")
        own.servers[2].kill()
        events, unread = await store._look(names)
        assert all(event.gen for event in events)
        assert len(events) + len(unread) == 30
        assert events
        assert unread

    with Cluster() as own:
        run(main)
