"""What whoever runs a fleet sees of its stores: which records there are, what is known of them, sealing anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from monite_async_stores import (
    EncryptedFileTokenStore,
    Granted,
    Hit,
    InspectableStore,
    Keyring,
    MemoryTokenStore,
    RecordName,
    RedisTokenStore,
    StoredRecord,
    StoreError,
    _redis_survey,
    store_from_url,
)
from monite_async_stores._file_records import FileRecords
from monite_async_stores._redis_wire import Command
from tests.stores.file_bench import MovableClock
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import PATIENT, a_name, ask, grant, put

OLD, NEW = Keyring.generate(), Keyring.generate()


class Place:
    """One storage, opened as often as one likes."""

    def __init__(self, kind: str, server: RedisServer, path: Path) -> None:
        self.kind, self.server, self.path = kind, server, path

    @contextlib.asynccontextmanager
    async def open(self, *keys: str) -> AsyncGenerator[RedisTokenStore | EncryptedFileTokenStore]:
        """Open a store with a keyring, or without one."""
        keyring = Keyring(*keys) if keys else None
        store: RedisTokenStore | EncryptedFileTokenStore
        if self.kind == "file":
            store = await asyncio.to_thread(EncryptedFileTokenStore, self.path, keyring=keyring)
        else:
            store = RedisTokenStore.from_url(
                self.server.url, namespace=self.path.name, keyring=keyring, timeout=PATIENT
            )
        try:
            yield store
        finally:
            await store.aclose()


@pytest.fixture(params=["redis", "file"])
def place(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Place:
    """An empty storage."""
    return Place(request.param, redis_server, tmp_path)


async def test_values_are_described_without_being_opened(place: Place) -> None:
    """Whoever has no key at all sees names, generations, lives and the ids of keys, and never a value."""
    one, other, empty = sorted((a_name() for _ in range(3)), key=lambda name: name.name)
    async with place.open(OLD) as store:
        gens = {one.name: await put(store, one), other.name: await put(store, other)}
        await grant(store, empty)
    async with place.open() as stranger:
        assert isinstance(stranger, InspectableStore)
        names = await stranger.names()
        assert names == [one.name, other.name, empty.name]
        found = await stranger.describe(names)
        assert {record.name: record.gen for record in found} == gens
        assert {record.key for record in found} == {found[0].key}
        assert len(bytes.fromhex(found[0].key)) == 4
        for record in found:
            assert 0 < record.left_ms <= record.lifetime_ms == 60_000
            assert "value" not in repr(record)


async def test_nothing_is_described_of_what_was_purged_or_never_was(place: Place) -> None:
    """A purged record keeps its name and has no value; an unknown one has neither."""
    name = a_name()
    async with place.open() as store:
        assert await store.names() == []
        await put(store, name)
        await store.purge(RecordName(name.name))
        assert await store.names() == [name.name]
        assert await store.describe([name.name, a_name().name]) == []
        assert await store.reseal(name) == "gone"
        assert await store.reseal(a_name()) == "gone"


async def test_values_are_sealed_anew_with_the_first_key(place: Place) -> None:
    """After sealing anew, those who have the new key only read the value; its generation and its life are the same."""
    name = a_name()
    async with place.open(OLD) as store:
        gen = await put(store, name, b"the value")
        (before,) = await store.describe([name.name])
        assert await store.reseal(name) == "current"
    async with place.open(NEW, OLD) as store:
        assert await store.reseal(name) == "resealed"
        assert await store.reseal(name) == "current"
        (after,) = await store.describe([name.name])
        assert (after.gen, after.lifetime_ms) == (before.gen, before.lifetime_ms)
        assert after.left_ms <= before.left_ms
        assert after.key != before.key
    async with place.open(NEW) as store:
        answer = await ask(store, name)
        assert isinstance(answer, Hit)
        assert (answer.gen, answer.value) == (gen, b"the value")
    async with place.open(OLD) as store:
        assert await store.reseal(name) == "unreadable"


async def test_a_value_without_keyring_is_sealed_by_its_own_secret(place: Place) -> None:
    """Without a keyring a record is as it should be for who has its secret, and refuses who has none."""
    name = a_name()
    async with place.open() as store:
        await put(store, name)
        assert await store.reseal(name) == "current"
        with pytest.raises(StoreError, match="nothing to seal with"):
            await store.reseal(RecordName(name.name))


class Overtaken(RedisTokenStore):
    """A store in whose back another one stores a newer value as soon as this one has read."""

    behind: RedisTokenStore
    name: RecordName
    gen: int

    async def _ask(self, commands: Sequence[tuple[str, Command]]) -> list[object]:
        answers = await super()._ask(commands)
        await put(self.behind, self.name, b"second", bad_gen=self.gen)
        return answers


async def test_a_value_that_changes_meanwhile_is_left_alone(redis_server: RedisServer) -> None:
    """Sealing anew writes over exactly the value that it has read, and nothing else."""
    name = a_name()
    async with contextlib.AsyncExitStack() as stack:
        old = RedisTokenStore.from_url(redis_server.url, keyring=Keyring(OLD), timeout=PATIENT)
        new = Overtaken.from_url(redis_server.url, keyring=Keyring(NEW, OLD), timeout=PATIENT)
        assert isinstance(new, Overtaken)
        new.behind, new.name, new.gen = old, name, await put(old, name, b"first")
        for store in (old, new):
            stack.push_async_callback(store.aclose)
        assert await new.reseal(name) == "gone"
        answer = await ask(new, name)
        assert isinstance(answer, Hit)
        assert answer.value == b"second"


async def test_a_file_that_ends_while_its_lock_is_awaited_is_gone(tmp_path: Path) -> None:
    """A value that was dropped between the first look and the lock is not brought back."""
    name = a_name()
    old = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path, keyring=Keyring(OLD))
    await put(old, name)
    looks = 0
    describe_as_it_is = FileRecords.describe

    def first_look_only(records: FileRecords, names: Sequence[str]) -> list[StoredRecord]:
        nonlocal looks
        looks += 1
        return describe_as_it_is(records, names) if looks == 1 else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileRecords, "describe", first_look_only)
        assert await old.reseal(name) == "gone"
    await old.aclose()


async def test_a_file_whose_value_has_ended_is_not_described(tmp_path: Path) -> None:
    """What has no life left is no token any more, even while its file is there."""
    clock = await asyncio.to_thread(MovableClock)
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path, clock=clock)
    name = a_name()
    await put(store, name)
    clock.advance(61)
    assert await store.describe([name.name]) == []
    assert await store.names() == [name.name]
    await store.aclose()


async def test_many_records_are_found_in_steps(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are looked for and described in slices; none is missing and none comes twice."""
    monkeypatch.setattr(_redis_survey, "_SCANNED", 100)
    async with contextlib.AsyncExitStack() as stack:
        store = RedisTokenStore.from_url(redis_server.url, namespace="many", timeout=PATIENT)
        stack.push_async_callback(store.aclose)
        for number in range(600):
            key = f"{{many:{number:032x}}}:t"
            redis_server.admin("HSET", key, "gen", 7, "lifetime", 60_000, "value", "x", "key", "0011aabb")
            redis_server.admin("PEXPIRE", key, 60_000)
        names = await store.names()
        assert [record.name for record in await store.describe(names)] == [f"{number:032x}" for number in range(600)]


