"""News of records in files: at once within a process, soon between processes, and never a reason to fail."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from monite_async_stores import (
    Busy,
    EncryptedFileTokenStore,
    Granted,
    Keyring,
    RecordName,
    StoreError,
    StoreEvent,
)
from monite_async_stores import _file_watch as module
from monite_async_stores._bootclock import SystemBootClock
from monite_async_stores._file_format import Lease, State
from monite_async_stores._file_watch import FileWatch, announce
from tests.stores.file_bench import NAME, OTHER, Ear, ask, records_in, store_value, until


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PERIOD", 0.01)


class Reader:
    """States without files."""

    def __init__(self) -> None:
        self.states: dict[str, State | None] = {}
        self.held: bool | None = True
        self.trouble: Exception | None = None
        self.reads = 0
        self.names = set[str]()
        self.foreign = b"foreign key"

    def state(self, name: str) -> State | None:
        self.reads += 1
        self.names.add(name)
        if self.trouble is not None:
            raise self.trouble
        return self.states.get(name)

    def is_held(self, lease: Lease) -> bool:
        if self.held is None:
            raise PermissionError(13, "Permission denied")
        return self.held

    def can_read(self, state: State) -> bool:
        return state.key != self.foreign


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[FileWatch]:
    """Return a watch on nothing yet."""
    watch = FileWatch((tmp_path, "monite"))
    yield watch
    watch._watchers = ()
    watch._signal.set()


def test_each_kind_of_change_is_told(watch: FileWatch) -> None:
    """Between two readings of a state, what became of the record is told once; then nothing more."""
    reader, ear = Reader(), Ear(NAME)
    watch.read_with(reader)
    watch.watch(ear)
    reader.states[NAME.name] = State(high=9, committed=5)
    assert watch.turn() is not None
    assert ear.heard == [StoreEvent("commit", NAME.name, 5)]
    reader.states[NAME.name] = State(high=9, committed=9, invalid=5, floor=8, fails=1)
    watch._next_round = 0
    watch.turn()
    assert ear.heard[1:] == [
        StoreEvent("commit", NAME.name, 9),
        StoreEvent("invalid", NAME.name, 5),
        StoreEvent("purge", NAME.name, 8),
        StoreEvent("fail", NAME.name, 0),
    ]
    watch._next_round = 0
    watch.turn()
    assert len(ear.heard) == 5


def test_only_records_in_use_are_read_and_once_a_period(watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """R4, R28: an idle record costs nothing, one in use a reading a period, however many watch it."""
    monkeypatch.setattr(module, "_PERIOD", 600.0)
    reader, ears = Reader(), [Ear(NAME), Ear(NAME), Ear()]
    watch.read_with(reader)
    for ear in ears:
        watch.watch(ear)
    pause = watch.turn()
    assert reader.reads == 1
    assert pause is not None
    assert 500 < pause <= 600
    watch.turn()
    assert reader.reads == 1


def test_what_cannot_be_read_is_no_news(watch: FileWatch) -> None:
    """Trouble with a file, or one that is being rewritten, tells nothing and ends nothing."""
    reader, ear = Reader(), Ear(NAME)
    watch.watch(ear)
    assert watch.turn() is not None, "nothing to read with yet"
    watch.read_with(reader)
    reader.states[NAME.name] = State(committed=1)
    for trouble in (OSError(5, "Input/output error"), StoreError("the token directory is gone")):
        reader.trouble = trouble
        watch._waiting[NAME.name] = time.monotonic() + 60
        watch._next_round = 0
        assert watch.turn() is not None
    assert ear.heard == []
    reader.trouble = None
    watch.turn()
    assert [event.kind for event in ear.heard] == ["commit"]


def test_a_free_lease_is_told(watch: FileWatch) -> None:
    """Whoever waits for a lease is told when its holder is gone without a word; with a word, that is enough."""
    reader, ear, lease = Reader(), Ear(), Lease(bytes(16), bytes(16), 5000, SystemBootClock().now())
    watch.read_with(reader)
    watch.watch(ear)
    reader.states = {name.name: State(lease=lease) for name in (NAME, OTHER)}
    for name in (NAME, OTHER):
        watch._waiting[name.name] = time.monotonic() + 60
    pause = watch.turn()
    assert ear.heard == []
    assert pause is not None
    assert pause <= 0.012
    reader.held = None
    watch.turn()
    assert ear.heard == [], "nobody knows whether they are free"
    reader.held = False
    reader.states[OTHER.name] = State(lease=lease, committed=7)
    watch.turn()
    assert sorted(event.kind for event in ear.heard) == ["commit", "fail"]
    assert watch._waiting == {}


def test_waiting_polls_slow_down_and_end(watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: whoever waits looks every 10 ms at first and every 100 ms in the end, until the lease is over."""
    monkeypatch.setattr(module, "_PERIOD", 600.0)
    watch.read_with(Reader())
    watch.watch(Ear())
    watch._waiting[NAME.name] = time.monotonic() + 60
    pauses = [watch.turn() or 0 for _ in range(12)]
    assert 0.008 <= pauses[0] <= 0.012
    assert 0.080 <= pauses[-1] <= 0.120
    watch._waiting[NAME.name] = time.monotonic() - 1
    assert (watch.turn() or 0) > 500
    assert watch._waiting == {}


