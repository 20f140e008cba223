"""The benchmark of fleets runs, and the counts that it promises hold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks._run import unfinished
from benchmarks._scenarios import Figures
from benchmarks._sharing_cases import EndedError, Fleet, Sizes, one_key
from benchmarks._sharing_systems import FILES, MEMORY, OURS
from benchmarks._sharing_tables import Measured, bars, tables
from benchmarks._token_server import TokenServer
from tests.stores.redis_server import RedisServer

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the quick benchmark once; return what it wrote, its exit status and what it printed."""
    target = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks.sharing", "--quick"]
    command += ["--json", str(target / "sharing.json"), "--markdown", str(target / "sharing.md")]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert all(line.endswith(" ...") for line in done.stderr.splitlines())  # progress, and no complaints
    told: dict[str, Any] = json.loads((target / "sharing.json").read_text())
    markdown = (target / "sharing.md").read_text(encoding="utf-8")
    return {**told, "status": done.returncode, "out": done.stdout, "markdown": markdown}


def test_quick_run_keeps_every_count(report: dict[str, Any]) -> None:
    """Every promise that is a count holds, whatever else the machine does, and the exit status says so."""
    counts = {bar["what"]: bar["reached"] for bar in report["bars"] if bar["kind"] == "count"}
    assert [what for what, reached in counts.items() if not reached] == []
    assert len(counts) >= 12
    assert report["status"] == 0


def test_quick_run_tells_a_shared_token_from_none(report: dict[str, Any]) -> None:
    """The endpoint counts: without a lock there is a POST per caller, and none is served when Redis is gone."""
    assert report["figures"]["one_key"]["Redis, no lock"]["posts"] > 100
    assert report["figures"]["refused"]["Redis, no lock"]["failed"] == 400


def test_tables_are_printed_and_written(report: dict[str, Any]) -> None:
    """What is printed is what is written, with the machine and the versions above it."""
    printed = report["out"].partition("###")[2].strip()
    assert printed
    assert printed in report["markdown"]
    assert report["machine"] in report["markdown"]


def test_a_fleet_that_dies_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """A peer whose processes die costs its own figures and no time; where we fail there is no run."""
    with TokenServer() as server:
        sizes = Sizes(processes=1)
        assert unfinished(Fleet("nobody", server.endpoint, sizes).run(one_key)) == "failed"
        ours = Fleet(OURS, server.endpoint, sizes)

        def dies(fleet: Fleet, redis: RedisServer) -> Figures:
            with fleet.opened(redis.port, 1) as (process,):
                process.tell("no_such_order")
                process.hear(time.monotonic() + 60)
            return {}

        with pytest.raises(EndedError):
            ours.run(dies)
    assert "no_such_order" in capfd.readouterr().err


def test_what_was_stopped_misses_its_bars_and_is_told() -> None:
    """A case that took too long is shown as such, and no promise about it counts as kept."""
    stopped = {"stopped": 20.0, "posts": 7.0}
    cases = ("one_key", "many_keys", "killed", "refused", "frozen", "revoked")
    measured: Measured = {case: {OURS: dict(stopped), FILES: dict(stopped)} for case in cases}
    measured["hits"] = {name: {"us": 1.0} for name in (OURS, FILES, MEMORY)}
    kept = [bar.what for bar in bars(measured, Sizes()) if bar.reached]
    assert all(what.startswith(("hit,", "100 keys")) for what in kept)
    shown = [table.render() for table in tables(measured, Sizes())]
    assert sum("stopped after 20 s" in text for text in shown) == 4
