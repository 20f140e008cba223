"""What one process draws from a budget of requests that several processes share."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from monite_async._http.pace import BURST, EARLY, FULL, Pace
from monite_async_stores import RateBudget

if TYPE_CHECKING:
    from monite_async._http.reply import ReplyHeaders

__all__ = ["Shares"]

_STALE: Final = 1.0
"""Seconds after which a turn that nobody took is lost: were they saved up, they would go as a burst."""
_ASK_AGAIN: Final = 2.0
"""Seconds after which a question without an answer counts for nothing: the event loop that asked may be gone."""
_PATIENCE: Final = 1.0
"""Seconds that the budget may take to answer; its own time limit is mostly shorter."""
_SLICE: Final = 0.05
"""Seconds' worth of the whole budget that a process draws at once: the processes take turns with equal slices, and each
waits for those of all others."""
_PROBE: Final = 1.0
"""Seconds between questions while the budget cannot be reached."""


class Shares:
    """Turns with a time each, drawn in slices from a budget; a pace of its own while that cannot be reached.

    A ``Pace`` says how large the budget is: a given rate, or what the server tells. A process that loses the budget
    goes on with what it had of it, a little less than what was let through of its requests in the last second, and
    learns from there as a process that shares with nobody: no call waits for the budget to come back, or fails.

    Args:
        budget: Where turns come from.
        name: The name of the budget there.
        limit: The limit of all processes together, in requests per second; None for the one that the server tells.
        now: The time.
    """

    __slots__ = ("_asked", "_budget", "_debt", "_name", "_pace", "_probe", "_slots", "_spare")

    def __init__(self, budget: RateBudget, name: str, limit: float | None, now: float) -> None:
        self._budget = budget
        self._name = name
        rate, burst = (None, None) if limit is None else (FULL * limit, BURST * limit)
        self._pace = Pace(rate, burst, now, whole=True)
        self._spare: Pace | None = None
        self._probe = math.inf
        self.forget()

    def forget(self) -> None:
        """Drop what was drawn, in a forked child: it is the parent's."""
        self._slots: deque[float] = deque()
        self._asked = -math.inf
        self._debt = 0

    @property
    def rate(self) -> float:
        """Turns per second at present, of all processes; of this one while the budget cannot be reached."""
        return (self._spare or self._pace).rate

    # -- drawing -------------------------------------------------------------------------------------------------

    def wants(self, now: float) -> bool:
        """Tell whether the budget should be asked now."""
        self._drop_stale(now)
        if self._slots or now - self._asked < _ASK_AGAIN or self._pace.rate == math.inf:
            return False
        return self._spare is None or now >= self._probe

    def asks(self, now: float, waiting: int) -> int:
        """Return how many turns to ask for, of which so many are waited for, and take note that it is done now."""
        self._asked = now
        return min(waiting + self._debt, max(1, int(self._pace.rate * _SLICE)))

    async def draw(self, units: int) -> float | None:
        """Ask for turns; return in how many seconds the first of them comes, None if the budget cannot be reached."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._budget.draw(self._name, units, rate=self._pace.rate, burst=self._pace.burst)
        except Exception:  # noqa: BLE001 - a store is pluggable, and no call waits for it or fails with it
            return None

    def drew(self, now: float, units: int, wait: float | None) -> None:
        """Take note of what was drawn."""
        self._asked = -math.inf
        if wait is None:
            self._probe = now + _PROBE
            if self._spare is None:
                self._spare = self._pace.alone(now)
            return
        self._spare = None
        paid = min(self._debt, units)
        self._debt -= paid
        self._slots.extend(max(now, now + wait + number / self._pace.rate) for number in range(paid, units))

    # -- turns, as of a pace -------------------------------------------------------------------------------------

    def take(self, now: float) -> bool:
        """Take a turn, if there is one."""
        if self._spare is not None:
            return self._spare.take(now)
        if self._pace.rate == math.inf:
            return True
        self._drop_stale(now)
        if not self._slots or self._slots[0] > now + EARLY:
            return False
        self._slots.popleft()
        return True

    def _drop_stale(self, now: float) -> None:
        while self._slots and self._slots[0] < now - _STALE:
            self._slots.popleft()

    def overdraw(self, now: float) -> None:
        """Take a turn that is not there yet; the next ones come later for it."""
        if self._spare is not None:
            self._spare.overdraw(now)
        else:
            self._debt += 1

    def give_back(self, now: float) -> None:
        """Put back a turn that was not used."""
        if self._spare is not None:
            self._spare.give_back(now)
        else:
            self._slots.appendleft(now)

    def next_at(self, now: float) -> float:
        """Return when there is a turn, or when to look for one."""
        if self._spare is not None:
            return self._spare.next_at(now)
        return self._slots[0] if self._slots else max(now, self._asked + _ASK_AGAIN)

    def least_wait(self, now: float, ahead: int) -> float:
        """Return how long somebody with so many ahead waits at least, however well all goes."""
        return self._pace.least_wait(now, ahead)

    def hold(self, now: float, until: float) -> None:
        """Begin anew then; what was drawn for an earlier time is lost."""
        self._slots.clear()
        if self._spare is not None:
            self._spare.hold(now, until)

    # -- what answers teach --------------------------------------------------------------------------------------

    def passed(self, now: float, headers: ReplyHeaders) -> bool:
        """Take note of an answer other than a 429; see ``Pace.passed``."""
        sooner = self._pace.passed(now, headers)
        return self._spare.passed(now, headers) if self._spare is not None else sooner

    def refused(self, now: float, seconds: float, limit: float | None) -> None:
        """Take note of a 429; see ``Pace.refused``."""
        (self._spare or self._pace).refused(now, seconds, limit)
