"""How a rate is learned: from what answers tell of the limit, and from 429s."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async._http.pace import Pace
from tests.http._replies import reply_headers


def told(limit: float, left: float) -> dict[str, str]:
    """Return headers that tell a limit and what remains of it."""
    return {"ratelimit-limit": f"{limit:g}", "ratelimit-remaining": f"{left:g}"}


def passed(pace: Pace, now: float, headers: dict[str, str]) -> bool:
    """Let an answer come."""
    return pace.passed(now, reply_headers(headers))


def taken(pace: Pace, now: float) -> int:
    """Take all turns that there are."""
    count = 0
    while pace.take(now):
        count += 1
    return count


def stream(pace: Pace, times: Iterable[float], headers: dict[str, str]) -> None:
    """Let answers come at such times."""
    for now in times:
        passed(pace, now, headers)


def test_before_the_first_answer_few_go_at_once_and_at_the_documented_limit() -> None:
    """A process that starts knows nothing of the others: five at once, then 97 % of 30 per second."""
    pace = Pace(None, None, 0.0)
    assert taken(pace, 0.0) == 5
    assert pace.next_at(0.0) == pytest.approx(1 / (0.97 * 30))
    assert pace.least_wait(0.0, 1000) == 0


def test_a_limit_that_is_told_opens_half_of_it_at_once() -> None:
    """What was sent before the first answer is counted; then the rate is 97 % of the limit."""
    pace = Pace(None, None, 0.0)
    assert taken(pace, 0.0) == 5
    assert passed(pace, 0.0, told(300, 295))
    assert pace.rate == pytest.approx(291)
    assert taken(pace, 0.0) == 295 // 4
    assert pace.least_wait(0.0, 291) == pytest.approx(1, abs=0.01)


def test_what_others_use_is_not_taken() -> None:
    """An answer that tells that little remains empties the bucket, and an answer that tells much does not fill it."""
    pace = Pace(None, None, 0.0)
    passed(pace, 0.0, told(100, 99))
    passed(pace, 0.0, told(100, 8))
    assert taken(pace, 0.0) == 2
    passed(pace, 0.0, told(100, 99))
    assert taken(pace, 0.0) == 0


def test_a_limit_that_changes_is_followed() -> None:
    """Once a second the limit is read anew, whether it was raised, lowered, or is no longer told."""
    pace = Pace(None, None, 0.0)
    passed(pace, 0.0, told(30, 29))
    assert not passed(pace, 0.5, told(300, 29))
    assert pace.rate == pytest.approx(29.1)
    assert passed(pace, 1.0, told(300, 299))
    assert pace.rate == pytest.approx(291)
    assert not passed(pace, 2.0, told(60, 59))
    assert pace.rate == pytest.approx(58.2)
    passed(pace, 3.0, {"ratelimit-remaining": "59"})
    assert pace.rate == math.inf
    assert taken_at_once(pace)


def taken_at_once(pace: Pace) -> bool:
    """Tell whether nothing is limited."""
    return all(pace.take(3.0) for _ in range(1000)) and pace.least_wait(3.0, 10**9) == 0


def test_a_limit_of_next_to_nothing_can_be_corrected() -> None:
    """An absurdly low limit lets a request go every few seconds still: its answer tells a better one."""
    pace = Pace(None, None, 0.0)
    assert pace.take(0.0)
    passed(pace, 0.0, {"ratelimit-remaining": "0", "ratelimit-limit": "0.0000001"})
    assert not pace.take(1.0)
    assert pace.take(6.0)
    passed(pace, 6.0, {"ratelimit-remaining": "20", "ratelimit-limit": "30"})
    assert pace.rate == pytest.approx(0.97 * 30)


@pytest.mark.parametrize("nonsense", ["", "-1", "many", "1, 2"])
def test_what_remains_in_no_number_tells_nothing(nonsense: str) -> None:
    """It is as if the header were not there."""
    pace = Pace(None, None, 0.0)
    assert passed(pace, 0.0, {"ratelimit-remaining": nonsense, "ratelimit-limit": "30"})
    assert pace.rate == math.inf


def test_a_429_without_a_word_sets_the_rate_to_what_passed() -> None:
    """A partner with a raised limit is slowed down to a little less than what it got, not to the documented limit."""
    pace = Pace(None, None, 0.0)
    stream(pace, [number / 200 for number in range(400)], {})
    pace.refused(2.0, 0.0, None)
    assert pace.rate == pytest.approx(0.95 * 200, rel=0.02)
    assert taken(pace, 2.0) == 1
    assert pace.least_wait(2.0, 1000) == 0


def test_what_passed_is_counted_over_a_sliding_second() -> None:
    """Old answers count for less and less, and after two seconds for nothing."""
    pace = Pace(None, None, 0.0)
    stream(pace, [0.0] * 50, {})
    assert pace.passing(0.5) == 50
    assert pace.passing(1.5) == 50
    stream(pace, [1.0] * 10, {})
    assert pace.passing(1.5) == pytest.approx(10 + 25)
    assert pace.passing(3.0) == 0
    stream(pace, [5.0], {})
    assert pace.passing(5.0) == 1


@pytest.mark.parametrize(
    ("limit", "rate", "least"), [(50, None, 5), (None, None, 3), (None, 20, 2)], ids=["told", "nothing", "own"]
)
def test_a_process_that_is_refused_at_first_begins_with_a_tenth(
    limit: float | None, rate: float | None, least: float
) -> None:
    """Others use the limit up, and it is not known how much of it will be left."""
    pace = Pace(rate, None, 0.0)
    pace.refused(0.0, 1.0, limit)
    assert pace.rate == pytest.approx(least)


def test_the_429s_of_one_burst_count_once_and_further_ones_cut() -> None:
    """Those that were sent before the first 429 came change nothing; one that comes later takes a fifth off."""
    pace = Pace(None, None, 0.0)
    passed(pace, 0.0, told(100, 99))
    stream(pace, [0.5] * 50, told(100, 10))
    for now in (1.0, 1.1, 2.9):
        pace.refused(now, 2.0, 100)
    first = pace.rate
    assert first == pytest.approx(0.95 * 51)
    pace.refused(5.0, 0.0, 100)
    assert pace.rate == pytest.approx(0.8 * first)
    for now in range(10, 60):
        pace.refused(2.0 * now, 0.0, 100)
    assert pace.rate == 0.2


def test_the_rate_grows_back_to_the_limit_while_enough_remains() -> None:
    """Without 429s, slowly at first and ever faster; then bursts are allowed again."""
    pace = Pace(None, None, 0.0)
    stream(pace, [0.0] * 10, told(30, 20))
    pace.refused(0.5, 0.0, 30)
    rates = [pace.rate]
    for now in range(1, 20):
        passed(pace, now + 0.6, told(30, 20))
        rates.append(pace.rate)
    assert rates[1] - rates[0] < 0.1 * rates[0]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(29.1)
    assert taken(pace, 100.0) == 15


def test_nobody_goes_faster_while_the_limit_is_used_up() -> None:
    """As long as less than 15 % remain at some moment of each second, a rate that was cut stays what it is."""
    pace = Pace(None, None, 0.0)
    stream(pace, [0.0] * 10, told(30, 20))
    pace.refused(0.5, 0.0, 30)
    rate = pace.rate
    for number in range(60):
        passed(pace, 1.6 + number / 2, told(30, 25 if number % 2 else 2))
    assert pace.rate == rate


def test_nothing_grows_before_the_gate_opens() -> None:
    """Answers to what was sent before a 429 say nothing about after it."""
    pace = Pace(None, None, 0.0)
    passed(pace, 0.0, {})
    stream(pace, [0.0] * 9, {})
    pace.refused(0.5, 5.0, None)
    rate = pace.rate
    assert not passed(pace, 3.0, {})
    assert pace.rate == rate
    assert passed(pace, 6.0, {})
    assert pace.rate > rate


def test_where_no_limit_is_told_a_pace_is_forgotten_after_a_minute() -> None:
    """A minute of answers without a 429 ends it."""
    pace = Pace(None, None, 0.0)
    stream(pace, [0.0] * 10, {})
    pace.refused(0.0, 0.0, None)
    stream(pace, range(1, 59), {})
    assert pace.rate < math.inf
    stream(pace, range(59, 64), {})
    assert pace.rate == math.inf


def test_a_rate_that_was_given_is_never_exceeded() -> None:
    """Neither by a limit that is higher nor by growing back; one that is lower is kept to."""
    pace = Pace(20.0, 4.0, 0.0)
    assert not passed(pace, 0.0, told(300, 299))
    assert pace.rate == 20
    assert taken(pace, 0.0) == 4
    pace.refused(1.0, 0.0, 300)
    for now in range(2, 40):
        passed(pace, float(now), told(300, 299))
    assert pace.rate == 20
    passed(pace, 50.0, told(10, 9))
    assert pace.rate == pytest.approx(9.7)


def test_a_pace_alone_begins_with_what_it_had() -> None:
    """A process that loses a shared budget goes on at a little less than what it got of it."""
    pace = Pace(100.0, 50.0, 0.0)
    stream(pace, [0.5] * 20, {})
    alone = pace.alone(0.9)
    assert alone.rate == pytest.approx(19)
    assert taken(alone, 0.9) == 1
    assert alone.cap == 100


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "low", "silent", "refused", "take"]),
            st.floats(0, 3),
            st.sampled_from([5.0, 30.0, 300.0]),
        ),
        max_size=80,
    )
)
def test_whatever_is_learned_the_limit_told_last_is_kept(plan: list[tuple[str, float, float]]) -> None:
    """The rate is never above 97 % of the limit that was told last, and never so low that nothing goes."""
    pace, now, limit = Pace(None, None, 0.0), 0.0, 0.0
    for what, pause, size in plan:
        now += pause + 1.001  # more than the second between two looks, however it is rounded
        if what == "take":
            pace.take(now)
        elif what == "refused":
            pace.refused(now, pause, size)
            limit = size
        elif what != "silent":
            passed(pace, now, told(size, size - 1 if what == "ok" else 0))
            limit = size
        elif limit:
            continue  # a server that told its limit goes on doing so
        else:
            passed(pace, now, {})
        assert pace.rate >= 0.2
        if limit:
            assert pace.rate <= 0.97 * limit + 1e-9
            assert pace.next_at(now) < now + 60
