"""The README tells the truth: its Python runs, its commands exist, its names are importable."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs_as_it_stands(number: int) -> None:
    """Copied into a file, each block runs to its end without a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_there_are_blocks() -> None:
    """The pattern above finds the README's code."""
    assert len(BLOCKS) >= 3


@pytest.mark.checkout
def test_every_make_target_named_exists() -> None:
    """A command that the README tells people to type is a target of the Makefile."""
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z][a-z-]*)", README)) - {"one"}
    missing = [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
    assert missing == []


def test_every_error_named_is_public() -> None:
    """The tree in the README is the tree in the package."""
    import monite_async

    named = set(re.findall(r"\b[A-Z]\w+(?:Error|Timeout)\b", README))
    assert named <= set(monite_async.__all__)
