"""The two clocks that every deadline is held against."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time; tests replace it by one that they move.

    A deadline counts as passed when *either* clock passes it: the monotonic clock ends a life when the wall clock is
    stepped back, the wall clock ends it when the machine was suspended and the monotonic clock stood still.
    """

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch, as the machine believes them."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    monotonic: staticmethod[[], float] = staticmethod(time.monotonic)
    wall: staticmethod[[], float] = staticmethod(time.time)
