"""Levers: what a call costs with one thing done otherwise, which is what that thing gives.

Run ``python -m benchmarks.levers``. It has no peers but the parts that this library does without: httpx's client, transport
and objects, h11, and a new scope per call.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks._call_systems import OURS
from benchmarks._cases import Case, Runs, run
from benchmarks._lever_worker import CROWD
from benchmarks._output import Report, installed, options, publish
from benchmarks._payable_server import PayableServer
from benchmarks._plot import Panel
from benchmarks._report import Table, machine, number

__all__ = ["LADDER", "STEPS", "SWITCHES", "Figures", "Pair", "ladder", "main", "pairs", "parts"]

Figures = Mapping[str, float]
"""CPU microseconds: of a way of calling by its name and the calls at once, of a step by its name."""

_NAME = "levers"
_BLOCKS, _QUICK_BLOCKS = 6, 2
_LIMIT = 300.0
_NAMES = ("h11", "httpcore", "httptools", "httpx", "monite-async", "pydantic", "sniffio", "uvloop")
_MINE = ("default", "fast")

LADDER = {
    "client": "`httpx.AsyncClient.get` and the model, nothing else",
    "transport": "a whole call over `httpx.AsyncHTTPTransport()`",
    "wide": "the same, its pool as wide as the callers are many",
    "adapter": "over this library's connections, with httpx objects in between",
    "default": "the default engine: no httpx objects; h11 reads",
    "fast": "the fast engine: llhttp reads",
    "new": "the fast engine, every call in a new scope",
    "uvloop": "the fast engine on uvloop",
    "floor": "the floor: `asyncio.Protocol` and the model, nothing else",
}
"""Ways of calling, the dearest first, with what tables call them."""


class Pair(NamedTuple):
    """Something done otherwise.

    Attributes:
        what: What tables call it.
        here: The figure as it is here.
        otherwise: The figure with it done otherwise.
    """

    what: str
    here: str
    otherwise: str


STEPS = (
    Pair("an answer is read by llhttp, instead of h11", "llhttp", "h11"),
    Pair("bytes to a model at once, instead of `json.loads` first", "json", "python"),
    Pair("a page of 100: the collector rests meanwhile", "resting", "running"),
)
"""Steps that can be had alone."""
SWITCHES = (
    Pair("a scope that is new: its head, its resources", f"new {CROWD}", f"fast {CROWD}"),
    Pair("asking for a scope that is remembered", f"fast {CROWD}", f"kept {CROWD}"),
    Pair("the limiter", f"fast {CROWD}", f"unlimited {CROWD}"),
    Pair("the timer of the deadline", f"fast {CROWD}", f"timeless {CROWD}"),
    Pair("the collector", f"fast {CROWD}", f"uncollected {CROWD}"),
)
"""What a whole call has, and what it costs without."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    wanted = options("levers", __doc__, "a few seconds: two blocks of each", arguments)
    where = machine([f"{name} {found}" for name in _NAMES if (found := installed(name))])
    # In all of it, so that ratios are those of one process: the number of blocks, not of calls, is what is asked for.
    blocks, seconds = (_QUICK_BLOCKS, 0.01) if wanted.quick else (_BLOCKS, 0.03)
    todo = Case(_NAME, OURS, what=_NAME, calls=blocks, seconds=seconds, worker="benchmarks._lever_worker", limit=_LIMIT)
    with PayableServer() as server:
        runs = run([todo], server.ports, rounds=1)
    figures = _figures(runs)
    tables = [parts(figures), ladder(figures), *pairs(figures)]
    return publish(Report("Levers", where, tables, [], figures, _panels(figures)), wanted)


def _figures(runs: Runs) -> dict[str, float]:
    return dict(runs.rounds[_NAME][OURS][0])


def ladder(figures: Figures) -> Table:
    """Return the table of what carries a call."""
    rows = [
        [text, *(cell for at_once in (1, CROWD) for cell in _rung(figures, name, at_once))]
        for name, text in LADDER.items()
        if f"{name} 1" in figures
    ]
    method = (
        "CPU us of one payable; all in one process, in turn, the least of many blocks. All but the first and the last are "
        "whole calls: token, a scope per call, typed answer, retry loop, deadline, limiter. sniffio is installed."
    )
    head = ["a call", "1: beside the first", "1: us", "100: beside the first", "100: us"]
    return Table("What carries a call", method, head, rows)


def parts(figures: Figures) -> Table:
    """Return the table of where a call goes; its rows add up."""

    def shares(at_once: int) -> dict[str, float]:
        whole, floor = figures[f"fast {at_once}"], figures[f"floor {at_once}"]
        found = {
            "the event loop and the system: the floor without its model": floor - figures["json"],
            "the model": figures["json"],
            "the answer, read by llhttp": figures["llhttp"],
            "asking for its scope": figures[f"fast {CROWD}"] - figures[f"kept {CROWD}"],
        }
        rest = "the request, token, limiter, deadline, retry loop, pool, connection"
        return {**found, rest: whole - sum(found.values()), "a whole call": whole}

    one, many = shares(1), shares(CROWD)
    rows = [[what, *(f"{each[what] / each['a whole call']:.0%}" for each in (one, many))] for what in one]
    for row, what in zip(rows, one, strict=True):
        row += [number(one[what]), number(many[what])]
    method = "On the fast engine; the default engine's h11 comes on top, see the steps. CPU of one payable."
    head = ["what", "share at 1", f"share at {CROWD}", "at 1, us", f"at {CROWD}, us"]
    return Table("Where a call goes", method, head, rows)


def _rung(figures: Figures, name: str, at_once: int) -> list[str]:
    cost = figures[f"{name} {at_once}"]
    return [f"{cost / figures[f'client {at_once}']:.2f}x", number(cost)]


def pairs(figures: Figures) -> list[Table]:
    """Return the tables of steps, and of what surrounds a call."""
    steps = [
        [pair.what, f"{figures[pair.here] / figures[pair.otherwise]:.2f}x", *_both(figures, pair)] for pair in STEPS
    ]
    switches = [
        [pair.what, number(figures[pair.here] - figures[pair.otherwise], 1), *_both(figures, pair)] for pair in SWITCHES
    ]
    return [
        Table("Steps", "CPU us of the step alone, hot.", ["step", "ratio", "so, us", "otherwise, us"], steps),
        Table(
            "What surrounds a call",
            f"A whole call on the fast engine, {CROWD} at once, with it and without; differences of under 2 us are noise.",
            ["what", "costs, us", "with it, us", "without, us"],
            switches,
        ),
    ]


def _both(figures: Figures, pair: Pair) -> list[str]:
    return [number(figures[pair.here], 1), number(figures[pair.otherwise], 1)]


def _panels(figures: Figures) -> list[Panel]:
    return [
        Panel(
            f"CPU us per call, {at_once} at once",
            [
                (text, figures[f"{name} {at_once}"], name in _MINE)
                for name, text in LADDER.items()
                if f"{name} 1" in figures
            ],
        )
        for at_once in (1, CROWD)
    ]


if __name__ == "__main__":
    sys.exit(main())
