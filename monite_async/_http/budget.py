"""How many repeats a client may make."""

from __future__ import annotations

import threading

from monite_async_stores import Clock, SystemClock
from monite_async_stores._fork import renew_after_fork

__all__ = ["RetryBudget"]


class RetryBudget:
    """Bounds the repeats of a whole client to a share of its calls, so that retries cannot become the outage.

    A token bucket after Finagle's ``RetryBudget`` and gRPC's retry throttling (gRFC A6): each call pays in ``ratio``,
    each repeat takes 1, and a small reserve, refilled over ``refill`` seconds, lets quiet clients retry at all.

    Args:
        ratio: Repeats earned per call.
        reserve: Repeats that need no calls before them; also the least the bucket refills to.
        ceiling: What the bucket holds at most.
        refill: Seconds in which an empty reserve fills up again.
        clock: Where time comes from.

    Attributes:
        calls: Calls that have not been paid in yet: add each. Two threads may lose one; a lock would cost all of them.
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_balance",
        "_ceiling",
        "_clock",
        "_lock",
        "_ratio",
        "_refill",
        "_reserve",
        "calls",
    )

    def __init__(
        self,
        *,
        ratio: float = 0.1,
        reserve: float = 10.0,
        ceiling: float = 100.0,
        refill: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._ceiling = ceiling
        self._refill = refill
        self._clock = clock or SystemClock()
        self._balance = reserve
        self.calls: int = 0
        self._at = self._clock.monotonic()
        self._lock = threading.Lock()
        renew_after_fork(self)

    def left(self) -> bool:
        """Tell whether a repeat could be paid for now."""
        with self._lock:
            self._top_up()
            return self._balance >= 1.0

    def take(self) -> bool:
        """Pay for one repeat; False when there is not enough left."""
        with self._lock:
            self._top_up()
            if self._balance < 1.0:
                return False
            self._balance -= 1.0
            return True

    def _top_up(self) -> None:
        now = self._clock.monotonic()
        calls, self.calls = self.calls, 0
        self._balance = min(self._balance + calls * self._ratio, self._ceiling)
        if self._balance < self._reserve:
            earned = (now - self._at) * self._reserve / self._refill
            self._balance = min(self._balance + earned, self._reserve)
        self._at = now

    def after_fork_in_child(self) -> None:
        """Replace the lock: a thread that exists only in the parent may have held it."""
        self._lock = threading.Lock()
