"""The turns that a pace hands out are those of a bucket with a level, whatever is learned meanwhile."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async._http.limits import Limiter, WouldWaitTooLongError
from monite_async._http.pace import Pace
from tests.http._bucket import LevelBucket
from tests.http._replies import reply_headers
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

Step = tuple[str, int, int]
"""What happens, how many 128ths of a second later, and a number that belongs to it."""

_PAUSES = st.one_of(st.just(0), st.integers(0, 16), st.integers(0, 600))
_STEPS = st.tuples(
    st.sampled_from(["take", "take", "take", "jump", "back", "hold", "told", "told", "silent", "nonsense", "429"]),
    _PAUSES,
    st.integers(0, 40),
)
_RATE = 7.3
"""Turns per second, such that none comes at the very moment of something else: either might be first."""
_LIMITS = (30, 30, 30, 5, 300)
_NONSENSE = ("abc", "-5", "nan", "", "-1e9", "-inf", "1,2")


def told(limit: int, left: str) -> dict[str, str]:
    """Return headers that tell a limit and what remains of it."""
    return {"ratelimit-limit": str(limit), "ratelimit-remaining": left}


class Pair:
    """A pace, and the bucket with a level that should be the same."""

    def __init__(self, rate: float | None) -> None:
        self.pace = Pace(rate, None, 1000.0)
        self.level = LevelBucket(self.pace.rate, self.pace.burst, 1000.0)
        self.now = self.gate = 1000.0

    def do(self, what: str, number: int) -> None:
        """Do one thing to both; turns are neither taken nor drawn in advance at a closed gate."""
        pace, level, now = self.pace, self.level, self.now
        if what in {"take", "jump"}:
            if now < self.gate:
                return
            if what == "take":
                assert pace.take(now) is level.take(now)
            else:
                pace.overdraw(now)
                level.overdraw(now)
        elif what == "back":
            pace.give_back(now)
            level.give_back(now)
        elif what == "hold":
            self.hold(number / 8)
        else:
            self.learn(what, number)

    def hold(self, seconds: float) -> None:
        """Close the gate, unless it is closed for longer already."""
        if self.now + seconds > self.gate:
            self.gate = self.now + seconds
            self.pace.hold(self.now, self.gate)
            self.level.hold(self.now, self.gate)

    def learn(self, what: str, number: int) -> None:
        """Let an answer come."""
        limit = _LIMITS[number % len(_LIMITS)]
        if what == "429":  # of the limit that is known: another one would be two changes at once
            self.pace.refused(self.now, number / 16, self.pace._told)
        elif what == "silent":
            self.pace.passed(self.now, reply_headers())
        else:
            left = str(number) if what == "told" else _NONSENSE[number % len(_NONSENSE)]
            self.pace.passed(self.now, reply_headers(told(limit, left)))
        self.level.follow(self.now, self.pace.rate, self.pace.burst)
        if what == "told":
            self.level.leave(self.now, number / 4)

    def compare(self) -> None:
        """Compare when the next turn comes, and how many there are (by how long a thousand others take)."""
        if self.pace.rate == math.inf:
            return
        now, gate = self.now, self.gate
        assert max(gate, self.pace.next_at(now)) == pytest.approx(max(gate, self.level.next_at(now)), abs=1e-6)
        waits = self.pace.least_wait(now, 1000)
        if waits:
            assert waits * self.pace.cap == pytest.approx(self.level.least_wait(now, 1000) * self.level.rate, abs=1e-3)


@given(st.sampled_from([None, 20.0, 0.5]), st.lists(_STEPS, max_size=60))
def test_turns_are_those_of_a_bucket_with_a_level(rate: float | None, plan: list[Step]) -> None:
    """Taken, drawn in advance, given back, held at a gate, emptied and learned: each turn comes when the level has it."""
    pair = Pair(rate)
    for what, pause, number in plan:
        pair.now += pause / 128
        pair.do(what, number)
        pair.compare()


async def _stamps(plan: list[Step], supply: LevelBucket | None) -> list[tuple[int, str, float]]:
    """Have a limiter do what is planned; return who got a turn, or an end to waiting, and when."""
    loop = cast("VirtualLoop", asyncio.get_running_loop())
    limits = Limiter(_RATE, burst=3.0, clock=VirtualClock(loop))
    if supply is not None:
        limits._supply = cast("Any", supply)
    seen: list[tuple[int, str, float]] = []

    async def turn(who: int, *, within: float, priority: bool) -> None:
        how = "cancelled"
        try:
            await limits.turn(within=within, priority=priority)
            how = "went"
        except WouldWaitTooLongError:
            how = "late"
        finally:
            seen.append((who, how, loop.time()))

    tasks: list[asyncio.Task[None]] = []
    for what, pause, number in plan:
        await asyncio.sleep(pause / 128)
        if what == "gate":
            limits.close(number / 10)
        elif what == "leave" and tasks:
            tasks[number % len(tasks)].cancel()
        else:
            within = math.inf if what != "brief" else number / 10 + 0.03
            tasks.append(asyncio.create_task(turn(len(tasks), within=within, priority=what == "token")))
    await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(seen)


@given(
    st.lists(
        st.tuples(st.sampled_from(["call"] * 4 + ["token", "brief", "gate", "leave"]), _PAUSES, st.integers(0, 40)),
        max_size=40,
    )
)
def test_a_line_moves_as_a_bucket_with_a_level_moves_it(plan: list[Step]) -> None:
    """With gates, token requests that go before others, and callers who leave or are too late, all go at the same times."""
    mine = run_virtual(_stamps(plan, None))
    plain = run_virtual(_stamps(plan, LevelBucket(_RATE, 3.0, 1000.0)))
    assert [(who, how) for who, how, _ in mine] == [(who, how) for who, how, _ in plain]
    assert [at for _, _, at in mine] == pytest.approx([at for _, _, at in plain], abs=1e-4)


@pytest.mark.parametrize("left", [*_NONSENSE, " ", "1e9", "inf"])
def test_nonsense_delays_nobody_once_the_limit_is_known(left: str) -> None:
    """What remains in no number, or less than nothing, moves no turn, however far off it says that the next one is."""
    pace = Pace(None, None, 0.0)
    pace.passed(0.0, reply_headers(told(30, "29")))
    pace.passed(0.1, reply_headers(told(30, "29")))
    before = pace.next_at(0.2)
    assert not pace.passed(0.2, reply_headers(told(30, left)))
    assert pace.next_at(0.2) == before
    assert pace.rate == pytest.approx(29.1)


@pytest.mark.parametrize("own", [None, 100.0])
def test_a_limit_that_is_told_after_silence_is_kept_at_once(own: float | None) -> None:
    """Some answers tell no limit: the first that does is listened to, not only the next in a second."""
    pace = Pace(own, None, 0.0)
    for _ in range(3):
        pace.passed(0.1, reply_headers())
    assert pace.rate == (own or math.inf)
    pace.passed(0.2, reply_headers(told(30, "29")))
    assert pace.rate == pytest.approx(29.1)


def test_after_a_429_nobody_goes_faster_at_once() -> None:
    """A 429 says that nothing remained, also where not every answer before it was looked at for that."""
    pace = Pace(None, None, 0.0)
    for left in range(29, 0, -1):
        pace.passed((29 - left) / 29, reply_headers(told(30, str(left))))
    pace.refused(1.0, 10.0, 30.0)
    rate = pace.rate
    assert not pace.passed(11.1, reply_headers(told(30, "29")))
    assert pace.rate == rate
    assert pace.passed(12.2, reply_headers(told(30, "28")))
    assert pace.rate > rate


def test_the_turn_that_comes_next_is_not_put_off_by_what_little_remains() -> None:
    """Who uses 97 % of a limit has little left of it all the time, and goes on at that rate."""
    pace, now = Pace(None, None, 0.0), 0.0
    pace.passed(now, reply_headers(told(30, "2")))
    times: list[float] = []
    while now < 5.0:
        now = pace.next_at(now)
        assert pace.take(now)
        times.append(now)
        pace.passed(now + 0.02, reply_headers(told(30, "1")))
    assert len(times) == pytest.approx(0.97 * 30 * 5, abs=2)
