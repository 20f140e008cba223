"""How fast requests may go: a bucket of turns, and the rate at which it fills, which the server's answers teach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monite_async._http.retry import rate_limit

if TYPE_CHECKING:
    from monite_async._http.reply import ReplyHeaders

__all__ = ["BURST", "EARLY", "FULL", "Pace"]

_DEFAULT_LIMIT: Final = 30.0
"""Monite's documented limit in requests per second, until an answer tells another (Monite, "Rate limiting")."""
FULL: Final = 0.97
"""Share of a limit that is used: clocks differ, and requests that were sent apart may arrive together."""
BURST: Final = 0.5
"""Seconds' worth of a limit that may go at once after a pause; the server may count by windows, and two bursts that
are two seconds' worth would not fit into one."""
_COLD: Final = 5.0
"""How many may go at once before the first answer: the limit may be used up by others already."""
_SHARE: Final = 0.25
"""Share of what remains that one process takes for its own; what it took already is on the way and not in that number."""
_FIRST_CUT: Final = 0.95
"""Share of what was let through in the second before the first 429 that is sent after it."""
_CUT: Final = 0.8
"""What is left of the rate after a further 429: others use the same limit."""
_CUBE: Final = 0.002
_LINE: Final = 0.002
"""Increase of the rate after t seconds without a 429: by 0.002 t^3 of what it was, and by 0.002 t of the limit."""
_SLOWEST: Final = 0.2
_FIRST_LEAST: Final = 0.1
"""Share of the limit that is not gone below at the first 429: a process whose first request is refused knows little."""
_SETTLED: Final = 1.0
"""Seconds after a 429 in which others tell nothing new: those requests were sent before it came."""
_LOW: Final = 0.15
"""Share of the limit; while less than this remains, all who share it are using it up, and nobody goes faster."""
_MEMORY: Final = 60.0
"""Seconds without a 429 after which its pace is forgotten, where no limit is told."""
EARLY: Final = 1e-6
"""Seconds that a turn may come early: timers are no more exact."""


