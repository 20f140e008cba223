"""Token files among real processes: no torn read, nothing lost to SIGKILL, one token for all (T12, T14, T15, T21)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monite_async_stores import (
    Busy,
    Committed,
    EncryptedFileTokenStore,
    Granted,
    Hit,
    RecordName,
    StoreBusyError,
    StoreError,
    _file_jobs,
)
from tests.stores.file_bench import NAME, OTHER, VALUE, Ear, ask, records_in, store_value, until
from tests.stores.file_child import value_of
from tests.stores.file_remote import RemoteProcess
from tests.stores.redis_server import until as poll

_SCRIPT = Path(__file__).with_name("file_child.py")


class Child:
    """A process that runs ``file_child.py``."""

    def __init__(self, task: str, path: Path, *arguments: object) -> None:
        command = [sys.executable, str(_SCRIPT), task, str(path), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> dict[str, Any]:
        """Return the next thing it says."""
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def go(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def children(task: str, path: Path, *arguments: object, count: int) -> Generator[list[Child], None, None]:
    """Run processes, and see that they end as they should, or were killed."""
    started = [Child(task, path, *arguments) for _ in range(count)]
    try:
        yield started
    except BaseException:
        for each in started:
            each.process.kill()
        raise
    finally:
        for each in started:
            each.process.communicate(timeout=60)
    assert {each.process.returncode for each in started} <= {0, -signal.SIGKILL}


@contextmanager
def child(task: str, path: Path, *arguments: object) -> Generator[Child, None, None]:
    """Run one process."""
    with children(task, path, *arguments, count=1) as started:
        yield started[0]


def test_no_read_is_torn(tmp_path: Path) -> None:
    """T21: four processes that read while another writes see every value whole, and never an older one after a newer."""
    store_value(records_in(tmp_path), value_of(0))
    count = 400
    with children("read", tmp_path, count, count=4) as readers, child("write", tmp_path, count) as writer:
        assert writer.hear() == {"written": count}
        for reader in readers:
            report = reader.hear()
            assert report["reads"] > 0
            assert (report["torn"], report["back"]) == (0, 0)


@pytest.mark.parametrize(
    ("operation", "found", "refused"),
    [
        ("acquire", {"old"}, {"Granted"}),
        ("commit", {"old", "new"}, {"Granted"}),
        ("fail", {"old"}, {"Granted", "Negative"}),
        ("invalidate", {"old", "Granted"}, {"Granted"}),
        ("purge", {"old", "Granted"}, {"Granted"}),
    ],
)
def test_a_process_may_die_anywhere(tmp_path: Path, operation: str, found: set[str], refused: set[str]) -> None:
    """T21: killed before any line of an operation, a process leaves the old or the new, and a lease that is free.

    The lease is for ten minutes: whoever got it at once got it because its holder is dead.
    """
    with child("survive", tmp_path, operation) as runner:
        report = runner.hear()
    assert report["lines"] > 40
    assert set(report["found"]) == found
    assert set(report["refused"]) == refused


def test_a_writer_killed_at_any_time_leaves_a_value(tmp_path: Path) -> None:
    """T21: whenever the kernel stops a writer for good, the next reader gets a whole value and can write at once."""
    records = records_in(tmp_path)
    gen = store_value(records, value_of(1))
    for _ in range(5):
        with child("litter", tmp_path) as writer:
            assert writer.hear() == {"begun": True}
            answer = ask(records)
            while isinstance(answer, Hit) and answer.gen <= gen + 20:
                answer = ask(records)
            writer.process.kill()
        answer = ask(records)
        assert isinstance(answer, Hit)
        assert answer.value == value_of(int(answer.value[:6]))
        gen = store_value(records, value_of(1), bad_gen=answer.gen)


async def test_a_dead_holder_keeps_nobody_waiting(tmp_path: Path) -> None:
    """T14: when the holder of a lease is killed, who waits for it is told, and gets a lease that had minutes to go."""
    holder = await asyncio.to_thread(RemoteProcess)
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    ear = Ear()
    end = store.watch(ear)
    remote = holder.open(tmp_path)
    granted = await remote.acquire(NAME, "holder", lease_ms=600_000, bad_gen=0, min_left_ms=0)
    assert isinstance(granted, Granted)
    waiting = await store.acquire(NAME, "waiter", lease_ms=600_000, bad_gen=0, min_left_ms=0)
    assert isinstance(waiting, Busy)
    assert waiting.left_ms > 500_000
    await asyncio.to_thread(holder.kill)
    await asyncio.to_thread(ear.wait_for, "fail")
    answer = await store.acquire(NAME, "waiter", lease_ms=600_000, bad_gen=0, min_left_ms=0)
    assert isinstance(answer, Granted)
    assert answer.gen > granted.gen
    end()
    await asyncio.to_thread(holder.close)


async def test_a_stopped_holder_is_overtaken(tmp_path: Path) -> None:
    """T15: a holder that sleeps past its lease finds the newer value when it wakes, and cannot overwrite it."""
    holder = await asyncio.to_thread(RemoteProcess)
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    remote = holder.open(tmp_path)
    late = await remote.acquire(NAME, "holder", lease_ms=200, bad_gen=0, min_left_ms=0)
    assert isinstance(late, Granted)
    holder.process.send_signal(signal.SIGSTOP)
    newer = await until(store, Granted)
    assert isinstance(newer, Granted)
    assert await store.commit(NAME, "waiting", newer.gen, b"newer", lifetime_ms=60_000, left_ms=60_000) == Committed()
    holder.process.send_signal(signal.SIGCONT)
    answer = await remote.commit(NAME, "holder", late.gen, b"older", lifetime_ms=60_000, left_ms=60_000)
    assert isinstance(answer, Hit)
    assert (answer.gen, answer.value) == (newer.gen, b"newer")
    await asyncio.to_thread(holder.close)


def test_a_process_stopped_inside_a_section(tmp_path: Path) -> None:
    """One that stops while it holds a record's lock keeps nobody from reading; writing fails in time, until it goes on."""
    records = records_in(tmp_path)
    gen = store_value(records)
    with child("hold", tmp_path) as holder:
        assert holder.hear() == {"held": True}
        assert isinstance(ask(records), Hit)
        with pytest.raises(StoreError, match="another process kept the lock"):
            ask(records, bad_gen=gen)
        holder.go()
        holder.process.wait(60)
        assert isinstance(ask(records, bad_gen=gen), Granted)


