"""Imports: what this library costs before its first answer is there, beside the official client.

Run ``python -m benchmarks.imports``; the official client (``monite``) comes with the dependency group ``bench``. Each
figure is the CPU time and the peak memory of processes that do nothing else; read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks._import_cases import Cost, Server, compile_ours, first_uses, measure
from benchmarks._report import Bar, Table, machine, number, ratio

__all__ = ["main"]

_RULE = (
    "A missed count fails the run; a missed time only with `--strict`, because other work on the machine adds to it."
)
_BARE, _NAME, _CLIENT = "pass", "import monite_async", "from monite_async import AsyncMonite"
_PARTS, _OFFICIAL = "import httpx, pydantic", "import monite"
_HEAVY = f"import sys; {_NAME}; sys.exit(len([m for m in ('httpx', 'pydantic') if m in sys.modules]))"
_FIRST = "first parsed payable"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, three resources")
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, with versions, machine and date")
    options = parser.parse_args(arguments)
    official = _version("monite")
    where = machine([f"{name} {_version(name)}" for name in ("httpx", "monite", "monite-async", "pydantic")])
    print(f"{where}\n")
    if not official:
        print("monite is not installed, left out\n")
    compile_ours()
    rounds = 1 if options.quick else 11
    codes = {code: code for code in (_BARE, _NAME, _CLIENT, _PARTS, *([_OFFICIAL] if official else []))}
    with Server() as server:
        codes |= {f"{_FIRST}, monite-async": server.script("_first_ours.py")}
        if official:
            codes |= {f"{_FIRST}, monite": server.script("_first_official.py")}
        costs = measure(codes, rounds=rounds, environment=server.environment)
        heavy = measure({_HEAVY: _HEAVY}, rounds=1)[_HEAVY].status
    uses = first_uses(rounds=1 if options.quick else 3, limit=3 if options.quick else None)
    bars = _bars(costs, uses, heavy)
    verdict = Table("The bars", _RULE, ["what", "kind", "bar", "measured", ""], [bar.row() for bar in bars])
    text = "\n\n".join(table.render() for table in (_costs(costs), _uses(uses), verdict))
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(f"# Imports\n\n{where}\n\n{text}\n", encoding="utf-8")
    missed = [bar for bar in bars if not bar.reached and (options.strict or bar.kind == "count")]
    return 1 if missed else 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _costs(costs: dict[str, Cost]) -> Table:
    bare, parts = costs[_BARE], costs[_PARTS]
    rows = [
        [
            name,
            number(cost.cpu_ms, 1),
            number(cost.cpu_ms - bare.cpu_ms, 1),
            ratio(cost.cpu_ms - bare.cpu_ms, parts.cpu_ms - bare.cpu_ms),
            number(cost.peak_mb, 1),
        ]
        for name, cost in costs.items()
    ]
    method = (
        "Each in a process of its own, from its start to its end, bytecode at hand as pip leaves it; the least CPU time "
        "of interleaved rounds. The first "
        "payable comes from the emulator in another process: token, call, model. Memory is the peak of the process."
    )
    head = ["what", "CPU ms", "over bare Python", "beside httpx, pydantic", "peak MB"]
    return Table("From the start of a process", method, head, rows)


def _uses(uses: dict[str, float]) -> Table:
    order = sorted(uses, key=lambda name: -uses[name])
    rows = [[name, number(uses[name], 1)] for name in [*order[:8], order[len(order) // 2]]]
    method = (
        f"The first use of a resource in a process that has used another one: its methods, its models, one answer; "
        f"CPU time. The dearest of {len(uses)}, and the one in the middle."
    )
    return Table("The first use of a resource", method, ["resource", "CPU ms"], rows)


def _bars(costs: dict[str, Cost], uses: dict[str, float], heavy: int) -> list[Bar]:
    bare, parts = costs[_BARE].cpu_ms, costs[_PARTS].cpu_ms
    first = costs[f"{_FIRST}, monite-async"]
    return [
        Bar("import monite_async: httpx and pydantic imported", "count", heavy, 0, exact=True),
        Bar("import monite_async, over bare Python, ms", "time", costs[_NAME].cpu_ms - bare, 3),
        Bar("with the client, beside httpx and pydantic", "time", (costs[_CLIENT].cpu_ms - bare) / (parts - bare), 1.1),
        Bar("to the first payable, CPU ms", "time", first.cpu_ms, 140),
        Bar("to the first payable, peak MB", "time", first.peak_mb, 42),
        Bar("the first use of any resource, CPU ms", "time", max(uses.values()), 40),
    ]


if __name__ == "__main__":
    sys.exit(main())
