"""Whether a call is sent again, when, and how often in all."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async import RetryPolicy
from monite_async._http.budget import RetryBudget
from monite_async._http.retry import Outcome, Retry, Stop, decide, parse_retry_after, retry_after
from tests.virtual import VirtualClock, VirtualLoop

POLICY = RetryPolicy()
NOW = 1_700_000_000.0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504, 599])
def test_idempotent_methods_are_repeated(method: str, status: int | None) -> None:
    """GET, HEAD, PUT and DELETE are sent again after 408, 429, 5xx and transport errors."""
    assert isinstance(decide(POLICY, Outcome(method, 0, status)), Retry)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("status", [None, 408, 500, 502, 503, 504])
def test_creating_methods_are_not_repeated_blindly(method: str, status: int | None) -> None:
    """POST and PATCH stand when they may have been carried out: a blind repeat pays twice."""
    assert isinstance(decide(POLICY, Outcome(method, 0, status)), Stop)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "outcome",
    [{"unsent": True}, {"status": 429}, {"status": 429, "retry_after": 1.0}, {"status": 503, "retry_after": 1.0}],
    ids=str,
)
def test_creating_methods_are_repeated_when_nothing_was_done(method: str, outcome: dict[str, Any]) -> None:
    """POST and PATCH are sent again when nothing was sent, on 429, and on 503 with Retry-After."""
    assert isinstance(decide(POLICY, Outcome(method, 0, **outcome)), Retry)


@pytest.mark.parametrize("status", [None, 408, 500, 502, 503, 504])
def test_what_an_operation_bears_wins_over_its_method(status: int | None) -> None:
    """A search sent with POST is repeated like a GET; a method that is idempotent is not where the operation is not."""
    assert isinstance(decide(POLICY, Outcome("POST", 0, status, idempotent=True)), Retry)
    assert isinstance(decide(POLICY, Outcome("PUT", 0, status, idempotent=False)), Stop)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 405, 409, 413, 415, 422, 424])
def test_refusals_stand(method: str, status: int) -> None:
    """A status that says the request itself is wrong is never answered by sending it again."""
    assert isinstance(decide(POLICY, Outcome(method, 0, status, retry_after=1.0)), Stop)


@pytest.mark.parametrize(
    "stopped",
    [
        Outcome("GET", 2, 500),
        Outcome("GET", 0, 500, replayable=False),
        Outcome("GET", 0, 500, budget=False),
        Outcome("GET", 0, None, budget=False),
        Outcome("GET", 0, 429, retry_after=60.1),
        Outcome("GET", 0, 429, retry_after=10.0, remaining=10.0),
        Outcome("GET", 0, 500, draw=1.0, remaining=0.5),
        Outcome("GET", 0, 500, remaining=-1.0),
    ],
    ids=str,
)
def test_what_ends_a_call(stopped: Outcome) -> None:
    """No retries left, a body that is gone, an empty budget, too long a wait, or a deadline: the failure stands."""
    assert isinstance(decide(POLICY, stopped), Stop)


def test_a_repeat_that_the_server_scheduled_is_free() -> None:
    """What the server itself put on its calendar needs no budget; everything else does."""
    assert decide(POLICY, Outcome("GET", 0, 429, retry_after=1.0, budget=False, draw=0.0)) == Retry(1.0, charged=False)
    assert decide(POLICY, Outcome("GET", 0, 429, draw=0.5)) == Retry(0.25, charged=True)


@given(
    st.integers(0, 5),
    st.floats(0, 1),
    st.floats(0, 120),
    st.floats(0, 200),
    st.sampled_from([None, 408, 429, 500, 503]),
)
def test_the_wait_is_bounded(retries: int, draw: float, asked: float, remaining: float, status: int | None) -> None:
    """A wait is never sooner than asked for, never past the deadline, never longer than the policy allows."""
    policy = RetryPolicy(max_retries=6)
    verdict = decide(policy, Outcome("GET", retries, status, retry_after=asked, remaining=remaining, draw=draw))
    if isinstance(verdict, Retry):
        assert asked <= verdict.wait < remaining
        assert verdict.wait <= max(asked, min(policy.max_wait, policy.base_wait * 2**retries))
        assert asked <= policy.max_retry_after


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("9" * 400, 1e9),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW + 30), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:13:50", 30.0),
        ("Tue, 32 Nov 2023 22:13:50 GMT", None),
        ("Tue, 14 Nov 99999 22:13:50 GMT", None),
    ],
)
def test_every_form_of_retry_after(raw: str | None, seconds: float | None) -> None:
    """Retry-After is read as seconds, fractions or a date; garbage and negative numbers are as good as none."""
    assert parse_retry_after(raw, now=NOW) == seconds


def test_a_date_is_held_against_the_machine_by_default() -> None:
    """Without another clock a date is compared with this machine's."""
    assert parse_retry_after(formatdate(0, usegmt=True)) == 0.0


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {}, None),
        (503, {"retry-after": "3"}, 3.0),
        (429, {"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        (429, {"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        (429, {"ratelimit-reset": "1"}, 1.0),
        (429, {"ratelimit-reset": f"{NOW + 12:.0f}"}, 12.0),
        (429, {"ratelimit-reset": f"{NOW - 12:.0f}"}, 0.0),
        (429, {"ratelimit-reset": "later"}, None),
        (503, {"ratelimit-reset": "1"}, None),
        (429, {"retry-after": "2", "ratelimit-reset": "9"}, 2.0),
        # The server's clock is an hour behind: its own date decides.
        (429, {"retry-after": formatdate(NOW - 3590, usegmt=True), "date": formatdate(NOW - 3600, usegmt=True)}, 10.0),
    ],
    ids=str,
)
def test_every_rate_limit_header(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds beat seconds beat the reset of the rate limit, which is a delta or a time of day."""
    assert retry_after(status, headers, wall=NOW) == seconds


def test_the_budget_follows_the_calls() -> None:
    """Repeats are bounded by the reserve and a tenth of the calls."""
    budget = RetryBudget(clock=VirtualClock(_loop()))
    assert sum(budget.take() for _ in range(100)) == 10
    assert not budget.left()
    for _ in range(100):
        budget.calls += 1
    assert sum(budget.take() for _ in range(100)) in {9, 10}  # a tenth is no binary fraction


def test_the_budget_is_capped_and_refills() -> None:
    """Quiet times fill the reserve only, busy times no more than the ceiling."""
    loop = _loop()
    budget = RetryBudget(clock=VirtualClock(loop))
    for _ in range(10_000):
        budget.calls += 1
    loop.now += 1e6
    assert sum(budget.take() for _ in range(1000)) == 100
    loop.now += 15
    assert sum(budget.take() for _ in range(1000)) == 5
    loop.now += 1e6
    assert sum(budget.take() for _ in range(1000)) == 10


def test_a_fork_renews_the_lock() -> None:
    """A lock that a thread of the parent held is open in the child."""
    budget = RetryBudget()
    budget._lock.acquire()
    budget.after_fork_in_child()
    assert budget.take()


def test_infinite_deadline_is_the_default() -> None:
    """Without a deadline nothing but the policy ends a call."""
    assert Outcome("GET", 0).remaining == math.inf


def _loop() -> VirtualLoop:
    loop = VirtualLoop()
    loop.close()
    return loop
