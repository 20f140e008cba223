"""Turns out of a budget that processes share, and what happens while it cannot be reached."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from monite_async._http.limits import Limiter
from monite_async._http.shares import Shares
from monite_async_stores import RateBudget, StoreError
from tests.http._leaving import leave_with_turn
from tests.http._replies import reply_headers
from tests.virtual import VirtualClock, VirtualLoop, run_virtual


class Budget:
    """A budget in memory, in the time of the running loop.

    Attributes:
        asked: How many units were asked for, each time.
        delay: Seconds that it takes to answer.
        away: Whether it cannot be reached.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.delay = 0.001
        self.away = False
        self._due = 0.0

    async def draw(self, name: str, units: int, *, rate: float, burst: float) -> float:
        assert name == "budget"
        self.asked.append(units)
        await asyncio.sleep(self.delay)
        if self.away:
            raise StoreError("away")
        first = max(self._due, now()) - (burst - 1) / rate
        self._due = max(self._due, now()) + units / rate
        return first - now()


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


def limiter(budget: RateBudget, limit: float | None = 100.0) -> Limiter:
    """Return the limiter of one process."""
    clock = VirtualClock(cast("VirtualLoop", asyncio.get_running_loop()))
    return Limiter(clock=clock, shares=Shares(budget, "budget", limit, now()))


async def stamps(limits: Limiter, count: int, *, priority: bool = False) -> list[float]:
    """Take turns, and return when each came."""

    async def one() -> float:
        await limits.turn(priority=priority)
        limits.heard(reply_headers())
        return now()

    return await asyncio.gather(*(one() for _ in range(count)))


def busiest(times: list[float], seconds: float = 1.0) -> int:
    """Return the most that went in any stretch of time of that length."""
    times = sorted(times)
    return max(sum(first <= at < first + seconds for at in times) for first in times)


def test_processes_share_one_budget_evenly() -> None:
    """Four processes that want all they can get are given equal parts, 97 % of the limit together."""

    async def main() -> None:
        budget = Budget()
        start = now()
        all_of_them = await asyncio.gather(*(stamps(limiter(budget), 250) for _ in range(4)))
        ends = [max(times) - start for times in all_of_them]
        assert max(ends) == pytest.approx((1000 - 48) / 97, rel=0.02)
        assert min(ends) > 0.97 * max(ends)
        assert busiest([at for times in all_of_them for at in times]) <= 97 + 48 + 4
        # A slice is the twentieth part of a second: five turns in one round trip.
        assert max(budget.asked) == 4
        assert len(budget.asked) < 270

    run_virtual(main())


@pytest.mark.parametrize("hangs", [True, False])
def test_a_budget_that_hangs_or_breaks_is_done_without(hangs: bool) -> None:
    """A budget that never answers, or raises what it should not, costs a second once, and no call."""

    class Broken(Budget):
        async def draw(self, name: str, units: int, *, rate: float, burst: float) -> float:
            self.asked.append(units)
            await asyncio.sleep(1e6 if hangs else 0)
            raise ValueError("canary")

    async def main() -> None:
        budget, start = Broken(), now()
        times = await stamps(limiter(budget), 20)
        assert times[0] - start == (1.0 if hangs else 0.0)
        assert max(times) - start < 4
        assert budget.asked

    run_virtual(main())


def test_one_call_costs_one_question_and_no_wait() -> None:
    """Far from the limit a call waits for one round trip; nobody draws more than is waited for."""

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget)
        assert not limits.take()
        start = now()
        assert await stamps(limits, 1) == [pytest.approx(start + 0.001)]
        assert await stamps(limits, 3) == [pytest.approx(start + 0.002), *[pytest.approx(start + 0.003)] * 2]
        assert budget.asked == [1, 1, 2]

    run_virtual(main())


def test_without_a_limit_the_server_tells_it() -> None:
    """A shared rate without a number is the documented one, then what answers tell, then none if they tell none."""

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget, None)
        await limits.turn()
        limits.heard(reply_headers({"ratelimit-limit": "500", "ratelimit-remaining": "499"}))
        start = now()
        done = await asyncio.gather(*(limits.turn() for _ in range(500)))
        assert len(done) == 500
        assert now() - start == pytest.approx(250 / 485, rel=0.1)
        before = len(budget.asked)
        await asyncio.sleep(2)
        limits.heard(reply_headers({"ratelimit-remaining": "499"}))
        start = now()
        assert await stamps(limits, 1000) == [start] * 1000
        assert not limits.active
        assert len(budget.asked) == before

    run_virtual(main())


