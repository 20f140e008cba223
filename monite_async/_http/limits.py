"""When a client may send: one line for all who share a limit, moved on by a pace, a shared budget, and the gate of a 429."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

from monite_async._http.pace import EARLY, Pace
from monite_async._tokens.tasks import own_task
from monite_async_stores import Clock, SystemClock
from monite_async_stores._fork import renew_after_fork

if TYPE_CHECKING:
    from monite_async._http.reply import ReplyHeaders
    from monite_async._http.shares import Shares

__all__ = ["Limiter", "WouldWaitTooLongError", "learning_limiter"]

_MAX_GATE: Final = 60.0
_WAITING, _GRANTED, _GONE = range(3)
_GONE_KEPT: Final = 100
"""How many who are gone may stay in line besides as many as wait, so that leaving costs little."""

# What waited in the event loops of a forked process's parent: kept, not freed, since those loops are not ours to touch.
_abandoned: list[object] = []


class WouldWaitTooLongError(Exception):
    """The turn comes later than the caller can wait.

    Attributes:
        wait: Seconds until the turn would have come.
    """

    def __init__(self, wait: float) -> None:
        super().__init__(f"the turn comes in {wait:.1f} s")
        self.wait = wait


class _Waiter:
    """One who stands in line."""

    __slots__ = ("future", "loop", "state", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.state: int = _WAITING
        self.timer: asyncio.TimerHandle | None = None

    def go(self) -> None:
        """Let it go, in its own loop; one that is gone already gives its turn back itself."""
        if not self.future.done():
            self.future.set_result(None)


class Limiter:
    """Gives out turns to send, first come, first served, to all loops and threads of the clients that share it.

    Turns come from a ``Pace``, which is a rate or learns one, or from what this process draws from a budget that several
    share. A 429 closes a gate for everyone until the server's ``Retry-After`` is over. Token requests go before all
    others; when there is no turn at once, one of them per interval takes the next turn in advance.

    Nobody holds up anybody: each event loop that has someone waiting has a timer for the next turn, and whichever comes
    first moves the whole line on, so that a loop that stops cannot stop the others.

    Args:
        rate: Requests per second, or None to learn what the server takes.
        burst: Requests that may go at once after a pause; one second's worth of ``rate`` by default.
        clock: Where time comes from; it must pass as the time of the event loops does.
        shares: Where turns come from instead, if processes share a budget.
    """

    __slots__ = (
        "__weakref__", "_draws", "_first", "_gate", "_jumped", "_line", "_lock", "_now", "_shares", "_supply",
        "_timers", "_waiting", "active",
    )  # fmt: skip

    def __init__(
        self,
        rate: float | None = None,
        *,
        burst: float | None = None,
        clock: Clock | None = None,
        shares: Shares | None = None,
    ) -> None:
        self._now: Callable[[], float] = (clock or SystemClock()).monotonic
        self._shares = shares
        self._supply: Pace | Shares = shares or Pace(rate, burst, self._now())
        self._gate = self._jumped = -math.inf
        self.active: bool = True
        """Whether a turn needs to be taken at all; read it first, it is the whole cost of a limiter that is off."""
        self._start()
        renew_after_fork(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[_Waiter] = deque()
        self._first: deque[_Waiter] = deque()
        self._waiting = 0
        self._timers: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle | None] = {}
        self._draws: set[asyncio.Task[None]] = set()

    def after_fork_in_child(self) -> None:
        """Begin anew: nobody waits here, and a thread that exists only in the parent may have held the lock."""
        _abandoned.append((self._line, self._first, self._timers, self._draws))
        self._start()
        if self._shares is not None:
            self._shares.forget()

    # -- taking turns --------------------------------------------------------------------------------------------

    def take(self, *, priority: bool = False) -> bool:
        """Take a turn that is there now, without waiting; False when there is none or others wait for it.

        Args:
            priority: Go before everyone who is waiting, and in advance unless another just did; not through a closed
                gate.
        """
        with self._lock:
            now = self._now()
            if (self._waiting and not priority) or now < self._gate:
                return False
            if self._shares is not None and self._shares.wants(now):
                return priority and self._jump(now)
            if self._supply.take(now):
                if self._supply.rate == math.inf:
                    self.active = False
                return True
            return priority and self._jump(now)

    async def turn(self, *, within: float = math.inf, priority: bool = False) -> None:
        """Wait for the turn of one request.

        Args:
            within: Seconds that the caller can wait.
            priority: See ``take``.

        Raises:
            WouldWaitTooLongError: The turn comes later than ``within``; raised at once where that is certain.
        """
        if self.take(priority=priority):
            return
        waiter = self._join(within, priority=priority)
        self._move()
        try:
            await waiter.future
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()

    def _jump(self, now: float) -> bool:
        # One per interval: were a thousand first tokens to jump at once, the server would refuse most of them.
        if now - self._jumped < 1.0 / self._supply.rate:
            return False
        self._jumped = now
        self._supply.overdraw(now)
        return True

    # -- the line ------------------------------------------------------------------------------------------------

    def _join(self, within: float, *, priority: bool) -> _Waiter:
        loop = asyncio.get_running_loop()
        with self._lock:
            now = self._now()
            ahead = len(self._first) if priority else self._waiting
            wait = max(0.0, self._gate - now) + self._supply.least_wait(now, ahead)
            if wait > within:
                raise WouldWaitTooLongError(wait)
            waiter = _Waiter(loop)
            (self._first if priority else self._line).append(waiter)
            self._waiting += 1
            if loop not in self._timers:
                for dead in [other for other in self._timers if other.is_closed()]:
                    del self._timers[dead]
                self._timers[loop] = None
        if within < math.inf:
            waiter.timer = loop.call_later(within, self._too_late, waiter)
        return waiter

    def _too_late(self, waiter: _Waiter) -> None:
        self._move()  # its turn may come at this very moment
        with self._lock:
            now = self._now()
            wait = max(0.0, self._gate - now, self._supply.next_at(now) - now)
        if not waiter.future.done():
            waiter.future.set_exception(WouldWaitTooLongError(wait))

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            state, waiter.state = waiter.state, _GONE
            if state == _WAITING:
                self._waiting -= 1
                if len(self._line) + len(self._first) > 2 * self._waiting + _GONE_KEPT:
                    self._sweep()
                return
            self._supply.give_back(self._now())
        self._move()

    def _sweep(self) -> None:
        """Drop those who are gone: behind a closed gate, or when nobody waits any more, none of them comes to the front."""
        self._line = deque(waiter for waiter in self._line if waiter.state == _WAITING)
        self._first = deque(waiter for waiter in self._first if waiter.state == _WAITING)

    def _urgent(self) -> bool:
        """Tell whether anybody waits who goes before others."""
        while self._first and self._first[0].state != _WAITING:
            self._first.popleft()
        return bool(self._first)

    def _pop(self) -> _Waiter:
        line = self._first if self._urgent() else self._line
        while (waiter := line.popleft()).state != _WAITING:
            pass
        waiter.state = _GRANTED
        self._waiting -= 1
        return waiter

    def _move(self) -> None:
        """Let everyone go whose turn has come, and set the timer of this loop for the next turn; runs in any loop."""
        loop = asyncio.get_running_loop()
        granted: list[_Waiter] = []
        with self._lock:
            now = self._now()
            if now >= self._gate:
                self._draw_if_wanted(now)
                while self._waiting and (self._supply.take(now) or (self._urgent() and self._jump(now))):
                    granted.append(self._pop())
            timer = self._timers.pop(loop, None)
            if timer is not None:
                timer.cancel()
            if self._waiting:
                due = self._supply.next_at(now)
                if self._urgent():
                    due = min(due, self._jumped + 1.0 / self._supply.rate)
                due = max(due, self._gate)
                self._timers[loop] = loop.call_later(max(EARLY, due - now), self._move)
        for waiter in granted:
            if waiter.loop is loop:
                waiter.go()
            else:
                _call(waiter.loop, waiter.go)

    def _move_all(self) -> None:
        """Move the line on wherever somebody waits: turns may come earlier than the timers say."""
        with self._lock:
            loops = list(self._timers)
        for loop in loops:
            _call(loop, self._move)

    # -- the budget that processes share -------------------------------------------------------------------------

    def _draw_if_wanted(self, now: float) -> None:
        shares = self._shares
        if shares is not None and self._waiting and shares.wants(now):
            task = own_task(self._draw(shares, shares.asks(now, self._waiting)))
            self._draws.add(task)
            task.add_done_callback(self._draws.discard)

    async def _draw(self, shares: Shares, units: int) -> None:
        wait = await shares.draw(units)
        with self._lock:
            shares.drew(self._now(), units, wait)
        self._move_all()

    # -- what answers teach --------------------------------------------------------------------------------------

    def heard(self, headers: ReplyHeaders) -> None:
        """Take note of an answer other than a 429.

        Args:
            headers: Its headers.
        """
        with self._lock:
            sooner = self._supply.passed(self._now(), headers)
            if not self.active:
                self.active = self._supply.rate < math.inf
        if sooner and self._waiting:
            self._move_all()

    def refused(self, seconds: float | None, limit: float | None = None) -> None:
        """Take note of a 429: close the gate for as long as it says (at most a minute), and go slower after it.

        Args:
            seconds: How long it asks to stay away, None when it does not say.
            limit: The limit that it tells, in requests per second.
        """
        wait = min(seconds or 0.0, _MAX_GATE)
        with self._lock:
            now = self._now()
            self._supply.refused(now, wait, limit)
            self.active = True
        if seconds:
            self.close(wait)

    def close(self, seconds: float) -> None:
        """Let nobody send for so many seconds, at most a minute."""
        with self._lock:
            now = self._now()
            until = now + min(seconds, _MAX_GATE)
            if until > self._gate:
                self._gate = until
                self._supply.hold(now, until)
                self.active = True


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # it was closed, and nobody waits in it any more
        loop.call_soon_threadsafe(work)


class _Learning:
    """The limiters without a rate of their own, by what the server counts by."""

    __slots__ = ("__weakref__", "_known", "_lock")

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[Hashable, Limiter] = weakref.WeakValueDictionary()
        self.after_fork_in_child()
        renew_after_fork(self)

    def find(self, key: Hashable) -> Limiter:
        with self._lock:
            limiter = self._known.get(key)
            if limiter is None:
                limiter = self._known[key] = Limiter()
            return limiter

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()  # a thread that exists only in the parent may have held it


_learning: Final = _Learning()


def learning_limiter(key: Hashable) -> Limiter:
    """Return the limiter without a rate of its own that all who give the same key share, as long as one of them lives.

    Args:
        key: What the server counts by.
    """
    return _learning.find(key)
