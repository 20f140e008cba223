"""Sharing: tokens of this library in several processes, beside what one builds with redis-py, aiocache and cashews.

Run ``python -m benchmarks.sharing``; the peers come with the extra ``bench``, and a Redis from
``scripts/redis_server.sh`` where none is installed. Everything is measured in this one run, on this machine: read the ratios.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks._measure import allow_many_sockets
from benchmarks._output import Report, options, publish, say
from benchmarks._report import machine
from benchmarks._sharing_cases import CASES, Fleet, Sizes, hits, revoked
from benchmarks._sharing_systems import FILES, MEMORY, OURS, SHARED
from benchmarks._sharing_tables import Measured, bars, panels, tables
from benchmarks._token_server import TokenServer

__all__ = ["main"]

_QUICK = (OURS, FILES, "Redis, no lock")
_QUICK_SIZES = Sizes(processes=4, callers=200, keys=20, limit=20.0, rounds=5, crowds=1)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    chosen = options("sharing", __doc__, "under a minute: no peers, small numbers", arguments)
    allow_many_sockets()
    sizes = _QUICK_SIZES if chosen.quick else Sizes()
    wanted = [spec for spec in SHARED if not chosen.quick or spec.name in _QUICK]
    where = machine(sorted({spec.version for spec in wanted if spec.version}, key=str.lower))
    measured = _measure([spec.name for spec in wanted if spec.is_installed], sizes)
    left_out = [spec.name for spec in wanted if not spec.is_installed]
    found, promises = tables(measured, sizes), bars(measured, sizes)
    return publish(Report("Sharing tokens", where, found, promises, measured, panels(measured), left_out), chosen)


def _measure(systems: list[str], sizes: Sizes) -> Measured:
    found: Measured = {name: {} for name in (*CASES, "hits", "revoked")}
    with TokenServer() as server:
        for system in systems:
            fleet = Fleet(system, server.endpoint, sizes)
            try:
                if system == OURS:
                    say("hits")
                    costs = fleet.run(partial(hits, systems=[MEMORY, *systems]))
                    found["hits"] = {name: {"us": cost} for name, cost in costs.items()}
                if system in (OURS, FILES):
                    say(f"revoked, {system}")
                    found["revoked"][system] = fleet.run(revoked)
                for name, case in CASES.items():
                    if system != FILES or name not in ("refused", "frozen"):
                        say(f"{name}, {system}")
                        found[name][system] = fleet.run(case)
            finally:
                fleet.end()
    return found


if __name__ == "__main__":
    sys.exit(main())
