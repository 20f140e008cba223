"""Locks on files, and how a process shows others that it lives.

A lock protects a critical section of microseconds. It is never held while a value is being made: the lease for that is
a few numbers in the locked file (see ``_file_records``), because a lock cannot be taken from a process that is alive
and asleep, and a lease must run out.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import StoreError

__all__ = [
    "FILES",
    "FileLocks",
    "Flock",
    "LockTakenError",
    "Locking",
    "MsvcrtLocking",
    "NoLocking",
    "Pulse",
    "excludes",
    "system_locking",
]

_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)
OPEN_FLAGS = _NOFOLLOW | _CLOEXEC | _BINARY
"""What every file here is opened with: no symbolic link is followed, and no child program inherits it."""

_STRIPES = 64


class Locking(Protocol):
    """Advisory locks of whole files, as the platform has them; they end with the process at the latest."""

    def try_lock(self, fd: int, *, shared: bool = False) -> bool:
        """Lock an open file if that is possible at once, and tell whether it was."""
        ...

    def unlock(self, fd: int) -> None:
        """Unlock a file; also for duplicates of it that a fork left elsewhere."""
        ...


if sys.platform != "win32":
    import fcntl

    class Flock:
        """Locks by flock(2): they belong to the opened file, so two openings in one process exclude each other too."""

        __slots__ = ()

        def try_lock(self, fd: int, *, shared: bool = False) -> bool:
            """See ``Locking.try_lock``."""
            try:
                fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def unlock(self, fd: int) -> None:
            """See ``Locking.unlock``."""
            fcntl.flock(fd, fcntl.LOCK_UN)


class MsvcrtLocking:
    """Locks of the first byte by ``msvcrt.locking`` (Windows); all of them are exclusive.

    Args:
        locking: ``msvcrt.locking``.
        try_mode: ``msvcrt.LK_NBLCK``.
        unlock_mode: ``msvcrt.LK_UNLCK``.
    """

    __slots__ = ("_locking", "_try_mode", "_unlock_mode")

    def __init__(self, locking: Callable[[int, int, int], None], try_mode: int, unlock_mode: int) -> None:
        self._locking = locking
        self._try_mode = try_mode
        self._unlock_mode = unlock_mode

    def try_lock(self, fd: int, *, shared: bool = False) -> bool:
        """See ``Locking.try_lock``."""
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            self._locking(fd, self._try_mode, 1)
        except PermissionError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        """See ``Locking.unlock``."""
        os.lseek(fd, 0, os.SEEK_SET)
        self._locking(fd, self._unlock_mode, 1)


class NoLocking:
    """For a filesystem without locks: the threads of this process exclude each other, processes do not."""

    __slots__ = ()

    def try_lock(self, fd: int, *, shared: bool = False) -> bool:
        """See ``Locking.try_lock``."""
        return True

    def unlock(self, fd: int) -> None:
        """See ``Locking.unlock``."""


def system_locking() -> Locking:
    """Return the locks of this platform."""
    if sys.platform == "win32":
        import msvcrt

        return MsvcrtLocking(msvcrt.locking, msvcrt.LK_NBLCK, msvcrt.LK_UNLCK)
    return Flock()


def excludes(locking: Locking, path: Path) -> bool:
    """Tell whether locks work where this file is: some filesystems refuse them, some only pretend."""
    first, second = FILES.open(path, os.O_RDWR), FILES.open(path, os.O_RDWR)
    try:
        return locking.try_lock(first) and not locking.try_lock(second)
    except OSError:
        return False
    finally:
        # Closing is enough, and unlocking a file that was never locked is an error on Windows.
        FILES.close(second)
        FILES.close(first)


class _OpenFiles:
    """The open files that carry locks. A forked child closes its copies at once, or it would keep the locks alive."""

    __slots__ = ("__weakref__", "_fds")

    def __init__(self) -> None:
        self._fds: set[int] = set()
        renew_after_fork(self)

    def open(self, path: Path, flags: int) -> int:
        fd = os.open(path, flags | OPEN_FLAGS, 0o600)
        self._fds.add(fd)
        return fd

    def close(self, fd: int) -> None:
        self._fds.discard(fd)  # before the number can be given to another file
        os.close(fd)

    def after_fork_in_child(self) -> None:
        for fd in self._fds:
            with suppress(OSError):
                os.close(fd)
        self._fds.clear()


class _Stripes:
    """Locks among the threads of this process, one per name but for collisions: they spare the files' locks a crowd."""

    __slots__ = ("__weakref__", "_locks")

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def of(self, path: Path) -> threading.Lock:
        return self._locks[hash(path) % _STRIPES]

    def after_fork_in_child(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_STRIPES))


