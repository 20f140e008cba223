"""The cache stays small and fast however many users there are (T9)."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from monite_async._errors import AuthenticationError
from monite_async_stores import MemoryTokenStore
from tests.tokens.world import PARTNER, Endpoint, World, user
from tests.virtual import run_virtual


@pytest.mark.usefixtures("unmeasured")
def test_memory_is_flat_over_many_distinct_users() -> None:
    """T9: a stream of ever new entity users is held in bounded memory, in the cache and in the store behind it."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0), store=MemoryTokenStore(max_records=200), max_records=200)
        sizes: list[int] = []
        tracemalloc.start()
        for start in range(0, 3000, 500):
            for number in range(start, start + 500):
                await world.cache.get(user(number))
            world.endpoint.posts.clear()
            world.endpoint.per_key.clear()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert sizes[-1] <= sizes[2] * 1.1
        assert world.cache.stats().cached <= 200
        assert len(world.cache._troubles) <= 220
        assert world.cache._flights[asyncio.get_running_loop()] == {}

    run_virtual(main())


@pytest.mark.usefixtures("unmeasured")
def test_failures_of_many_users_are_forgotten() -> None:
    """R4: notes on failing keys are bounded by being swept once they no longer matter."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0))
        world.endpoint.failure = AuthenticationError("no", status=401)
        for number in range(2000):
            await asyncio.gather(world.cache.get(user(number)), return_exceptions=True)
            await asyncio.sleep(0.1)
        assert len(world.cache._troubles) <= 100
        world.endpoint.failure = None
        assert (await world.cache.get(PARTNER)).is_fresh()

    run_virtual(main())
