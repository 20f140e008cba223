"""The directory that token files live in: who may use it, and how files in it are read and replaced."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from monite_async_stores._file_lock import OPEN_FLAGS
from monite_async_stores._protocol import StoreError

__all__ = ["Suffix", "TokenDirectory", "TokenDirectoryError", "write_all"]

_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)  # a FIFO that somebody put here must not hold a thread
_MAX_CONTENT = 1 << 20
_PROBE = "probe"
_PROBE_BYTES = 4096
_PATIENCE = 0.5
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[0-9a-f]{32}")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

T = TypeVar("T")
Suffix = str


class TokenDirectoryError(ValueError):
    """A directory cannot keep tokens; the message says why and what to do.

    Attributes:
        directory: Which directory.
    """

    def __init__(self, directory: Path, trouble: str) -> None:
        super().__init__(directory, trouble)
        self.directory = directory
        self._trouble = trouble

    def __str__(self) -> str:
        return f"the token directory {self.directory} {self._trouble}"


class TokenDirectory:
    """Files by name and suffix in one directory of this user's own.

    Args:
        path: The directory; ``~`` is the user's home. It is made, with mode 0700, when it is missing.
        namespace: Begins every file name.
        windows: Whether replacing or reading a file fails while another process has it open, and users have no ids.

    Raises:
        TokenDirectoryError: The directory cannot be used.
        ValueError: The namespace cannot begin a file name, or the path is empty.
    """

    __slots__ = ("_namespace", "_windows", "path")

    def __init__(self, path: str | os.PathLike[str], namespace: str, *, windows: bool = os.name == "nt") -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise ValueError(f"namespace must be 1 to 64 letters, digits, '_' or '-', got {namespace!r}")
        if not os.fspath(path):
            raise ValueError("the token directory must have a name: an empty one would be the working directory")
        self._namespace = namespace
        self._windows = windows
        self.path = Path(path)
        try:
            self.path = Path(path).expanduser().absolute()
            self._make()
        except RuntimeError:
            raise TokenDirectoryError(
                self.path, "has no home: the user's home is not known; give a full path"
            ) from None
        except OSError as exc:
            raise TokenDirectoryError(self.path, _advice(exc)) from None

    def _make(self) -> None:
        """Make the directory if need be, and see that it will do."""
        if not os.path.lexists(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        trouble = self._trouble()
        if trouble:
            raise TokenDirectoryError(self.path, trouble)

    def probe(self, question: Callable[[Path], T]) -> T:
        """Write a file as big as a block, ask a question about it, remove it, and return the answer.

        Raises:
            TokenDirectoryError: No such file can be written.
        """
        try:
            path = self._write_temporary(_PROBE, bytes(_PROBE_BYTES))
            try:
                return question(path)
            finally:
                path.unlink()
        except OSError as exc:
            raise TokenDirectoryError(self.path, _advice(exc)) from None

    def check(self) -> None:
        """See that the directory is still what it was; make it anew if it is gone.

        Raises:
            StoreError: It is something else now, or others may write there.
            OSError: It cannot be looked at or made.
        """
        try:
            trouble = self._trouble()
        except FileNotFoundError:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            trouble = self._trouble()
        if trouble:
            raise StoreError(f"the token directory {trouble}")

    def _trouble(self) -> str:
        """Return what is wrong with the directory and how to mend it, or nothing."""
        found = self.path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return "is a symbolic link: give the directory that it points to"
        if not stat.S_ISDIR(found.st_mode):
            return "is not a directory: remove it, or give another"
        if self._windows:
            return ""
        if found.st_uid != os.geteuid():
            return f"belongs to user {found.st_uid}, and this process runs as {os.geteuid()}: give one of its own"
        if found.st_mode & _OTHERS_WRITE:
            mode = stat.S_IMODE(found.st_mode)
            return f"can be written by others (mode {mode:04o}): run chmod 700, or give another"
        return ""

    def at(self, name: str, suffix: Suffix) -> Path:
        """Return the path of a file.

        Raises:
            StoreError: The name is not one of a record.
        """
        if not _NAME.fullmatch(name):
            raise StoreError("a record's name must be 32 lower-case hex characters")
        return self.path / f"{self._namespace}-{name}{suffix}"

    def filenames(self) -> Generator[str, None, None]:
        """Yield the names of all files in the directory, strangers' too; close it if you leave it before its end."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                yield entry.name

    def parts(self, filename: str) -> tuple[str, Suffix] | None:
        """Return a record's (or a process's) name and the suffix, ``.tmp`` for what a writer has yet to bring to an end.

        None for a stranger.
        """
        start = f"{self._namespace}-"
        if not filename.startswith(start):
            return None
        stem, dot, suffix = filename.removeprefix(start).rpartition(".")
        name = stem.partition(".")[0] if suffix == "tmp" else stem
        is_one = _NAME.fullmatch(name) or (name, suffix) == (_PROBE, "tmp")
        return (name, dot + suffix) if is_one else None

    def read(self, path: Path, *, offset: int = 0, size: int = _MAX_CONTENT) -> bytes | None:
        """Return what a file holds, or None when there is none; needs no lock, since files are replaced whole.

        Raises:
            OSError: It cannot be read.
        """
        try:
            fd = self._patiently(lambda: os.open(path, os.O_RDONLY | _NONBLOCK | OPEN_FLAGS))
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ELOOP):  # a symbolic link is nobody's value; a write replaces it
                return None
            raise
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, size)
        except OSError as exc:
            if exc.errno == errno.ESPIPE:
                return None
            raise
        finally:
            os.close(fd)

    def replace(self, path: Path, content: bytes) -> None:
        """Make a file hold this; whoever reads it gets the old content or the new one, whole.

        Nothing is flushed to the disk: after a loss of power a torn file does not open, which is a miss.

        Raises:
            OSError: It cannot be written; the old file is as it was.
        """
        temporary = self._write_temporary(path.stem.removeprefix(f"{self._namespace}-"), content)
        try:
            self._patiently(lambda: temporary.replace(path))
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def remove(self, path: Path) -> None:
        """Remove a file if there is one."""
        with suppress(FileNotFoundError):
            self._patiently(path.unlink)

    def _write_temporary(self, stem: str, content: bytes) -> Path:
        path = self.path / f"{self._namespace}-{stem}.{secrets.token_hex(8)}.tmp"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN_FLAGS, 0o600)
        try:
            write_all(fd, content)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(fd)
        return path

    def _patiently(self, call: Callable[[], T]) -> T:
        """On Windows a file cannot be opened, replaced or removed in the instant in which another process has it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return call()
            except PermissionError:
                if not self._windows or time.monotonic() >= deadline:
                    raise
                time.sleep(0.002)


def write_all(fd: int, content: bytes) -> None:
    """Write every byte, where a write may take fewer.

    Raises:
        OSError: The disk is full, or the like.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _advice(exc: OSError) -> str:
    if exc.errno == errno.EROFS:
        return "is on a read-only filesystem: give another"
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "is on a full disk, or the user's quota is used up: make room, or give another"
    if exc.errno in (errno.EACCES, errno.EPERM):
        return "cannot be written by this user: run chmod u+rwx, or give another"
    return f"cannot be used: {exc.strerror or type(exc).__name__}; give another"
