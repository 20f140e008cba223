"""Small pieces of Python text that several writers need."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import cast

__all__ = ["literal", "quoted", "statement"]

_WIDTH = 116


def literal(values: Sequence[str]) -> str:
    """Return ``Literal["a", "b"]``."""
    return f"Literal[{', '.join(quoted(value) for value in values)}]"


def quoted(value: object) -> str:
    """Return a value as Python source, strings in double quotes."""
    if isinstance(value, tuple):
        entries = cast("tuple[object, ...]", value)
        return f"({', '.join(quoted(entry) for entry in entries)}{',' if len(entries) == 1 else ''})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def statement(text: str) -> str:
    """Return a one-line statement wrapped at its commas, where the formatter would give each item its own line."""
    if len(text) <= _WIDTH:
        return text
    lines = textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "  # fmt: skip"
