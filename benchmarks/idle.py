"""Idle connections: what a call costs while many others lie unused, as they do after a burst.

Run ``python -m benchmarks.idle``; the peers come with the extra ``bench``, their limits raised to what the burst needs.
"""

from __future__ import annotations

import sys

from benchmarks._call_systems import FAST, FLOOR, HTTPX, OFFICIAL, OURS, SNIFFIO, call_systems
from benchmarks._cases import Case, Runs, run
from benchmarks._output import Report, installed, options, publish
from benchmarks._payable_server import PayableServer
from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, machine, number

__all__ = ["main"]

_SIZES, _QUICK_SIZES = (1, 10, 100, 500, 1_000), (1, 100)
_SLOW, _SLOW_SIZE = (HTTPX, "httpx2 + model"), 500
"""The burst alone costs these more than the square of their number: httpx takes minutes for 1,000."""
_NAME = "idle"
_LIMIT = 150.0
_MOST = 1.1
"""Most that a call may cost beside the most idle connections, beside one."""
_NAMES = ("aiohttp", "httpcore", "httptools", "httpx", "httpx2", "monite-async")
_SKIPPED = (OFFICIAL, SNIFFIO, FLOOR)
"""The official client is httpx, as is the one with sniffio; the floor has no pool to speak of."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    wanted = options("idle", __doc__, "a few seconds: one round, at most 100 connections", arguments)
    where = machine([f"{name} {found}" for name in _NAMES if (found := installed(name))])
    sizes = _QUICK_SIZES if wanted.quick else _SIZES
    systems = [spec.name for spec in call_systems() if spec.name not in _SKIPPED]
    seconds = 0.2 if wanted.quick else 0.5
    todo = [
        Case(_NAME, name, "idle", "held", _sizes(name, sizes), seconds=seconds, rounds=_rounds(name), limit=_LIMIT)
        for name in systems
    ]
    with PayableServer() as server:
        runs = run(todo, server.ports, rounds=1 if wanted.quick else 3)
    left_out = [name for name in _NAMES if not installed(name)]
    report = Report(
        "Idle connections",
        where,
        [_table(runs, sizes)],
        _bars(runs, sizes),
        runs.told(),
        _panels(runs, sizes),
        left_out,
    )
    return publish(report, wanted)


def _sizes(system: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in sizes if size <= _SLOW_SIZE) if system in _SLOW else sizes


def _rounds(system: str) -> int:
    return {HTTPX: 1, _SLOW[-1]: 2}.get(system, 3)


def _table(runs: Runs, sizes: tuple[int, ...]) -> Table:
    def row(name: str) -> list[str]:
        if not runs.has(_NAME, name):
            return [name, "failed", *("-" for _ in head[2:])]
        tried = _sizes(name, sizes)
        costs = {size: runs.median(_NAME, name, f"cpu_us_{size}") for size in tried}
        beside = [f"{costs[size] / costs[sizes[0]]:,.2f}x" if size in costs else "-" for size in sizes[1:]]
        plain = [
            f"{number(costs[size])} ±{runs.spread(_NAME, name, f'cpu_us_{size}'):.0%}" if size in costs else "-"
            for size in sizes
        ]
        return [name, *beside, *plain]

    head = ["system", *(f"{size:,}: beside 1" for size in sizes[1:]), *(f"{size:,}: CPU us" for size in sizes)]
    method = (
        "A burst makes the client open so many connections (the server answers nobody before all have asked), then calls "
        "follow one after the other. CPU time of the client's process per call, user and system. httpx and httpx2 are not "
        "asked for 1,000: the burst alone takes minutes."
    )
    return Table("Calls beside idle connections", method, head, [row(name) for name in runs.systems(_NAME)])


def _bars(runs: Runs, sizes: tuple[int, ...]) -> list[Bar]:
    found: list[Bar] = []
    for name in (OURS, FAST):
        if runs.has(_NAME, name):
            beside = runs.median(_NAME, name, f"cpu_us_{sizes[-1]}") / runs.median(_NAME, name, "cpu_us_1")
            missing = max(0.0, *(sizes[-1] - one[f"open_{sizes[-1]}"] for one in runs.rounds[_NAME][name]))
            found.append(Bar(f"{name}: {sizes[-1]:,} idle connections beside one", "time", beside, _MOST))
            found.append(Bar(f"{name}: of the {sizes[-1]:,}, closed meanwhile", "count", missing, 0, exact=True))
    return found


def _panels(runs: Runs, sizes: tuple[int, ...]) -> list[Panel]:
    most = min(sizes[-1], _SLOW_SIZE)  # where all of them are
    bars = [
        (name, runs.median(_NAME, name, f"cpu_us_{most}"), name in (OURS, FAST))
        for name in runs.systems(_NAME)
        if runs.has(_NAME, name)
    ]
    return [Panel(f"CPU us per call beside {most:,} idle connections", sorted(bars, key=lambda bar: bar[1]))]


if __name__ == "__main__":
    sys.exit(main())
