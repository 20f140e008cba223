"""Critical sections among threads and processes, and how a process shows that it lives (R27)."""

from __future__ import annotations

import gc
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from monite_async_stores import Busy, Granted, Hit, RecordName, StoreEvent
from monite_async_stores import _file_lock as module
from monite_async_stores._file_directory import TokenDirectory
from monite_async_stores._file_format import State
from monite_async_stores._file_lock import (
    FILES,
    FileLocks,
    Flock,
    LockTakenError,
    MsvcrtLocking,
    NoLocking,
    Pulse,
    excludes,
)
from monite_async_stores._file_records import FileRecords, _View
from monite_async_stores._sealing import Sealer
from tests.stores.file_bench import NAME, MovableClock, ask, records_in, store_value

LOCK = f"monite-{NAME.name}.lock"


def _open(path: Path) -> int:
    return FILES.open(path, os.O_RDWR | os.O_CREAT)


def test_two_openings_exclude_each_other(tmp_path: Path) -> None:
    """A lock belongs to the opened file, so it works within one process as between two; shared ones go together."""
    locking, path = Flock(), tmp_path / "file"
    first, second, third = _open(path), _open(path), _open(path)
    assert locking.try_lock(first)
    assert not locking.try_lock(second)
    assert not locking.try_lock(second, shared=True)
    locking.unlock(first)
    assert locking.try_lock(second, shared=True)
    assert locking.try_lock(third, shared=True)
    assert not locking.try_lock(first)
    for fd in (first, second, third):
        FILES.close(fd)


def test_no_locking_refuses_nobody(tmp_path: Path) -> None:
    """Where there are no locks, nothing is asked of the system."""
    locking = NoLocking()
    assert locking.try_lock(-1)
    assert locking.try_lock(-1)
    locking.unlock(-1)


def test_windows_locks_the_first_byte(tmp_path: Path) -> None:
    """``msvcrt.locking`` locks where the file position is: it is set to 0 for each call, and one byte is asked for."""
    calls: list[tuple[int, int, int]] = []
    fd = _open(tmp_path / "file")

    def locking(fd: int, mode: int, count: int) -> None:
        calls.append((mode, count, os.lseek(fd, 0, os.SEEK_CUR)))
        if len(calls) > 2:
            raise PermissionError(13, "Permission denied")

    windows = MsvcrtLocking(locking, 2, 0)
    os.lseek(fd, 99, os.SEEK_SET)
    assert windows.try_lock(fd)
    os.lseek(fd, 99, os.SEEK_SET)
    windows.unlock(fd)
    assert not windows.try_lock(fd)
    assert calls == [(2, 1, 0), (0, 1, 0), (2, 1, 0)]
    FILES.close(fd)


def test_locks_are_tried_before_they_are_trusted(tmp_path: Path) -> None:
    """Some filesystems refuse locks, some only pretend to have them: both count as having none."""

    class Refused(Flock):
        def try_lock(self, fd: int, *, shared: bool = False) -> bool:
            raise OSError(95, "Operation not supported")

    path = tmp_path / "file"
    path.touch()
    assert excludes(Flock(), path)
    assert not excludes(NoLocking(), path)
    assert not excludes(Refused(), path)


def test_sections_do_not_overlap(tmp_path: Path) -> None:
    """Of many threads, one at a time is in a section, also where files cannot be locked."""
    for locking in (Flock(), NoLocking()):
        locks, path, inside, most = FileLocks(locking), tmp_path / "lock", [0], [0]

        def work(
            locks: FileLocks = locks, path: Path = path, inside: list[int] = inside, most: list[int] = most
        ) -> None:
            done = 0
            while done < 20:
                with suppress(LockTakenError), locks.hold(path):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0)
                    inside[0] -= 1
                    done += 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1]


def test_nobody_waits_for_a_section(tmp_path: Path) -> None:
    """Whoever finds a lock taken, by another process or a thread of this one, is told so at once."""
    path = tmp_path / "lock"
    fd = _open(path)
    assert Flock().try_lock(fd)
    with pytest.raises(LockTakenError, match="another process kept"), FileLocks(Flock()).hold(path):
        raise AssertionError("nobody may be here")
    FILES.close(fd)
    with (
        FileLocks(Flock()).hold(path),
        pytest.raises(LockTakenError, match="another thread kept"),
        FileLocks(Flock()).hold(path),
    ):
        raise AssertionError("nobody may be here")
    with FileLocks(Flock()).hold(path):
        pass


def test_nothing_is_left_open_after_trouble(tmp_path: Path) -> None:
    """An error in a section, or on the way into it, leaves no file open and no lock held."""
    locks, path = FileLocks(Flock()), tmp_path / "lock"
    before = set(FILES._fds)
    with pytest.raises(ZeroDivisionError), locks.hold(path):
        raise ZeroDivisionError
    fd = _open(path)
    assert Flock().try_lock(fd)
    with pytest.raises(LockTakenError), locks.hold(path):
        pass
    FILES.close(fd)
    with pytest.raises(FileNotFoundError), locks.hold(tmp_path / "missing" / "lock"):
        pass
    assert set(FILES._fds) == before
    with locks.hold(path):
        pass


