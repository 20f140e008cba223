"""The operations of a store on files, one record at a time, for threads that may wait for a disk.

Who holds the lease, and every number that must outlive a value, stands in the record's ``.lock`` file. That file is
locked only while it is read and rewritten, it is never removed by the store, and a reader that finds a good value
touches no lock at all. A lease ends when it is given back, when it runs out, or when the process that holds it is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from monite_async_stores._bootclock import BootClock, Moment
from monite_async_stores._file_directory import TokenDirectory, write_all
from monite_async_stores._file_format import (
    STATE_OFFSET,
    STATE_SIZE,
    Entry,
    Kind,
    Lease,
    State,
    claimed,
    claimed_left_ms,
    key_of,
    open_entry,
    owner_id,
    seal_entry,
)
from monite_async_stores._file_lock import FileLocks, Locking, NoLocking, Pulse
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    Resealed,
    StoredRecord,
    StoreError,
    StoreEvent,
)
from monite_async_stores._sealing import Sealer

__all__ = ["FileRecords", "Tell"]

Tell = Callable[[StoreEvent, State], None]

_LEFTOVER_SECONDS = 60.0
_GARBAGE_SECONDS = 7 * 86400.0
_SLICE = 500
_SUFFIX: dict[Kind, str] = {b"T": ".tok", b"N": ".neg"}


@dataclass(frozen=True, slots=True)
class _View:
    """What is known of a record at one look: the answer if that is one already, and what a lease builds on."""

    answer: Hit | Negative | Busy | None
    stored_gen: int
    state: State


class _Section:
    """A record whose lock is held."""

    __slots__ = ("_fd", "state")

    def __init__(self, fd: int, state: State) -> None:
        self._fd = fd
        self.state = state

    def write(self, state: State) -> None:
        os.lseek(self._fd, STATE_OFFSET, os.SEEK_SET)
        write_all(self._fd, state.pack())
        self.state = state

    def holds(self, owner: str) -> bool:
        """Tell whether the lease is this owner's, be it alive or not."""
        return self.state.lease.owner == owner_id(owner)


