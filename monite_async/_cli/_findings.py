"""What the doctor finds: one line each, with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monite_async._cli._exits import Exit

__all__ = ["Finding", "fail", "good", "warn"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        state: How it is.
        text: What was found.
        advice: What to do, unless all is well.
        code: The exit status if this is the first failure.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""
    code: Exit = Exit.OK


def good(name: str, text: str) -> Finding:
    """Return what is well."""
    return Finding(name, "ok", text)


def warn(name: str, text: str, advice: str) -> Finding:
    """Return what works, but may not be meant so."""
    return Finding(name, "warn", text, advice)


def fail(name: str, code: Exit, text: str, advice: str) -> Finding:
    """Return what stands in the way."""
    return Finding(name, "fail", text, advice, code)
