"""What tests of the file store share: clocks that they move, and fresh handles on a directory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from monite_async_stores import (
    Busy,
    Committed,
    EncryptedFileTokenStore,
    Granted,
    Hit,
    Keyring,
    Negative,
    RecordName,
    StoreEvent,
    TokenStore,
)
from monite_async_stores._bootclock import Moment, SystemBootClock
from monite_async_stores._file_directory import TokenDirectory
from monite_async_stores._file_format import State
from monite_async_stores._file_lock import Flock, Locking
from monite_async_stores._file_records import FileRecords
from monite_async_stores._sealing import Sealer
from monite_async_stores.testing import Bench

NAME = RecordName("ab" * 16, b"client secret")
OTHER = RecordName("cd" * 16, b"client secret")
VALUE = b"Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"


class MovableClock:
    """The machine's clocks, moved."""

    def __init__(self) -> None:
        self._system = SystemBootClock()
        self.boot: bytes | None = None
        self.boot_ms = 0
        self.wall_ms = 0

    def now(self) -> Moment:
        now = self._system.now()
        return Moment(self.boot or now.boot, now.boot_ms + self.boot_ms, now.wall_ms + self.wall_ms)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.boot_ms += int(seconds * 1000)
        self.wall_ms += int(seconds * 1000)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock."""
        self.wall_ms += int(seconds * 1000)

    def reboot(self) -> None:
        """Begin another boot, whose clock starts at nothing."""
        self.boot = b"the next boot!!!"
        self.boot_ms = -self._system.now().boot_ms


class FileBench(Bench):
    """The suite on two handles in one process, with time that is moved instead of waited for."""

    def __init__(self, path: Path, clock: MovableClock) -> None:
        super().__init__()
        self.path = path
        self.clock = clock

    async def open(self) -> TokenStore:
        # Making a store looks at its directory, which is no work for an event loop.
        return await asyncio.to_thread(EncryptedFileTokenStore, self.path / "tokens", clock=self.clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await asyncio.sleep(min(seconds, 0.01))


class Ear:
    """A watcher that remembers."""

    def __init__(self, *names: RecordName) -> None:
        self.names = names
        self.heard: list[StoreEvent] = []
        self._news = threading.Condition()

    def on_event(self, event: StoreEvent) -> None:
        with self._news:
            self.heard.append(event)
            self._news.notify_all()

    def in_use(self) -> Sequence[RecordName]:
        return self.names

    def wait_for(self, *kinds: str, seconds: float = 20.0) -> None:
        """Block until each of these kinds was heard; for threads without an event loop."""
        with self._news:
            heard = self._news.wait_for(lambda: set(kinds) <= {event.kind for event in self.heard}, seconds)
        assert heard, self.heard


def records_in(
    path: Path,
    *,
    clock: MovableClock | None = None,
    locking: Locking | None = None,
    keyring: Keyring | None = None,
    told: list[StoreEvent] | None = None,
) -> FileRecords:
    """Return the blocking half of a store, as its threads use it."""
    news = [] if told is None else told

    def tell(event: StoreEvent, state: State) -> None:
        news.append(event)

    directory, sealer = TokenDirectory(path, "monite"), Sealer("monite", keyring)
    return FileRecords(directory, sealer, locking or Flock(), clock or MovableClock(), tell)


def ask(
    records: FileRecords, owner: str = "b", *, name: RecordName = NAME, bad_gen: int = 0, lease_ms: int = 600_000
) -> Hit | Negative | Granted | Busy:
    """Ask for a value or a lease, which is held for so long that no test sees it run out by itself."""
    return records.acquire(name, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=0)


def store_value(
    records: FileRecords, value: bytes = VALUE, *, name: RecordName = NAME, life_ms: int = 1_800_000, bad_gen: int = 0
) -> int:
    """Store a value the way its maker does, and return its generation."""
    granted = ask(records, "maker", name=name, bad_gen=bad_gen)
    assert isinstance(granted, Granted)
    answer = records.commit(name, "maker", granted.gen, value, lifetime_ms=life_ms, left_ms=life_ms)
    assert answer == Committed()
    return granted.gen


async def until(store: TokenStore, kind: type, name: RecordName = NAME, *, owner: str = "waiting") -> object:
    """Ask until the answer is of this kind; pytest's time limit bounds it."""
    while True:
        answer = await store.acquire(name, owner, lease_ms=600_000, bad_gen=0, min_left_ms=0)
        if isinstance(answer, kind):
            return answer
        await asyncio.sleep(0.005)