class FileRecords:
    """Records in a directory. Every method may block, and may be called from any thread.

    Args:
        directory: Where the files are.
        sealer: Seals what they hold.
        locking: How files are locked there.
        clock: Where time comes from.
        tell: Called after each change, with the event and the state that it led to.
    """

    __slots__ = ("_clock", "_directory", "_granted", "_locks", "_pulse", "_sealer", "_tell")

    def __init__(
        self, directory: TokenDirectory, sealer: Sealer, locking: Locking, clock: BootClock, tell: Tell
    ) -> None:
        self._directory = directory
        self._sealer = sealer
        self._clock = clock
        self._tell = tell
        self._locks = FileLocks(locking)
        self._granted: dict[str, float] = {}
        self._pulse = Pulse(
            lambda process: directory.at(process.hex(), ".live"), locking, tells=not isinstance(locking, NoLocking)
        )

    def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """See ``TokenStore.acquire``."""
        self._directory.check()
        self._sealer.learn(record)
        view = self._look(record, owner, bad_gen, min_left_ms)
        if view.answer is not None:
            return view.answer
        with self._section(record) as section:
            view = self._look(record, owner, bad_gen, min_left_ms)
            if view.answer is not None:
                return view.answer
            now = self._clock.now()
            self._granted[record.name] = time.monotonic() + lease_ms / 1000
            gen = max(now.wall_ms, view.state.high + 1, view.stored_gen + 1, bad_gen + 1)
            lease = Lease(owner_id(owner), self._pulse.beat(), lease_ms, now)
            section.write(replace(view.state, high=gen, lease=lease))
        return Granted(gen)

    def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """See ``TokenStore.commit``."""
        self._directory.check()
        with self._section(record) as section:
            now = self._clock.now()
            stored = self._entry(record, b"T")
            floor = section.state.floor
            if stored is not None and stored.gen >= gen and stored.gen > floor and stored.left_ms(now) > 0:
                section.write(self._release(record, owner, section))
                return _hit(stored, now)
            if gen <= floor:
                section.write(self._release(record, owner, section))
                return None
            left_ms = min(left_ms, lifetime_ms)
            key = section.state.key
            if left_ms > 0:
                key = self._write(record, b"T", Entry(gen, lifetime_ms, now.minus(lifetime_ms - left_ms), value))
            self._remove(record, b"N")
            state = self._release(record, owner, section)
            section.write(replace(state, high=max(state.high, gen), committed=gen, key=key))
        self._tell(StoreEvent("commit", record.name, gen), section.state)
        return Committed()

    def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """See ``TokenStore.fail``."""
        self._directory.check()
        with self._section(record) as section:
            now = self._clock.now()
            if not section.holds(owner) or not section.state.lease.left_ms(now):
                return
            if ttl_ms > 0:
                self._write(record, b"N", Entry(section.state.high, ttl_ms, now, kind.encode()))
            section.write(replace(self._release(record, owner, section), fails=section.state.fails + 1))
        self._tell(StoreEvent("fail", record.name, 0), section.state)

    def invalidate(self, record: RecordName, gen: int) -> bool:
        """See ``TokenStore.invalidate``."""
        self._directory.check()
        with self._section(record) as section:
            stored = self._entry(record, b"T")
            dropped = stored is not None and stored.gen == gen
            if dropped:
                self._remove(record, b"T")
            state = section.state
            section.write(replace(state, high=max(state.high, gen), invalid=max(state.invalid, gen)))
        self._tell(StoreEvent("invalid", record.name, gen), section.state)
        return dropped

    def purge(self, record: RecordName) -> None:
        """See ``TokenStore.purge``; the floor stays as long as the ``.lock`` file does."""
        self._directory.check()
        with self._section(record) as section:
            # Every generation so far is at most `high`: a flight that began before this purge is refused.
            floor = max(section.state.high, self._clock.now().wall_ms)
            section.write(replace(section.state.without_lease(), high=floor, floor=floor))
            self._remove(record, b"T")
            self._remove(record, b"N")
        self._tell(StoreEvent("purge", record.name, floor), section.state)

    def names(self) -> list[str]:
        """See ``InspectableStore.names``."""
        self._directory.check()
        with closing(self._directory.filenames()) as filenames:
            parts = [found for found in map(self._directory.parts, filenames) if found is not None]
        return sorted({name for name, suffix in parts if suffix in (".lock", *_SUFFIX.values())})

    def describe(self, names: Sequence[str]) -> list[StoredRecord]:
        """See ``InspectableStore.describe``; what the files claim, without proof."""
        now = self._clock.now()
        found: list[StoredRecord] = []
        for name in names:
            content = self._directory.read(self._directory.at(name, ".tok"))
            entry = None if content is None else claimed(content)
            if content is None or entry is None or entry.gen <= (self.state(name) or State()).floor:
                continue
            if entry.left_ms(now) > 0:
                key = key_of(content).hex()
                found.append(StoredRecord(name, entry.gen, entry.lifetime_ms, entry.left_ms(now), key))
        return found

    def reseal(self, record: RecordName) -> Resealed:
        """See ``InspectableStore.reseal``."""
        self._directory.check()
        if not self.describe([record.name]):
            return "gone"  # before a lock is taken, which would leave a file behind for ever
        with self._section(record) as section:
            described, stored = self.describe([record.name]), self._entry(record, b"T")
            if not described:
                return "gone"
            if stored is None:
                return "unreadable"
            if described[0].key == self._sealer.writes_with(record):
                return "current"
            section.write(replace(section.state, key=self._write(record, b"T", stored)))
        return "resealed"

    def state(self, name: str) -> State | None:
        """Return what is known of a record, without its lock; None when nothing is, or it is being rewritten."""
        content = self._directory.read(self._directory.at(name, ".lock"), offset=STATE_OFFSET, size=STATE_SIZE)
        return None if content is None else State.unpack(content)

    def can_read(self, state: State) -> bool:
        """Tell whether the value committed last can be opened here.

        Deployments with different keyrings that share a directory must not take each other's values for news.
        """
        return self._sealer.knows(state.key.hex())

    def is_held(self, lease: Lease) -> bool:
        """Tell whether somebody alive holds this lease."""
        return lease.left_ms(self._clock.now()) > 0 and self._pulse.is_alive(lease.process)

    def rest(self) -> None:
        """Let go of what shows that this process lives, unless it holds a lease."""
        self._forget_lost_leases()
        if not self._granted:
            self._pulse.stop()

    def sweep(self) -> Generator[None, None, None]:
        """Remove what nobody needs any more: dead values, and what killed processes left behind.

        Yields now and then, so that whoever drives it can do other things in between.

        Raises:
            OSError: The directory cannot be read.
        """
        self._forget_lost_leases()
        with closing(self._directory.filenames()) as filenames:
            for number, filename in enumerate(filenames, 1):
                parts = self._directory.parts(filename)
                if parts is not None:
                    with suppress(StoreError, OSError):  # what somebody works on just now can wait
                        self._sweep_file(self._directory.path / filename, *parts)
                if number % _SLICE == 0:
                    yield

    def _forget_lost_leases(self) -> None:
        now = time.monotonic()
        for name, until in list(self._granted.items()):
            if until <= now:
                self._granted.pop(name, None)

    def _sweep_file(self, path: Path, name: str, suffix: str) -> None:
        if suffix == ".tmp" or (suffix == ".live" and not self._pulse.is_alive(bytes.fromhex(name))):
            _remove_old(path, _LEFTOVER_SECONDS)
        elif suffix in _SUFFIX.values() and self._is_dead(path):
            with self._locks.hold(self._directory.at(name, ".lock")):  # a new one may have come just now
                if self._is_dead(path):
                    self._directory.remove(path)

    def _is_dead(self, path: Path) -> bool:
        content = self._directory.read(path)
        left_ms = None if content is None else claimed_left_ms(content, self._clock.now())
        return left_ms == 0 or (left_ms is None and _age(path) > _GARBAGE_SECONDS)

    def _look(self, record: RecordName, owner: str, bad_gen: int, min_left_ms: int) -> _View:
        """Look whether there is a value, a failure or somebody else's lease, in this order."""
        now = self._clock.now()
        stored, failure = self._entry(record, b"T"), self._entry(record, b"N")
        state = self.state(record.name) or State()
        stored_gen = 0 if stored is None else stored.gen
        # What is not above the floor was purged, also when the one who did it was killed before it could remove it.
        if stored is not None and stored.gen > max(bad_gen, state.floor) and stored.left_ms(now) > max(0, min_left_ms):
            return _View(_hit(stored, now), stored_gen, state)
        answer: Busy | Negative | None = None
        if failure is not None and failure.gen > state.floor and failure.left_ms(now) > 0:
            answer = Negative(failure.value.decode(), failure.left_ms(now))
        elif state.lease.owner != owner_id(owner) and self.is_held(state.lease):
            answer = Busy(max(1, state.lease.left_ms(now)))
        return _View(answer, stored_gen, state)

    def _entry(self, record: RecordName, kind: Kind) -> Entry | None:
        content = self._directory.read(self._directory.at(record.name, _SUFFIX[kind]))
        return None if content is None else open_entry(self._sealer, record, kind, content)

    def _release(self, record: RecordName, owner: str, section: _Section) -> State:
        """Return the state without the lease, if it is this owner's."""
        if not section.holds(owner):
            return section.state
        self._granted.pop(record.name, None)
        return section.state.without_lease()

    def _write(self, record: RecordName, kind: Kind, entry: Entry) -> bytes:
        """Write a file, and return the id of the key that it was sealed with."""
        content = seal_entry(self._sealer, record, kind, entry)
        self._directory.replace(self._directory.at(record.name, _SUFFIX[kind]), content)
        return key_of(content)

    def _remove(self, record: RecordName, kind: Kind) -> None:
        self._directory.remove(self._directory.at(record.name, _SUFFIX[kind]))

    @contextmanager
    def _section(self, record: RecordName) -> Generator[_Section, None, None]:
        with self._locks.hold(self._directory.at(record.name, ".lock")) as fd:
            yield _Section(fd, self.state(record.name) or State())


def _hit(entry: Entry, now: Moment) -> Hit:
    return Hit(entry.gen, entry.value, entry.lifetime_ms, entry.left_ms(now))


def _age(path: Path) -> float:
    """Return the seconds since a file was written, by the wall clock, which is what its time is kept in."""
    with suppress(OSError):
        return time.time() - path.stat(follow_symlinks=False).st_mtime
    return 0.0


def _remove_old(path: Path, seconds: float) -> None:
    if _age(path) > seconds:
        with suppress(OSError):
            path.unlink()
