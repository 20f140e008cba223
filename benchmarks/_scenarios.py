"""What happens to a system: a stampede, a failing endpoint, a cancelled caller, short budgets, a second event loop.

Each scenario runs event loops of its own and returns plain numbers; the latency is the endpoint's, in another process.
"""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

from benchmarks._measure import gc_time, loop_gap
from benchmarks._systems import Monite, Spec, System, Token
from benchmarks._token_server import Endpoint

__all__ = ["LATENCY", "SCENARIOS", "Figures", "stampede"]

Figures: TypeAlias = dict[str, float]

LATENCY = 0.15
CALLERS = 100
_HUNG_AFTER = 5.0


async def _gather(tasks: Iterable[asyncio.Task[object]]) -> int:
    """Wait for all; return how many did not fail. Awaiting one after the other costs no callback per task."""
    served = 0
    for task in tasks:
        try:
            await task
        except (Exception, asyncio.CancelledError):
            continue
        served += 1
    return served


def _start(calls: Iterable[Token]) -> list[asyncio.Task[object]]:
    create = asyncio.get_running_loop().create_task
    return [create(call()) for call in calls]


async def _crowd(calls: list[Token]) -> Figures:
    """Start one task per call; return how many were served, when the last was, and CPU microseconds per task."""
    gc.collect()
    with gc_time() as collector:
        cpu, begin = time.process_time(), time.perf_counter()
        served = await _gather(_start(calls))
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    each = 1e6 / len(calls)
    return {"served": served, "seconds": seconds, "cpu_us": cpu * each, "gc_us": collector[0] * each}


def stampede(spec: Spec, endpoint: Endpoint, callers: int) -> Figures:
    """Let that many coroutines ask a system without a token at once."""

    async def main() -> Figures:
        endpoint.set(delay=LATENCY)
        system = spec.make(endpoint)
        figures = await _crowd([system.acquire] * callers)
        figures["posts"] = endpoint.counts().posts
        await system.aclose()
        return figures

    return asyncio.run(main())


def many_keys(spec: Spec, endpoint: Endpoint) -> Figures:
    """Let 200 coroutines for each of 50 users ask one client of ours at once."""

    async def main() -> Figures:
        endpoint.set(delay=LATENCY)
        system = cast("Monite", spec.make(endpoint))
        users = [system.client.as_user(uuid.UUID(int=number + 1)) for number in range(50)]
        figures = await _crowd([user.token for _ in range(200) for user in users])
        counts = endpoint.counts()
        figures["posts"], figures["keys"] = counts.posts, counts.bodies
        await system.aclose()
        return figures

    return asyncio.run(main())


def failing(spec: Spec, endpoint: Endpoint) -> Figures:
    """Let 100 callers ask an endpoint that answers 500 after 20 ms, then 20 more one by one."""

    async def main() -> Figures:
        endpoint.set(delay=0.02, status=500)
        system = spec.make(endpoint)
        figures = await _crowd([system.acquire] * CALLERS)
        counts = endpoint.counts()
        figures["posts"], figures["peak"] = counts.posts, counts.peak
        for _ in range(20):
            await _gather(_start([system.acquire]))
        figures["more_posts"] = endpoint.counts().posts - counts.posts
        await system.aclose()
        return figures

    return asyncio.run(main())


def cancelled(spec: Spec, endpoint: Endpoint) -> Figures:
    """Let 100 callers ask a 300 ms endpoint, and cancel the first of them after 100 ms."""

    async def main() -> Figures:
        endpoint.set(delay=0.3)
        system = spec.make(endpoint)
        async with loop_gap() as gap:
            tasks = _start([system.acquire] * CALLERS)
            await asyncio.sleep(0.1)
            tasks[0].cancel()
            served = await _gather(tasks[1:])
        await _gather(tasks[:1])
        posts = endpoint.counts().posts
        await system.aclose()
        return {"served": served, "posts": posts, "cancelled": tasks[0].cancelled(), "gap": gap[0]}

    return asyncio.run(main())


def short_budgets(spec: Spec, endpoint: Endpoint) -> Figures:
    """Let 20 callers, eight times, give a 300 ms endpoint 50 ms each."""

    async def main() -> Figures:
        endpoint.set(delay=0.3)
        system = spec.make(endpoint)
        served = 0
        for _ in range(8):
            served += await _gather(_start([lambda: asyncio.wait_for(system.acquire(), 0.05)] * 20))
        posts = endpoint.counts().posts
        await system.aclose()
        return {"served": served, "of": 160, "posts": posts}

    return asyncio.run(main())


def second_loop(spec: Spec, endpoint: Endpoint) -> Figures:
    """Let 50 callers use an object, then 50 more in a second ``asyncio.run``, its token having expired in between."""
    systems: list[System] = []

    async def first() -> int:
        systems.append(spec.make(endpoint))
        served = await _gather(_start([systems[0].acquire] * 50))
        await systems[0].expire()
        return served

    async def second() -> tuple[int, int]:
        tasks = _start([systems[0].acquire] * 50)
        done, pending = await asyncio.wait(tasks, timeout=_HUNG_AFTER)
        return sum(1 for task in done if task.exception() is None), len(pending)

    endpoint.set(delay=0.05)
    before = asyncio.run(first())
    served, hung = asyncio.run(second())
    return {"before": before, "served": served, "hung": hung, "raised": 50 - served - hung}


SCENARIOS: dict[str, Callable[[Spec, Endpoint], Figures]] = {
    "many_keys": many_keys,
    "failing": failing,
    "cancelled": cancelled,
    "short_budgets": short_budgets,
    "second_loop": second_loop,
}