async def test_what_lies_there_besides_is_not_taken_for_a_record(redis_server: RedisServer) -> None:
    """Keys of other namespaces and kinds, half a record and a key of another type are not listed as values."""
    async with contextlib.AsyncExitStack() as stack:
        store = RedisTokenStore.from_url(redis_server.url, namespace="odd", timeout=PATIENT)
        stack.push_async_callback(store.aclose)
        half, other_type, no_key = f"{1:032x}", f"{2:032x}", f"{3:032x}"
        for stray in (f"{{odd:{'g' * 32}}}:t", f"{{odder:{half}}}:t", f"{{odd:{half}}}:z", "odd:events"):
            redis_server.admin("SET", stray, "x")
        redis_server.admin("HSET", f"{{odd:{half}}}:t", "gen", "7")
        redis_server.admin("SET", f"{{odd:{other_type}}}:t", "x")
        redis_server.admin("HSET", f"{{odd:{no_key}}}:t", "gen", 7, "lifetime", 60_000, "value", "x", "key", "?")
        redis_server.admin("PEXPIRE", f"{{odd:{no_key}}}:t", 60_000)
        assert await store.names() == [half, other_type, no_key]
        (found,) = await store.describe([half, other_type, no_key])
        assert (found.name, found.key) == (no_key, "")
        for name in (half, other_type):
            assert await store.reseal(RecordName(name, b"secret")) == "gone"


async def test_a_server_that_is_gone_or_refuses_is_told_without_its_words(redis_server: RedisServer) -> None:
    """Every question to a server that does not answer, or that lacks the right, is a ``StoreError`` that says what to check."""
    gone = RedisTokenStore.from_url("redis://127.0.0.1:1", timeout=PATIENT)
    name = a_name()
    for question in (gone.names(), gone.describe([name.name]), gone.reseal(name)):
        with pytest.raises(StoreError, match="nothing answers there") as caught:
            await question
        assert caught.value.__context__ is None
    await gone.aclose()
    redis_server.admin("ACL", "SETUSER", "least", "on", ">pw", "resetkeys", "~{monite:*", "-@all", "+hmget", "+pttl")
    least = RedisTokenStore.from_url(redis_server.url.replace("//", "//least:pw@"), timeout=PATIENT)
    with pytest.raises(StoreError, match="check its ACL"):
        await least.names()
    assert await least.describe([name.name]) == []
    await least.aclose()
    redis_server.admin("ACL", "SETUSER", "least", "-@all")
    less = RedisTokenStore.from_url(redis_server.url.replace("//", "//least:pw@"), timeout=PATIENT)
    for question in (less.describe([name.name]), less.reseal(name)):
        with pytest.raises(StoreError, match="check its ACL"):
            await question
    await less.aclose()


def test_stores_of_several_processes_can_be_looked_into_and_memory_cannot() -> None:
    """A store in memory has nothing to look into: it ends with its process."""
    assert not isinstance(MemoryTokenStore(), InspectableStore)


def test_a_keyring_goes_to_the_store_that_a_url_names(redis_server: RedisServer, tmp_path: Path) -> None:
    """What is stored by a URL and a keyring opens with the key of that keyring only."""

    async def main() -> None:
        for url in (f"{redis_server.url}?namespace=ring", tmp_path.as_uri()):
            name = a_name()
            mine = await asyncio.to_thread(store_from_url, url, keyring=Keyring(OLD))
            theirs = await asyncio.to_thread(store_from_url, url, keyring=Keyring(NEW))
            gen = await put(mine, name)
            answer = await ask(mine, name)
            assert isinstance(answer, Hit)
            assert answer.gen == gen
            assert isinstance(await ask(theirs, name), Granted)
            await mine.aclose()
            await theirs.aclose()

    asyncio.run(main())


def test_a_cluster_is_not_reached_by_a_socket() -> None:
    """One socket leads to one server: a URL that says both is refused when the store is made."""
    with pytest.raises(ValueError, match="not reached by a socket"):
        store_from_url("unix:///run/redis.sock?cluster=true")
