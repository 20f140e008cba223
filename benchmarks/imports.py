"""Imports: what this library costs before its first answer is there, beside the official client.

Run ``python -m benchmarks.imports``; the official client (``monite``) comes with the extra ``bench``. Each
figure is the CPU time and the peak memory of processes that do nothing else; read the ratios, not the figures.
"""

from __future__ import annotations

import sys

from benchmarks._import_cases import Cost, Server, compile_ours, first_uses, measure
from benchmarks._output import Report, installed, options, publish
from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, machine, number, ratio

__all__ = ["main"]

_BARE, _NAME, _CLIENT = "pass", "import monite_async", "from monite_async import AsyncMonite"
_PARTS, _OFFICIAL = "import httpx, pydantic", "import monite"
_PACKAGES = ("httpx", "monite", "monite-async", "pydantic")
_HEAVY = f"import sys; {_NAME}; sys.exit(len([m for m in ('httpx', 'pydantic') if m in sys.modules]))"
_FIRST = "first parsed payable"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a count is not as promised, with ``--strict`` also a time."""
    chosen = options("imports", __doc__, "few rounds, three resources", arguments)
    official = installed("monite")
    where = machine([f"{name} {installed(name)}" for name in _PACKAGES if installed(name)])
    compile_ours()
    rounds, uses_rounds = (1, 1) if chosen.quick else (5, 1)
    codes = {code: code for code in (_BARE, _NAME, _CLIENT, _PARTS, *([_OFFICIAL] if official else []))}
    with Server() as server:
        codes |= {f"{_FIRST}, monite-async": server.script("_first_ours.py")}
        if official:
            codes |= {f"{_FIRST}, monite": server.script("_first_official.py")}
        costs = measure(codes, rounds=rounds, environment=server.environment)
        costs = {name: cost for name, cost in costs.items() if _has_worked(name, cost)}
        heavy = measure({_HEAVY: _HEAVY}, rounds=1)[_HEAVY].status
    uses = first_uses(rounds=uses_rounds, limit=3 if chosen.quick else None)
    figures = {"costs": {name: cost.told() for name, cost in costs.items()}, "first uses, CPU ms": uses}
    panel = Panel(
        "CPU ms, from the start of a process", [(name, one.cpu_ms, "async" in name) for name, one in costs.items()]
    )
    left_out = [] if official else ["monite"]
    tables = [_costs(costs), _uses(uses)]
    return publish(Report("Imports", where, tables, _bars(costs, uses, heavy), figures, [panel], left_out), chosen)


def _has_worked(name: str, cost: Cost) -> bool:
    """Tell whether a process did what it was there for; the official client's is left out when it did not."""
    if cost.status == 0:
        return True
    if name not in (_OFFICIAL, f"{_FIRST}, monite"):
        raise RuntimeError(f"{name} failed with status {cost.status}")
    print(f"{name} failed with status {cost.status}\n")
    return False


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
    first, official = costs[f"{_FIRST}, monite-async"], costs.get(f"{_FIRST}, monite")
    # 140 ms on a machine on which the official client takes 592: machines differ by more than two.
    beside = [] if official is None else [first.cpu_ms / official.cpu_ms]
    return [
        Bar("import monite_async: httpx and pydantic imported", "count", heavy, 0, exact=True),
        Bar("import monite_async, over bare Python, ms", "time", costs[_NAME].cpu_ms - bare, 3),
        Bar("with the client, beside httpx and pydantic", "time", (costs[_CLIENT].cpu_ms - bare) / (parts - bare), 1.1),
        *(Bar("to the first payable, beside the official client", "time", ratio, 140 / 592) for ratio in beside),
        Bar("to the first payable, peak MB", "time", first.peak_mb, 42),
        Bar("the first use of any resource, CPU ms", "time", max(uses.values()), 40),
    ]


if __name__ == "__main__":
    sys.exit(main())
