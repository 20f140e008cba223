"""Tokens in sealed files: for command-line tools, cron jobs, and workers of one machine without a Redis."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

from monite_async_stores._bootclock import BootClock, SystemBootClock
from monite_async_stores._file_directory import TokenDirectory
from monite_async_stores._file_jobs import Steps
from monite_async_stores._file_lock import Locking, NoLocking, excludes, system_locking
from monite_async_stores._file_pool import FilePool
from monite_async_stores._file_records import FileRecords
from monite_async_stores._file_watch import FileWatch, announce
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    Resealed,
    StoreBusyError,
    StoredRecord,
    StoreError,
    StoreEvent,
    Watcher,
)
from monite_async_stores._sealing import Keyring, Sealer

__all__ = ["EncryptedFileTokenStore"]

_SWEEP_SECONDS = 3600.0
_DESCRIBED_AT_ONCE = 200

T = TypeVar("T")

_log = logging.getLogger("monite_async_stores")


class EncryptedFileTokenStore:
    """Keeps records in sealed files of one directory, shared by all processes of one user on one machine.

    Each record has a ``<namespace>-<name>.tok`` with the value and a ``.neg`` while a failure to make one is in force,
    both sealed (see ``Keyring``) and replaced whole, and a ``.lock`` with who may make the next value; the last is
    never removed (some 130 bytes per name ever used). A process that is granted leases keeps a ``.live`` file locked:
    when it dies, its leases are free within milliseconds. Lives are kept on the boot clock, so that stepping the wall
    clock changes nothing; a value from before a reboot is trusted by the wall clock, unless that is in its past.

    File calls are made in threads of the store's own, and given up when one takes a second; while there is more to do
    than the threads can, ``StoreBusyError`` asks to come again. Making the store looks at the directory
    and writes there once, in the calling thread, so that a directory that will not do is told at the start. Trouble
    that comes later raises ``StoreError``, and the client goes on with its own memory.

    This process's watchers hear of its own changes at once, and of other processes' about a second after they next
    use the record.

    Args:
        directory: Where the files are; made with mode 0700 if missing. It must be a directory of this user's own that
            nobody else can write, and no symbolic link. ``~`` is the user's home.
        keyring: The keys to seal with; default a key derived from each record's secret.
        namespace: Separates deployments that share a directory: 1 to 64 letters, digits, ``_`` or ``-``.
        clock: Where time comes from; only tests need another than the machine's.

    Raises:
        TokenDirectoryError: The directory cannot be used; the message says what to do. It is a ``ValueError``.
        ValueError: The namespace cannot begin a file name, or the path is empty.
        ImportError: The package ``cryptography`` is not installed.
    """

    __slots__ = ("__weakref__", "_directory", "_is_down", "_pool", "_records", "_sweep_at", "_watch")

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keyring: Keyring | None = None,
        namespace: str = "monite",
        clock: BootClock | None = None,
    ) -> None:
        sealer = Sealer(namespace, keyring)
        self._directory = TokenDirectory(directory, namespace)
        place = (self._directory.path, namespace)
        self._watch = FileWatch(place)
        self._records = FileRecords(
            self._directory, sealer, _usable(self._directory), clock or SystemBootClock(), partial(announce, place)
        )
        self._watch.read_with(self._records)
        self._pool = FilePool()
        self._is_down = False
        self._sweep_at = 0.0

    def __repr__(self) -> str:
        directory = getattr(self, "_directory", None)  # not there yet while the constructor fails
        return f"<EncryptedFileTokenStore {'of nothing' if directory is None else directory.path}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token store holds keys and cannot be pickled")

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """See ``TokenStore.acquire``."""
        call = partial(
            self._records.acquire, record, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms
        )
        answer: Hit | Negative | Granted | Busy = await self._run(
            call, undo=partial(_give_back, self._records, record, owner), urgent=False
        )
        if isinstance(answer, Busy):
            self._watch.wait_for(record.name, answer.left_ms)
        return answer

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """See ``TokenStore.commit``."""
        return await self._run(
            partial(self._records.commit, record, owner, gen, value, lifetime_ms=lifetime_ms, left_ms=left_ms)
        )

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """See ``TokenStore.fail``."""
        await self._run(partial(self._records.fail, record, owner, kind, ttl_ms=ttl_ms))

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        """See ``TokenStore.invalidate``."""
        return await self._run(partial(self._records.invalidate, record, gen))

    async def purge(self, record: RecordName) -> None:
        """See ``TokenStore.purge``."""
        await self._run(partial(self._records.purge, record))

    async def names(self) -> list[str]:
        """See ``InspectableStore.names``."""
        return await self._run(self._records.names)

    async def describe(self, names: Sequence[str]) -> list[StoredRecord]:
        """See ``InspectableStore.describe``."""
        found: list[StoredRecord] = []
        for start in range(0, len(names), _DESCRIBED_AT_ONCE):
            found += await self._run(partial(self._records.describe, names[start : start + _DESCRIBED_AT_ONCE]))
        return found

    async def reseal(self, record: RecordName) -> Resealed:
        """See ``InspectableStore.reseal``."""
        return await self._run(partial(self._records.reseal, record))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """See ``TokenStore.watch``; the thread that reads for watchers starts with the next operation."""
        return self._watch.watch(watcher)

    async def aclose(self) -> None:
        """Let threads end, and let go of the ``.live`` file unless another loop of this process holds a lease."""
        with suppress(StoreError):
            await self._pool.run(self._records.rest, urgent=True)
        self._pool.retire()

    async def _run(self, call: Callable[[], T], *, undo: Callable[[T], None] | None = None, urgent: bool = True) -> T:
        """Make a call in a thread; whatever it raises is a ``StoreError`` here.

        Asking for a lease is the one thing that is not urgent: a crowd that asks must not hold up what it waits for.
        """
        try:
            self._watch.start()
            self._sweep_now_and_then()
            result = await self._pool.run(call, undo=undo, urgent=urgent)
        except StoreBusyError:
            raise
        except StoreError:
            self._is_down = True
            raise
        except Exception as exc:  # noqa: BLE001 - the caller goes on without the store, whatever is wrong with it
            self._is_down = True
            raise StoreError(f"the token directory failed: {_short(exc)}") from None
        if self._is_down:
            self._is_down = False
            self._watch.hear(StoreEvent("recovered", "", 0))
        return result

    def _sweep_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            self._pool.submit(Steps(self._records.sweep()), urgent=False)


def _usable(directory: TokenDirectory) -> Locking:
    """Return locks that work in this directory; without any, processes do not see each other's leases in time."""
    locking = system_locking()
    if directory.probe(partial(excludes, locking)):
        return locking
    _log.warning(
        "file locks do not work in the token directory %s: processes may fetch the same token at the same time; "
        "use a directory on a local disk",
        directory.path,
    )
    return NoLocking()


def _give_back(records: FileRecords, record: RecordName, owner: str, answer: Hit | Negative | Granted | Busy) -> None:
    """Give a lease back that was granted to nobody, because its caller is gone."""
    if isinstance(answer, Granted):
        records.fail(record, owner, "", ttl_ms=0)


def _short(exc: Exception) -> str:
    """Return what went wrong, without paths and contents."""
    code = errno.errorcode.get(exc.errno or 0, "") if isinstance(exc, OSError) else ""
    return f"{type(exc).__name__} {code}".rstrip()
