"""When a client may send: in turn, at its rate, and not while the gate is closed."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from monite_async._http.limits import Limiter, WouldWaitTooLongError, learning_limiter
from tests.http._leaving import leave_with_turn
from tests.http._replies import reply_headers
from tests.virtual import VirtualClock, VirtualLoop, run_virtual


def limiter(rate: float | None = None, burst: float | None = None) -> Limiter:
    """Return a limiter on the time of the running loop."""
    return Limiter(rate, burst=burst, clock=VirtualClock(cast("VirtualLoop", asyncio.get_running_loop())))


def unlimited() -> Limiter:
    """Return a limiter that has heard from a server that tells no limit."""
    limits = limiter()
    limits.heard(reply_headers())
    return limits


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


async def stamps(limits: Limiter, count: int, *, priority: bool = False) -> list[float]:
    """Take turns, and return when each came."""

    async def one() -> float:
        await limits.turn(priority=priority)
        return now()

    return await asyncio.gather(*(one() for _ in range(count)))


def test_a_server_that_tells_no_limit_is_not_limited() -> None:
    """After the first answer without a limit it is off, and lets everyone pass at once, also those who wait already."""

    async def main() -> None:
        limits = limiter()
        assert limits.active
        line = asyncio.ensure_future(stamps(limits, 100))
        await asyncio.sleep(0.1)
        limits.heard(reply_headers())
        start = now()
        assert (await line)[-1] == start
        assert await stamps(limits, 3) == [start] * 3
        assert not limits.active

    run_virtual(main())


def test_the_rate_is_kept_in_order() -> None:
    """After the burst one request goes per interval, first come, first served."""

    async def main() -> list[float]:
        limits = limiter(10, burst=5)
        start = now()
        return [round(at - start, 6) for at in await stamps(limits, 10)]

    assert run_virtual(main()) == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_pause_earns_one_burst_and_no_more() -> None:
    """Time without requests is not saved up beyond the burst."""

    async def main() -> None:
        limits = limiter(10, burst=2)
        await stamps(limits, 2)
        await asyncio.sleep(100)
        start = now()
        assert [round(at - start, 6) for at in await stamps(limits, 4)] == [0, 0, 0.1, 0.2]

    run_virtual(main())


def test_a_closed_gate_holds_everyone() -> None:
    """After a 429 nobody sends before the server's time is over; then the gate costs nothing any more."""

    async def main() -> None:
        limits = unlimited()
        limits.close(5)
        assert limits.active
        start = now()
        assert await stamps(limits, 3) == [start + 5] * 3
        await limits.turn()
        assert not limits.active

    run_virtual(main())


def test_the_longest_gate_counts() -> None:
    """A shorter answer to an earlier request opens nothing, a longer one prolongs, and a minute is the most."""

    async def main() -> None:
        limits = unlimited()
        start = now()
        limits.close(5)
        limits.close(2)
        await limits.turn()
        assert now() == start + 5
        limits.close(3600)
        await limits.turn()
        assert now() == start + 65

    run_virtual(main())


def test_a_gate_delays_those_who_wait_and_keeps_their_order() -> None:
    """Callers in line are all moved back by the same time; whoever comes later stays behind them."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        first = asyncio.gather(*(asyncio.ensure_future(stamps(limits, 1)) for _ in range(3)))
        await asyncio.sleep(0.5)
        limits.close(10)
        late = asyncio.ensure_future(stamps(limits, 1))
        done = [round(at - start, 6) for (at,) in await first]
        assert done == [0, 11, 12]
        assert round((await late)[0] - start, 6) == 13

    run_virtual(main())


def test_a_gate_that_grows_while_callers_wait_for_it_holds_them_again() -> None:
    """Whoever waits at the gate waits on when another 429 prolongs it."""

    async def main() -> None:
        limits = unlimited()
        start = now()
        limits.close(5)
        waiting = asyncio.ensure_future(stamps(limits, 2))
        await asyncio.sleep(3)
        limits.close(10)
        assert await waiting == [start + 13] * 2

    run_virtual(main())


def test_tokens_go_first() -> None:
    """A token request does not stand in line; everyone in line moves back by one turn."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        queue = asyncio.ensure_future(stamps(limits, 3))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await stamps(limits, 1, priority=True) == [start]
        assert [round(at - start, 6) for at in await queue] == [0, 2, 3]
        await asyncio.sleep(10)
        await limits.turn(priority=True)
        begin = now()
        assert [round(at - begin, 6) for at in await stamps(limits, 1)] == [1]

    run_virtual(main())


