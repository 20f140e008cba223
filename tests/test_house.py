"""The rules of the house that no linter knows: how long files and functions may be, how much may be ignored."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
FOLDERS = ("monite_async", "stores", "codegen", "tests", "benchmarks", "examples", "scripts")
IGNORES = re.compile(r"# (noqa|type: ignore|pyright: ignore|pragma)(.?)")


def handwritten() -> Iterator[tuple[str, str]]:
    """Give path and text of every module that nobody generates."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            if not text.startswith('"""GENERATED'):
                yield str(path.relative_to(ROOT)), text


def test_files_and_functions_are_short() -> None:
    """A file written by hand has at most 500 lines, and a function in it at most 60."""
    long: list[str] = []
    for path, text in handwritten():
        lines = text.count("\n")
        long += [f"{path}: {lines} lines"] * (lines > 500)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                long += [f"{path}: {node.name}, {length} lines"] * (length > 60)
    assert long == []


def test_little_is_ignored_and_always_by_its_code() -> None:
    """At most two lines of a thousand tell a checker to look away, each says from what, and none is left uncovered."""
    lines = sum(text.count("\n") for _, text in handwritten())
    found = [(path, *match.groups()) for path, text in handwritten() for match in IGNORES.finditer(text)]
    codes = {"noqa": ":", "type: ignore": "[", "pyright: ignore": "["}
    assert [entry for entry in found if entry[2] != codes.get(entry[1])] == []
    assert len(found) <= 2 * lines / 1000
