"""A soak: 200,000 calls, some cancelled anywhere, against a server that now and then fails; nothing may be left over.

Run ``python -m benchmarks.soak``. It has no peers: it holds this library to its own promises.
"""

from __future__ import annotations

import sys

from benchmarks._call_systems import FAST, OURS, call_systems
from benchmarks._cases import Case, Runs, run
from benchmarks._output import Report, installed, options, publish
from benchmarks._payable_server import FAULTS, PayableServer
from benchmarks._report import Bar, Table, machine, number
from benchmarks._soak_worker import CANCELLED_SHARE

__all__ = ["main"]

_CALLS, _QUICK_CALLS = 200_000, 10_000
_AT_ONCE = 50
_NAME = "soak"
_GROWTH = 1.02
"""Most memory in the last third of the calls, beside the second third."""
_FAILED_SHARE = 1e-4
"""Most calls that may fail, although they are repeated: three faults in a row have to meet one."""
_NAMES = ("httptools", "httpx", "monite-async", "pydantic")
_ROWS = {
    "calls": "calls",
    "done": "answered",
    "cancelled": "cancelled under way",
    "failed": "failed, repeats included",
    "faults": "faults of the server",
    "next_failed": "failed of the 100 calls right after",
    "opened": "connections opened",
    "open_before": "connections open at the end",
    "open_after": "connections open after `aclose()`",
    "tasks_after": "tasks left after `aclose()`",
    "second_mb": "memory, mean of the second third, MB",
    "last_mb": "memory, mean of the last third, MB",
    "cpu_us": "CPU us per call",
    "per_second": "calls/s",
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    wanted = options("soak", __doc__, "10,000 calls", arguments)
    where = machine([f"{name} {found}" for name in _NAMES if (found := installed(name))])
    calls = _QUICK_CALLS if wanted.quick else _CALLS
    todo = [
        Case(
            _NAME, spec.name, what="soak", at_once=(_AT_ONCE,), calls=calls, worker="benchmarks._soak_worker", limit=600
        )
        for spec in call_systems()
        if spec.name in (OURS, FAST)
    ]
    with PayableServer() as server:
        runs = run(todo, server.ports, rounds=1)
    return publish(Report("Soak", where, [_table(runs)], _bars(runs, calls), runs.told()), wanted)


def _table(runs: Runs) -> Table:
    names = runs.systems(_NAME)
    rows = [
        [text, *(number(runs.median(_NAME, name, figure), 1 if figure.endswith("_mb") else 0) for name in names)]
        for figure, text in _ROWS.items()
    ]
    growth = [f"{runs.median(_NAME, name, 'last_mb') / runs.median(_NAME, name, 'second_mb'):.3f}x" for name in names]
    method = (
        f"{_AT_ONCE} callers, one call after the other; {CANCELLED_SHARE:.0%} are sent a cancellation at some "
        "moment, which is too late for some of them. The "
        f"server meets one request in a thousand each with: {', '.join(FAULTS)}."
    )
    return Table("A long run", method, ["what", *names], [["memory, last third beside the second", *growth], *rows])


def _bars(runs: Runs, calls: int) -> list[Bar]:
    found: list[Bar] = []
    for name in runs.systems(_NAME):
        one = runs.rounds[_NAME][name][0]
        found += [
            Bar(f"{name}: memory, last third beside the second", "time", one["last_mb"] / one["second_mb"], _GROWTH),
            Bar(f"{name}: calls that failed", "count", one["failed"], max(1.0, calls * _FAILED_SHARE)),
            Bar(f"{name}: of the next 100 calls, failed", "count", one["next_failed"], 0, exact=True),
            Bar(f"{name}: connections at the end", "count", one["open_before"], _AT_ONCE + 1),
            Bar(f"{name}: connections left after aclose()", "count", one["open_after"], 0, exact=True),
            Bar(f"{name}: tasks left after aclose()", "count", one["tasks_after"], 0, exact=True),
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())
