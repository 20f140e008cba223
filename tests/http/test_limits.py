"""When a client may send: in turn, at its rate, and not while the gate is closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async._http.limits import Limiter, WouldWaitTooLongError
from tests.virtual import VirtualClock, VirtualLoop, run_virtual


def limiter(rate: float | None = None, burst: float | None = None) -> Limiter:
    """Return a limiter on the time of the running loop."""
    return Limiter(rate, burst=burst, clock=VirtualClock(cast("VirtualLoop", asyncio.get_running_loop())))


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


async def stamps(limits: Limiter, count: int, *, priority: bool = False) -> list[float]:
    """Take turns, and return when each came."""

    async def one() -> float:
        await limits.turn(priority=priority)
        return now()

    return await asyncio.gather(*(one() for _ in range(count)))


def test_without_a_rate_it_is_off() -> None:
    """A limiter that limits nothing says so, and lets everyone pass at once."""

    async def main() -> None:
        limits = limiter()
        assert not limits.active
        assert await stamps(limits, 3) == [now()] * 3

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
        limits = limiter()
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
        limits = limiter()
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
        limits = limiter()
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
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert await stamps(limits, 1) == [start + 1]

    run_virtual(main())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["turn", "token", "leave", "gate"]), st.floats(0, 0.6), st.floats(0, 3)),
        min_size=1,
        max_size=40,
    )
)
def test_no_window_sees_more_than_the_rate(plan: list[tuple[str, float, float]]) -> None:
    """Whatever comes, leaves or closes: no window holds more than burst and rate (and the tokens that went first)."""
    rate, burst = 4.0, 3.0
    sent: list[float] = []
    tokens: list[float] = []

    async def main() -> None:
        limits = limiter(rate, burst=burst)

        async def one(kind: str) -> None:
            await limits.turn(priority=kind == "token")
            (tokens if kind == "token" else sent).append(now())

        tasks: list[asyncio.Task[None]] = []
        for kind, pause, amount in plan:
            await asyncio.sleep(pause)
            if kind == "gate":
                limits.close(amount)
            elif kind == "leave" and tasks:
                tasks.pop().cancel()
            else:
                tasks.append(asyncio.ensure_future(one(kind)))
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main())
    every = sorted(sent + tokens)
    for first in range(len(every)):
        for last in range(first, len(every)):
            window = every[last] - every[first]
            assert last - first + 1 <= burst + rate * window + len(tokens) + 1e-6


def test_a_429_sets_a_pace_below_its_limit() -> None:
    """After a 429 turns come evenly, at nine tenths of the limit it tells and not in a burst when the gate opens."""

    async def main() -> None:
        limits = limiter()
        start = now()
        limits.refused(2, 10)
        assert limits.active
        assert [round(at - start, 6) for at in await stamps(limits, 3)] == [2, 2.111111, 2.222222]

    run_virtual(main())


def test_a_429_without_a_word_sets_the_documented_pace() -> None:
    """Without a time and a limit there is no gate, and Monite's 30 per second are taken for the limit."""

    async def main() -> None:
        limits = limiter()
        start = now()
        limits.refused(None)
        assert [round((at - start) * 27, 6) for at in await stamps(limits, 4)] == [0, 1, 2, 3]

    run_virtual(main())


def test_the_429s_of_one_burst_count_once_and_further_ones_slow_down() -> None:
    """Those that were sent before the first 429 came change nothing; one that comes later means that others send too."""

    async def main() -> None:
        limits = limiter()
        for _ in range(100):
            limits.refused(1, 10)
        await asyncio.sleep(1)
        limits.refused(None, 10)
        start = now()
        first, second = await stamps(limits, 2)
        assert first == start
        assert second - first == pytest.approx(1 / (0.9 * 10 * 0.7))
        for _ in range(20):
            await asyncio.sleep(5)
            limits.refused(None, 10)
        first, second = await stamps(limits, 2)
        assert second - first == pytest.approx(1)

    run_virtual(main())


def test_the_clients_own_rate_is_never_exceeded_by_a_pace() -> None:
    """A limit that is higher than what the client was given changes its burst only."""

    async def main() -> None:
        limits = limiter(2, burst=2)
        limits.refused(None, 1000)
        first, second = await stamps(limits, 2)
        assert second - first == pytest.approx(0.5)

    run_virtual(main())


def test_a_pace_is_forgotten_after_a_minute_without_a_429_once_nobody_waits() -> None:
    """Then all may send at once again; before that whoever comes late would overtake those in line."""

    async def main() -> None:
        limits = limiter()
        start = now()
        limits.refused(None, 1)
        line = asyncio.ensure_future(stamps(limits, 100))
        await asyncio.sleep(70)
        (late,) = await stamps(limits, 1)
        assert late >= max(await line)
        assert late - start == pytest.approx(100)
        await asyncio.sleep(1.1)
        begin = now()
        assert await stamps(limits, 50) == [begin] * 50
        assert not limits.active

    run_virtual(main())


def test_a_turn_given_back_is_as_long_as_it_was() -> None:
    """Whoever leaves a line that became slower gives back what it took, so that nobody gets its turn too early."""

    async def main() -> None:
        limits = limiter(10, burst=1)
        start = now()
        tasks = [asyncio.ensure_future(limits.turn()) for _ in range(11)]
        await asyncio.sleep(0)
        limits.refused(None, 1)
        for task in tasks[6:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (late,) = await stamps(limits, 1)
        assert late - start == pytest.approx(0.6)

    run_virtual(main())


def test_threads_share_one_line() -> None:
    """Callers of several loops and threads are held to one rate together."""
    limits = Limiter(1e6, burst=1)
    done: list[int] = []

    def work() -> None:
        async def main() -> None:
            for _ in range(200):
                await limits.turn()
            done.append(200)

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 800


def test_a_fork_renews_the_lock() -> None:
    """A lock that a thread of the parent held is open in the child."""

    async def main() -> None:
        limits = limiter(5)
        limits._lock.acquire()
        limits.after_fork_in_child()
        await limits.turn()

    run_virtual(_typed(main()))


def _typed(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    return work
