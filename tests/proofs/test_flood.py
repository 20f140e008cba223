"""A flood: thousands of calls at once, a third of them cancelled, faults of every kind, tokens that live two seconds."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest

from monite_async import AsyncMonite, EntityClient, MoniteError, RequestOptions, RetryPolicy
from monite_async._http.native import Native
from monite_async.emulator import Remote
from tests.proofs.programs import emulating
from tests.proofs.stage import ADDRESS, cache_of, pool_of

SPREAD = 4.0
JSON = dict[str, object]
RETRY = RetryPolicy(max_retries=2, base_wait=0.01, max_wait=0.05)
SURE = RequestOptions(retry=RetryPolicy(max_retries=20, base_wait=0.01, max_wait=0.05))
FAULTS: tuple[JSON, ...] = (
    {"latency": 0.05},
    {"status": 503},
    {"status": 503, "headers": {"retry-after": "0"}},
    {"status": 429, "headers": {"retry-after": "0", "x-ratelimit-limit-second": "100000"}},
    {"status": 500, "body": "<html>oh</html>"},
    {"drop": "refuse"},
    {"drop": "before"},
    {"drop": "after"},
    {"truncate": 7},
)
DEAD: JSON = {"status": 401, "body": {"error": {"message": "expired"}}}


async def order_faults(remote: Remote, draw: random.Random) -> None:
    """Order some hundred faults, on calls and on token requests."""
    for _ in range(200):
        fault = {**draw.choice((*FAULTS, DEAD)), "skip": draw.randrange(200), "times": draw.randrange(1, 4)}
        await remote.fail(
            draw.choice(("GET", "POST")), draw.choice(("/entities", "/entity_users", "/payables", "*me")), **fault
        )
    for _ in range(4):
        await remote.fail("POST", "/auth/token", **draw.choice(FAULTS), skip=draw.randrange(8))


async def one(acme: EntityClient, user_id: str, monite: AsyncMonite, draw: random.Random) -> JSON:
    """Make one call of some kind."""
    await asyncio.sleep(draw.random() * SPREAD)
    kind = draw.randrange(4)
    if kind == 0:
        return await monite.request("GET", "/entities", cast_to=JSON)
    if kind == 1:
        return await acme.request("GET", "/entity_users", query={"limit": 3}, cast_to=JSON)
    if kind == 2:
        return await acme.request("POST", "/payables", json={"currency": "EUR"}, cast_to=JSON)
    return await acme.as_user(user_id).request("GET", "/entity_users/me", cast_to=JSON)


async def flood(remote: Remote, monite: AsyncMonite, seed: int, count: int) -> Counter[str]:
    """Let it come, and see that everything is as before afterwards."""
    draw = random.Random(seed)
    entity = await monite.entities.create(
        type="organization", email="a@b.test", address=ADDRESS, organization={"legal_name": "A"}, options=SURE
    )
    acme = monite.entity(entity.id)
    user = await acme.entity_users.create(login="ann", first_name="Ann", options=SURE)
    await order_faults(remote, draw)
    before, began = asyncio.all_tasks(), time.monotonic()
    calls = [asyncio.ensure_future(one(acme, user.id, monite, draw)) for _ in range(count)]
    cancelled = set(draw.sample(calls, count * 3 // 10))
    for call in cancelled:
        asyncio.get_running_loop().call_later(draw.random() * SPREAD, call.cancel)
    results = await asyncio.gather(*calls, return_exceptions=True)
    for call, result in zip(calls, results, strict=True):
        fine = isinstance(result, dict | MoniteError)
        assert fine or (call in cancelled and isinstance(result, asyncio.CancelledError)), repr(result)
    seconds = time.monotonic() - began
    await remote.clear_faults()
    await clean(monite)
    assert asyncio.all_tasks() == before
    # Of two keys: a second lies between two flights, and a flight makes three requests.
    assert await remote.count("POST", "/auth/token") <= 2 * 3 * (seconds + 5)
    return Counter(type(result).__name__ for result in results)


async def clean(monite: AsyncMonite) -> None:
    """See that nothing of the flood is left, and that the next call works."""
    cache, post = cache_of(monite), monite._core.post.carrier
    assert isinstance(post, Native)
    async with asyncio.timeout(20):
        while any(cache._flights.values()) or cache._tasks:
            await asyncio.sleep(0.01)
        wait = max((trouble.retry_at for trouble in cache._troubles.values()), default=0.0)
        await asyncio.sleep(max(0.0, wait - time.monotonic()))  # a backoff is no hang
    async with asyncio.timeout(5):  # it takes a second at most: two flights of a key are that far apart
        assert await monite.request("GET", "/entities", cast_to=JSON)
        for pool in (pool_of(monite), post):
            while pool.stats().open != pool.stats().idle:
                await asyncio.sleep(0.001)
            assert pool.stats().waiting == 0


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("seed", "count"), [(1, 5000), (7, 1500)])
async def test_a_flood(seed: int, count: int) -> None:
    """Every call succeeds, fails with a typed error, or was cancelled; then no task, slot or connection is missing."""
    async with emulating("--partner-lifetime", "2", "--user-lifetime", "2") as remote:
        monite = AsyncMonite(**remote.client_options(), retry=RETRY)
        outcomes = await flood(remote, monite, seed, count)
        await monite.aclose()
    assert outcomes["dict"] > count / 20
    assert outcomes["CancelledError"] > count / 20
