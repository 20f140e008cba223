"""Small pieces of Python text that several writers need."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import cast

__all__ = ["literal", "mentions", "quoted", "statement"]

_WIDTH = 116
_BETWEEN = re.compile(r'(?<=",) ')


def literal(values: Sequence[str]) -> str:
    """Return ``Literal["a", "b"]``."""
    return f"Literal[{', '.join(quoted(value) for value in values)}]"


def mentions(text: str, name: str) -> bool:
    """Tell whether a name occurs in a piece of Python, as a word of its own."""
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def quoted(value: object) -> str:
    """Return a value as Python source, strings in double quotes."""
    if isinstance(value, tuple):
        entries = cast("tuple[object, ...]", value)
        return f"({', '.join(quoted(entry) for entry in entries)}{',' if len(entries) == 1 else ''})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def statement(text: str) -> str:
    """Return a one-line statement with a long ``Literal`` wrapped, where the formatter would give each value its own line.

    Lines break between two values only: never inside one, nor outside of the brackets.
    """
    if len(text) <= _WIDTH or "Literal[" not in text:
        return text
    first, *others = _BETWEEN.split(text)
    lines = [first]
    for piece in others:
        if len(lines[-1]) + len(piece) >= _WIDTH:
            lines.append("   ")
        lines[-1] += f" {piece}"
    return "\n".join(lines) + ("  # fmt: skip" if len(lines) > 1 else "")
