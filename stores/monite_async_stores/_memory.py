"""The default store: records in this process's memory, shared by its threads and event loops."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from monite_async_stores._clock import Clock, SystemClock
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreEvent,
    Watcher,
)

__all__ = ["MemoryTokenStore"]

_SWEEP = 16
_FLOOR_SECONDS = 3600.0

V = TypeVar("V")


class _Record:
    """One value and when it dies, on both clocks; replaced, never changed."""

    __slots__ = ("expires_mono", "expires_wall", "gen", "lifetime_ms", "value")

    def __init__(self, gen: int, value: bytes, lifetime_ms: int, expires_mono: float, expires_wall: float) -> None:
        self.gen = gen
        self.value = value
        self.lifetime_ms = lifetime_ms
        self.expires_mono = expires_mono
        self.expires_wall = expires_wall


class MemoryTokenStore:
    """Keeps records in memory, for one process; nothing is written anywhere.

    Safe to share between clients, threads and event loops: each operation holds a ``threading.Lock`` for microseconds
    and never across an ``await``. A forked child starts with a copy of the values and without the parent's leases.

    Args:
        max_records: Values kept at most; the one unused for longest goes first.
        clock: Where time comes from; only tests need another than the machine's.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_floors",
        "_high",
        "_leases",
        "_lock",
        "_max",
        "_negatives",
        "_records",
        "_watchers",
    )

    def __init__(self, *, max_records: int = 10_000, clock: Clock | None = None) -> None:
        self._max = max_records
        self._records: dict[str, _Record] = {}
        if max_records < 1:
            raise ValueError(f"max_records must be at least 1, got {max_records}")
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._high = 0
        self._leases: dict[str, tuple[str, float]] = {}
        self._negatives: dict[str, tuple[str, float]] = {}
        self._floors: dict[str, tuple[int, float]] = {}
        self._watchers: tuple[Watcher, ...] = ()
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<MemoryTokenStore records={len(self._records)} max_records={self._max}>"

    def after_fork_in_child(self) -> None:
        """Make a new lock and forget the parent's leases: nobody in the child will ever give them back."""
        self._lock = threading.Lock()
        self._leases.clear()

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """See ``TokenStore.acquire``."""
        name = record.name
        with self._lock:
            now = self._clock.monotonic()
            stored = self._records.pop(name, None)
            if stored is not None:
                left_ms = self._left_ms(stored, now)
                if left_ms > 0:
                    self._records[name] = stored  # now the youngest in use
                if stored.gen > bad_gen and left_ms > min_left_ms:
                    return Hit(stored.gen, stored.value, stored.lifetime_ms, left_ms)
            negative = _alive(self._negatives, name, now)
            if negative is not None:
                return Negative(negative[0], _ms(negative[1] - now))
            lease = _alive(self._leases, name, now)
            if lease is not None and lease[0] != owner:
                return Busy(_ms(lease[1] - now))
            gen = max(int(self._clock.wall() * 1000), self._high + 1, bad_gen + 1, stored.gen + 1 if stored else 0)
            self._high = gen
            self._leases[name] = (owner, now + lease_ms / 1000)
            return Granted(gen)

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """See ``TokenStore.commit``."""
        name = record.name
        with self._lock:
            now = self._clock.monotonic()
            floor = _alive(self._floors, name, now)
            stored = self._records.get(name)
            if stored is not None and self._left_ms(stored, now) > 0 and stored.gen >= gen:
                self._release(name, owner)
                return Hit(stored.gen, stored.value, stored.lifetime_ms, self._left_ms(stored, now))
            if floor is not None and gen <= floor[0]:
                self._release(name, owner)
                return None
            left_ms = min(left_ms, lifetime_ms)
            if left_ms > 0:
                self._make_room(now)
                self._records.pop(name, None)
                self._records[name] = _Record(
                    gen, value, lifetime_ms, now + left_ms / 1000, self._clock.wall() + left_ms / 1000
                )
            self._high = max(self._high, gen)
            self._negatives.pop(name, None)
            self._release(name, owner)
        self._tell(StoreEvent("commit", name, gen))
        return Committed()

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """See ``TokenStore.fail``."""
        name = record.name
        with self._lock:
            now = self._clock.monotonic()
            lease = _alive(self._leases, name, now)
            if lease is None or lease[0] != owner:
                return
            del self._leases[name]
            if ttl_ms > 0:
                _sweep(self._negatives, now)
                self._negatives[name] = (kind, now + ttl_ms / 1000)
        self._tell(StoreEvent("fail", name, 0))

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        """See ``TokenStore.invalidate``."""
        with self._lock:
            stored = self._records.get(record.name)
            dropped = stored is not None and stored.gen == gen
            if dropped:
                del self._records[record.name]
        self._tell(StoreEvent("invalid", record.name, gen))
        return dropped

    async def purge(self, record: RecordName) -> None:
        """See ``TokenStore.purge``."""
        name = record.name
        with self._lock:
            now = self._clock.monotonic()
            self._records.pop(name, None)
            self._negatives.pop(name, None)
            self._leases.pop(name, None)
            # Every generation so far is at most `_high`: a flight that began before this purge is refused. The floor
            # may go after an hour, because no flight lives that long.
            floor = max(self._high, int(self._clock.wall() * 1000))
            self._high = floor
            _sweep(self._floors, now)
            self._floors[name] = (floor, now + _FLOOR_SECONDS)
        self._tell(StoreEvent("purge", name, floor))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """See ``TokenStore.watch``; this store never loses an event, so it re-reads nothing."""
        with self._lock:
            self._watchers = (*self._watchers, watcher)

        def end() -> None:
            with self._lock:
                self._watchers = tuple(other for other in self._watchers if other is not watcher)

        return end

    async def aclose(self) -> None:
        """Do nothing: there is no connection, task or file to let go of."""

    def _left_ms(self, stored: _Record, now: float) -> int:
        left = min(stored.expires_mono - now, stored.expires_wall - self._clock.wall())
        return min(_ms(left), stored.lifetime_ms)

    def _release(self, name: str, owner: str) -> None:
        lease = self._leases.get(name)
        if lease is not None and lease[0] == owner:
            del self._leases[name]

    def _make_room(self, now: float) -> None:
        """Drop up to 16 dead values, and the ones unused for longest while there are too many."""
        _sweep(self._leases, now)
        for name in list(_first(self._records, _SWEEP)):
            if self._left_ms(self._records[name], now) <= 0:
                del self._records[name]
        while len(self._records) >= self._max:
            del self._records[next(iter(self._records))]

    def _tell(self, event: StoreEvent) -> None:
        for watcher in self._watchers:
            watcher.on_event(event)


def _ms(seconds: float) -> int:
    return max(0, int(seconds * 1000))


def _first(table: dict[str, V], count: int) -> list[str]:
    return [name for name, _ in zip(table, range(count), strict=False)]


def _alive(table: dict[str, tuple[V, float]], name: str, now: float) -> tuple[V, float] | None:
    """Return the entry unless its time is over; a dead one is dropped on touch."""
    entry = table.get(name)
    if entry is not None and entry[1] <= now:
        del table[name]
        return None
    return entry


def _sweep(table: dict[str, tuple[V, float]], now: float) -> None:
    """Drop the dead among the 16 oldest entries, so that an abandoned name costs nothing for long."""
    for name in _first(table, _SWEEP):
        if table[name][1] <= now:
            del table[name]
