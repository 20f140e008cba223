"""When a client may send: its own rate, and the gate that a 429 closes, and the pace that is kept after it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable

from monite_async_stores import Clock, SystemClock
from monite_async_stores._fork import renew_after_fork

__all__ = ["Limiter", "WouldWaitTooLongError"]

_MAX_GATE = 60.0
_DEFAULT_RATE = 30.0
"""Monite's documented limit in requests per second, for a 429 that does not tell it (Monite, "Rate limiting")."""
_MARGIN = 0.9
"""Share of the limit that is used after a 429: clocks differ, and windows of the server are not those of the client."""
_SLOWER = 0.7
"""What is left of the pace after a further 429: others use the same limit."""
_SLOWEST = 1.0
_MEMORY = 60.0
"""Seconds without a 429 after which its pace is forgotten."""


class WouldWaitTooLongError(Exception):
    """The turn comes later than the caller can wait.

    Attributes:
        wait: Seconds until the turn would have come.
    """

    def __init__(self, wait: float) -> None:
        super().__init__(f"the turn comes in {wait:.1f} s")
        self.wait = wait


class Limiter:
    """Gives out turns to send, first come, first served, to all loops and threads of a client.

    The rate is kept by the virtual scheduling form of GCRA (ITU-T I.371): a caller reserves its turn in virtual time
    and sleeps on its own loop until that time comes; nobody wakes anybody, so a loop that stops cannot hold up another.
    Real time is virtual time plus an offset. A 429 stops the virtual clock until the server's ``Retry-After`` is over,
    which delays everyone who is waiting by the same amount and keeps their order; the POST of a token moves everyone
    back by one turn and goes first, as long as there is one of them per turn.

    After a 429 a pace is kept for a while, also by a limiter without a rate: were everyone who was refused sent again
    when the gate opens, most would be refused again, until their retries are used up. It starts a little below the limit
    that the 429 tells and falls with every further one, since other processes may use the same limit.

    Args:
        rate: Requests per second, or None for no limit besides the gate.
        burst: Requests that may go at once after a pause; one second's worth by default.
        clock: Where time comes from.
        sleep: How to wait; on the caller's own loop.
    """

    __slots__ = (
        "__weakref__", "_allowance", "_clock", "_gate", "_interval", "_jumped", "_lock", "_offset", "_own", "_pace_until",
        "_settled", "_sleep", "_tat", "active",
    )  # fmt: skip

    def __init__(
        self,
        rate: float | None = None,
        *,
        burst: float | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._clock = clock or SystemClock()
        self._interval: float = 0.0 if rate is None else 1.0 / rate
        self._allowance: float = (
            0.0 if rate is None else (max(1.0, rate if burst is None else burst) - 1.0) * self._interval
        )
        self._own = self._interval, self._allowance
        self._pace_until = self._settled = -math.inf
        self._tat = -math.inf
        self._offset = 0.0
        self._jumped = -math.inf
        self._gate = -math.inf
        self._lock = threading.Lock()
        self.active: bool = rate is not None
        """Whether ``turn`` needs to be awaited at all; read it first, it is the whole cost of a limiter that is off."""
        renew_after_fork(self)

    async def turn(self, *, within: float = math.inf, priority: bool = False) -> None:
        """Wait for the turn of one request.

        Args:
            within: Seconds that the caller can wait; a turn that comes later is given back at once.
            priority: Go before everyone who is waiting, unless another just did (and not through a closed gate).

        Raises:
            WouldWaitTooLongError: The turn comes later than ``within``.
        """
        slot, interval = self._reserve(priority=priority)
        until = self._clock.monotonic() + within
        try:
            while 0 < (wait := self._wait_for(slot)) <= until - self._clock.monotonic():
                await self._sleep(wait)
        except BaseException:
            self._give_back(interval)
            raise
        if wait > 0:
            self._give_back(interval)
            raise WouldWaitTooLongError(wait)

    def refused(self, seconds: float | None, limit: float | None = None) -> None:
        """Take note of a 429: close the gate for as long as it says, and keep its pace for a minute.

        Args:
            seconds: How long it asks to stay away, None when it does not say.
            limit: The limit that it tells, in requests per second.
        """
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._settled:
                # Of the many that one burst brings, the first decides; the others were sent before it came.
                self._slow_down(limit or _DEFAULT_RATE)
                self._settled = now + max(1.0, min(seconds or 0.0, _MAX_GATE))
            self._pace_until = now + _MEMORY
            self.active = True
        if seconds:
            self.close(seconds)

    def _slow_down(self, limit: float) -> None:
        paced = self._pace_until > -math.inf
        rate = _SLOWER / self._interval if paced else _MARGIN * limit
        # Never faster than the client's own rate; no burst, since the server has nothing left for one.
        self._interval = max(1.0 / max(rate, min(_SLOWEST, limit)), self._own[0])
        self._allowance = 0.0

    def _forget_pace(self) -> None:
        # Not before the line is empty: whoever came later would overtake those who still wait at the pace.
        if self._pace_until <= self._clock.monotonic() and self._tat <= self._virtual_now():
            self._interval, self._allowance = self._own
            self._pace_until = -math.inf

    def close(self, seconds: float) -> None:
        """Let nobody send for so many seconds (at most 60): a 429 said so."""
        with self._lock:
            now = self._clock.monotonic()
            until = now + min(seconds, _MAX_GATE)
            if until > self._gate:
                self._offset += until - max(now, self._gate)
                self._gate = until
                self.active = True

    def _virtual_now(self) -> float:
        # While the gate is closed the virtual clock stands where it stood when the gate fell.
        return max(self._clock.monotonic(), self._gate) - self._offset

    def _reserve(self, *, priority: bool) -> tuple[float, float]:
        """Return the virtual time of the caller's turn, and the interval that it takes."""
        with self._lock:
            now = self._virtual_now()
            if self._pace_until > -math.inf:
                self._forget_pace()
            if self._interval == 0.0:
                self.active = self._clock.monotonic() < self._gate
                return now, 0.0
            real = self._clock.monotonic()
            if priority and self._tat - self._allowance > now and real - self._jumped >= self._interval:
                # One per interval: were a thousand first tokens to jump at once, the server would refuse most of them.
                self._jumped = real
                self._offset += self._interval
                return now - self._interval, self._interval
            self._tat = max(self._tat, now) + self._interval
            return self._tat - self._interval - self._allowance, self._interval

    def _wait_for(self, slot: float) -> float:
        with self._lock:
            real = self._clock.monotonic()
            return max(slot + self._offset, self._gate) - real

    def _give_back(self, interval: float) -> None:
        # Whoever waits keeps its time; the next to come gets a turn earlier. No window ever sees more than the rate.
        with self._lock:
            self._tat -= interval

    def after_fork_in_child(self) -> None:
        """Replace the lock: a thread that exists only in the parent may have held it."""
        self._lock = threading.Lock()
