"""The benchmarks of imports and decoding run, and what they count is as promised; their times are not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.checkout
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("imports", ["httpx and pydantic imported | count |    = 0 |", "first parsed payable, monite-async"]),
        ("decode", ["Decoding a page of 100 payables", "monite-async"]),
    ],
)
def test_a_benchmark_of_costs_runs(name: str, says: list[str]) -> None:
    """Each runs to its end on few rounds, keeps what it counts, and prints its tables."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for text in says:
        assert text in done.stdout
