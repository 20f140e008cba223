"""The emulator's clock: it ticks like any other until somebody moves or stops it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """A wall clock that tests move.

    Everything the emulator does with time (token expiry, rate limits, timestamps, OCR) reads this clock; latency
    faults alone take real time.
    """

    __slots__ = ("_anchor", "_frozen", "_start", "_watchers")

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        """Start at a time (default: now, UTC); a naive one is read as UTC."""
        self._start = _aware(start or datetime.now(UTC))
        self._anchor = time.monotonic()
        self._frozen = frozen
        self._watchers: list[Callable[[], None]] = []

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen

    def now(self) -> datetime:
        """Return the time, in UTC."""
        if self._frozen:
            return self._start
        return self._start + timedelta(seconds=time.monotonic() - self._anchor)

    def timestamp(self) -> float:
        """Return the time as seconds since 1970."""
        return self.now().timestamp()

    def advance(self, seconds: float) -> None:
        """Move the time by so many seconds, which may be negative."""
        self._start += timedelta(seconds=seconds)
        self._tell()

    def set(self, moment: datetime) -> None:
        """Set the time; a naive one is read as UTC."""
        self._start = _aware(moment)
        self._anchor = time.monotonic()
        self._tell()

    def freeze(self) -> None:
        """Stop the clock where it is."""
        self.set(self.now())
        self._frozen = True

    def unfreeze(self) -> None:
        """Let the clock tick again."""
        self._anchor = time.monotonic()
        self._frozen = False
        self._tell()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call this whenever the clock was moved, stopped or started, in whatever thread; returns what ends it."""
        self._watchers.append(watcher)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(watcher)

        return stop

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