class Pace:
    """A bucket of turns whose rate is given, or learned.

    Learned means: Monite's documented limit is assumed until the first answer tells one; an answer that tells none ends
    all limits until the first 429. What answers say remains empties the bucket that far, since others use the limit
    too. The first 429 sets the rate a little below what was let through in the second before it. From then on it is
    increased while all goes well, the faster the longer that is so, and cut by a fifth when another 429 comes:
    additive increase, multiplicative decrease is what makes those who share a limit and know nothing of each other end
    up with equal shares (Chiu and Jain 1989); the increase by the cube of the time is that of CUBIC (RFC 9438), which
    finds a limit that was raised soon without testing one that was not all the time.

    All times are of one monotonic clock, in seconds. Not safe for threads: its owner has a lock.

    Args:
        rate: Requests per second at most, or None to learn it.
        burst: How many may go at once after a pause; one second's worth of ``rate`` by default.
        now: The time.
        learned: A rate that was measured already, to begin with; it is kept to as after a 429.
        whole: It is the rate of several processes together: what this one was let through says little about it.

    Attributes:
        rate: Turns per second at present; infinite when nothing is limited.
        burst: How many may go at once after a pause.
    """

    __slots__ = (
        "_base", "_before", "_calm", "_cold", "_counted", "_due", "_held", "_least", "_own", "_own_burst", "_paced",
        "_quiet", "_settled", "_since", "_slack", "_steady", "_step", "_tick", "_told", "_whole", "burst", "rate",
    )  # fmt: skip

    def __init__(
        self,
        rate: float | None,
        burst: float | None,
        now: float,
        *,
        learned: float | None = None,
        whole: bool = False,
    ) -> None:
        self._own = rate
        self._whole = whole
        self._own_burst = max(1.0, (rate or 1.0) if burst is None else burst)
        self._told: float | None = None
        self._cold = rate is None
        self._steady = self._quiet = False
        self._paced = learned is not None
        self._base = learned or 0.0
        self._calm = 0.0
        self._settled = -math.inf
        self._least = math.inf
        self._counted = self._before = 0
        self._since = self._tick = self._due = now
        self._held = -math.inf
        self._set(min(self._base, self.cap) if self._paced else self.cap)
        self._due -= self._slack

    @property
    def cap(self) -> float:
        """The rate that is never exceeded; infinite when none is known."""
        if self._told is None:
            return self._own or (FULL * _DEFAULT_LIMIT if self._cold else math.inf)
        return min(self._own or math.inf, FULL * self._told)

    # -- the bucket ----------------------------------------------------------------------------------------------

    def take(self, now: float) -> bool:
        """Take a turn, if there is one."""
        due, full = self._due, now - self._slack
        if due > now + EARLY:
            return False
        self._due = (max(full, due)) + self._step
        return True

    def overdraw(self, now: float) -> None:
        """Take a turn that is not there yet; the next ones come later for it."""
        self._due = max(self._due, now - self._slack) + self._step

    def give_back(self, now: float) -> None:
        """Put back a turn that was not used."""
        self._due = max(self._due, now - self._slack) - self._step

    def next_at(self, now: float) -> float:
        """Return when there is a turn."""
        return max(now, self._due)

    def least_wait(self, now: float, ahead: int) -> float:
        """Return how long somebody with so many ahead waits at least, however well all goes."""
        if self._cold or self.cap == math.inf:
            return 0.0
        return max(0.0, (ahead + 1 - self._level(now)) / self.cap)

    def hold(self, now: float, until: float) -> None:
        """Let the bucket fill only from then on, and begin with one turn at most."""
        begin = max(now, self._held)
        self._held = max(begin, until)
        self._due = self._held + max(0.0, self._due - begin)
        self._steady = False  # what remains is reckoned from then on

    def _level(self, now: float) -> float:
        """Return how many turns there are; fewer than none, where some were taken in advance."""
        if self.rate == math.inf:
            return math.inf
        return min(1.0 + (max(now, self._held) - self._due) * self.rate, self.burst)

    def _empty(self, now: float, level: float) -> None:
        """Leave so many turns at most, of one or more; what there is of the next one is left to those who wait for it."""
        begin = max(now, self._held)
        if self._due <= begin + EARLY:
            self._due = max(self._due, begin + (1.0 - level) * self._step)

    def _full_burst(self) -> float:
        if self._paced:
            return 1.0
        if self._told is None:
            return self._own_burst if self._own is not None else _COLD if self._cold else math.inf
        mine = math.inf if self._own is None else self._own_burst
        return max(1.0, min(mine, BURST * self._told))

    def _change(self, now: float, rate: float) -> None:
        """Set the rate, and let the bucket have what fits to it: what was taken stays taken."""
        level, burst = self._level(now), self.burst
        self._set(rate)
        if self.rate == math.inf:
            self._due = min(self._due, now)
            return
        if self.burst > burst and not self._paced:
            level += self.burst - burst
        self._due = max(now, self._held) + (1.0 - min(level, self.burst)) * self._step

    def _set(self, rate: float) -> None:
        # A turn comes every ``_step`` seconds, the next at ``_due``; what was left for longer than ``_slack`` is lost.
        # This is the generic cell rate algorithm (ITU-T I.371), the same bucket as one with a level, in fewer steps.
        self.rate: float = rate
        self.burst: float = self._full_burst()
        self._step: float = 1.0 / rate
        self._slack: float = 0.0 if rate == math.inf else (self.burst - 1.0) * self._step

    def alone(self, now: float) -> Pace:
        """Return a pace that begins with a little less than what passed of late, and never exceeds this one's cap."""
        return Pace(self.cap, 1.0, now, learned=self._first_rate(now))

    # -- what answers teach --------------------------------------------------------------------------------------

    def passed(self, now: float, headers: ReplyHeaders) -> bool:
        """Take note of an answer other than a 429; return whether turns may come earlier than was said before.

        Args:
            now: The time.
            headers: Its headers.
        """
        if now - self._since >= 1.0:
            self._before = self._counted if now - self._since < 2.0 else 0
            self._counted, self._since = 0, now
            self._steady = False  # once a second all of it is looked at
        self._counted += 1
        left = headers.raw.get(b"ratelimit-remaining")
        if left is None:
            if self._quiet:
                return False
        elif self._steady:
            try:
                due = now + (1.0 - float(left) * _SHARE) * self._step  # as _empty does
            except ValueError:
                return False
            # A turn that is still to come is not put off, and nothing by what says that less than nothing remains.
            if due > self._due and (due <= now or (due <= now + self._step and self._due <= now + EARLY)):
                self._due = due
            return False
        sooner = self._learns(now, left, headers)
        # From now on an answer that says nothing teaches nothing, and one that says what remains only that.
        self._quiet = not (self._cold or self._paced)
        self._steady = self._quiet and self._told is not None and self._held <= now
        return sooner

    def _learns(self, now: float, left: bytes | None, headers: ReplyHeaders) -> bool:
        if left is not None and left.isdigit():
            return self._remains(now, float(left), headers)
        if self._cold:
            self._cold = False
            self._change(now, self.cap)
            return True
        return self._paced and now - self._tick >= 1.0 and self._faster(now)

    def _remains(self, now: float, left: float, headers: ReplyHeaders) -> bool:
        if left < self._least:
            self._least = left
        changed = False
        due = now - self._tick >= 1.0
        if due or self._told is None:
            changed = self._learn(now, rate_limit(headers))
            changed = (self._faster(now) if due and self._paced else False) or changed
            if due:
                self._tick, self._least = now, left
        self._empty(now, left * _SHARE)
        return changed

    def _learn(self, now: float, limit: float | None) -> bool:
        cold, self._cold = self._cold, False
        if limit == self._told and not cold:
            return False
        self._told = limit
        rate = self.rate
        self._change(now, min(rate, self.cap) if self._paced else self.cap)
        return self.rate > rate

    def refused(self, now: float, seconds: float, limit: float | None) -> None:
        """Take note of a 429.

        Args:
            now: The time.
            seconds: How long it asks to stay away.
            limit: The limit that it tells, in requests per second.
        """
        if limit is not None:
            self._learn(now, limit)
        if self._steady and self._least < math.inf:
            self._least = 0.0  # not every answer was looked at for it, and now nothing remains
        self._cold = self._steady = self._quiet = False
        if now >= self._settled:
            # Of the many that one burst brings, the first decides; the others were sent before it came.
            before = min(self.rate, self.cap if self.cap < math.inf else FULL * _DEFAULT_LIMIT)
            rate = _CUT * before if self._paced or self._whole else self._first_rate(now)
            self._paced = True
            self._change(now, min(max(rate, _SLOWEST), self.cap))
            self._base, self._calm = self.rate, 0.0
            self._tick = now
        self._settled = now + max(_SETTLED, seconds)

    def _first_rate(self, now: float) -> float:
        return max(self.passing(now) * _FIRST_CUT, (self._told or self._own or _DEFAULT_LIMIT) * _FIRST_LEAST)

    def passing(self, now: float) -> float:
        """Return how many requests per second were let through of late."""
        age = now - self._since
        if age >= 2.0:
            return 0.0
        return float(self._counted) if age >= 1.0 else self._counted + self._before * (1.0 - age)

    def _faster(self, now: float) -> bool:
        """Increase the rate once a second, unless the limit is used up; forget it when it is no longer needed."""
        passed, self._tick = now - self._tick, now
        if now < self._settled:
            return False
        if self._told is not None and self._least < _LOW * self._told:
            self._base, self._calm = self.rate, 0.0
            return False
        self._calm += min(passed, 5.0)
        rate = self._base * (1.0 + _CUBE * self._calm**3) + _LINE * self._calm * (self._told or _DEFAULT_LIMIT)
        if rate >= self.cap or self._calm >= _MEMORY:
            self._paced = False
            rate = self.cap
        self._change(now, rate)
        return True