def test_a_removed_lock_file_lets_nobody_in_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: one that waited for a file that was removed meanwhile takes the lock of the new one, as all others do."""
    path, opened = tmp_path / "lock", list[int]()
    try_lock = Flock.try_lock

    def remove_first(self: Flock, fd: int, *, shared: bool = False) -> bool:
        opened.append(os.fstat(fd).st_ino)
        if len(opened) <= 2:
            path.unlink()
        if len(opened) == 2:
            path.write_bytes(b"a new one")
        return try_lock(self, fd, shared=shared)

    monkeypatch.setattr(Flock, "try_lock", remove_first)
    with FileLocks(Flock()).hold(path) as fd:
        assert os.fstat(fd).st_ino == path.stat().st_ino
        assert os.read(fd, 99) == b"a new one"
    assert len(opened) == 3


def _pulse(path: Path, locking: module.Locking | None = None, *, tells: bool = True) -> Pulse:
    return Pulse(lambda process: path / process.hex(), locking or Flock(), tells=tells)


def test_a_pulse_shows_who_lives(tmp_path: Path) -> None:
    """Another store sees a process as alive from its first beat until it stops or is gone."""
    mine, other = _pulse(tmp_path), _pulse(tmp_path)
    process = mine.beat()
    assert mine.beat() == process
    assert other.is_alive(process)
    assert mine.is_alive(process), "one's own lease is no dead one's"
    mine.stop()
    mine.stop()
    assert not other.is_alive(process)
    assert list(tmp_path.iterdir()) == []
    again = mine.beat()
    assert again != process, "a name that was given up is never used again"
    assert other.is_alive(again)
    del mine
    gc.collect()
    assert not other.is_alive(again)


def test_a_pulse_is_restored_after_a_cleanup(tmp_path: Path) -> None:
    """When somebody removes the file, the next lease is held under a new one."""
    mine, other = _pulse(tmp_path), _pulse(tmp_path)
    process = mine.beat()
    (tmp_path / process.hex()).unlink()
    assert not other.is_alive(process)
    again = mine.beat()
    assert again != process
    assert other.is_alive(again)


def test_without_locks_everyone_counts_as_alive(tmp_path: Path) -> None:
    """Where locks cannot tell, a lease ends by running out only, and no file is made."""
    pulse = _pulse(tmp_path, NoLocking(), tells=False)
    assert pulse.is_alive(pulse.beat())
    assert pulse.is_alive(bytes(16))
    assert list(tmp_path.iterdir()) == []


def test_a_store_at_rest_keeps_a_lease_in_hand(tmp_path: Path) -> None:
    """Closing for one loop does not end the leases of another; without leases nothing stays open."""
    records = records_in(tmp_path)
    assert isinstance(ask(records, "a"), Granted)
    records.rest()
    assert isinstance(ask(records_in(tmp_path), "b"), Busy)
    records.fail(NAME, "a", "", ttl_ms=0)
    before = len(FILES._fds)
    records.rest()
    assert len(FILES._fds) == before - 1
    assert list(tmp_path.glob("*.live")) == []
    store_value(records)


def test_what_came_before_the_lock_is_taken(tmp_path: Path) -> None:
    """A value that another process stored between the first look and the lock is the answer, not a lease."""

    class Late(FileRecords):
        def _look(self, record: RecordName, owner: str, bad_gen: int, min_left_ms: int) -> _View:
            view = super()._look(record, owner, bad_gen, min_left_ms)
            if view.answer is None:
                store_value(records_in(tmp_path))
            return view

    def tell(event: StoreEvent, state: State) -> None: ...

    late = Late(TokenDirectory(tmp_path, "monite"), Sealer("monite"), Flock(), MovableClock(), tell)
    assert isinstance(ask(late), Hit)


def test_a_lease_that_was_lost_is_forgotten(tmp_path: Path) -> None:
    """A lease that ran out is no reason to keep a file open."""
    records = records_in(tmp_path)
    assert isinstance(ask(records, "a", lease_ms=0), Granted)
    records.rest()
    assert list(tmp_path.glob("*.live")) == []


def test_locks_of_a_lock_file_are_left_behind_for_nobody(tmp_path: Path) -> None:
    """T21: a lock file that a killed process left costs no waiting: what counts is the lock, not the file."""
    records = records_in(tmp_path)
    store_value(records)
    assert (tmp_path / LOCK).exists()
    (tmp_path / LOCK).write_bytes(b"")
    assert isinstance(ask(records_in(tmp_path), "b", bad_gen=2**50), Granted)


def test_a_fork_takes_no_lock_along(tmp_path: Path) -> None:
    """T12: what carries locks is closed in a forked child, also when it was closed a moment before."""
    files = module._OpenFiles()
    fds = [files.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("a", "b")]
    os.close(fds[1])
    files.after_fork_in_child()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert files._fds == set()


def test_a_forked_pulse_is_another_one(tmp_path: Path) -> None:
    """T12: a forked child gives out an id of its own, and leaves its parent's file alone."""
    pulse, other = _pulse(tmp_path), _pulse(tmp_path)
    pulse.after_fork_in_child()
    process = pulse.beat()
    parents_fd = max(FILES._fds)
    pulse.after_fork_in_child()
    assert other.is_alive(process)
    again = pulse.beat()
    assert again != process
    pulse.stop()
    assert other.is_alive(process)
    FILES.close(parents_fd)
    assert not other.is_alive(process)
