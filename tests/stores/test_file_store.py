"""The file store in the hands of a client: quiet on the loop, silent in trouble, back when it can be."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from monite_async._tokens.cache import TokenCache
from monite_async_stores import (
    Busy,
    Committed,
    EncryptedFileTokenStore,
    Granted,
    Hit,
    RecordName,
    StoreBusyError,
    StoreError,
    StoreEvent,
    TokenStore,
    _file,
)
from monite_async_stores._file_lock import FILES, Flock
from monite_async_stores._file_pool import FilePool
from tests.stores.file_bench import NAME, OTHER, VALUE, Ear, MovableClock, ask, records_in, store_value, until
from tests.tokens.world import PARTNER, Endpoint

pytestmark = pytest.mark.usefixtures("no_blocking_calls")


@pytest.fixture
def clock() -> MovableClock:
    """Return a clock made outside the loop: it reads the boot's identity from a file."""
    return MovableClock()


async def _open(path: Path, clock: MovableClock | None = None) -> EncryptedFileTokenStore:
    return await asyncio.to_thread(EncryptedFileTokenStore, path, clock=clock)


def _mend(path: Path) -> None:
    path.chmod(0o700)


def _spoil(path: Path) -> None:
    path.chmod(0o777)


async def _acquire(store: TokenStore, name: RecordName = NAME, owner: str = "a") -> object:
    return await store.acquire(name, owner, lease_ms=600_000, bad_gen=0, min_left_ms=0)


async def test_it_is_a_token_store(tmp_path: Path) -> None:
    """The store fits the protocol, and shows where it is and nothing else."""
    store = await _open(tmp_path)
    assert isinstance(store, TokenStore)
    assert repr(store) == f"<EncryptedFileTokenStore {tmp_path}>"


async def test_a_store_cannot_be_pickled_or_copied(tmp_path: Path) -> None:
    """R33: a store holds keys, which stay in this process."""
    store = await _open(tmp_path)
    await _acquire(store)
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(store)
    await store.aclose()


async def test_a_token_outlives_the_client(tmp_path: Path) -> None:
    """A command-line tool that runs again finds the token of its last run: one POST for both."""
    endpoint = Endpoint(latency=0.0)
    tokens: list[str] = []
    for _ in range(2):
        cache = TokenCache(await _open(tmp_path), endpoint, owns_store=True)
        tokens.append((await cache.get(PARTNER)).value)
        await cache.aclose()
    assert len(endpoint.posts) == 1
    assert len(set(tokens)) == 1


async def test_a_reboot_with_a_wrong_clock_costs_a_post(tmp_path: Path, clock: MovableClock) -> None:
    """T22: after a reboot with the wall clock an hour back, the stored token is not used: one more POST."""
    endpoint = Endpoint(latency=0.0)
    for _ in range(2):
        cache = TokenCache(await _open(tmp_path, clock), endpoint, owns_store=True)
        await cache.get(PARTNER)
        await cache.aclose()
        clock.reboot()
        clock.step_wall(-3600)
    assert len(endpoint.posts) == 2


async def test_trouble_never_reaches_a_caller(tmp_path: Path) -> None:
    """T21: with a directory that turned bad the client gets its token all the same, and shares it when it is mended."""
    endpoint = Endpoint(latency=0.0)
    cache = TokenCache(await _open(tmp_path), endpoint)
    await asyncio.to_thread(_spoil, tmp_path)
    token = await cache.get(PARTNER)
    assert cache.stats().events["store_degraded"] == 1
    await asyncio.to_thread(_mend, tmp_path)
    other = TokenCache(await _open(tmp_path), endpoint)
    await cache.invalidate(PARTNER)
    assert cache.stats().events["store_recovered"] == 1
    assert (await cache.get(PARTNER)).value == (await other.get(PARTNER)).value != token.value
    assert len(endpoint.posts) == 2
    for each in (cache, other):
        await each.aclose()
        await each.store.aclose()


async def test_recovery_is_told(tmp_path: Path) -> None:
    """The first operation that works again is told to the watchers, once."""
    store, ear = await _open(tmp_path), Ear()
    end = store.watch(ear)
    await asyncio.to_thread(_spoil, tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError):
            await _acquire(store)
    await asyncio.to_thread(_mend, tmp_path)
    await _acquire(store)
    await _acquire(store)
    assert ear.heard == [StoreEvent("recovered", "", 0)]
    end()
    await store.aclose()


async def test_a_crowd_is_asked_to_come_again(tmp_path: Path) -> None:
    """Whoever asks while too many do gets ``StoreBusyError``, which is no outage to recover from."""
    store, ear = await _open(tmp_path), Ear()
    end = store.watch(ear)
    store._pool = FilePool(size=1, limit=1e6)
    gates = [(threading.Event(), threading.Event()) for _ in range(2)]

    def slow(begun: threading.Event, gate: threading.Event) -> None:
        begun.set()
        assert gate.wait(60)

    working = [asyncio.create_task(store._run(partial(slow, *each))) for each in gates]
    asking = asyncio.create_task(_acquire(store))
    for begun, gate in gates:
        await asyncio.to_thread(begun.wait)
        for _ in range(15):
            store._pool._beats_here()._tick()
        if begun is gates[0][0]:
            gate.set()
    with pytest.raises(StoreBusyError):
        await asking
    gates[1][1].set()
    await asyncio.gather(*working)
    assert ear.heard == []
    end()
    await store.aclose()


