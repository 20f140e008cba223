"""Decoding: from the bytes of an answer to models, beside the official client and bare pydantic.

Run ``python -m benchmarks.decode``; the official client (``monite``) comes with the extra ``bench``. All in
one process, interleaved, the least CPU time of the rounds; read the ratios, not the figures.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks._output import Report, installed, options, publish
from benchmarks._payloads import page, payable
from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, machine, number, ratio
from monite_async.models._base import decode
from monite_async.models.payables import PayablePaginationResponse, PayableResponseSchema

__all__ = ["main"]

_OFFICIAL, _OURS, _BARE, _DICTS = (
    "official client",
    "monite-async",
    "bare `model_validate_json`",
    "json.loads, dicts only",
)
_PAGE, _ONE = "a page of 100 payables", "one payable"

Decode = Callable[[bytes], object]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 with ``--strict`` when a time is not as promised."""
    chosen = options("decode", __doc__, "few rounds", arguments)
    packages = ("monite", "monite-async", "pydantic")
    where = machine([f"{name} {installed(name)}" for name in packages if installed(name)])
    rounds = 1 if chosen.quick else 15
    bodies = {
        _PAGE: json.dumps(page()).encode(),
        "a page of 100 payables read from files": json.dumps(page(recognized=True)).encode(),
        _ONE: json.dumps(payable()).encode(),
    }
    found = {what: _measure(body, rounds, is_page=what != _ONE) for what, body in bodies.items()}
    tables = [_table(f"Decoding {what}", bodies[what], costs) for what, costs in found.items()]
    panels = [
        Panel(f"CPU us to decode {what}", [(name, cost, name == _OURS) for name, cost in found[what].items()])
        for what in (_PAGE, _ONE)
    ]
    left_out = [] if installed("monite") else ["monite"]
    return publish(Report("Decoding", where, tables, _bars(found), found, panels, left_out), chosen)


def _measure(body: bytes, rounds: int, *, is_page: bool) -> dict[str, float]:
    """Return CPU microseconds of one decoding, by system."""
    ours = PayablePaginationResponse if is_page else PayableResponseSchema
    calls = 1 if is_page else 50
    systems: dict[str, Decode] = {
        _OURS: lambda data: decode(ours, data),
        _BARE: ours.model_validate_json,
        _DICTS: json.loads,
    }
    official = _official(ours.__name__, body)
    if official is not None:
        systems[_OFFICIAL] = official
    best = dict.fromkeys(systems, float("inf"))
    for _ in range(rounds):
        for name, system in systems.items():
            times = 1 if name == _OFFICIAL else calls
            gc.collect()
            begin = time.process_time()
            for _call in range(times):
                system(body)
            best[name] = min(best[name], (time.process_time() - begin) / times * 1e6)
    return best


def _official(name: str, body: bytes) -> Decode | None:
    """Return how the official client turns a body into its models, as its generated methods do; None if it cannot."""
    if not installed("monite"):
        return None
    try:
        parse: Any = import_module("monite.core.pydantic_utilities").parse_obj_as
        model: Any = getattr(import_module("monite"), name)
        parse(type_=model, object_=json.loads(body))
    except Exception as exc:
        print(f"{_OFFICIAL} failed: {exc!r}\n")
        return None
    return lambda data: parse(type_=model, object_=json.loads(data))


def _table(title: str, body: bytes, costs: dict[str, float]) -> Table:
    bare = costs[_BARE]
    rows = [[name, number(cost), ratio(cost, bare)] for name, cost in sorted(costs.items(), key=lambda pair: pair[1])]
    method = f"{len(body):,} bytes, all that such a payable can have; CPU time, the collector left on, as in a service."
    return Table(title, method, ["system", "us", "beside bare pydantic"], rows)


def _bars(found: dict[str, dict[str, float]]) -> list[Bar]:
    many, one = found[_PAGE], found[_ONE]
    if _OFFICIAL not in many or _OFFICIAL not in one:
        return []
    return [
        Bar("a page, beside the official client (1/40)", "time", many[_OURS] / many[_OFFICIAL], 1 / 40),
        Bar("a page, beside bare pydantic", "time", many[_OURS] / many[_BARE], 1.05),
        Bar("one payable, beside the official client (1/45)", "time", one[_OURS] / one[_OFFICIAL], 1 / 45),
    ]


if __name__ == "__main__":
    sys.exit(main())
