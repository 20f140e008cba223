"""A token store of one's own in under 100 lines of code: on SQLite, for the processes of one machine.

    python examples/own_store.py      # proves it with the suite, then has two clients share a token

A store keeps values by name, hands out a lease to the one caller that should make a new value, and numbers values so
that an older one never replaces a newer one. Everything else (when to refresh, what to do without the store) is the
client's. This one is slow and simple: a connection per operation, so that threads and forks cannot share any.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography.fernet import Fernet, InvalidToken

from monite_async import AsyncMonite
from monite_async.emulator import Emulator
from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreError,
    StoreEvent,
    TokenStore,
    Watcher,
)
from monite_async_stores.testing import RULES, Bench, check_all

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS record (name TEXT PRIMARY KEY, gen INT DEFAULT 0, value BLOB, lifetime INT, dies INT DEFAULT 0,
    owner TEXT, leased INT DEFAULT 0, failure TEXT, blocked INT DEFAULT 0, floor INT DEFAULT 0, high INT DEFAULT 0);
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, name TEXT, gen INT);
"""
Row = dict[str, Any]
T = TypeVar("T")


class SqliteTokenStore:
    """Keeps sealed values in one SQLite file; ``TokenStore`` says what each operation promises."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._path, self._watchers, self._lock = path, list[Watcher](), threading.Lock()
        self._heard, self._listener = 0, threading.Thread()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(_TABLES)

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """Ask for a value, or for the lease."""

        def work(row: Row, now: int) -> Hit | Negative | Granted | Busy:
            if row["gen"] > bad_gen and row["dies"] - now > min_left_ms and (hit := _hit(record, row, now)):
                return hit
            if row["blocked"] > now:
                return Negative(row["failure"], row["blocked"] - now)
            if row["leased"] > now and row["owner"] != owner:
                return Busy(row["leased"] - now)
            gen = max(now, row["high"] + 1, bad_gen + 1)
            row |= {"owner": owner, "leased": now + lease_ms, "high": gen}
            return Granted(gen)

        return await self._run(record, work)

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """Store a value, unless there is a newer one or it was purged meanwhile."""

        def work(row: Row, now: int) -> Committed | Hit | None:
            row["leased"] = 0 if row["owner"] == owner else row["leased"]
            if row["gen"] >= gen and (hit := _hit(record, row, now)):
                return hit
            if gen <= row["floor"]:
                return None
            row |= {"gen": gen, "value": _box(record).encrypt(value), "lifetime": lifetime_ms, "blocked": 0}
            row |= {"dies": now + min(left_ms, lifetime_ms), "high": max(row["high"], gen), "event": ("commit", gen)}
            return Committed()

        return await self._run(record, work)

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """Give the lease back, and tell everyone to stay away for a while."""

        def work(row: Row, now: int) -> None:
            if row["leased"] > now and row["owner"] == owner:
                row |= {"leased": 0, "failure": kind, "blocked": now + ttl_ms, "event": ("fail", 0)}

        await self._run(record, work)

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        """Drop the value of this generation."""

        def work(row: Row, now: int) -> bool:
            dropped = row["gen"] == gen and row["dies"] > now
            row |= {"dies": 0 if dropped else row["dies"], "event": ("invalid", gen)}
            return bool(dropped)

        return await self._run(record, work)

    async def purge(self, record: RecordName) -> None:
        """Drop everything, and refuse all generations so far."""

        def work(row: Row, now: int) -> None:
            row["floor"] = row["high"] = floor = max(now, row["high"])
            row |= {"value": None, "dies": 0, "leased": 0, "blocked": 0, "event": ("purge", floor)}

        await self._run(record, work)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell a watcher of events, also those of other processes, from the next operation on."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def aclose(self) -> None:
        """Do nothing: no connection stays open between operations, and the listener ends with the last watch."""

    async def _run(self, record: RecordName, work: Callable[[Row, int], T]) -> T:
        try:
            return await asyncio.to_thread(self._transact, record.name, work)
        except sqlite3.Error as exc:
            raise StoreError(f"sqlite: {type(exc).__name__}") from None

    def _transact(self, name: str, work: Callable[[Row, int], T]) -> T:
        with contextlib.closing(sqlite3.connect(self._path, timeout=1, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("BEGIN IMMEDIATE")  # one at a time, among all processes; undone unless committed
            self._listen(db)
            db.execute("INSERT OR IGNORE INTO record (name) VALUES (?)", (name,))
            row = dict(db.execute("SELECT * FROM record WHERE name = ?", (name,)).fetchone())
            answer = work(row, int(time.time() * 1000))
            kind, gen = row.pop("event", ("", 0))
            db.execute(f"REPLACE INTO record VALUES ({', '.join(f':{column}' for column in row)})", row)  # noqa: S608
            if kind:
                db.execute("INSERT INTO event (kind, name, gen) VALUES (?, ?, ?)", (kind, name, gen))
                db.execute("DELETE FROM event WHERE id <= last_insert_rowid() - 1000")
            db.execute("COMMIT")
            return answer

    def _listen(self, db: sqlite3.Connection) -> None:
        with self._lock:  # the thread is not there after a fork either
            if self._watchers and not self._listener.is_alive():
                self._heard = db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
                self._listener = threading.Thread(target=self._hear, daemon=True)
                self._listener.start()

    def _hear(self) -> None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._path)) as db:
            while self._watchers:
                for number, *event in db.execute("SELECT * FROM event WHERE id > ? ORDER BY id", (self._heard,)):
                    self._heard = number
                    for watcher in tuple(self._watchers):
                        watcher.on_event(StoreEvent(*event))
                time.sleep(0.05)


def _box(record: RecordName) -> Fernet:
    """Return what seals and opens the values of one record, and of no other."""
    key = hmac.digest(record.sealing_secret, b"sqlite store " + record.name.encode(), "sha256")
    return Fernet(base64.urlsafe_b64encode(key))


def _hit(record: RecordName, row: Row, now: int) -> Hit | None:
    """Return what is stored while it is alive; what does not open counts as missing."""
    with contextlib.suppress(InvalidToken):
        if row["dies"] > now:
            value, life = _box(record).decrypt(row["value"]), row["lifetime"]
            return Hit(row["gen"], value, life, min(row["dies"] - now, life))
    return None


class SqliteBench(Bench):
    """What the suite needs: handles on one empty storage."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()

    async def open(self) -> TokenStore:
        """Return one more process's handle."""
        return SqliteTokenStore(Path(self._directory.name) / "tokens.sqlite")

    async def close(self) -> None:
        """Remove the storage."""
        await super().close()
        self._directory.cleanup()


async def main() -> None:
    """Have two clients, each with a handle of its own as in two processes, share one token."""
    emulator = Emulator()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens.sqlite"
        clients = [AsyncMonite(**emulator.client_options(), token_store=SqliteTokenStore(path)) for _ in range(2)]
        await asyncio.gather(*(client.entities.list() for client in clients for _ in range(50)))
        print(f"100 calls of two clients, tokens issued: {emulator.issued}")
        for client in clients:
            await client.aclose()


if __name__ == "__main__":
    check_all(SqliteBench)
    print(f"{len(RULES)} rules kept")
    asyncio.run(main())
