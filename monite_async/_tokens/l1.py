"""The first level of the cache: the newest token per key in this process, bounded."""

from __future__ import annotations

import threading

from monite_async._tokens.record import AccessToken
from monite_async_stores import RecordName

__all__ = ["RecordTable"]

_SWEEP = 16
_IN_USE = 500


class RecordTable:
    """Tokens by key; reads need no lock, writes take one for microseconds.

    Bounded by second chance (the clock algorithm, an approximation of least-recently-used by F. J. Corbato, 1968):
    a hit marks its record, and whoever makes room passes over marked ones once. True LRU would have to write to a
    shared list on every hit.

    Args:
        max_records: Tokens kept at most.
    """

    __slots__ = ("_keys", "_lock", "_max", "_retired", "_turn", "records")

    def __init__(self, max_records: int) -> None:
        self.records: dict[str, AccessToken] = {}
        self._keys: dict[str, str] = {}
        self._max = max_records
        self._retired = 0
        self._turn = 0
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """Make a new lock, in a forked child."""
        self._lock = threading.Lock()

    def put(self, key_id: str, record: AccessToken) -> AccessToken:
        """Keep the record unless there is one that is newer, or as new with as much life left; return what is kept."""
        with self._lock:
            current = self.records.get(key_id)
            if current is not None and current.is_alive() and _rank(current) >= _rank(record):
                return current
            if current is not None:
                self._remove(key_id)
            self._make_room()
            self.records[key_id] = record
            self._keys[record.name.name] = key_id
            return record

    def pop(self, key_id: str) -> AccessToken | None:
        """Drop and return what there is for a key."""
        with self._lock:
            return self._remove(key_id)

    def drop(self, key_id: str, gen: int) -> bool:
        """Drop the record of a key if it has this generation or an older one."""
        with self._lock:
            current = self.records.get(key_id)
            if current is None or current.gen > gen:
                return False
            self._remove(key_id)
            return True

    def drop_name(self, name: str, gen: int) -> None:
        """Drop what a store knows by this name, if it has this generation or an older one."""
        key_id = self._keys.get(name)
        if key_id is not None:
            self.drop(key_id, gen)

    def newer_than(self, name: str, gen: int) -> tuple[str, AccessToken] | None:
        """Return the key and the record of what a store knows by this name, if it is newer than this generation."""
        key_id = self._keys.get(name)
        record = None if key_id is None else self.records.get(key_id)
        return None if key_id is None or record is None or record.gen <= gen else (key_id, record)

    def outdate_name(self, name: str, gen: int) -> None:
        """Mark the record as due for a look at the store, because that holds a newer generation."""
        with self._lock:
            key_id = self._keys.get(name)
            current = None if key_id is None else self.records.get(key_id)
            if key_id is not None and current is not None and current.gen < gen:
                self.records[key_id] = current.as_stale()

    def in_use(self) -> list[RecordName]:
        """Return the names of records hit since they were last returned, at most 500, in turn if there are more."""
        with self._lock:
            records = list(self.records.values())
            names: list[RecordName] = []
            begin = self._turn if self._turn < len(records) else 0
            for place in [*range(begin, len(records)), *range(begin)]:
                if len(names) == _IN_USE:
                    break
                if records[place].uses:
                    self._retire(records[place])
                    names.append(records[place].name)
                    self._turn = place + 1
            return names

    def hits(self) -> int:
        """Return the hits so far."""
        with self._lock:
            return self._retired + sum(record.uses for record in self.records.values())

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            for key_id in list(self.records):
                self._remove(key_id)

    def _make_room(self) -> None:
        """Drop the dead among the 16 oldest; when full, also the oldest that nobody hit of late."""
        for key_id in [key_id for key_id, _ in zip(self.records, range(_SWEEP), strict=False)]:
            if not self.records[key_id].is_alive():
                self._remove(key_id)
        while len(self.records) >= self._max:
            key_id = next(iter(self.records))
            record = self.records[key_id]
            if record.uses:
                self._retire(record)
                self.records[key_id] = self.records.pop(key_id)
            else:
                self._remove(key_id)

    def _remove(self, key_id: str) -> AccessToken | None:
        record = self.records.pop(key_id, None)
        if record is not None:
            self._retire(record)
            self._keys.pop(record.name.name, None)
        return record

    def _retire(self, record: AccessToken) -> None:
        self._retired += record.uses
        record.uses = 0


def _rank(record: AccessToken) -> tuple[int, float]:
    # The same token may come twice, and the one that took longer to come seems to have less life left than it has.
    return record.gen, record.left()
