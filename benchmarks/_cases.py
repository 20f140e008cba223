"""Cases in processes of their own, in turn, round after round; medians of the rounds, and how far they lie apart."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks._call_systems import FAST, OURS
from benchmarks._output import last_line, say
from benchmarks._payable_server import Ports

__all__ = ["Case", "Figures", "Runs", "run"]

Figures = dict[str, float]

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Case:
    """Something to be measured on a system.

    Attributes:
        name: What its figures are kept under.
        system: On what.
        what: What the worker does.
        twin: The port of the server, by name.
        at_once: Calls at once, or numbers of connections.
        calls: How many; 0 for as many as fit.
        seconds: About how long.
        ramp: Calls before those that count; the others go on until the last of these is done.
        worker: The module that does it.
        limit: Seconds after which it is stopped.
        rounds: In how many rounds it takes part, at most.
    """

    name: str
    system: str
    what: str = "calls"
    twin: str = "plain"
    at_once: Sequence[int] = (1,)
    calls: int = 0
    seconds: float = 0.7
    ramp: int = 0
    worker: str = "benchmarks._call_worker"
    limit: float = 90.0
    rounds: int = 100


@dataclass(slots=True)
class Runs:
    """All figures of a run: by case, by system, one per round."""

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict[str, dict[str, list[Figures]]])

    def add(self, case: str, system: str, figures: Figures) -> None:
        """Keep the figures of one round; none for a round that failed."""
        kept = self.rounds.setdefault(case, {}).setdefault(system, [])
        if figures:
            kept.append(figures)

    def systems(self, case: str) -> list[str]:
        """Return the systems that the case was tried on, in the order of the first round."""
        return list(self.rounds.get(case, {}))

    def has(self, case: str, system: str) -> bool:
        """Tell whether there is any figure."""
        return bool(self.rounds.get(case, {}).get(system))

    def median(self, case: str, system: str, figure: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(one[figure] for one in self.rounds[case][system])

    def spread(self, case: str, system: str, figure: str) -> float:
        """Return how far the rounds lie from their median, at most, as a share of it."""
        middle = self.median(case, system, figure)
        return max(abs(one[figure] - middle) for one in self.rounds[case][system]) / middle if middle else 0.0

    def told(self) -> dict[str, object]:
        """Return all of it for JSON: by case, system and figure the median, the least and the most."""
        return {
            case: {
                system: {
                    figure: {
                        "median": self.median(case, system, figure),
                        "least": min(one[figure] for one in rounds),
                        "most": max(one[figure] for one in rounds),
                    }
                    for figure in rounds[0]
                }
                if rounds
                else None
                for system, rounds in systems.items()
            }
            for case, systems in self.rounds.items()
        }


def run(cases: Sequence[Case], ports: Ports, *, rounds: int) -> Runs:
    """Run all cases in turn, each round in the other direction than the one before.

    Raises:
        RuntimeError: One of this library's cases failed; a peer's is shown as failed instead.
    """
    runs = Runs()
    for case in cases:  # in the order that they are shown in
        runs.rounds.setdefault(case.name, {}).setdefault(case.system, [])
    for number in range(rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            if number >= case.rounds:
                continue
            say(f"round {number + 1} of {rounds}: {case.name}, {case.system}")
            runs.add(case.name, case.system, _measure(case, ports))
    return runs


def _measure(case: Case, ports: Ports) -> Figures:
    job = {**dataclasses.asdict(case), "ports": dataclasses.asdict(ports)}
    environment = {**os.environ, "SSL_CERT_FILE": ports.authority}
    command = [sys.executable, "-m", case.worker, json.dumps(job)]
    worker = subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = worker.communicate(timeout=case.limit)
    except subprocess.TimeoutExpired:
        worker.kill()
        out, err = worker.communicate()
    if worker.returncode == 0:
        return cast("Figures", json.loads(out))
    if case.system in (OURS, FAST):
        raise RuntimeError(f"{case.name} of {case.system} failed:\n{err[-3000:]}")
    print(f"{case.name} of {case.system} failed: {last_line(err)}\n", flush=True)
    return {}
