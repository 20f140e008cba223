"""A day of a fleet, in virtual time: 500 users, four processes, and something failing all the time (T23)."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import cast

from monite_async._errors import ConnectError, MoniteError
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import hard_margin, soft_lead
from monite_async_stores import Busy, Committed, Granted, Hit, MemoryTokenStore, Negative, RecordName
from tests.tokens.world import SECRET, user
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

USERS = 500
PROCESSES = 4
DAY = 86_400.0
LIFETIME = 14_400.0
STEP = 120.0
CALLS = 60
"""Calls of each process per step: each asks for every user some three times in a window of renewal."""
FAULTS = 0.01


class Faulty:
    """What one process sees of the store: one operation in a hundred fails, before or after it was carried out."""

    def __init__(self, store: MemoryTokenStore, draws: random.Random) -> None:
        self._store = store
        self._draws = draws
        self.watch = store.watch
        self.aclose = store.aclose
        self.faults = 0

    async def _travel(self) -> None:
        await asyncio.sleep(0.001 + self._draws.random() * 0.002)
        if self._draws.random() < FAULTS / 2:  # each operation travels twice
            self.faults += 1
            raise ConnectionError("the store is away")

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        await self._travel()
        answer = await self._store.acquire(record, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)
        await self._travel()
        return answer

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        await self._travel()
        answer = await self._store.commit(record, owner, gen, value, lifetime_ms=lifetime_ms, left_ms=left_ms)
        await self._travel()
        return answer

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        await self._travel()
        await self._store.fail(record, owner, kind, ttl_ms=ttl_ms)

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        await self._travel()
        return await self._store.invalidate(record, gen)

    async def purge(self, record: RecordName) -> None:
        await self._travel()
        await self._store.purge(record)


class Ledger:
    """An endpoint of which one request in a hundred fails, and that knows which tokens were needed.

    A token is needed when its user has none yet, or when the newest one may have come due for renewal: the earliest
    moment at which any process may find it so. All other requests are waste, failed ones included.
    """

    def __init__(self, draws: random.Random) -> None:
        self._draws = draws
        self._issued: defaultdict[str, float] = defaultdict(lambda: float("-inf"))
        self._due = LIFETIME - hard_margin(LIFETIME) - soft_lead(LIFETIME, 0.0)
        self.posts = self.needed = 0

    async def secret(self, *, refresh: bool = False) -> bytes:
        del refresh
        return SECRET

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        del timeout
        asked = asyncio.get_running_loop().time()
        self.posts += 1
        await asyncio.sleep(0.1 + self._draws.random() * 0.2)
        if self._draws.random() < FAULTS:
            raise ConnectError("the endpoint is away")
        if asked - self._issued[key.id] >= self._due:
            self.needed += 1
            self._issued[key.id] = asked
        return IssuedToken(f"Bearer token-{self.posts:06d}-0123456789".encode(), LIFETIME)

    async def revoke(self, token: str, *, timeout: float) -> None:
        raise AssertionError("nobody revokes anything")


def test_a_day_of_a_fleet_with_faults() -> None:
    """T23: in 24 hours with one per cent of faults on every edge no call fails, and POSTs are at most 1.1 x the ideal."""

    async def main() -> None:
        draws = random.Random(20_251_122)
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        clock = VirtualClock(loop)
        ledger, shared = Ledger(draws), MemoryTokenStore(clock=clock)
        stores = [Faulty(shared, draws) for _ in range(PROCESSES)]
        caches = [TokenCache(store, ledger, clock=clock, random=draws.random) for store in stores]
        keys = [user(number) for number in range(USERS)]
        errors: list[MoniteError] = []

        async def call(cache: TokenCache, key: TokenKey) -> None:
            try:
                token = await cache.get(key)
            except MoniteError as exc:
                errors.append(exc)
            else:
                assert token.is_alive()

        calls = 0
        end = loop.time() + DAY
        while loop.time() < end:
            for cache in caches:
                wanted = [(cache, key) for key in draws.choices(keys, k=CALLS)]
                calls += len(wanted)
                await asyncio.gather(*(call(*one) for one in wanted if cache.peek(one[1]) is None))
            await asyncio.sleep(STEP)
        for cache in caches:
            await cache.aclose()
        assert errors == []
        assert calls > 150_000
        assert sum(store.faults for store in stores) > 100
        # Every user had a new token when the old one was due, and hardly one more.
        assert ledger.needed >= USERS * int(DAY / LIFETIME)
        assert ledger.posts <= 1.1 * ledger.needed

    run_virtual(main())
