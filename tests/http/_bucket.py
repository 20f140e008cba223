"""The bucket of turns as everybody knows it, with a level that is filled up: what ``Pace`` is measured by."""

from __future__ import annotations

import math

from monite_async._http.pace import EARLY
from monite_async._http.reply import ReplyHeaders

__all__ = ["LevelBucket"]


class LevelBucket:
    """A bucket with a level; it learns nothing by itself, so that it can stand in for a ``Pace`` with a given rate."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.level = burst
        self.at = now

    def fill(self, now: float) -> None:
        """Add what came since the last look."""
        if now > self.at:
            self.level = self.burst if self.rate == math.inf else self.level + (now - self.at) * self.rate
            self.at = now
        self.level = min(self.level, self.burst)

    def take(self, now: float) -> bool:
        """See ``Pace.take``."""
        self.fill(now)
        if self.level + EARLY * self.rate < 1.0:
            return False
        self.level -= 1.0
        return True

    def overdraw(self, now: float) -> None:
        """See ``Pace.overdraw``."""
        self.fill(now)
        self.level -= 1.0

    def give_back(self, now: float) -> None:
        """See ``Pace.give_back``."""
        self.fill(now)
        self.level = min(self.level + 1.0, self.burst)

    def hold(self, now: float, until: float) -> None:
        """See ``Pace.hold``."""
        self.fill(now)
        self.level = min(self.level, 1.0)
        self.at = max(self.at, until)

    def next_at(self, now: float) -> float:
        """See ``Pace.next_at``."""
        self.fill(now)
        missing = 0.0 if self.level >= 1.0 else (1.0 - self.level) / self.rate
        return max(now, self.at) + missing

    def least_wait(self, now: float, ahead: int) -> float:
        """See ``Pace.least_wait``."""
        self.fill(now)
        return max(0.0, (ahead + 1 - self.level) / self.rate)

    def follow(self, now: float, rate: float, burst: float) -> None:
        """Go on with another rate and burst: what was taken stays taken."""
        self.fill(now)
        if math.inf in (burst, self.burst):
            self.level = burst
        elif burst > self.burst:
            self.level += burst - self.burst
        self.rate, self.burst = rate, burst
        self.level = min(self.level, burst)

    def leave(self, now: float, level: float) -> None:
        """Keep so many turns at most, if there is one."""
        self.fill(now)
        if self.level + EARLY * self.rate >= 1.0:
            self.level = min(self.level, level)

    def passed(self, now: float, headers: ReplyHeaders) -> bool:
        """Learn nothing."""
        del now, headers
        return False

    def refused(self, now: float, seconds: float, limit: float | None) -> None:
        """Learn nothing."""
        del now, seconds, limit
