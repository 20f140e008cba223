"""From the figures of calls to tables, bars and a picture."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks._call_systems import FAST, HTTPX, OURS, RAW
from benchmarks._cases import Runs
from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, number, ratio

__all__ = ["LATE", "OVERHEAD", "PLAIN", "TLS", "bars", "panels", "tables"]

PLAIN = "{} at once"
LATE = "50 ms server, 100 at once"
TLS = "TLS, 100 at once"
OVERHEAD = "around the engine"

_CALM = (1, 100, 1_000)
_LIMITS: Mapping[str, Mapping[int, float]] = {
    OURS: {1: 0.50, 100: 0.16, 1_000: 0.09},
    FAST: {1: 0.20, 100: 0.06, 1_000: 0.035},
}
"""Most CPU time of a call, beside bare httpx + model in the same run, by calls at once."""
_TAIL = 1.3
"""Most that p99 may be of p50, at 100 at once."""
_IDEAL = 2_000.0
"""Calls per second that 100 at once can make of a server that takes 50 ms."""
_SHARE = 0.95
"""Least share of the ideal."""
_AROUND_US: Mapping[str, tuple[str, float]] = {
    "added_us": ("added around the engine, us", 15.0),
    "scope_us": ("a scope, us", 2.0),
    "client_us": ("a further client, us", 200.0),
}
"""Most that token, scope, retry, deadline and limiter may add together, and what is made again and again may take."""


def tables(runs: Runs) -> list[Table]:
    """Return the tables of a run."""
    found = [_ratios(runs)]
    found += [_details(runs, PLAIN.format(at_once), f"{at_once:,} at once") for at_once in _CALM]
    found += [
        _details(runs, LATE, "100 at once, the server takes 50 ms"),
        _details(runs, TLS, "100 at once, over TLS"),
        _overhead(runs),
    ]
    return found


def _ratios(runs: Runs) -> Table:
    counts = [at_once for at_once in _CALM if runs.systems(PLAIN.format(at_once))]

    def row(name: str) -> list[str]:
        beside, plain = list[str](), list[str]()
        for at_once in counts:
            case = PLAIN.format(at_once)
            if not runs.has(case, name):
                beside.append("-")
                plain.append("failed")
                continue
            cost = runs.median(case, name, "cpu_us")
            base = runs.median(case, HTTPX, "cpu_us") if runs.has(case, HTTPX) else 0.0
            beside.append(_share(cost, base))
            plain.append(f"{number(cost)} ±{runs.spread(case, name, 'cpu_us'):.0%}")
        return [name, *beside, *plain]

    head = ["system", *(f"{n:,}: beside httpx" for n in counts), *(f"{n:,}: CPU us" for n in counts)]
    method = (
        "CPU time of the client's process per call, user and system, by calls at once; median of the rounds, and how far "
        "they lie from it. Ours does everything: token, a scope per call, typed answer, retry loop, deadline, limiter; "
        f"the peers send constant headers and parse with the same model. `{HTTPX}` is httpx as `pip install httpx` "
        "brings it: without sniffio."
    )
    return Table("One payable", method, head, [row(name) for name in runs.systems(PLAIN.format(counts[0]))])


def _details(runs: Runs, case: str, title: str) -> Table:
    def row(name: str) -> list[str]:
        if not runs.has(case, name):
            return [name, "failed", *("-" for _ in head[2:])]
        cpu, rate, p50, p99, opened, memory = (
            runs.median(case, name, figure)
            for figure in ("cpu_us", "per_second", "p50_ms", "p99_ms", "opened", "peak_mb")
        )
        base = runs.median(case, HTTPX, "cpu_us") if runs.has(case, HTTPX) else 0.0
        return [
            name,
            _share(cpu, base),
            f"{runs.median(case, name, 'tail'):.1f}x",
            number(cpu),
            number(rate),
            number(p50, 2),
            number(p99, 2),
            number(opened),
            number(memory, 1),
        ]

    head = [
        "system",
        "beside httpx",
        "p99 / p50",
        "CPU us",
        "calls/s",
        "p50 ms",
        "p99 ms",
        "new connections",
        "peak MB",
    ]
    method = (
        "The same closed loop; new connections are those that the server saw after a warm-up of one call per worker. At "
        "100 at once a hundred calls pass before those that count, and the callers go on until the last of these is done. "
        "p99 / p50 is that of 1,000 calls in a row, the median of all such slices: a machine that runs slower for a part "
        "of the time makes a tail of its own."
    )
    return Table(title, method, head, [row(name) for name in runs.systems(case)])


def _overhead(runs: Runs) -> Table:
    figures = ("added_us", "added_kept_us", "scope_us", "client_us", "whole_us", "bare_us")
    rows = [
        [
            name,
            ratio(runs.median(OVERHEAD, name, "whole_us"), runs.median(OVERHEAD, name, "bare_us")),
            *(number(runs.median(OVERHEAD, name, figure), 1) for figure in figures),
        ]
        for name in runs.systems(OVERHEAD)
    ]
    method = (
        "Whole calls, and the same request handed straight to the engine, its answer parsed by the same model; both in "
        "one process, in turn; the lower decile of the CPU times of many blocks of 40 calls. Added: scope, token, request, "
        "limiter, deadline, retries."
    )
    head = ["engine", "beside", "added, us", "with the scope kept", "a scope, us", "a further client, us"]
    return Table("What is around the engine", method, [*head, "whole call, us", "bare engine, us"], rows)


def bars(runs: Runs) -> list[Bar]:
    """Return the promises about calls, each with what was measured in this run."""
    found: list[Bar] = []
    for name, limits in _LIMITS.items():
        for at_once, limit in limits.items():
            case = PLAIN.format(at_once)
            if runs.has(case, name) and runs.has(case, HTTPX):
                beside = runs.median(case, name, "cpu_us") / runs.median(case, HTTPX, "cpu_us")
                found.append(Bar(f"{name}: {at_once:,} at once, beside httpx + model", "time", beside, limit))
            if name == FAST and runs.has(case, name) and runs.has(case, RAW):
                beside = runs.median(case, name, "cpu_us") / runs.median(case, RAW, "cpu_us")
                found.append(Bar(f"{name}: {at_once:,} at once, beside aiohttp + model", "time", beside, 1.0))
        found += _own(runs, name)
    return found


def _own(runs: Runs, name: str) -> list[Bar]:
    """Return what is promised of an engine without regard to peers."""
    found: list[Bar] = []
    crowd = PLAIN.format(100)
    if runs.has(crowd, name):
        tail = runs.median(crowd, name, "tail")
        found.append(Bar(f"{name}: p99 / p50 at 100 at once", "time", tail, _TAIL))
    if runs.has(LATE, name):
        slower = _IDEAL / runs.median(LATE, name, "per_second")
        opened = max(one["opened"] for one in runs.rounds[LATE][name])
        found.append(Bar(f"{name}: 50 ms server, time beside the ideal", "time", slower, 1 / _SHARE))
        found.append(Bar(f"{name}: 50 ms server, new connections", "count", opened, 0, exact=True))
    if runs.has(OVERHEAD, name):
        found += [
            Bar(f"{name}: {what}", "time", runs.median(OVERHEAD, name, figure), limit)
            for figure, (what, limit) in _AROUND_US.items()
        ]
    return found


def panels(runs: Runs) -> list[Panel]:
    """Return what is worth a picture: CPU per call at 1 and 100 at once, and the tail."""
    found: list[Panel] = []
    for at_once in _CALM:
        case = PLAIN.format(at_once)
        bars = [
            (name, runs.median(case, name, "cpu_us"), name in (OURS, FAST))
            for name in runs.systems(case)
            if runs.has(case, name)
        ]
        if bars:
            found.append(Panel(f"CPU us per call, {at_once:,} at once", sorted(bars, key=lambda bar: bar[1])))
    return found


def _share(value: float, base: float) -> str:
    return f"{value / base:.2f}x" if base else "-"
