"""Tokens: this library beside Authlib, azure-identity, httpx-auth, aiobotocore and what one writes by hand.

Run ``python -m benchmarks.tokens``; the peers come with the dependency group ``bench``, and one that is missing is
named and left out. Everything is measured in this one run, on this machine: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks._plot import draw
from benchmarks._report import Table, machine
from benchmarks._run import Results, run_case
from benchmarks._systems import OURS, SYSTEMS, Spec
from benchmarks._tables import bars, panels, tables

__all__ = ["main"]

_VERDICT = "The bars"
_RULE = (
    "A missed count fails the run; a missed time only with `--strict`, because other work on the machine adds to it."
)
_STOP_AFTER = 20.0
_TROUBLES = "failing+cancelled+short_budgets+second_loop"
_QUICK = ("no lock, by hand",)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    options = _parser().parse_args(arguments)
    wanted = [spec for spec in SYSTEMS if not options.quick or spec.name in (OURS, *_QUICK)]
    specs = [spec for spec in wanted if spec.is_installed]
    versions = sorted({spec.version for spec in specs if spec.version}, key=str.lower)
    where = machine(versions)
    print(f"{where}\n")
    for spec in wanted:
        if not spec.is_installed:
            print(f"{spec.name}: {spec.package} is not installed, left out\n")
    sizes = [500] if options.quick else [1_000, 10_000]
    results = Results()
    measure = _measure_quick if options.quick else _measure
    measure(results, specs, sizes)
    found, promises = tables(results, sizes), bars(results, sizes)
    verdict = Table(_VERDICT, _RULE, ["what", "kind", "bar", "measured", ""], [promise.row() for promise in promises])
    text = "\n\n".join(table.render() for table in [*found, verdict])
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(f"# Tokens\n\n{where}\n\n{text}\n", encoding="utf-8")
    if options.json:
        figures = {case: results.of(case) for case in results.rounds}
        told = [{"what": bar.what, "kind": bar.kind, "value": bar.value, "reached": bar.reached} for bar in promises]
        Path(options.json).write_text(json.dumps({"machine": where, "figures": figures, "bars": told}, indent=1))
    if options.plot:
        Path(options.plot).write_text(draw(panels(results, sizes), where.partition("\n")[0]), encoding="utf-8")
    missed = [promise for promise in promises if not promise.reached and (options.strict or promise.kind == "count")]
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds: no peers, small numbers, counts only")
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, with versions, machine and date")
    parser.add_argument("--plot", metavar="FILE", help="draw the main figures there, as SVG")
    return parser


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
    run_case(results, "cached_tokens", [OURS], number=10_000, rounds=41)
    for size in sizes:
        for name in [OURS, "floor", *(spec.name for spec in specs if spec.name != OURS)]:
            _say(f"{size} coroutines, {name}")
            run_case(results, "stampede", [name], number=size, rounds=5, limit=_STOP_AFTER, suffix=f" {size}")
        _measure_hits(results, specs)
    run_case(results, "many_keys", [OURS])
    for spec in specs:
        _say(f"trouble, {spec.name}")
        run_case(results, _TROUBLES, [spec.name])


def _measure_hits(results: Results, specs: list[Spec]) -> None:
    """Measure hits once more: virtual machines run at half their speed for minutes, so one sitting is not enough."""
    _say("hits")
    run_case(results, "hit_cost", [spec.name for spec in specs if spec.hits], rounds=25)


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what} ...", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
