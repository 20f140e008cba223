"""News of records in files: at once from this process, within a second or so from the others.

Files send no messages. While a record is in use here, one thread reads its state about once a second and tells the
watchers what changed; while somebody here waits for another process's lease, it looks every 10 to 100 ms, so that
the one who waits goes on as soon as that process commits, gives up or dies.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from monite_async_stores._file_format import Lease, State
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import StoreError, StoreEvent, Watcher

__all__ = ["FileWatch", "StateReader", "announce"]

_PERIOD = 1.0
_FIRST_POLL = 0.010
_LONGEST_POLL = 0.100
_MAX_SEEN = 10_000
_MAX_LOOKS = 100
_UNSEEN = State()  # of a record not looked at before everything is news: hearing of old things twice does no harm


class StateReader(Protocol):
    """Reads the states of records; both may block."""

    def state(self, name: str) -> State | None:
        """Return what is known of a record."""
        ...

    def is_held(self, lease: Lease) -> bool:
        """Tell whether somebody alive holds a lease."""
        ...

    def can_read(self, state: State) -> bool:
        """Tell whether the value committed last can be opened here."""
        ...


class FileWatch:
    """The watchers of one store, and the thread that reads for them.

    Args:
        place: The directory and namespace; watches of the same place in one process hear each other at once.
    """

    __slots__ = (
        "__weakref__",
        "_lock",
        "_next_round",
        "_poll",
        "_reader",
        "_seen",
        "_signal",
        "_thread",
        "_waiting",
        "_watchers",
        "place",
    )

    def __init__(self, place: tuple[Path, str]) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._signal = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader: StateReader | None = None
        self._watchers: tuple[Watcher, ...] = ()
        self._seen: dict[str, State] = {}
        self._waiting: dict[str, float] = {}
        self._poll = _FIRST_POLL
        self._next_round = 0.0
        _HERE.add(self)
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Start a thread of one's own: tokens taken over from the parent are in use here from now on."""
        self._lock = threading.Lock()
        self._signal = threading.Event()
        self._waiting.clear()
        self._next_round = time.monotonic() + _PERIOD  # not before everything else is ready for the child
        if self._thread is not None:
            self._thread = None
            with suppress(StoreError):
                self.start()

    def read_with(self, reader: StateReader) -> None:
        """Set what states are read with."""
        self._reader = reader

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """See ``TokenStore.watch``."""
        with self._lock:
            self._watchers = (*self._watchers, watcher)

        def end() -> None:
            with self._lock:
                self._watchers = tuple(other for other in self._watchers if other is not watcher)
                self._signal.set()

        return end

    def start(self) -> None:
        """Start the thread if there is somebody to read for; it ends by itself.

        Raises:
            StoreError: No thread can be started.
        """
        with self._lock:
            if self._watchers and self._thread is None:
                thread = threading.Thread(
                    target=_keep, args=(weakref.ref(self), self._signal), name="monite-token-watch", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:
                    raise StoreError("no thread can be started to watch the token directory") from None
                self._thread = thread

    def hear(self, event: StoreEvent, state: State | None = None) -> None:
        """Tell the watchers what happened, and take note of the state that it led to."""
        if state is not None:
            self._note(event.name, state)
        for watcher in self._watchers:
            watcher.on_event(event)

    def hear_here(self, event: StoreEvent, state: State) -> None:
        """Tell the watchers what happened in this process, to another store of the same place maybe."""
        if event.kind == "commit" and not self._can_read(state):
            event = StoreEvent("fail", event.name, 0)  # to this store it is no more than a lease given back
        if event.kind in ("commit", "fail"):
            with self._lock:
                self._waiting.pop(event.name, None)
        self.hear(event, state)

    def wait_for(self, name: str, left_ms: int) -> None:
        """Look at this record more often, until somebody else's lease on it is over."""
        with self._lock:
            if self._thread is not None:
                is_asleep = not self._waiting or (name not in self._waiting and self._poll > _LONGEST_POLL / 2)
                self._waiting[name] = time.monotonic() + left_ms / 1000
                if is_asleep:  # a crowd that comes to wait must not keep the thread from ever sleeping
                    self._poll = _FIRST_POLL
                    self._signal.set()

    def turn(self) -> float | None:
        """Do what is due; return the seconds until the next turn, or None when there is nobody left to read for."""
        with self._lock:
            if not self._watchers:
                self._thread = None
                return None
            now = time.monotonic()
            due = [(name, until) for (name, until), _ in zip(self._waiting.items(), range(_MAX_LOOKS), strict=False)]
            for name, until in due:  # to the end of the line, unless its time is over
                del self._waiting[name]
                if now < until:
                    self._waiting[name] = until
        for name, _ in due:
            self._look_at_lease(name)
        if now >= self._next_round:
            self._next_round = now + _PERIOD
            for name in {record.name for watcher in self._watchers for record in watcher.in_use()}:
                self._look(name)
        pause = max(0.0, self._next_round - time.monotonic())
        if self._waiting:
            pause = min(pause, self._poll * (0.8 + 0.4 * random.random()))
            self._poll = min(_LONGEST_POLL, self._poll * 1.5)
        return pause

    def _look_at_lease(self, name: str) -> None:
        """Tell of the changes, or at least that the lease is free: its holder may have died without a word."""
        state = self._state(name)
        if state is not None:
            told = self._tell_changes(name, state)
            if not self._is_held(state.lease):
                with self._lock:
                    self._waiting.pop(name, None)
                if not told:
                    self.hear(StoreEvent("fail", name, 0))

    def _look(self, name: str) -> None:
        state = self._state(name)
        if state is not None:
            self._tell_changes(name, state)

    def _tell_changes(self, name: str, state: State) -> bool:
        """Tell what changed since the last look; return whether there was anything to tell."""
        events = list(_changes(name, self._seen.get(name, _UNSEEN), state, can_read=self._can_read(state)))
        self._note(name, state)
        for event in events:
            self.hear(event)
        return bool(events)

    def _state(self, name: str) -> State | None:
        with suppress(OSError, StoreError):
            return None if self._reader is None else self._reader.state(name)
        return None

    def _can_read(self, state: State) -> bool:
        return self._reader is None or self._reader.can_read(state)

    def _is_held(self, lease: Lease) -> bool:
        with suppress(OSError):
            return self._reader is not None and self._reader.is_held(lease)
        return True

    def _note(self, name: str, state: State) -> None:
        with self._lock:
            self._seen.pop(name, None)
            self._seen[name] = state
            if len(self._seen) > _MAX_SEEN:
                del self._seen[next(iter(self._seen))]


def announce(place: tuple[Path, str], event: StoreEvent, state: State) -> None:
    """Tell every watcher in this process of a change that it made."""
    for watch in _HERE.at(place):
        watch.hear_here(event, state)


class _Here:
    """The watches of this process."""

    __slots__ = ("__weakref__", "_lock", "_watches")

    def __init__(self) -> None:
        self._watches: weakref.WeakSet[FileWatch] = weakref.WeakSet()
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def add(self, watch: FileWatch) -> None:
        with self._lock:
            self._watches.add(watch)

    def at(self, place: tuple[Path, str]) -> list[FileWatch]:
        with self._lock:
            return [watch for watch in self._watches if watch.place == place]


_HERE = _Here()


def _keep(reference: weakref.ref[FileWatch], signal: threading.Event) -> None:
    """The thread's work; it must not keep the store alive, nor its watchers."""
    while True:
        signal.clear()
        watch = reference()
        pause = None if watch is None else watch.turn()
        del watch
        if pause is None:
            return
        signal.wait(pause)


def _changes(name: str, before: State, state: State, *, can_read: bool) -> Iterator[StoreEvent]:
    """Yield what must have happened between two readings; of many events of one kind only the last is known."""
    if state.committed != before.committed and can_read:
        yield StoreEvent("commit", name, state.committed)
    if state.invalid != before.invalid:
        yield StoreEvent("invalid", name, state.invalid)
    if state.floor != before.floor:
        yield StoreEvent("purge", name, state.floor)
    if state.fails != before.fails:
        yield StoreEvent("fail", name, 0)
