"""The README tells the truth: its Python runs, its commands exist, its names are importable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = PYTHON.findall(README)


def run(code: str) -> None:
    """Run a block as it would run from a file, with warnings as errors and nothing of Monite in the environment."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MONITE_")}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=surroundings)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs_as_it_stands(number: int) -> None:
    """Copied into a file, each block runs to its end without a warning."""
    run(BLOCKS[number])


def test_there_are_blocks() -> None:
    """The pattern above finds the README's code."""
    assert len(BLOCKS) >= 1


@pytest.mark.checkout
def test_every_make_target_named_exists() -> None:
    """A command that the README tells people to type is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z][a-z-]*)", README)) - {"one"}
    missing = [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
    assert missing == []


def test_every_error_named_is_public() -> None:
    """The tree in the README is the tree in the package."""
    import monite_async

    named = set(re.findall(r"\b[A-Z]\w+(?:Error|Timeout)\b", README))
    assert named <= set(monite_async.__all__)