def test_tokens_wait_at_the_gate_too() -> None:
    """When the server says stay away, that goes for token requests as well."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        limits.close(7)
        assert await stamps(limits, 1, priority=True) == [start + 7]

    run_virtual(main())


def test_a_turn_that_comes_too_late_is_given_back() -> None:
    """A caller that cannot wait so long hears so at once, and its turn goes to the next."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        with pytest.raises(WouldWaitTooLongError) as caught:
            await limits.turn(within=0.5)
        assert caught.value.wait == pytest.approx(1)
        assert now() == start
        assert await stamps(limits, 1) == [start + 1]

    run_virtual(main())


def test_a_cancelled_wait_is_given_back() -> None:
    """Whoever leaves the line leaves no hole at its end."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        leaving = [asyncio.ensure_future(limits.turn()) for _ in range(5)]
        await asyncio.sleep(0.5)
        waiter = limits._line[0]
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        waiter.go()  # as another loop might, which let it go when it was still there
        assert await stamps(limits, 1) == [start + 1]

    run_virtual(main())


@pytest.mark.parametrize("priority", [False, True])
def test_those_who_left_are_not_kept(priority: bool) -> None:
    """Behind a closed gate any number may come and leave; who stays keeps the place, and of the others few remain."""

    async def main() -> None:
        limits = limiter(30.0)
        limits.refused(60)
        start = now()
        first, last = asyncio.ensure_future(limits.turn()), list[asyncio.Future[None]]()
        for _ in range(5):
            crowd = [asyncio.ensure_future(limits.turn(priority=priority)) for _ in range(1000)]
            last.append(asyncio.ensure_future(limits.turn()))
            await asyncio.sleep(0.1)
            for each in crowd:
                each.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)
        assert len(limits._line) + len(limits._first) <= 2 * 6 + 100
        assert limits._waiting == 6
        await first
        assert not any(each.done() for each in last)
        await asyncio.gather(*last)
        assert now() - start < 62
        limits.refused(60)
        gone = [asyncio.ensure_future(limits.turn(priority=priority)) for _ in range(1000)]
        await asyncio.sleep(0.1)
        for each in gone:
            each.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert len(limits._line) + len(limits._first) <= 100

    run_virtual(main())


def test_a_turn_granted_to_one_who_is_cancelled_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its turn and its next step a caller may be cancelled: the turn is not lost."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        leaving = asyncio.ensure_future(leave_with_turn(limits, monkeypatch))
        await asyncio.sleep(0.5)
        assert await stamps(limits, 1) == [start + 1]
        await leaving

    run_virtual(main())


def test_whoever_waits_is_told_when_its_time_is_up() -> None:
    """A wait that grew is ended in time, and tells how long it would have been; the line moves on without it."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        hurried = asyncio.ensure_future(limits.turn(within=2))
        patient = asyncio.ensure_future(stamps(limits, 1))
        await asyncio.sleep(0.5)
        limits.close(10)
        with pytest.raises(WouldWaitTooLongError) as caught:
            await hurried
        assert now() == start + 2
        assert caught.value.wait == pytest.approx(9)
        assert await patient == [start + 11]

    run_virtual(main())


def test_a_turn_in_the_last_moment_counts() -> None:
    """Who gets its turn just as its time is up goes; it is not told both."""

    async def main() -> None:
        limits = limiter(1, burst=1)
        start = now()
        await limits.turn()
        waiting = asyncio.ensure_future(limits.turn(within=1))
        await asyncio.sleep(0)
        waiter = limits._line[0]
        await waiting
        limits._too_late(waiter)
        assert now() == start + 1

    run_virtual(main())


