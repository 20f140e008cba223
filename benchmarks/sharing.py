"""Sharing: tokens of this library in several processes, beside what one builds with redis-py, aiocache and cashews.

Run ``python -m benchmarks.sharing``; the peers come with the dependency group ``bench``, and a Redis from
``scripts/redis_server.sh`` where none is installed. Everything is measured in this one run, on this machine: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from benchmarks._measure import allow_many_sockets
from benchmarks._report import Table, machine
from benchmarks._sharing_cases import CASES, Fleet, Sizes, hits, revoked
from benchmarks._sharing_systems import FILES, MEMORY, OURS, SHARED
from benchmarks._sharing_tables import Measured, bars, tables
from benchmarks._token_server import TokenServer

__all__ = ["main"]

_RULE = (
    "A missed count fails the run; a missed time only with `--strict`, because other work on the machine adds to it."
)
_QUICK = (OURS, FILES, "Redis, no lock")
_QUICK_SIZES = Sizes(processes=4, callers=200, keys=20, limit=20.0, rounds=5, crowds=1)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    options = _parser().parse_args(arguments)
    allow_many_sockets()
    sizes = _QUICK_SIZES if options.quick else Sizes()
    wanted = [spec for spec in SHARED if not options.quick or spec.name in _QUICK]
    where = machine(sorted({spec.version for spec in wanted if spec.version}, key=str.lower))
    print(f"{where}\n")
    for spec in wanted:
        if not spec.is_installed:
            print(f"{spec.name}: {spec.package} is not installed, left out\n")
    measured = _measure([spec.name for spec in wanted if spec.is_installed], sizes)
    promises = bars(measured, sizes)
    rows = [promise.row() for promise in promises]
    verdict = Table("The bars", _RULE, ["what", "kind", "bar", "measured", ""], rows)
    text = "\n\n".join(table.render() for table in [*tables(measured, sizes), verdict])
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(f"# Sharing tokens\n\n{where}\n\n{text}\n", encoding="utf-8")
    if options.json:
        told = [{"what": bar.what, "kind": bar.kind, "value": bar.value, "reached": bar.reached} for bar in promises]
        Path(options.json).write_text(json.dumps({"machine": where, "figures": measured, "bars": told}, indent=1))
    missed = [promise for promise in promises if not promise.reached and (options.strict or promise.kind == "count")]
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: no peers, small numbers")
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, with versions, machine and date")
    return parser


def _measure(systems: list[str], sizes: Sizes) -> Measured:
    found: Measured = {name: {} for name in (*CASES, "hits", "revoked")}
    with TokenServer() as server:
        for system in systems:
            fleet = Fleet(system, server.endpoint, sizes)
            try:
                if system == OURS:
                    _say("hits")
                    costs = fleet.run(partial(hits, systems=[MEMORY, *systems]))
                    found["hits"] = {name: {"us": cost} for name, cost in costs.items()}
                if system in (OURS, FILES):
                    _say(f"revoked, {system}")
                    found["revoked"][system] = fleet.run(revoked)
                for name, case in CASES.items():
                    if system != FILES or name not in ("refused", "frozen"):
                        _say(f"{name}, {system}")
                        found[name][system] = fleet.run(case)
            finally:
                fleet.end()
    return found


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what} ...", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