async def test_a_stopped_process_holds_up_only_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: while a stopped process holds the locks of eight records, all others are served, and then those too."""
    monkeypatch.setattr(_file_jobs, "_PATIENCE", 600.0)
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    held = [RecordName(f"{number:032x}", b"client secret") for number in range(8)]
    healthy = [RecordName(f"{number:032x}", b"client secret") for number in range(8, 28)]

    async def use(record: RecordName) -> object:
        return await store.acquire(record, "a", lease_ms=600_000, bad_gen=0, min_left_ms=0)

    holder = await asyncio.to_thread(Child, "hold", tmp_path, *(record.name for record in held))
    assert await asyncio.to_thread(holder.hear) == {"held": True}
    holder.process.send_signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(use(record)) for record in held]
    answers = await asyncio.gather(*(use(record) for record in healthy))
    assert {type(answer) for answer in answers} == {Granted}
    assert not any(task.done() for task in waiting)
    monkeypatch.setattr(_file_jobs, "_PATIENCE", 0.01)
    with pytest.raises(StoreError, match="another process kept the lock") as caught:
        await asyncio.gather(*waiting)
    assert not isinstance(caught.value, StoreBusyError), "nobody knows when it goes on: do without it"
    await asyncio.gather(*waiting, return_exceptions=True)
    holder.process.send_signal(signal.SIGCONT)
    await asyncio.to_thread(holder.process.communicate, "\n", 60)
    assert isinstance(await use(held[0]), Granted)
    await store.aclose()


def test_many_processes_and_threads_fetch_one_token(tmp_path: Path) -> None:
    """T21: four processes with four event loops each, at the same moment on one key: one POST, one token for all."""
    posts, path = tmp_path / "posts", tmp_path / "tokens"
    with children("share", path, posts, count=4) as workers:
        for worker in workers:
            assert worker.hear() == {"ready": True}
        for worker in workers:
            worker.go()
        reports = [worker.hear() for worker in workers]
    assert posts.read_bytes() == b"."
    assert len({tuple(report["tokens"]) for report in reports}) == 1
    assert all(len(report["tokens"]) == 1 and report["degraded"] == 0 for report in reports)


def test_a_forked_child_is_a_process_of_its_own(tmp_path: Path) -> None:
    """T12: a child keeps none of its parent's locks, hears of changes by itself, and gets leases of its own."""
    records = records_in(tmp_path)
    gen = store_value(records, name=OTHER)
    with child("fork", tmp_path) as parent:
        assert parent.hear() == {"parent": "Granted"}
        assert isinstance(ask(records), Busy)
        os.kill(parent.process.pid, signal.SIGKILL)
        parent.process.wait(60)
        poll(lambda: isinstance(ask(records), Granted), "the lease of the dead parent, which the child must not keep")
        records.invalidate(OTHER, gen)
        heard = parent.hear()
        assert heard["heard"] == "invalid"
        assert heard["pid"] != parent.process.pid
        parent.go()
        assert parent.hear() == {"child": "Granted"}
        assert isinstance(ask(records, name=OTHER), Granted)
        records.commit(NAME, "b", 2**50, VALUE, lifetime_ms=60_000, left_ms=60_000)
