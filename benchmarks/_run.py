"""Running cases: one worker and one token server for each, with a limit of time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks._hits import FAILED
from benchmarks._output import last_line
from benchmarks._scenarios import Figures
from benchmarks._systems import OURS
from benchmarks._token_server import TokenServer

__all__ = ["Results", "run_case", "unfinished"]

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Results:
    """All figures of a run: by case, by system, one per round."""

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict[str, dict[str, list[Figures]]])

    def add(self, case: str, system: str, figures: Figures) -> None:
        """Keep the figures of one round."""
        self.rounds.setdefault(case, {}).setdefault(system, []).append(figures)

    def of(self, case: str) -> dict[str, Figures]:
        """Return a case's figures by system: the least time of all rounds, the highest count of POSTs."""
        return {system: _merge(rounds) for system, rounds in self.rounds.get(case, {}).items()}


def unfinished(figures: Figures) -> str:
    """Return why there are no figures of a case but its POSTs, empty when there are."""
    if "failed to run" in figures:
        return "failed"
    return f"stopped after {figures['stopped']:g} s" if "stopped" in figures else ""


def _merge(rounds: list[Figures]) -> Figures:
    whole = [figures for figures in rounds if not unfinished(figures)] or rounds
    merged = {name: min(figures[name] for figures in whole) for name in whole[0]}
    if "posts" in merged:
        merged["posts"] = max(figures["posts"] for figures in whole)
    return merged


def run_case(
    results: Results,
    what: str,
    systems: Sequence[str],
    *,
    number: int = 0,
    rounds: int = 1,
    limit: float = 90.0,
    suffix: str = "",
) -> None:
    """Run scenarios, joined by ``+``, in a worker, and keep what it says; of a peer that fails, that it did.

    Args:
        results: Where the figures go.
        what: The scenarios.
        systems: What is measured; figures are kept under the first one's name.
        number: Callers or tokens.
        rounds: How often.
        limit: Seconds until the worker is stopped.
        suffix: Added to the scenario's name in the results.

    Raises:
        RuntimeError: The worker of this library failed; its last words are in the text.
    """
    with TokenServer() as server:
        endpoint = server.endpoint
        ports = f"{endpoint.port},{endpoint.orders}"
        command = [sys.executable, "-m", "benchmarks._worker", what, ports, str(number), str(rounds), *systems]
        worker = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stopped = False
        try:
            out, err = worker.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            stopped = True
            worker.kill()
            out, err = worker.communicate()
        for told in err.splitlines():
            if told.startswith(FAILED):
                print(told, flush=True)
        lines = [cast("dict[str, Figures]", json.loads(line)) for line in out.splitlines()]
        for line in lines:
            for name, figures in line.items():
                results.add(name + suffix, systems[0], figures)
        if worker.returncode and not stopped:
            if systems[0] == OURS:
                raise RuntimeError(f"{what} of {systems[0]} failed:\n{err[-3000:]}")
            print(f"{what} of {systems[0]} failed: {last_line(err)}\n", flush=True)
        if worker.returncode:
            missing = [name for name in what.split("+") if not any(name in line for line in lines)]
            for name in missing:
                posts = endpoint.counts().posts
                why = {"stopped": limit} if stopped else {"failed to run": 1.0}
                results.add(name + suffix, systems[0], {**why, "posts": posts})
