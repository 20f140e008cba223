"""The circuit breaker, on a clock moved by hand."""

from __future__ import annotations

import threading

import pytest

from monite_async_stores import StoreError
from monite_async_stores._breaker import Breaker


class Time:
    """A clock and a draw, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.draw = 0.0

    def breaker(self) -> Breaker:
        """Return a breaker on this clock."""
        return Breaker(clock=lambda: self.now, random=lambda: self.draw)


def opened(time: Time) -> Breaker:
    """Return a breaker that just opened."""
    breaker = time.breaker()
    assert breaker.failed(breaker.enter()) is False
    assert breaker.failed(breaker.enter()) is True
    return breaker


def test_it_opens_at_the_second_failure_in_a_row() -> None:
    """One failure, or two with a success between them, open nothing; two in a row do."""
    breaker = Time().breaker()
    for _ in range(5):
        assert breaker.failed(breaker.enter()) is False
        assert breaker.succeeded(breaker.enter()) is False
    assert breaker.failed(breaker.enter()) is False
    assert breaker.failed(breaker.enter()) is True
    with pytest.raises(StoreError, match="left alone"):
        breaker.enter()


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 2.0), (0.5, 3.5), (1.0, 5.0)])
def test_it_stays_open_for_two_to_five_seconds(draw: float, seconds: float) -> None:
    """How long it stays open is drawn, so that a fleet does not come back at one instant."""
    time = Time()
    time.draw = draw
    breaker = opened(time)
    assert breaker.wait() == pytest.approx(seconds)
    time.now += seconds - 0.01
    with pytest.raises(StoreError):
        breaker.enter()
    time.now += 0.02
    assert breaker.wait() == 0.0
    breaker.enter()


def test_one_operation_at_a_time_tries_whether_the_server_is_back() -> None:
    """After the pause a single operation is let through; its success closes the breaker for all, and says so once."""
    time = Time()
    breaker = opened(time)
    time.now += 2.0
    ticket = breaker.enter()
    with pytest.raises(StoreError):
        breaker.enter()
    assert breaker.succeeded(ticket) is True
    assert breaker.wait() == 0.0
    assert breaker.succeeded(breaker.enter()) is False


def test_a_failed_try_opens_it_again_at_once() -> None:
    """The operation that tries needs to fail only once for another pause."""
    time = Time()
    breaker = opened(time)
    time.now += 2.0
    assert breaker.failed(breaker.enter()) is True
    with pytest.raises(StoreError):
        breaker.enter()


def test_a_try_that_was_cut_off_lets_the_next_one_try() -> None:
    """An operation cancelled by its caller says nothing about the server, and blocks nobody."""
    time = Time()
    breaker = opened(time)
    time.now += 2.0
    breaker.left(breaker.enter())
    assert breaker.succeeded(breaker.enter()) is True


def test_what_began_before_does_not_count() -> None:
    """Operations under way when the breaker opened or closed change nothing when they end."""
    time = Time()
    breaker = time.breaker()
    late = [breaker.enter() for _ in range(6)]
    assert breaker.failed(late[0]) is False
    assert breaker.failed(late[1]) is True
    assert breaker.failed(late[2]) is False
    assert breaker.succeeded(late[3]) is False
    breaker.left(late[4])
    with pytest.raises(StoreError):
        breaker.enter()
    time.now += 2.0
    ticket = breaker.enter()
    breaker.left(late[5])
    with pytest.raises(StoreError):
        breaker.enter()
    assert breaker.succeeded(ticket) is True


def test_a_forked_child_may_try_and_is_not_blocked() -> None:
    """In a forked child the lock is new, and the parent's operation under way is not waited for."""
    time = Time()
    breaker = opened(time)
    time.now += 2.0
    breaker.enter()
    lock = breaker._lock
    with lock:
        breaker.renew_lock()
        assert breaker.succeeded(breaker.enter()) is True


def test_threads_open_it_once() -> None:
    """However many threads report failures at the same time, exactly one of them opens the breaker."""
    breaker = Breaker()
    barrier = threading.Barrier(8)
    opened_by: list[bool] = []

    def fail() -> None:
        ticket = breaker.enter()
        barrier.wait()
        opened_by.append(breaker.failed(ticket))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(opened_by) == 1
