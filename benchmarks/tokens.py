"""Tokens: this library beside Authlib, azure-identity, httpx-auth, aiobotocore and what one writes by hand.

Run ``python -m benchmarks.tokens``; the peers come with the extra ``bench``, and one that is missing is
named and left out. Everything is measured in this one run, on this machine: read the ratios, not the figures.
"""

from __future__ import annotations

import sys

from benchmarks._output import Report, options, publish, say
from benchmarks._report import machine
from benchmarks._run import Results, run_case
from benchmarks._systems import OURS, SYSTEMS, Spec
from benchmarks._tables import bars, panels, tables

__all__ = ["main"]

_STOP_AFTER = 20.0
"""Seconds until a stampede is given up; three of them never end."""
_LONG = 300.0
"""Seconds for what has to be finished, however slow the machine is."""
_TROUBLES = "failing+cancelled+short_budgets+second_loop"
_QUICK = ("no lock, by hand",)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    chosen = options("tokens", __doc__, "a few seconds: no peers, small numbers, counts only", arguments)
    wanted = [spec for spec in SYSTEMS if not chosen.quick or spec.name in (OURS, *_QUICK)]
    specs = [spec for spec in wanted if spec.is_installed]
    where = machine(sorted({spec.version for spec in specs if spec.version}, key=str.lower))
    sizes = [500] if chosen.quick else [1_000, 10_000]
    results = Results()
    measure = _measure_quick if chosen.quick else _measure
    measure(results, specs, sizes)
    figures = {case: results.of(case) for case in results.rounds}
    left_out = [spec.name for spec in wanted if not spec.is_installed]
    found, promises = tables(results, sizes), bars(results, sizes)
    return publish(Report("Tokens", where, found, promises, figures, panels(results, sizes), left_out), chosen)


def _measure_quick(results: Results, specs: list[Spec], sizes: list[int]) -> None:
    run_case(results, "hit_cost", [spec.name for spec in specs], rounds=7)
    run_case(results, "hit_proof+cached_tokens", [OURS], number=1_000, rounds=7)
    for spec in specs:
        own = "+many_keys" if spec.name == OURS else ""
        run_case(results, f"stampede{own}+{_TROUBLES}", [spec.name], number=sizes[0])
    results.rounds[f"stampede {sizes[0]}"] = results.rounds.pop("stampede")


def _measure(results: Results, specs: list[Spec], sizes: list[int]) -> None:
    _measure_hits(results, specs)
    run_case(results, "hit_proof", [OURS])
    run_case(results, "cached_tokens", [OURS], number=10_000, rounds=41, limit=_LONG)
    for size in sizes:
        for name in [OURS, "floor", *(spec.name for spec in specs if spec.name != OURS)]:
            say(f"{size} coroutines, {name}")
            rounds = 5 if name == OURS else 3 if size == sizes[-1] else 1
            limit = _LONG if name == OURS else _STOP_AFTER
            run_case(results, "stampede", [name], number=size, rounds=rounds, limit=limit, suffix=f" {size}")
        _measure_hits(results, specs)
    run_case(results, "many_keys", [OURS])
    for spec in specs:
        say(f"trouble, {spec.name}")
        run_case(results, _TROUBLES, [spec.name])


def _measure_hits(results: Results, specs: list[Spec]) -> None:
    """Measure hits once more: virtual machines run at half their speed for minutes, so one sitting is not enough."""
    say("hits")
    run_case(results, "hit_cost", [spec.name for spec in specs if spec.hits], rounds=25, limit=_LONG)


if __name__ == "__main__":
    sys.exit(main())
