"""Fresh, soft, mandatory, blocked: what a caller gets and what it costs (R3-R8, R12)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest

from monite_async._errors import AuthenticationError, ClientClosedError, ConnectError, ServerError
from tests.tokens.world import PARTNER, Endpoint, World, user
from tests.virtual import run_virtual

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that ends on its first step."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("it suspended")


@pytest.mark.usefixtures("unmeasured")
def test_a_fresh_hit_never_suspends_and_asks_nobody() -> None:
    """R3: on a fresh hit the coroutine finishes on its first step, starts no task and no request (T1)."""

    async def main() -> None:
        world = World()
        first = await world.cache.get(PARTNER)
        tasks = asyncio.all_tasks()
        peek, get = world.cache.peek, world.cache.get
        for _ in range(1_000_000):
            assert peek(PARTNER) is first
            assert finished(get(PARTNER)) is first
        assert asyncio.all_tasks() == tasks
        assert world.posts == 1

    run_virtual(main())


def test_a_soft_token_is_served_at_once_while_one_flight_refreshes_it() -> None:
    """Between the soft and the hard point callers never wait, and one flight replaces the token."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        await asyncio.sleep(1800 - 36 - 200)
        assert world.cache.peek(PARTNER) is None
        for _ in range(100):
            coroutine = world.cache.get(PARTNER)
            with pytest.raises(StopIteration) as done:
                coroutine.send(None)
            assert done.value.value is old
        await asyncio.sleep(1)
        assert world.posts == 2
        assert world.cache.peek(PARTNER) is not None
        assert (await world.cache.get(PARTNER)).gen > old.gen

    run_virtual(main())


def test_past_the_hard_point_callers_wait_for_the_new_token() -> None:
    """A token too old for a request to arrive with is not handed out while a new one can be had."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        await asyncio.sleep(1800 - 30)
        tokens = await asyncio.gather(*(world.cache.get(PARTNER) for _ in range(50)))
        assert {token.gen for token in tokens} != {old.gen}
        assert len({token.gen for token in tokens}) == 1
        assert world.posts == 2

    run_virtual(main())


def test_while_the_endpoint_is_down_a_valid_token_is_served_until_it_expires_and_not_longer() -> None:
    """Static stability (R12): no caller fails before true expiry, and none succeeds after it."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        world.endpoint.failure = ConnectError("refused")
        while world.clock.monotonic() < 1000 + 1799:
            await world.cache.get(PARTNER)
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        with pytest.raises(ConnectError):
            await world.cache.get(PARTNER)

    run_virtual(main())


def test_a_refused_refresh_serves_the_token_until_the_hard_point_only() -> None:
    """A terminal refusal is no outage: past the hard point it is what callers get (R12)."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        world.endpoint.failure = AuthenticationError("no", status=401)
        await asyncio.sleep(1800 - 40)
        await world.cache.get(PARTNER)
        await asyncio.sleep(10)
        with pytest.raises(AuthenticationError) as caught:
            await world.cache.get(PARTNER)
        assert caught.value.status == 401

    run_virtual(main())


def test_a_failed_flight_is_remembered_and_not_repeated_by_every_caller() -> None:
    """Blocked callers get the failure of the last flight at once, with the time of the next try (R12)."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = AuthenticationError("no", status=401)
        with pytest.raises(AuthenticationError):
            await world.cache.get(PARTNER)
        before = world.clock.monotonic()
        for _ in range(50):
            with pytest.raises(AuthenticationError) as caught:
                await world.cache.get(PARTNER)
            assert 0 < (caught.value.retry_after or 0) <= 5
        assert world.clock.monotonic() == before
        assert world.posts == 1

    run_virtual(main())


def test_recovery_comes_within_the_backoff_cap() -> None:
    """After the endpoint heals, callers without a token get one within 5 seconds (R12)."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = ServerError("down", status=503)
        for _ in range(300):
            with pytest.raises(ServerError):
                await world.cache.get(PARTNER)
            await asyncio.sleep(0.2)
        world.endpoint.failure = None
        healed = world.clock.monotonic()
        while True:
            try:
                await world.cache.get(PARTNER)
                break
            except ServerError:
                await asyncio.sleep(0.1)
        assert world.clock.monotonic() - healed <= 5.5

    run_virtual(main())


def test_a_short_life_never_becomes_a_busy_loop() -> None:
    """R8: with tokens that live one second, flights of a key keep a second between them."""

    async def main() -> None:
        world = World(Endpoint(latency=0.01, lifetime=1.0))
        until = world.clock.monotonic() + 60
        while world.clock.monotonic() < until:
            token = await world.cache.get(PARTNER)
            assert token.is_alive()
            await asyncio.sleep(0.05)
        gaps = [b - a for a, b in zip(world.endpoint.posts, world.endpoint.posts[1:], strict=False)]
        assert min(gaps) >= 0.99
        assert world.posts <= 62

    run_virtual(main())


def test_a_token_that_is_dead_on_arrival_is_never_handed_out() -> None:
    """A lifetime shorter than the endpoint's latency is a failure, not a token (R5)."""

    async def main() -> None:
        world = World(Endpoint(latency=2.0, lifetime=1.0))
        with pytest.raises(Exception, match="already expired"):
            await world.cache.get(PARTNER)
        assert world.posts <= 3

    run_virtual(main())


def test_idle_keys_cost_nothing() -> None:
    """R4: a day without calls makes no request, whatever was cached."""

    async def main() -> None:
        world = World(Endpoint(lifetime=600))
        await world.cache.warm([PARTNER, *(user(n) for n in range(20))])
        posts = world.posts
        await asyncio.sleep(86400)
        assert world.posts == posts == 21

    run_virtual(main())


def test_the_table_is_bounded_and_keeps_what_is_used() -> None:
    """R4: beyond its bound the cache drops unused tokens first."""

    async def main() -> None:
        world = World(max_records=50)
        await world.cache.get(PARTNER)
        for number in range(500):
            await world.cache.get(user(number))
            assert world.cache.peek(PARTNER) is not None
        assert world.cache.stats().cached <= 50
        assert world.endpoint.per_key["partner"] == 1

    run_virtual(main())


def test_a_closed_cache_says_so() -> None:
    """After ``aclose()`` there is no token, no request, and a clear error; closing twice is fine (R13)."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        await world.cache.aclose()
        await world.cache.aclose()
        assert world.cache.peek(PARTNER) is None
        for use in (world.cache.get, world.cache.revoke, world.cache.invalidate):
            with pytest.raises(ClientClosedError, match="aclose"):
                await use(PARTNER)
        assert world.posts == 1

    run_virtual(main())


def test_close_gives_a_flight_a_second_and_then_cuts_it_off() -> None:
    """Waiters of a flight that cannot finish in time get ``ClientClosedError`` (R13)."""

    async def main() -> None:
        quick, slow = World(Endpoint(latency=0.5)), World(Endpoint(latency=3.0))
        for world, kind in ((quick, None), (slow, ClientClosedError)):
            waiters = [asyncio.create_task(world.cache.get(PARTNER)) for _ in range(5)]
            await asyncio.sleep(0.01)
            await world.cache.aclose()
            results = await asyncio.gather(*waiters, return_exceptions=True)
            if kind is None:
                assert all(not isinstance(result, BaseException) for result in results)
            else:
                assert all(isinstance(result, kind) for result in results)

    run_virtual(main())