def test_what_was_seen_is_bounded(watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records pass by, only the latest are remembered."""
    monkeypatch.setattr(module, "_MAX_SEEN", 10)
    for number in range(50):
        watch.hear(StoreEvent("commit", f"{number:032x}", 1), State(committed=1))
    assert list(watch._seen) == [f"{number:032x}" for number in range(40, 50)]


def test_each_of_many_records_in_use_is_read(watch: FileWatch) -> None:
    """R28: of 700 records in use, of which 500 are named at a time, each is read within two rounds."""

    class InTurn(Ear):
        def in_use(self) -> Sequence[RecordName]:
            named = [names[(self.turn + place) % len(names)] for place in range(500)]
            self.turn += 500
            return named

        turn = 0

    names = [RecordName(f"{number:032x}") for number in range(700)]
    reader, ear = Reader(), InTurn()
    watch.read_with(reader)
    watch.watch(ear)
    reader.states = {name.name: State(committed=5) for name in names}
    for rounds in range(1, 6):
        watch._next_round = 0
        watch.turn()
        assert len(reader.names) == (500 if rounds == 1 else 700)
    assert len(ear.heard) == 700, "what was told once is remembered, also of those whose turn comes seldom"


def test_a_crowd_that_waits_is_looked_at_in_turn(watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, a turn looks at some of them only, each comes to its turn, and newcomers wake nobody."""
    monkeypatch.setattr(module, "_PERIOD", 600.0)
    reader = Reader()
    watch.read_with(reader)
    watch.watch(Ear())
    watch._thread = threading.current_thread()
    for number in range(250):
        watch.wait_for(f"{number:032x}", 600_000)
    watch._signal.clear()
    for seen in (100, 200, 250):
        watch.turn()
        assert len(reader.names) == seen
    watch.wait_for("a" * 32, 600_000)
    assert not watch._signal.is_set(), "the thread looks again within 20 ms or so anyway"
    for _ in range(9):
        watch.turn()
    watch.wait_for("a" * 32, 600_000)
    assert not watch._signal.is_set()
    watch.wait_for("b" * 32, 600_000)
    assert watch._signal.is_set()
    watch._thread = None


def test_what_was_committed_under_an_unknown_key_is_no_news(watch: FileWatch) -> None:
    """Deployments that cannot read each other's values do not make each other fetch; a lease that is free is told."""
    reader, ear = Reader(), Ear(NAME)
    watch.read_with(reader)
    watch.watch(ear)
    reader.states[NAME.name] = State(committed=5, key=reader.foreign)
    watch.turn()
    assert ear.heard == []
    watch._waiting[NAME.name] = time.monotonic() + 60
    reader.held = False
    watch.turn()
    announce(watch.place, StoreEvent("commit", NAME.name, 6), State(committed=6, key=reader.foreign))
    assert ear.heard == [StoreEvent("fail", NAME.name, 0)] * 2
    announce(watch.place, StoreEvent("invalid", NAME.name, 6), State(committed=6, key=reader.foreign, invalid=6))
    reader.states[NAME.name] = State(committed=7, invalid=6)
    watch._next_round = 0
    watch.turn()
    assert ear.heard[2:] == [StoreEvent("invalid", NAME.name, 6), StoreEvent("commit", NAME.name, 7)]


def test_whoever_heard_waits_no_more(watch: FileWatch) -> None:
    """What this process did itself need not be looked for in files."""
    watch.read_with(Reader())
    for event, left in (
        (StoreEvent("invalid", NAME.name, 1), 1),
        (StoreEvent("commit", NAME.name, 1), 0),
        (StoreEvent("fail", NAME.name, 0), 0),
    ):
        watch._waiting[NAME.name] = time.monotonic() + 60
        announce(watch.place, event, State(committed=1))
        assert len(watch._waiting) == left


def test_a_place_is_a_directory_and_a_namespace(tmp_path: Path) -> None:
    """A change is told to the watches of its own directory and namespace, and to no others."""
    watches = [FileWatch((tmp_path, "a")), FileWatch((tmp_path, "a")), FileWatch((tmp_path, "b"))]
    ears = [Ear() for _ in watches]
    for watch, ear in zip(watches, ears, strict=True):
        watch.watch(ear)
    announce((tmp_path, "a"), StoreEvent("commit", NAME.name, 1), State(committed=1))
    assert [len(ear.heard) for ear in ears] == [1, 1, 0]


def test_the_thread_runs_while_there_are_watchers(watch: FileWatch) -> None:
    """No watcher, no thread; it ends when the last watcher goes, and a new one starts another."""
    watch.start()
    assert watch._thread is None
    watch.wait_for(NAME.name, 5000)
    assert watch._waiting == {}
    end = watch.watch(Ear())
    watch.start()
    thread = watch._thread
    assert thread is not None
    watch.start()
    assert watch._thread is thread
    end()
    thread.join(60)
    assert watch._thread is None
    watch.watch(Ear())
    watch.start()
    assert watch._thread not in (None, thread)


def test_a_store_that_is_forgotten_ends_its_thread(tmp_path: Path) -> None:
    """The thread keeps neither a store nor its watchers alive."""
    watch, ear = FileWatch((tmp_path, "monite")), Ear()
    watch.watch(ear)
    watch.start()
    thread, gone = watch._thread, weakref.ref(watch)
    assert thread is not None
    del watch
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
    assert gone() is None


def test_no_thread_to_watch_with(watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads, that is a ``StoreError``, and the next operation tries again."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    watch.watch(Ear())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(StoreError, match="no thread"):
            watch.start()
    watch.start()
    assert watch._thread is not None


def test_a_forked_child_watches_by_itself(watch: FileWatch) -> None:
    """T12: if the parent had a thread, the child starts one, which begins when everything else is ready; else none."""
    watch.after_fork_in_child()
    assert watch._thread is None
    reader, ear = Reader(), Ear(NAME)
    reader.states[NAME.name] = State(committed=5)
    watch.watch(ear)
    watch.start()
    parents = watch._thread
    watch._waiting[OTHER.name] = time.monotonic() + 60
    watch.after_fork_in_child()
    assert watch._thread not in (None, parents)
    assert OTHER.name not in watch._waiting
    watch.read_with(reader)
    ear.wait_for("commit")


async def test_another_process_is_heard(tmp_path: Path) -> None:
    """T18: a revocation by another process reaches a process that uses the record and does nothing else."""
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    ear, another = Ear(NAME), records_in(tmp_path)
    end = store.watch(ear)
    await store.acquire(OTHER, "a", lease_ms=1, bad_gen=0, min_left_ms=0)
    gen = await asyncio.to_thread(store_value, another)
    await asyncio.to_thread(ear.wait_for, "commit")
    await asyncio.to_thread(another.invalidate, NAME, gen)
    await asyncio.to_thread(ear.wait_for, "invalid")
    await asyncio.to_thread(another.purge, NAME)
    await asyncio.to_thread(ear.wait_for, "purge")
    assert StoreEvent("invalid", NAME.name, gen) in ear.heard
    end()


async def test_a_waiter_is_woken(tmp_path: Path) -> None:
    """R27: one that was told ``Busy`` hears when the holder gives the lease back, long before the lease runs out."""
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    ear, another = Ear(), records_in(tmp_path)
    end = store.watch(ear)
    assert isinstance(await asyncio.to_thread(ask, another, "holder"), Granted)
    answer = await store.acquire(NAME, "waiter", lease_ms=600_000, bad_gen=0, min_left_ms=0)
    assert isinstance(answer, Busy)
    await asyncio.to_thread(another.fail, NAME, "holder", "", ttl_ms=0)
    await asyncio.to_thread(ear.wait_for, "fail")
    assert isinstance(await until(store, Granted), Granted)
    end()


async def test_another_keyring_is_another_deployment(tmp_path: Path) -> None:
    """A commit by one that shares a key is told, by one that shares none it is not; a revocation is told in any case."""
    mine, shared, foreign = (Keyring(letter * 32) for letter in "abc")
    both = Keyring("b" * 32, "a" * 32)
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path, keyring=mine)
    here = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path, keyring=foreign)
    ear = Ear(NAME)
    end = store.watch(ear)
    await store.acquire(OTHER, "a", lease_ms=1, bad_gen=0, min_left_ms=0)
    stranger = await asyncio.to_thread(records_in, tmp_path, keyring=shared)
    gen = await asyncio.to_thread(store_value, stranger)
    granted = await here.acquire(NAME, "here", lease_ms=60_000, bad_gen=gen, min_left_ms=0)
    assert isinstance(granted, Granted)
    assert granted.gen > gen
    await here.commit(NAME, "here", granted.gen, b"value", lifetime_ms=60_000, left_ms=60_000)
    await here.invalidate(NAME, granted.gen)
    await asyncio.to_thread(ear.wait_for, "invalid")
    assert "commit" not in {event.kind for event in ear.heard}
    friend = await asyncio.to_thread(records_in, tmp_path, keyring=both)
    await asyncio.to_thread(store_value, friend)
    assert "commit" not in {event.kind for event in ear.heard}, "it writes with a key that is not known here"
    same = await asyncio.to_thread(records_in, tmp_path, keyring=mine)
    await asyncio.to_thread(store_value, same, bad_gen=2**45)
    await asyncio.to_thread(ear.wait_for, "commit")
    end()
    for each in (store, here):
        await each.aclose()
