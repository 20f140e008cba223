"""Measuring: loops with their own cost taken off, interleaved rounds, minima."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from benchmarks._systems import Token

__all__ = [
    "Probe",
    "allow_many_sockets",
    "async_probe",
    "best",
    "empty",
    "empty_probe",
    "gc_time",
    "loop_gap",
    "microseconds",
    "peak_mb",
    "pin",
    "resident_mb",
    "sync_probe",
    "without_gc",
]

Probe = Callable[[int], Awaitable[float]]
"""Makes that many calls; returns seconds."""

_ROUND_SECONDS = 0.003
_MAX_CALLS = 20_000

T = TypeVar("T")


def allow_many_sockets() -> None:
    """Raise the limit of open files to what the machine allows: a stampede without a lock needs one per waiter."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pin(core: int) -> None:
    """Keep this process on one core, where that can be had: client and server then do not take turns on one."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[core % len(cores)]})


def peak_mb() -> float:
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0 if sys.platform != "darwin" else 1024.0**2)


def resident_mb() -> float:
    """Return the memory that this process has now, in megabytes; its peak where the system does not tell."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() / 1024**2 if pages.exists() else peak_mb()


@contextlib.contextmanager
def gc_time() -> Generator[list[float]]:
    """Count the CPU seconds that the collector takes; they are the list's only element."""
    spent, begin = [0.0], [0.0]

    def watch(phase: str, info: dict[str, int]) -> None:
        del info
        if phase == "start":
            begin[0] = time.thread_time()
        else:
            spent[0] += time.thread_time() - begin[0]

    gc.callbacks.append(watch)
    try:
        yield spent
    finally:
        gc.callbacks.remove(watch)


@contextlib.contextmanager
def without_gc() -> Generator[None]:
    """Keep the collector from running into a measurement, as ``timeit`` does."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def empty() -> None:
    """Do nothing: what any ``await`` of a coroutine costs."""


async def empty_probe(calls: int) -> float:
    """Measure the loop around nothing."""
    begin = time.thread_time()
    for _ in repeat(None, calls):
        pass
    return time.thread_time() - begin


def async_probe(call: Token) -> Probe:
    """Return a probe of ``await call()``."""

    async def probe(calls: int) -> float:
        begin = time.thread_time()
        for _ in repeat(None, calls):
            await call()
        return time.thread_time() - begin

    return probe


def sync_probe(call: Callable[[T], object], arguments: Sequence[T]) -> Probe:
    """Return a probe of ``call(argument)``, which goes round the arguments."""

    async def probe(calls: int) -> float:
        rounds = range(max(1, calls // len(arguments)))
        begin = time.thread_time()
        for _ in rounds:
            for argument in arguments:
                call(argument)
        taken = time.thread_time() - begin
        return taken * calls / (len(rounds) * len(arguments))

    return probe


async def best(probes: dict[str, Probe], *, rounds: int) -> dict[str, float]:
    """Run all probes in turn, round after round; return each one's least seconds per call, the empty loop's taken off.

    Time is CPU time of this thread, so that a hit is not charged for others running meanwhile; they still spoil its
    caches, but they only ever add, so the least of many short rounds is the nearest to the cost.
    """
    calls: dict[str, int] = {}
    for name, probe in probes.items():
        await probe(50)
        calls[name] = max(50, min(_MAX_CALLS, int(_ROUND_SECONDS * 200 / max(await probe(200), 1e-9))))
    least = dict.fromkeys(probes, float("inf"))
    nothing = float("inf")
    for turn in range(rounds):
        nothing = min(nothing, await empty_probe(_MAX_CALLS) / _MAX_CALLS)
        for name in list(probes) if turn % 2 else reversed(probes):
            least[name] = min(least[name], await probes[name](calls[name]) / calls[name])
    return {name: max(0.0, value - nothing) for name, value in least.items()}


def microseconds(seconds: float) -> float:
    """Return microseconds, to three digits after the point."""
    return round(seconds * 1e6, 3)


@contextlib.asynccontextmanager
async def loop_gap() -> AsyncGenerator[list[float]]:
    """Watch the event loop; the list's only element is the longest time it did not get round, in seconds."""
    gap = [0.0]

    async def watch() -> None:
        step = 0.002
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(step)
            gap[0] = max(gap[0], time.perf_counter() - begin - step)

    watcher = asyncio.ensure_future(watch())
    await asyncio.sleep(0.01)
    gap[0] = 0.0
    try:
        yield gap
    finally:
        watcher.cancel()
