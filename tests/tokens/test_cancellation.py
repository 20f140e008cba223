"""Callers may leave whenever they like; the flight goes on (R9, R11, proofs T5 and T6)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable

import pytest

from monite_async._errors import MoniteError, ServerError
from monite_async._tokens.cache import TokenCache
from tests.tokens.world import PARTNER, Endpoint, World
from tests.virtual import run_virtual

CHOICES: dict[str, Callable[[int], bool]] = {
    "first": lambda n: n == 0,
    "middle": lambda n: n == 37,
    "all but one": lambda n: n != 99,
    "all": lambda n: True,
}


@pytest.mark.parametrize("who", CHOICES)
@pytest.mark.parametrize("steps", range(12))
def test_cancelled_callers_disturb_nobody(who: str, steps: int) -> None:
    """T5: whoever is cancelled, at whichever step of the flight, the others get the token of the one request."""

    async def main() -> None:
        world = World()
        callers = [asyncio.create_task(world.cache.get(PARTNER)) for _ in range(100)]
        for _ in range(steps):
            await asyncio.sleep(0)
        chosen = [caller for number, caller in enumerate(callers) if CHOICES[who](number)]
        for caller in chosen:
            caller.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        for caller, result in zip(callers, results, strict=True):
            assert isinstance(result, asyncio.CancelledError) == (caller in chosen)
        await asyncio.sleep(0.2)
        if steps > 1 or len(chosen) < 100:
            assert world.posts == 1
            assert world.cache.peek(PARTNER) is not None
        await world.cache.get(PARTNER)
        assert world.posts == 1

    run_virtual(main())


async def _with_wait_for(cache: TokenCache) -> object:
    return await asyncio.wait_for(cache.get(PARTNER), 0.05)


async def _with_timeout(cache: TokenCache) -> object:
    async with asyncio.timeout(0.05):
        return await cache.get(PARTNER)


async def _in_group(cache: TokenCache) -> object:
    async with asyncio.timeout(0.05), asyncio.TaskGroup() as group:
        task = group.create_task(cache.get(PARTNER))
    return task.result()


@pytest.mark.parametrize("call", [_with_wait_for, _with_timeout, _in_group])
def test_budgets_shorter_than_the_fetch_are_no_livelock(call: Callable[[TokenCache], asyncio.Future[object]]) -> None:
    """T5: callers that give up after 50 ms of a 300 ms fetch are served from the round after it ends."""

    async def main() -> None:
        world = World(Endpoint(latency=0.3))
        served: list[int] = []
        for _ in range(8):
            results = await asyncio.gather(*(call(world.cache) for _ in range(20)), return_exceptions=True)
            served.append(sum(not isinstance(result, BaseException) for result in results))
        assert world.posts == 1
        assert served[:5] == [0] * 5
        assert served[-1] == 20

    run_virtual(main())


def test_a_flight_carries_no_context_of_its_starter() -> None:
    """T6: a context variable set by the first caller is not seen by the request (R9)."""
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    seen: list[str] = []

    async def main() -> None:
        world = World()

        async def look() -> None:
            seen.append(tenant.get("nobody"))

        world.endpoint.on_issue = look
        tenant.set("acme")
        await world.cache.get(PARTNER)

    run_virtual(main())
    assert seen == ["nobody"]


def test_a_flight_keeps_no_context_of_its_starter_alive() -> None:
    """What a caller's context held is free as soon as that caller is gone, however long the flight goes on (R9)."""
    tenant: contextvars.ContextVar[object] = contextvars.ContextVar("tenant")

    class Request:
        """What a web framework keeps in a context."""

    async def main() -> None:
        world = World()
        may_land, flying = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            flying.set()
            await may_land.wait()

        world.endpoint.on_issue = wait
        held: list[weakref.ref[object]] = []

        async def caller() -> None:
            request = Request()
            held.append(weakref.ref(request))
            tenant.set(request)
            del request
            await world.cache.get(PARTNER)

        task = asyncio.create_task(caller())
        await flying.wait()
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        assert held[0]() is None
        may_land.set()
        await world.cache.get(PARTNER)
        assert world.posts == 1

    run_virtual(main())


def test_a_failure_is_shared_by_all_who_waited_and_belongs_to_each() -> None:
    """T7: a thousand callers of a failing endpoint cost one flight, and each gets an exception of its own."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = ServerError("down", status=503)
        results = await asyncio.gather(*(world.cache.get(PARTNER) for _ in range(1000)), return_exceptions=True)
        errors = [result for result in results if isinstance(result, ServerError)]
        assert len(errors) == 1000
        assert len({id(error) for error in errors}) == 1000
        assert len({id(error.__cause__) for error in errors}) == 1
        assert world.posts <= 3

    run_virtual(main())


@pytest.mark.parametrize("await_point", range(1, 12))
@pytest.mark.parametrize("failing", [False, True])
def test_a_flight_cut_off_at_any_await_point_leaves_the_cache_usable(await_point: int, failing: bool) -> None:
    """Whatever step of a flight is cancelled, waiters start a new one, the lease is back, and the token comes."""

    async def main() -> None:
        world = World(Endpoint(latency=0.1))
        if failing:
            world.endpoint.plan = [ServerError("down", status=503)]
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cut = 0
        for _ in range(await_point):
            await asyncio.sleep(0.03)
        for task in asyncio.all_tasks():
            if "_fly" in repr(task.get_coro()):
                task.cancel()
                cut += 1
        if not caller.done():
            assert cut == 1
        before = world.clock.monotonic()
        try:
            await caller
        except MoniteError:
            await asyncio.sleep(5)
            await world.cache.get(PARTNER)
        else:
            assert world.clock.monotonic() - before < 1.5
        assert world.cache.peek(PARTNER) is not None

    run_virtual(main())
