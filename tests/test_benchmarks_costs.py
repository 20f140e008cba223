"""The benchmarks of imports and decoding run, alone and as parts of a whole run; their times are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.__main__ import BENCHMARKS

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parent.parent


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_the_benchmark_of_imports_runs() -> None:
    """It runs to its end on few rounds, keeps what it counts, and prints its tables."""
    done = _run("benchmarks.imports", "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert "httpx and pydantic imported | count | = 0 |" in " ".join(done.stdout.split())
    assert "first parsed payable, monite-async" in done.stdout


def test_a_whole_run_writes_figures_tables_and_pictures(tmp_path: Path) -> None:
    """What is asked for is run in turn; one file tells machine, versions, date, figures and bars of all of it."""
    done = _run("benchmarks", "decode", "--quick", "--into", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(told["run"]) >= {"date", "python", "system", "processor", "cores", "versions"}
    assert told["run"]["versions"]["pydantic"]
    decode = told["benchmarks"]["decode"]
    assert decode["figures"]["one payable"]["monite-async"] > 0
    assert {bar["kind"] for bar in decode["bars"]} == {"time"}
    assert {"what", "limit", "value", "reached"} < set(decode["bars"][0])
    tables = (tmp_path / "results" / "decode.md").read_text(encoding="utf-8")
    assert "### Decoding a page of 100 payables" in tables
    assert tables.partition("###")[2].strip() in done.stdout
    ET.fromstring((tmp_path / "results" / "decode.svg").read_text(encoding="utf-8"))


def test_a_whole_run_knows_its_parts() -> None:
    """Every part is there or named as missing; a name that nobody has is refused before anything is run."""
    done = _run("benchmarks", "coffee")
    assert done.returncode == 2
    assert "there is no benchmark named coffee" in done.stderr
    assert all(name in done.stderr for name in BENCHMARKS if name != "fair")
