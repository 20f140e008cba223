"""The file store passes the suite of all stores: in one process, in two, on Windows' locks and without any locks."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from monite_async_stores import TokenStore, _file
from monite_async_stores._file_lock import Locking, MsvcrtLocking
from monite_async_stores.testing import RULES, Bench, Rule, check
from tests.stores.file_bench import FileBench, MovableClock
from tests.stores.file_remote import RemoteProcess

guarded = pytest.mark.usefixtures("no_blocking_calls")


class FakeMsvcrt:
    """Windows' ``msvcrt.locking`` of byte 0, on the locks of this machine: they too belong to the opened file."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, fd: int, mode: int, count: int) -> None:
        assert (os.lseek(fd, 0, os.SEEK_CUR), count) == (0, 1)
        try:
            fcntl.flock(fd, fcntl.LOCK_UN if mode == self.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None


def _windows_locking() -> Locking:
    fake = FakeMsvcrt()
    return MsvcrtLocking(fake.locking, fake.LK_NBLCK, fake.LK_UNLCK)


def _check_in(path: Path, rule: Rule) -> None:
    clock = MovableClock()
    check(rule, lambda: FileBench(path, clock))


@guarded
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_two_stores_in_one_process(rule: Rule, tmp_path: Path) -> None:
    """Two stores on one directory in one process keep every rule, though they share nothing but files."""
    _check_in(tmp_path, rule)


@guarded
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_locks_as_windows_has_them(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: every rule holds where only the first byte of a file can be locked, and only exclusively."""
    locking = _windows_locking()
    monkeypatch.setattr(_file, "system_locking", lambda: locking)
    _check_in(tmp_path, rule)


@guarded
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_filesystem_without_locks(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: where files cannot be locked, the threads of one process still keep every rule among themselves."""

    def excludes(_locking: Locking, _path: Path) -> bool:
        return False

    monkeypatch.setattr(_file, "excludes", excludes)
    _check_in(tmp_path, rule)


class ProcessBench(Bench):
    """The suite on two handles in two processes."""

    def __init__(self, path: Path, processes: list[RemoteProcess]) -> None:
        super().__init__()
        self.path = path
        self.processes = processes

    async def open(self) -> TokenStore:
        process = self.processes[len(self._opened) % len(self.processes)]
        return process.open(self.path / "tokens")

    async def pass_time(self, seconds: float) -> None:
        for process in self.processes:
            process.advance(seconds)
        await asyncio.sleep(min(seconds, 0.05))


@pytest.fixture(scope="module")
def processes() -> Iterator[list[RemoteProcess]]:
    """Start two processes for all rules."""
    started = [RemoteProcess(), RemoteProcess()]
    yield started
    for process in started:
        process.close()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_two_processes(rule: Rule, tmp_path: Path, processes: list[RemoteProcess]) -> None:
    """Two processes on one directory keep every rule."""
    check(rule, lambda: ProcessBench(tmp_path, processes))
