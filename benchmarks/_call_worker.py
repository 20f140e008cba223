"""One process per measured case, on a core of its own, so that no case pays for what another left behind.

Takes the case as JSON and prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypedDict, cast

from benchmarks._call_systems import PAYABLE, Client, Ours, Target, find
from benchmarks._measure import allow_many_sockets, peak_mb, pin
from benchmarks._payable_server import HOST, Ports

__all__ = ["Figures", "Job", "Span", "closed_loop", "idle", "loop", "overhead"]

Figures = dict[str, float]

_CLIENT_CORE = 0
_LEAST_CALLS, _MOST_CALLS = 40, 20_000
_IDLE_CALLS = 10
_BLOCK, _LEAST_BLOCKS = 40, 10
_SLICE = 1_000
_MAKINGS, _SCOPES, _CLIENTS = 30, 1_000, 20
_LOOP = "monite_async._http.call"


class Job(TypedDict):
    """What a worker is asked for.

    Attributes:
        what: ``calls``, ``idle``, ``overhead`` or ``soak``.
        system: On what.
        twin: The port of the server, by name.
        at_once: Calls at once, or for ``idle`` the numbers of connections, each at least the one before.
        calls: How many to measure; 0 for as many as fit in ``seconds``, and two for each of those at once.
        seconds: About how long to measure.
        ramp: Calls before those that count, see ``closed_loop``.
        ports: Where the server is.

    It may hold more, which is not the worker's.
    """

    what: str
    system: str
    twin: str
    at_once: list[int]
    calls: int
    seconds: float
    ramp: int
    ports: dict[str, Any]


@dataclass(slots=True)
class Span:
    """What the calls of a loop took that count.

    Attributes:
        taken: Seconds of each call.
        cpu: Seconds of the processor for all of them.
        wall: Seconds that passed.
    """

    taken: list[float] = field(default_factory=list[float])
    cpu: float = 0.0
    wall: float = 0.0

    def begin(self) -> None:
        """Count from now on."""
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()

    def end(self) -> None:
        """Count until now."""
        self.cpu += time.process_time()
        self.wall += time.perf_counter()


async def closed_loop(client: Client, at_once: int, calls: int, *, ramp: int = 0) -> Span:
    """Make calls, so many at once, each caller one after the other.

    Args:
        client: Makes them.
        at_once: Callers.
        calls: How many count.
        ramp: How many pass before those. The callers then go on until the last that counts is done, so that so many are
            at once all the while: their common start and the thinning out at the end are none of what is measured.
    """
    span, begun, done = Span(), 0, 0

    async def worker() -> None:
        nonlocal begun, done
        while (done if ramp else begun) < ramp + calls:
            begun += 1
            begin = time.perf_counter()
            await client.call()
            done += 1
            if ramp < done <= ramp + calls:
                span.taken.append(time.perf_counter() - begin)
            if done == ramp:
                span.begin()
            elif done == ramp + calls:
                span.end()

    if not ramp:
        span.begin()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return span


async def loop(client: Client, ports: Ports, at_once: int, calls: int, seconds: float, ramp: int = 0) -> Figures:
    """Measure a closed loop after a warm-up: CPU and wall time, latencies, connections that the server saw opened.

    ``tail`` is p99 by p50 of 1,000 calls in a row, the median of all such slices: a machine that runs at half its speed
    for a part of the time gives any client a tail, and the slices in which it changes its mind are few.
    """
    await client.call()  # imports, models, the token
    warm = max(_LEAST_CALLS, 3 * at_once if calls else at_once)
    each = (await closed_loop(client, at_once, warm)).cpu / warm
    if not calls:
        calls = max(2 * at_once, min(_MOST_CALLS, int(seconds / each)))
    ports.reset()
    span = await closed_loop(client, at_once, calls, ramp=ramp)
    slices = [sorted(span.taken[at : at + _SLICE]) for at in range(0, max(1, calls - _SLICE // 2), _SLICE)]
    taken = sorted(span.taken)
    return {
        "cpu_us": span.cpu / calls * 1e6,
        "calls": calls,
        "per_second": calls / span.wall,
        "p50_ms": _at(taken, 0.5) * 1e3,
        "p99_ms": _at(taken, 0.99) * 1e3,
        "tail": statistics.median(_at(part, 0.99) / _at(part, 0.5) for part in slices),
        "opened": ports.counts()["opened"],
        "peak_mb": peak_mb(),
    }


def _at(taken: list[float], share: float) -> float:
    return taken[int(len(taken) * share)]


async def idle(client: Client, ports: Ports, sizes: list[int], seconds: float) -> Figures:
    """Measure calls one after the other while ever more connections are idle: CPU microseconds per call by number."""
    figures: Figures = {}
    for _ in range(_LEAST_CALLS):
        await client.call()
    for size in sizes:
        ports.reset(hold=size)
        await asyncio.gather(*(client.call() for _ in range(size)))
        begin = time.process_time()
        for _ in range(_IDLE_CALLS):
            await client.call()
        each = (time.process_time() - begin) / _IDLE_CALLS
        calls = int(min(_MOST_CALLS, seconds / each))
        if calls > _IDLE_CALLS:
            begin = time.process_time()
            for _ in range(calls):
                await client.call()
            each = (time.process_time() - begin) / calls
        figures[f"cpu_us_{size}"] = each * 1e6
        figures[f"open_{size}"] = ports.counts()["open"]
    return figures


async def overhead(ours: Ours, seconds: float) -> Figures:
    """Measure whole calls beside the bare engine that sends the same bytes and parses the answer, in turn.

    The bare engine is given, again and again, the very request that a call has handed to it; what it does not do is
    what the call does around it: scope, token, limiter, deadline, retries, head. In between are calls of a scope that
    is kept. Of each the lower decile of many short blocks stands for what it takes: other work on the machine only ever
    adds to a block, and the least of all is too much a matter of luck to take the difference of two. What a new scope
    and a further client take is measured by making them.
    """
    bare, kept = await _bare(ours), ours.scope()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "whole": ours.call,
        "kept": lambda: kept.payables.get(PAYABLE),
        "bare": bare,
    }
    for call in calls.values():
        await _block(call, _BLOCK)
    entities = map(str, range(10**9, 10**10))  # a client remembers its scopes: all are new
    blocks = max(_LEAST_BLOCKS, int(seconds / await _block(ours.call, _BLOCK) / len(calls) / _BLOCK))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    scope = client = float("inf")
    for at in range(blocks):
        for name, call in calls.items():
            taken[name].append(await _block(call, _BLOCK))
        if at * _MAKINGS // blocks < (at + 1) * _MAKINGS // blocks:  # all along, for a machine has slow seconds
            scope = min(scope, _made(lambda: ours.client.entity(next(entities)), _SCOPES))
            client = min(client, _made(ours.another, _CLIENTS))
            gc.collect()  # what that left is nothing of a call's
    found = {name: sorted(values)[blocks // 10] for name, values in taken.items()}
    found |= {"added": found["whole"] - found["bare"], "added_kept": found["kept"] - found["bare"]}
    found |= {"scope": scope, "client": client}
    return {f"{name}_us": value * 1e6 for name, value in found.items()}


def _made(make: Callable[[], object], number: int) -> float:
    begin = time.process_time()
    for _ in range(number):
        make()
    return (time.process_time() - begin) / number


async def _bare(ours: Ours) -> Callable[[], Awaitable[object]]:
    """Watch one call; return what hands the same request to the engine and parses the answer."""
    from monite_async.models._base import decode
    from monite_async.models.payables import PayableResponseSchema

    await ours.call()
    engine: Any = ours.client._core.engine
    holder = cast("Any", type(engine.carrier) if hasattr(engine, "carrier") else import_module(_LOOP))
    exchange = holder.exchange
    handed: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def watch(*arguments: Any, **options: Any) -> Any:
        handed.append((arguments, options))
        return await exchange(*arguments, **options)

    holder.exchange = watch
    try:
        await ours.call()
    finally:
        holder.exchange = exchange
    arguments, options = handed[-1]

    async def bare() -> object:
        answer = await exchange(*arguments, **options)
        return decode(PayableResponseSchema, answer.content)

    return bare


async def _block(call: Callable[[], Awaitable[object]], number: int) -> float:
    begin = time.process_time()
    for _ in range(number):
        await call()
    return (time.process_time() - begin) / number


async def _run(job: Job) -> Figures:
    ports = Ports(**job["ports"])
    port = getattr(ports, job["twin"])
    url = f"{'https' if job['twin'] == 'tls' else 'http'}://{HOST}:{port}/v1"
    spare = max(job["at_once"]) + 10 if job["what"] == "idle" else None
    make = find(job["system"]).load()
    client = cast("Client", make(Target(url, ports.authority, spare)))
    try:
        if job["what"] == "idle":
            return await idle(client, ports, job["at_once"], job["seconds"])
        if job["what"] == "overhead":
            return await overhead(cast("Ours", client), job["seconds"])
        return await loop(client, ports, job["at_once"][0], job["calls"], job["seconds"], job["ramp"])
    finally:
        await client.aclose()


def main() -> None:
    """Run what the command line asks for."""
    allow_many_sockets()
    pin(_CLIENT_CORE)
    warnings.simplefilter("ignore")  # of the peers, about each other
    print(json.dumps(asyncio.run(_run(cast("Job", json.loads(sys.argv[1]))))), flush=True)


if __name__ == "__main__":
    main()
