"""The memory store against the rules of the protocol, and what is its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    MemoryTokenStore,
    Negative,
    RecordName,
    TokenStore,
    Watcher,
    store_from_url,
)
from monite_async_stores.testing import RULES, Bench, Rule, check, check_all


class MovedClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.mono = 50.0
        self.now = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.mono

    def wall(self) -> float:
        return self.now


class MemoryBench(Bench):
    """One memory store; all handles are the same object, since it is one process's."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = MovedClock()
        self.subject = MemoryTokenStore(clock=self.clock)

    async def open(self) -> TokenStore:
        return self.subject

    async def pass_time(self, seconds: float) -> None:
        self.clock.mono += seconds
        self.clock.now += seconds


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_memory_store_keeps_the_rule(rule: Rule) -> None:
    """Every rule of the protocol holds for ``MemoryTokenStore``."""
    check(rule, MemoryBench)


def test_the_suite_runs_on_real_time_too() -> None:
    """Without a virtual clock the suite waits for real, and the default store passes it."""

    class RealBench(Bench):
        store_of_all = MemoryTokenStore()

        async def open(self) -> TokenStore:
            return self.store_of_all

    check_all(RealBench)


def test_a_bench_without_a_store_says_what_to_do() -> None:
    """Forgetting to override ``open`` raises a message with the fix."""
    with pytest.raises(TypeError, match=r"must override open"):
        check(RULES[0], Bench)


class Forgetful(MemoryTokenStore):
    """A broken store: it takes every commit, whatever its generation."""

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        await self.purge(record)
        return await super().commit(record, owner, gen + 10**12, value, lifetime_ms=lifetime_ms, left_ms=left_ms)


class Greedy(MemoryTokenStore):
    """A broken store: everyone is the same owner."""

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        return await super().acquire(record, "me", lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)


class Deaf(MemoryTokenStore):
    """A broken store: its watchers are asked once and never told."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        assert watcher.in_use()
        return lambda: None


@pytest.mark.parametrize("broken", [Forgetful, Greedy, Deaf])
def test_the_suite_finds_broken_stores(broken: type[MemoryTokenStore]) -> None:
    """The suite can fail: a store without fencing, without a lease or without events does not pass it."""

    class BrokenBench(MemoryBench):
        def __init__(self) -> None:
            super().__init__()
            self.subject = broken(clock=self.clock)

    with pytest.raises(AssertionError):
        check_all(BrokenBench)


def test_a_life_ends_by_whichever_clock_comes_first() -> None:
    """A value dies when the monotonic or the wall clock passes its end, whichever way the other one went."""

    async def main() -> None:
        for mono, wall in ((61.0, -86400.0), (0.0, 61.0)):
            clock = MovedClock()
            store = MemoryTokenStore(clock=clock)
            name = RecordName("ab" * 16)
            answer = await store.acquire(name, "a", lease_ms=5000, bad_gen=0, min_left_ms=0)
            assert isinstance(answer, Granted)
            await store.commit(name, "a", answer.gen, b"v", lifetime_ms=60_000, left_ms=60_000)
            clock.mono += mono
            clock.now += wall
            again = await store.acquire(name, "b", lease_ms=5000, bad_gen=0, min_left_ms=0)
            assert isinstance(again, Granted)
            assert again.gen > answer.gen

    asyncio.run(main())


def test_the_store_is_bounded() -> None:
    """Beyond ``max_records`` the value unused for longest goes; dead ones go first."""

    async def main() -> None:
        clock = MovedClock()
        store = MemoryTokenStore(max_records=10, clock=clock)
        kept = RecordName("ff" * 16)

        async def put(name: RecordName, life_ms: int) -> None:
            answer = await store.acquire(name, "a", lease_ms=5000, bad_gen=0, min_left_ms=0)
            assert isinstance(answer, Granted)
            await store.commit(name, "a", answer.gen, b"v", lifetime_ms=life_ms, left_ms=life_ms)

        await put(kept, 10**7)
        for number in range(200):
            await put(RecordName(f"{number:032x}"), 10**7)
            held = await store.acquire(kept, "b", lease_ms=1, bad_gen=0, min_left_ms=0)
            assert isinstance(held, Hit)
        assert "records=10 " in repr(store)
        clock.mono += 20_000
        clock.now += 20_000
        await put(kept, 10**7)
        assert "records=1 " in repr(store)

    asyncio.run(main())


def test_purges_and_failures_are_swept() -> None:
    """Floors and failures of names that are never asked for again do not pile up."""

    async def main() -> None:
        clock = MovedClock()
        store = MemoryTokenStore(clock=clock)
        for number in range(500):
            name = RecordName(f"{number:032x}")
            await store.purge(name)
            await store.acquire(name, "a", lease_ms=5000, bad_gen=0, min_left_ms=0)
            await store.fail(name, "a", "transient:server:503", ttl_ms=1000)
            clock.mono += 60
        assert len(store._floors) <= 80
        assert len(store._negatives) <= 2

    asyncio.run(main())


def test_threads_share_one_store() -> None:
    """Eight threads hammering one name never see two leases at once or a generation that falls."""
    store = MemoryTokenStore()
    name = RecordName("cd" * 16)
    holders: list[str] = []
    seen: list[int] = []
    lock = threading.Lock()

    async def work(worker: int) -> None:
        for turn in range(200):
            owner = f"{worker}:{turn}"
            answer = await store.acquire(name, owner, lease_ms=5000, bad_gen=seen[-1] if seen else 0, min_left_ms=0)
            if isinstance(answer, Granted):
                with lock:
                    assert not holders, "two holders at once"
                    holders.append(owner)
                    seen.append(answer.gen)
                with lock:
                    holders.remove(owner)
                await store.commit(name, owner, answer.gen, b"v", lifetime_ms=60_000, left_ms=60_000)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(asyncio.run, work(worker)) for worker in range(8)]:
            done.result()
    assert seen == sorted(set(seen))
    assert seen


def test_bad_sizes_are_refused() -> None:
    """A store that may keep nothing is a mistake that is named."""
    with pytest.raises(ValueError, match="max_records must be at least 1"):
        MemoryTokenStore(max_records=0)


def test_a_record_name_cannot_be_pickled() -> None:
    """A record name holds key material and does not leave the process."""
    import pickle

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(RecordName("ab" * 16, b"secret"))


def test_a_store_from_a_url() -> None:
    """``memory:`` makes a memory store; anything else is refused without repeating the URL, which may hold a password."""
    assert isinstance(store_from_url("memory:"), MemoryTokenStore)
    for url in ("gopher://user:hunter2@host", "", "nonsense"):
        with pytest.raises(ValueError, match="unknown token store scheme") as caught:
            store_from_url(url)
        assert "hunter2" not in str(caught.value)