FILES = _OpenFiles()
_STRIPED = _Stripes()


class LockTakenError(StoreError):
    """Somebody is in a section just now; whoever wants to be in one tries again a little later."""


class FileLocks:
    """Critical sections among all threads of all processes, which nobody waits for in here.

    Sections take microseconds, but a process can be stopped in the middle of one, and a thread that waited for it would
    be missing for all other records.

    Args:
        locking: How files are locked.
    """

    __slots__ = ("_locking",)

    def __init__(self, locking: Locking) -> None:
        self._locking = locking

    @contextmanager
    def hold(self, path: Path) -> Generator[int, None, None]:
        """Hold the lock of a file, which is created if missing, and yield its descriptor.

        Raises:
            LockTakenError: Somebody else holds it.
            OSError: The file cannot be opened or locked.
        """
        stripe = _STRIPED.of(path)
        if not stripe.acquire(blocking=False):
            raise LockTakenError("another thread kept the lock of a record")
        try:
            fd = self._open_locked(path)
            try:
                yield fd
            finally:
                self._let_go(fd)
        finally:
            stripe.release()

    def _open_locked(self, path: Path) -> int:
        """Open and lock; once more when somebody removed the file meanwhile, since others would lock another one."""
        while True:
            fd = FILES.open(path, os.O_RDWR | os.O_CREAT)
            try:
                self._lock(fd)
                if _is_at(fd, path):
                    return fd
            except BaseException:
                FILES.close(fd)
                raise
            self._let_go(fd)

    def _lock(self, fd: int) -> None:
        if not self._locking.try_lock(fd):
            raise LockTakenError("another process kept the lock of a record")

    def _let_go(self, fd: int) -> None:
        # Closing would not be enough: a child forked a moment ago may still have a copy of the descriptor.
        try:
            self._locking.unlock(fd)
        finally:
            FILES.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:  # on Windows an open file cannot be removed
        return os.name == "nt" or os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


class Pulse:
    """Shows other processes whether the one that holds a lease is alive.

    A store that is granted leases keeps one file locked for as long as it lives; the kernel frees that lock within
    milliseconds of the process's death, however it dies. The file has a random name that nobody uses again, so
    removing a dead one is safe, now or later.

    Args:
        path_of: The path of the file of a process id.
        locking: How files are locked.
        tells: Whether locks work here; if not, everyone counts as alive, and leases end by running out.
    """

    __slots__ = ("__weakref__", "_end", "_id", "_lock", "_locking", "_path_of", "_tells")

    def __init__(self, path_of: Callable[[bytes], Path], locking: Locking, *, tells: bool) -> None:
        self._path_of = path_of
        self._locking = locking
        self._tells = tells
        self._lock = threading.Lock()
        self._id = secrets.token_bytes(16)
        self._end: weakref.finalize[[int], Pulse] | None = None
        renew_after_fork(self)

    def beat(self) -> bytes:
        """Make sure that the file is there and locked; return the id that it stands for.

        Raises:
            OSError: It cannot be created.
        """
        with self._lock:
            if self._end is not None and not self._path_of(self._id).exists():
                self._stop()  # somebody cleaned up: nobody could tell that this process lives
            if self._end is None and self._tells:
                fd = FILES.open(self._path_of(self._id), os.O_RDWR | os.O_CREAT | os.O_EXCL)
                self._end = weakref.finalize(self, FILES.close, fd)
                self._locking.try_lock(fd)
            return self._id

    def is_alive(self, process: bytes) -> bool:
        """Tell whether the process with this id lives."""
        if not self._tells:
            return True
        try:
            fd = FILES.open(self._path_of(process), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not self._locking.try_lock(fd, shared=True):
                return True
            self._locking.unlock(fd)
            return False
        finally:
            FILES.close(fd)

    def stop(self) -> None:
        """Remove the file; the next beat makes another one."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None
            with suppress(OSError):
                self._path_of(self._id).unlink()
            self._id = secrets.token_bytes(16)

    def after_fork_in_child(self) -> None:
        """Become another process: the file is the parent's, and stays."""
        self._lock = threading.Lock()
        self._id = secrets.token_bytes(16)
        if self._end is not None:
            self._end.detach()
            self._end = None
