"""A long run in one process: calls that are cancelled at random against a server that fails at random."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from benchmarks._call_systems import Client, Ours, Target, find
from benchmarks._call_worker import Figures, Job
from benchmarks._measure import allow_many_sockets, pin, resident_mb
from benchmarks._payable_server import HOST, Ports
from monite_async import MoniteError

__all__ = ["main", "soak"]

CANCELLED_SHARE = 0.03
"""Calls that are sent a cancellation; it comes too late for some, so that 2 % and more are cancelled."""
_TRY_SECONDS = 2.0
"""Seconds that a try may take: what the server never answers costs so much."""
_SAMPLES = 60
_AFTER = 100
_SETTLE_LOOKS = 500


@dataclass(slots=True)
class _Course:
    """How it goes.

    Attributes:
        typical: Seconds that a call takes, a moving average: cancellations fall anywhere within.
    """

    left: int
    done: int = 0
    cancelled: int = 0
    failed: int = 0
    typical: float = 0.01
    memory: list[float] = field(default_factory=list[float])
    dice: random.Random = field(default_factory=lambda: random.Random(2026))


async def soak(client: Client, ports: Ports, calls: int, at_once: int) -> Figures:
    """Make the calls, then a few more that must succeed, then close the client and look for what is left."""
    await client.call()
    ports.reset()
    course, step = _Course(calls), max(1, calls // _SAMPLES)
    begin, start = time.process_time(), time.perf_counter()

    async def worker() -> None:
        while course.left > 0:
            course.left -= 1
            if course.left % step == 0:
                course.memory.append(resident_mb())
            await _one(client, course)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    cpu, wall = time.process_time() - begin, time.perf_counter() - start
    after = sum([await _succeeds(client) for _ in range(_AFTER)])
    await _settle(lambda: ports.counts()["open"] <= at_once + 1)
    counts = ports.counts()
    await client.aclose()
    await _settle(lambda: len(asyncio.all_tasks()) == 1 and ports.counts()["open"] == 0)
    third = len(course.memory) // 3
    second, last = course.memory[third : 2 * third], course.memory[2 * third : 3 * third]
    return {
        "calls": calls,
        "done": course.done,
        "cancelled": course.cancelled,
        "failed": course.failed,
        "faults": counts["faults"],
        "opened": counts["opened"],
        "open_before": counts["open"],
        "open_after": ports.counts()["open"],
        "tasks_after": len(asyncio.all_tasks()) - 1,
        "next_failed": _AFTER - after,
        "second_mb": sum(second) / third,
        "last_mb": sum(last) / third,
        "per_second": calls / wall,
        "cpu_us": cpu / calls * 1e6,
    }


async def _one(client: Client, course: _Course) -> None:
    begin = time.perf_counter()
    try:
        if course.dice.random() < CANCELLED_SHARE:
            await _cancelled(client, course)
            return
        await client.call()
    except MoniteError:
        course.failed += 1
        return
    course.done += 1
    course.typical += 0.01 * (min(time.perf_counter() - begin, 1.0) - course.typical)


async def _cancelled(client: Client, course: _Course) -> None:
    task = asyncio.ensure_future(client.call())
    timer = asyncio.get_running_loop().call_later(course.dice.random() * course.typical, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        course.cancelled += 1
    else:
        course.done += 1
    finally:
        timer.cancel()


async def _succeeds(client: Client) -> bool:
    try:
        await client.call()
    except MoniteError:
        return False
    return True


async def _settle(good: Callable[[], bool]) -> None:
    """Give both ends time to notice what was closed; what is not settled then is left."""
    for _ in range(_SETTLE_LOOKS):
        if good():
            return
        await asyncio.sleep(0.01)


async def _run(job: Job) -> Figures:
    ports = Ports(**job["ports"])
    make = find(job["system"]).load()
    target = Target(f"http://{HOST}:{ports.faulty}/v1", ports.authority)
    return await soak(cast("Ours", make(target, timeout=_TRY_SECONDS)), ports, job["calls"], job["at_once"][0])


def main() -> None:
    """Run what the command line asks for."""
    allow_many_sockets()
    pin(0)
    print(json.dumps(asyncio.run(_run(cast("Job", json.loads(sys.argv[1]))))), flush=True)


if __name__ == "__main__":
    main()