def test_a_token_request_does_not_wait_for_the_budget() -> None:
    """It goes at once and is paid for with the next turn that is drawn; a second one right after stands in line."""

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget)
        start = now()
        assert await stamps(limits, 1, priority=True) == [start]
        assert budget.asked == []
        assert await stamps(limits, 1, priority=True) == [pytest.approx(start + 0.001)]
        assert budget.asked == [2]

    run_virtual(main())


def test_a_turn_that_is_not_used_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is cancelled with a turn in hand gives it back; what nobody takes within a second is lost."""

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget)
        await leave_with_turn(limits, monkeypatch)
        assert limits.take()
        gone = asyncio.ensure_future(limits.turn())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(1.5)
        assert not limits.take()
        assert budget.asked == [1, 1]

    run_virtual(main())


@pytest.mark.parametrize("limit", [100, None], ids=["given", "told by nobody"])
def test_a_429_holds_what_was_drawn(limit: float | None) -> None:
    """The gate closes; what was drawn for before it opens is lost, and is drawn anew at four fifths of the rate.

    What this process alone got says nothing about the rate of all.
    """

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget, limit)
        await stamps(limits, 1)
        line = asyncio.ensure_future(stamps(limits, 300))
        await asyncio.sleep(0.5)
        start = now()
        limits.refused(2, None)
        assert limits._supply.rate == pytest.approx(0.8 * 0.97 * (limit or 30))
        times = [*await line, *await stamps(limits, 30)]
        assert not [at for at in times if start < at < start + 2]
        assert budget.asked

    run_virtual(main())


def test_without_the_budget_a_process_goes_on_alone_and_comes_back() -> None:
    """It keeps to what it had of the budget, grows from there, asks once a second, and fails nobody."""

    async def main() -> None:
        budget = Budget()
        limits = [limiter(budget) for _ in range(4)]
        lines = [asyncio.ensure_future(stamps(each, 500)) for each in limits]
        await asyncio.sleep(3)
        budget.away = True
        gone = now()
        await asyncio.sleep(3)
        asked = len(budget.asked)
        await asyncio.sleep(3)
        assert len(budget.asked) - asked <= 4 * 4
        budget.away = False
        back = now()
        times = sorted(at for each in await asyncio.gather(*lines) for at in each)
        alone = sum(gone + 0.5 < at < back for at in times) / (back - gone - 0.5)
        assert 0.8 * 97 < alone < 1.4 * 97
        assert busiest([at for at in times if at > back + 1.5]) <= 97 + 8
        assert all(each._supply.rate == 97 for each in limits)

    run_virtual(main())


def test_alone_a_process_learns_as_one_that_shares_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """429s slow it down alone, tokens go first, gates hold, turns are given back: all as without a budget."""

    async def main() -> None:
        budget = Budget()
        budget.away = True
        limits = limiter(budget)
        start = now()
        assert await stamps(limits, 1) == [pytest.approx(start + 0.001)]
        rate = limits._supply.rate
        assert rate == pytest.approx(9.7)
        assert await stamps(limits, 1, priority=True) == [now()]
        limits.refused(5, None)
        assert limits._supply.rate == pytest.approx(0.8 * rate)
        start = now()
        leaving = asyncio.ensure_future(leave_with_turn(limits, monkeypatch))
        await asyncio.sleep(1)
        (at,) = await stamps(limits, 1)
        assert 5 <= at - start < 5.5
        await leaving

    run_virtual(main())


def test_a_question_that_is_never_answered_is_asked_again() -> None:
    """The event loop that asked may have ended: after two seconds another one asks."""

    async def main() -> None:
        budget = Budget()
        budget.delay = 1e6
        limits = limiter(budget)
        start = now()
        line = asyncio.ensure_future(stamps(limits, 1))
        await asyncio.sleep(0.5)
        budget.delay = 0.0
        for task in limits._draws:
            task.cancel()  # as the end of a loop does
        assert await line == [start + 2]

    run_virtual(main())


def test_a_fork_drops_what_was_drawn() -> None:
    """Turns that the parent drew are the parent's."""

    async def main() -> None:
        budget = Budget()
        limits = limiter(budget)
        line = asyncio.ensure_future(stamps(limits, 60))
        await asyncio.sleep(0.2)
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
        limits.after_fork_in_child()
        assert not limits.take()

    run_virtual(main())
