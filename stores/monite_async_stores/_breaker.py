"""A circuit breaker: a server that does not answer is left alone for a while, instead of costing every caller a wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import random as draw
from time import monotonic

from monite_async_stores._protocol import StoreError

__all__ = ["Breaker"]

_FAILURES = 2
_OPEN_SECONDS = (2.0, 5.0)


class Breaker:
    """Opens after two failures in a row, for 2 to 5 seconds; then lets one operation through to try.

    Shared by the threads of a process. Each operation takes a ticket with ``enter`` and gives it back with exactly one
    of the other methods; what is said about a ticket from before the last change of state no longer counts.

    Args:
        clock: Monotonic seconds.
        random: Draws from 0 to 1: a fleet must not come back all at once.
    """

    __slots__ = ("_clock", "_failures", "_lock", "_probing", "_random", "_retry_at", "_state", "_why")

    def __init__(self, *, clock: Callable[[], float] = monotonic, random: Callable[[], float] = draw) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._state = 0
        self._failures = 0
        self._retry_at: float | None = None
        self._probing = False
        self._why = ""

    def renew_lock(self) -> None:
        """Make a new lock, in a forked child, where nobody is trying either."""
        self._lock = threading.Lock()
        self._probing = False

    def wait(self) -> float:
        """Return for how many seconds nothing may be tried; 0 when something may."""
        retry_at = self._retry_at
        return 0.0 if retry_at is None else max(0.0, retry_at - self._clock())

    def enter(self) -> int:
        """Return a ticket for one operation.

        Raises:
            StoreError: The breaker is open.
        """
        with self._lock:
            if self._retry_at is not None:
                if self._probing or self._clock() < self._retry_at:
                    raise StoreError(f"redis is left alone for a moment, because it did not answer: {self._why}")
                self._probing = True
            return self._state

    def succeeded(self, ticket: int) -> bool:
        """Take note that the server answered; return whether it had been given up before."""
        with self._lock:
            if ticket != self._state:
                return False
            self._failures = 0
            if self._retry_at is None:
                return False
            self._change(None)
            return True

    def failed(self, ticket: int, why: str = "") -> bool:
        """Take note that it did not, and why; return whether it is given up now."""
        with self._lock:
            if ticket != self._state:
                return False
            self._why = why
            self._failures += 1
            if self._retry_at is None and self._failures < _FAILURES:
                return False
            shortest, longest = _OPEN_SECONDS
            self._change(self._clock() + shortest + (longest - shortest) * self._random())
            return True

    def left(self, ticket: int) -> None:
        """Take note that the operation ended in a way that says nothing about the server."""
        with self._lock:
            if ticket == self._state:
                self._probing = False

    def _change(self, retry_at: float | None) -> None:
        self._state += 1
        self._failures = 0
        self._retry_at = retry_at
        self._probing = False
