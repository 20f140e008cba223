"""The store as flights use it: bounded in time, and never a reason for a caller to fail."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Generator, Sequence
from typing import TypeVar

from monite_async._tokens.events import Events
from monite_async_stores import RecordName, StoreBusyError, StoreError, StoreEvent, Watcher
from monite_async_stores._loop_time import within

__all__ = ["STORE_SECONDS", "Bell", "Bells", "LonelyWatcher", "StoreGuard"]

STORE_SECONDS = 2.0
"""Seconds that one operation of a store may take."""

T = TypeVar("T")


class StoreGuard:
    """Bounds operations of a store and reports when it fails and when it is back.

    Stores keep shorter limits of their own; this one is for a store that forgot to.
    """

    __slots__ = ("_events", "is_down")

    def __init__(self, events: Events) -> None:
        self._events = events
        self.is_down: bool = False

    async def run(self, operation: Awaitable[T], *, limit: float = STORE_SECONDS) -> T:
        """Await one operation for at most ``limit`` seconds.

        Raises:
            StoreBusyError: It is there, and has too much to do at the moment.
            StoreError: It failed in whatever way, or took too long.
        """
        observer = self._events.observer
        if observer is not None:
            operation = observer.store(operation, getattr(operation, "__name__", ""))
        try:
            async with within(limit):
                result = await operation
        except StoreBusyError:
            raise
        except Exception as exc:  # noqa: BLE001 - a store is pluggable, and its errors must not reach a caller
            # A StoreError says what to look at and holds no secret; of the errors of others, nobody knows.
            problem = str(exc) if isinstance(exc, StoreError) and str(exc) else type(exc).__name__
            if not self.is_down:
                self.is_down = True
                self._events.count("store_degraded")
                self._events.emit("store_degraded", detail=problem)
            raise StoreError(f"the token store failed: {problem}") from None
        if self.is_down:
            self.is_down = False
            self._events.count("store_recovered")
            self._events.emit("store_recovered")
        return result


class LonelyWatcher:
    """Passes on what the stand-in for a store that is away says.

    Its generations come from this machine's clock and the shared store's from another: a purge here is no floor there.
    """

    __slots__ = ("_watcher",)

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_event(self, event: StoreEvent) -> None:
        """See ``Watcher.on_event``."""
        self._watcher.on_event(StoreEvent("invalid", event.name, event.gen) if event.kind == "purge" else event)

    def in_use(self) -> Sequence[RecordName]:
        """See ``Watcher.in_use``."""
        return self._watcher.in_use()


class Bell(asyncio.Event):
    """What one flight listens with.

    Attributes:
        floor: The generation up to which everything was purged while it listened.
    """

    floor = 0


class Bells:
    """Wakes flights that wait for somebody else's commit, in whichever thread the news arrives."""

    __slots__ = ("_listening", "_lock")

    def __init__(self) -> None:
        self._listening: dict[str, list[tuple[asyncio.AbstractEventLoop, Bell]]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._listening)

    def renew(self) -> None:
        """Forget everyone, in a forked child."""
        self._lock = threading.Lock()
        self._listening.clear()

    @contextlib.contextmanager
    def listening(self, name: str, bell: Bell) -> Generator[None, None, None]:
        """Have ``bell`` set, in the running loop, whenever something happens to the record of this name."""
        entry = (asyncio.get_running_loop(), bell)
        with self._lock:
            self._listening.setdefault(name, []).append(entry)
        try:
            yield
        finally:
            with self._lock:
                rest = [other for other in self._listening.get(name, ()) if other is not entry]
                if rest:
                    self._listening[name] = rest
                else:
                    self._listening.pop(name, None)

    def ring(self, name: str, *, floor: int = 0) -> None:
        """Wake whoever listens for this name, and say up to which generation it was purged, if it was."""
        with self._lock:
            entries = tuple(self._listening.get(name, ()))
        for loop, bell in entries:
            bell.floor = max(bell.floor, floor)
            with contextlib.suppress(RuntimeError):  # that loop was closed under its flight
                loop.call_soon_threadsafe(bell.set)