async def test_an_error_shows_no_path_and_no_content(tmp_path: Path) -> None:
    """What goes wrong with a file is told by the system's name for it, without a name, a path or a value."""
    store = await _open(tmp_path)
    await asyncio.to_thread((tmp_path / f"monite-{NAME.name}.tok").mkdir)
    with pytest.raises(StoreError) as caught:
        await _acquire(store)
    assert str(caught.value) == "the token directory failed: IsADirectoryError EISDIR"
    with pytest.raises(StoreError) as caught:
        await store.commit(OTHER, "a", 2**70, VALUE, lifetime_ms=60_000, left_ms=60_000)
    assert str(caught.value) == "the token directory failed: error"
    assert caught.value.__cause__ is None
    await store.aclose()


async def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    """A name that could lead out of the directory is a ``StoreError``, and touches no file."""
    store = await _open(tmp_path / "tokens")
    with pytest.raises(StoreError, match="32 lower-case hex"):
        await _acquire(store, RecordName("../../" + "a" * 26, b"secret"))
    assert not await asyncio.to_thread(lambda: list(tmp_path.glob("**/*.lock")))
    await store.aclose()


async def test_a_cancelled_acquire_leaves_no_lease(tmp_path: Path) -> None:
    """A caller that is cancelled while the lease is granted to it holds nobody up."""
    store = await _open(tmp_path)
    for turn in range(30):
        task = asyncio.create_task(_acquire(store, owner="cancelled"))
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        task.cancel()
        answer = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(answer, Granted):
            await store.fail(NAME, "cancelled", "", ttl_ms=0)
        assert isinstance(await until(store, Granted, owner="next"), Granted)
        await store.fail(NAME, "next", "", ttl_ms=0)
    await store.aclose()


async def test_a_hit_is_not_given_back(tmp_path: Path) -> None:
    """Undoing an answer that granted nothing does nothing."""
    store = await _open(tmp_path)
    gen = await asyncio.to_thread(store_value, await asyncio.to_thread(records_in, tmp_path))
    answer = await _acquire(store)
    assert isinstance(answer, Hit)
    await asyncio.to_thread(_file._give_back, store._records, NAME, "a", answer)
    again = await _acquire(store)
    assert isinstance(again, Hit)
    assert again.gen == gen
    await store.aclose()


async def test_locks_that_do_not_work_are_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R27: where files cannot be locked, making the store warns, and it works for the threads of this process."""

    def refuse(self: Flock, fd: int, *, shared: bool = False) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Flock, "try_lock", refuse)
    with caplog.at_level(logging.WARNING, "monite_async_stores"):
        store = await _open(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "file locks do not work" in caplog.text
    granted = await _acquire(store)
    assert isinstance(granted, Granted)
    assert isinstance(await _acquire(store, owner="b"), Busy)
    assert await store.commit(NAME, "a", granted.gen, VALUE, lifetime_ms=60_000, left_ms=60_000) == Committed()
    assert isinstance(await _acquire(store, owner="b"), Hit)
    await store.aclose()


async def test_nothing_is_left_open(tmp_path: Path) -> None:
    """A store that was closed, or forgotten, leaves no open file and no thread."""
    gc.collect()  # the stores of other tests
    before, threads = set(FILES._fds), set(threading.enumerate())
    closed, forgotten = await _open(tmp_path), await _open(tmp_path)
    granted = await _acquire(closed)
    assert isinstance(granted, Granted)
    await closed.commit(NAME, "a", granted.gen, VALUE, lifetime_ms=60_000, left_ms=60_000)
    await _acquire(forgotten, OTHER)
    await closed.aclose()
    forgotten._pool.retire()
    del forgotten
    mine = {thread for thread in threading.enumerate() if thread.name == "monite-token-files"} - threads
    for thread in mine:
        await asyncio.to_thread(thread.join, 60)
    gc.collect()
    assert set(FILES._fds) <= before
    records = await asyncio.to_thread(records_in, tmp_path)
    assert isinstance(await asyncio.to_thread(ask, records, name=OTHER), Granted)
    await closed.invalidate(NAME, granted.gen)
    assert isinstance(await _acquire(closed), Granted), "a closed store may be used again"
    await closed.fail(NAME, "a", "", ttl_ms=0)
    await closed.aclose()


async def test_closing_a_store_in_trouble_is_quiet(tmp_path: Path) -> None:
    """Closing never fails, whatever has become of the directory."""
    store = await _open(tmp_path / "tokens")
    await _acquire(store)

    def away() -> None:
        (tmp_path / "tokens").rename(tmp_path / "moved")
        (tmp_path / "tokens").write_text("")

    await asyncio.to_thread(away)
    await store.aclose()


async def test_the_directory_is_swept_at_the_start(tmp_path: Path, clock: MovableClock) -> None:
    """What died while nobody ran is removed by the first operation of a store, beside its own work."""
    records = await asyncio.to_thread(records_in, tmp_path, clock=clock)
    await asyncio.to_thread(store_value, records, life_ms=1_000)
    clock.advance(60)
    store = await _open(tmp_path, clock)
    await _acquire(store, OTHER)
    path = tmp_path / f"monite-{NAME.name}.tok"
    while await asyncio.to_thread(path.exists):
        await asyncio.sleep(0.001)
    await store.aclose()


def test_stores_are_imported_when_they_are_asked_for() -> None:
    """Importing the package brings neither ``cryptography`` nor the file store; asking for it does."""
    code = """
import sys
import monite_async_stores as stores
heavy = {"cryptography", "redis", "monite_async_stores._file"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "EncryptedFileTokenStore" in stores.__all__
assert stores.EncryptedFileTokenStore is stores.EncryptedFileTokenStore
assert issubclass(stores.TokenDirectoryError, ValueError)
assert "monite_async_stores._file" in sys.modules
assert "cryptography" not in sys.modules
try:
    stores.NoSuchStore
except AttributeError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("module 'monite_async_stores' has no attribute 'NoSuchStore'\n", "")
