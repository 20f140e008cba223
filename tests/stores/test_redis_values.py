"""Sealed values in Redis: altered, moved, of other keys; and what a look into Redis shows."""

from __future__ import annotations

import asyncio
import base64
import itertools
import pickle

import pytest

from monite_async_stores import Committed, Granted, Hit, Keyring, RecordName, RedisTokenStore
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import a_name, ask, grant, key_of, opened, put

TOKEN = b"Bearer canary-0123456789-canary"
OLD, NEW = Keyring("old key " * 4), Keyring("new key " * 4)
BOTH, SWAPPED = Keyring("old key " * 4, "new key " * 4), Keyring("new key " * 4, "old key " * 4)


def blob_of(server: RedisServer, name: RecordName) -> bytes:
    """Return the value of a record as it lies in Redis."""
    blob = server.admin("HGET", key_of(name, "t"), "value")
    assert isinstance(blob, bytes)
    return blob


def test_a_flipped_byte_is_a_miss_and_is_overwritten(redis_server: RedisServer) -> None:
    """Whatever byte of a stored value is altered, the caller gets the lease for a newer one, and its value stays."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            gen = await put(store, name, TOKEN)
            blob = blob_of(redis_server, name)
            for at in range(len(blob)):
                broken = blob[:at] + bytes((blob[at] ^ 0x40,)) + blob[at + 1 :]
                redis_server.admin("HSET", key_of(name, "t"), "value", broken)
                answer = await ask(store, name)
                assert isinstance(answer, Granted)
                assert answer.gen > gen
            redis_server.admin("HSET", key_of(name, "t"), "value", blob)
            assert isinstance(await ask(store, name), Hit)
            redis_server.admin("HSET", key_of(name, "t"), "value", blob[:-1])
            newer = await grant(store, name)
            assert await store.commit(name, "a", newer, b"new", lifetime_ms=9000, left_ms=9000) == Committed()
            answer = await ask(store, name)
            assert isinstance(answer, Hit)
            assert answer.value == b"new"

    asyncio.run(main())


def test_a_moved_value_is_a_miss(redis_server: RedisServer) -> None:
    """A sealed value under another name, generation or lifetime opens for nobody: no one gets another's token."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            mine, yours = a_name(), a_name()
            await put(store, mine, TOKEN)
            await put(store, yours, b"another")
            redis_server.admin("HSET", key_of(yours, "t"), "value", blob_of(redis_server, mine))
            assert isinstance(await ask(store, yours), Granted)
            gen = redis_server.admin("HGET", key_of(mine, "t"), "gen")
            assert isinstance(gen, bytes)
            redis_server.admin("HSET", key_of(mine, "t"), "gen", int(gen) + 1)
            assert isinstance(await ask(store, mine), Granted)
            redis_server.admin("HSET", key_of(mine, "t"), "gen", gen, "lifetime", 60_001)
            assert isinstance(await ask(store, mine), Granted)
            redis_server.admin("HSET", key_of(mine, "t"), "lifetime", 60_000)
            assert isinstance(await ask(store, mine), Hit)

    asyncio.run(main())


def test_a_commit_against_an_unreadable_value_asks_again(redis_server: RedisServer) -> None:
    """A newer value that does not open cannot be adopted: the caller is told to ask again, and then gets a lease."""

    async def main() -> None:
        async with opened(redis_server.url) as store, opened(redis_server.url, keyring=NEW) as other:
            name = a_name()
            late = await grant(store, name)
            await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
            newer = await put(other, name, TOKEN)
            assert await store.commit(name, "a", late, b"late", lifetime_ms=9000, left_ms=9000) is None
            again = await grant(store, name)
            assert again > newer
            assert await store.commit(name, "a", again, b"mine", lifetime_ms=9000, left_ms=9000) == Committed()

    asyncio.run(main())


def test_keys_rotate_in_three_deploys_without_a_miss(redis_server: RedisServer) -> None:
    """Add, swap, remove: at every step old and new processes side by side read what either writes."""

    async def main() -> None:
        deploys = [OLD, BOTH, SWAPPED, NEW]
        for before, after in itertools.pairwise(deploys):
            for writer, reader in ((before, after), (after, before)):
                async with (
                    opened(redis_server.url, keyring=writer) as one,
                    opened(redis_server.url, keyring=reader) as other,
                ):
                    name = a_name()
                    await put(one, name, TOKEN)
                    answer = await ask(other, name)
                    assert isinstance(answer, Hit)
                    assert answer.value == TOKEN
        async with opened(redis_server.url, keyring=OLD) as one, opened(redis_server.url, keyring=NEW) as other:
            name = a_name()
            await put(one, name, TOKEN)
            assert isinstance(await ask(other, name), Granted), "the last step came too early: a miss, no more"

    asyncio.run(main())


def test_another_secret_or_namespace_reads_nothing(redis_server: RedisServer) -> None:
    """A value opens only with the client secret that it was sealed under, and not from another namespace's keys."""

    async def main() -> None:
        async with opened(redis_server.url) as store, opened(redis_server.url, namespace="elsewhere") as other:
            name = a_name()
            await put(store, name, TOKEN)
            stranger = RecordName(name.name, b"another client secret")
            assert isinstance(await ask(store, stranger), Granted)
            copied = redis_server.admin.items("HGETALL", key_of(name, "t"))
            redis_server.admin(
                "HSET", key_of(name, "t", "elsewhere"), *(part for part in copied if isinstance(part, bytes))
            )
            redis_server.admin("PEXPIRE", key_of(name, "t", "elsewhere"), 60_000)
            assert isinstance(await ask(other, name), Granted)

    asyncio.run(main())


def test_redis_never_sees_a_value(redis_server: RedisServer) -> None:
    """Neither the value nor the secret, raw or in base64, passes over the wire or lies in Redis."""

    async def main() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
        writer.write(b"MONITOR\r\n")
        async with opened(redis_server.url) as store:
            name = a_name()
            gen = await put(store, name, TOKEN)
            await ask(store, name)
            await store.invalidate(name, gen)
            await put(store, name, TOKEN)
            await store.purge(name)
            redis_server.admin("ECHO", f"end of {name.name}")
        seen = bytearray()

        async def read() -> None:
            while f"end of {name.name}".encode() not in seen:
                seen.extend(await reader.read(65536))

        await asyncio.wait_for(read(), 20)
        writer.close()
        await writer.wait_closed()
        assert seen.count(name.name.encode()) > 10
        for secret in (TOKEN, b"canary", name.sealing_secret, base64.b64encode(TOKEN)[:-4]):
            assert secret not in seen

    asyncio.run(main())


def test_the_store_shows_nothing_and_is_not_pickled(redis_server: RedisServer) -> None:
    """A store's text names its namespace only, and it cannot be pickled."""
    store = RedisTokenStore.from_url(f"redis://user:pass@127.0.0.1:{redis_server.port}/0", namespace="shown")
    assert repr(store) == "<RedisTokenStore namespace='shown'>"
    assert not hasattr(store, "__dict__")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(store)


def test_a_value_can_be_large(redis_server: RedisServer) -> None:
    """A value of a mebibyte comes back whole."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            name = a_name()
            await put(store, name, b"\r\n\x00x" * 262_144)
            answer = await ask(store, name)
            assert isinstance(answer, Hit)
            assert answer.value == b"\r\n\x00x" * 262_144

    asyncio.run(main())