class Line(RuleBasedStateMachine):
    """Whatever comes, leaves, or closes: the rate, the order, and nobody is forgotten."""

    rate, burst = 4.0, 3.0

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.loop = cast("VirtualLoop", self.runner.get_loop())
        self.limits = Limiter(self.rate, burst=self.burst, clock=VirtualClock(self.loop))
        self.calls: list[asyncio.Task[None]] = []
        self.sent: list[tuple[float, int]] = []
        self.tokens: list[float] = []

    def step(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    async def call(self, number: int) -> None:
        await self.limits.turn()
        self.sent.append((self.loop.now, number))

    async def post(self) -> None:
        await self.limits.turn(priority=True)
        self.tokens.append(self.loop.now)

    @rule(count=st.integers(1, 6))
    def come(self, count: int) -> None:
        for _ in range(count):
            self.calls.append(self.loop.create_task(self.call(len(self.calls))))
        self.step(0)

    @rule()
    def ask_for_a_token(self) -> None:
        self.calls.append(self.loop.create_task(self.post()))

    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        if self.calls:
            self.calls[which % len(self.calls)].cancel()

    @rule(seconds=st.floats(0.01, 3))
    def refuse(self, seconds: float) -> None:
        self.limits.close(seconds)

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.step(seconds)

    def teardown(self) -> None:
        self.step(1000)
        assert all(call.done() for call in self.calls)
        done = sum(not call.cancelled() for call in self.calls)
        self.runner.close()
        assert len(self.sent) + len(self.tokens) == done
        assert [number for _, number in self.sent] == sorted(number for _, number in self.sent)
        every = sorted([at for at, _ in self.sent] + self.tokens)
        for first in range(len(every)):
            for last in range(first, len(every)):
                window = every[last] - every[first]
                assert last - first + 1 <= self.burst + self.rate * window + len(self.tokens) + 1e-3


def test_whatever_comes_the_line_keeps_rate_and_order() -> None:
    """Coming, leaving, tokens and gates in any order: the rate is kept, first come is first served, and nobody stays."""
    run_state_machine_as_test(Line, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


def test_threads_share_one_line() -> None:
    """Callers of several loops and threads are held to one rate together, and none of them is left waiting."""
    limits = Limiter(2000, burst=1)
    done: list[int] = []

    def work() -> None:
        async def main() -> None:
            await asyncio.gather(*(limits.turn() for _ in range(100)))
            done.append(100)

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 400


def test_a_loop_that_stands_still_holds_up_nobody() -> None:
    """The turn of one whose loop does not run is used up, and whoever waits behind it in another loop goes on."""
    limits = Limiter(1000, burst=1)
    loop = asyncio.new_event_loop()
    stuck = loop.create_task(limits.turn())

    async def fill() -> None:
        await limits.turn()

    asyncio.run(fill())
    loop.call_soon(loop.stop)
    loop.run_forever()

    async def main() -> None:
        await asyncio.gather(*(limits.turn() for _ in range(5)))

    asyncio.run(main())
    loop.run_until_complete(stuck)
    loop.close()
    asyncio.run(main())


def test_a_loop_that_was_closed_is_forgotten() -> None:
    """Neither its timers nor those who waited in it are in the way of others."""
    limits = Limiter(50, burst=1)

    async def leave() -> None:
        await limits.turn()
        task = asyncio.ensure_future(limits.turn())
        await asyncio.sleep(0)
        waiter = limits._line[0]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        waiter.state = 0  # as if it had never got to leave
        limits._waiting += 1

    asyncio.run(leave())
    limits._move_all()

    async def main() -> None:
        await asyncio.gather(*(limits.turn() for _ in range(3)))

    asyncio.run(main())
    assert not limits._timers


def test_a_fork_begins_anew() -> None:
    """In a forked child nobody waits, and a lock that a thread of the parent held is open."""

    async def main() -> None:
        limits = limiter(5, burst=1)
        await limits.turn()
        waiting = asyncio.ensure_future(limits.turn())
        await asyncio.sleep(0)
        limits._lock.acquire()
        limits.after_fork_in_child()
        assert not limits._waiting
        await limits.turn()
        waiting.cancel()

    run_virtual(main())


def test_what_is_learned_is_shared_as_long_as_someone_uses_it() -> None:
    """The same key gives the same limiter while it is in use, another key another one."""
    first = learning_limiter(("https://api", "1"))
    assert learning_limiter(("https://api", "1")) is first
    assert learning_limiter(("https://api", "2")) is not first
    first.refused(1)
    del first
    assert not learning_limiter(("https://api", "1"))._gate > 0
