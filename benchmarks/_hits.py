"""What a call costs that finds a valid token, and what a token costs that is kept."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import tracemalloc
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import repeat
from typing import Any, TypeVar

from benchmarks._measure import Probe, async_probe, best, empty, microseconds, sync_probe, without_gc
from benchmarks._scenarios import Figures
from benchmarks._systems import OURS, Monite, Spec, System
from benchmarks._token_server import LIFETIME, Endpoint, make_token
from monite_async import AsyncMonite
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.record import AccessToken

__all__ = ["FAILED", "PROOF_HITS", "cached_tokens", "hit_cost", "hit_proof"]

PROOF_HITS = 100_000
_PLENTY = 1_000_000.0
FAILED = "failed: "
"""How a line begins, on standard error, about a peer that is left out."""

T = TypeVar("T")


def hit_cost(specs: list[Spec], endpoint: Endpoint, rounds: int) -> Figures:
    """Return microseconds per hit: ours three ways, each peer at its own call, an empty coroutine."""

    async def main() -> Figures:
        endpoint.set(delay=0.0)
        probes: dict[str, Probe] = {"empty coroutine": async_probe(empty)}
        systems: list[System] = []
        for spec in specs:
            system = await _ready(spec, endpoint)
            if system is None:
                continue
            systems.append(system)
            if isinstance(system, Monite):
                cache, key = cache_of(system.client), system.client._core.key()
                probes["cache.peek"] = sync_probe(cache.peek, [key] * 100)
                probes["client.token"] = async_probe(system.client.token)
                probes["cache.get"] = async_probe(partial(cache.get, key))
            else:
                probes[spec.name] = async_probe(system.acquire)
        with without_gc():
            least = await best(probes, rounds=rounds)
        for system in systems:
            await system.aclose()
        return {name: microseconds(seconds) for name, seconds in least.items()}

    return asyncio.run(main())


async def _ready(spec: Spec, endpoint: Endpoint) -> System | None:
    """Return a system with a token; None for a peer that cannot get one."""
    try:
        system = spec.make(endpoint)
        await system.acquire()
    except Exception as exc:
        if spec.name == OURS:
            raise
        print(f"{FAILED}hits of {spec.name}: {exc!r}", file=sys.stderr)
        return None
    return system


def cache_of(client: AsyncMonite) -> TokenCache:
    """Return the cache inside a client."""
    return client._core.issued()


class _CountingLock:
    """Stands in for a lock and counts who takes it."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        return


def hit_proof(endpoint: Endpoint) -> Figures:
    """Count what 100,000 hits of each kind do besides answering: locks, tasks, suspensions, memory, headers."""

    async def main() -> Figures:
        endpoint.set(delay=0.0)
        system = Monite(endpoint)
        client = system.client
        first = await client.token()
        cache, key = cache_of(client), client._core.key()
        locks = _CountingLock()
        for holder in (cache, cache._table, cache.store, cache.local):
            setattr(holder, "_lock", locks)  # noqa: B010 - a stand-in, not a lock
        tasks = _count_tasks()
        figures: Figures = {"suspended": 0, "new_headers": 0, "blocks": 0}
        hits: list[Callable[[], AccessToken | None]] = [partial(cache.peek, key), lambda: _first_send(client.token())]
        with without_gc():
            for hit in hits:
                _repeat(hit, first.header, 1000)  # counters outgrow the small integers, which are never allocated
                runs = [_repeat(hit, first.header, PROOF_HITS) for _ in range(3)]
                few = _repeat(hit, first.header, 1000)  # what the counting itself leaves
                figures["blocks"] += min(
                    max(0, run[0] - few[0]) for run in runs
                )  # others' litter is not in all of them
                figures["suspended"] += sum(run[1] for run in runs)
                figures["new_headers"] += sum(run[2] for run in runs)
        figures["peek_bytes"], figures["token_bytes"] = (_peak_bytes(hit) for hit in hits)
        figures["header_bytes"] = sys.getsizeof(first.header)
        figures["locks"], figures["tasks"] = locks.taken, len(tasks)
        asyncio.get_running_loop().set_task_factory(None)
        await system.aclose()
        return figures

    return asyncio.run(main())


def _repeat(hit: Callable[[], AccessToken | None], header: bytes, times: int) -> tuple[int, int, int]:
    """Return the memory blocks left over, how many hits gave nothing at once, and how many another header object."""
    nothing = others = 0
    blocks = sys.getallocatedblocks()
    for _ in repeat(None, times):
        record = hit()
        if record is None:
            nothing += 1
        elif record.header is not header:
            others += 1
    return sys.getallocatedblocks() - blocks, nothing, others


def _count_tasks() -> list[int]:
    """From now on note every task that the running loop starts."""
    started: list[int] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        started.append(1)
        return asyncio.Task(work, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)
    return started


def _first_send(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what the coroutine returns on its first step, or None if it waits for anything."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    return None


def _peak_bytes(hit: Callable[[], object]) -> int:
    """Return the most bytes in use at once during hits beyond those before; a copy of the header would be over 600."""
    tracemalloc.start()
    hit()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in repeat(None, 1000):
        hit()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


class _LocalIssuer:
    """Issues tokens without asking anyone: the way in for filling a cache."""

    def __init__(self) -> None:
        self._number = 0

    async def secret(self, *, refresh: bool = False) -> bytes:
        del refresh
        return b"benchmark-secret"

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        del key, timeout
        self._number += 1
        return IssuedToken(f"Bearer {make_token(self._number)}".encode("ascii"), LIFETIME)

    async def revoke(self, token: str, *, timeout: float) -> None:
        del token, timeout


def cached_tokens(tokens: int, rounds: int) -> Figures:
    """Fill a cache; return bytes per token, and microseconds per peek beside a cache that holds one token."""

    async def main() -> Figures:
        one = AsyncMonite(client_id=str(uuid.UUID(int=1)), issuer=_LocalIssuer())
        # No answer ever tells a limit: without one, tokens would come at the documented 30 a second, for minutes.
        many = AsyncMonite(client_id=str(uuid.UUID(int=2)), issuer=_LocalIssuer(), rate_limit=_PLENTY)
        users = [str(uuid.UUID(int=number + 1)) for number in range(tokens)]
        await one.tokens.warm(users[:1])
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for begin in range(0, tokens, 100):
            await many.tokens.warm(users[begin : begin + 100])
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        cached = many.tokens.stats().cached
        header = sys.getsizeof(_any_token(many, users[0]).header)
        keys = [many._core.key(user) for user in users]
        shuffled = random.sample(keys, len(keys))
        with without_gc():
            least = await best(
                {
                    "one": sync_probe(cache_of(one).peek, [one._core.key(users[0])] * 100),
                    "many": sync_probe(cache_of(many).peek, [key for key in shuffled[:10] for _ in range(10)]),
                    "sweep": sync_probe(cache_of(many).peek, shuffled),
                },
                rounds=rounds,
            )
        await one.aclose()
        await many.aclose()
        figures = {name: microseconds(seconds) for name, seconds in least.items()}
        return {**figures, "cached": cached, "bytes": memory / tokens, "header": header}

    return asyncio.run(main())


def _any_token(client: AsyncMonite, user: str) -> AccessToken:
    token = cache_of(client).peek(client._core.key(user))
    assert token is not None
    return token
