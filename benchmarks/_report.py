"""What is printed: aligned tables that are Markdown too, and the bars that figures are held against."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Bar", "Table", "machine", "number", "processor", "ratio"]


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a line on the method, a head and rows; the first column is text, the others are figures."""

    title: str
    method: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self) -> str:
        """Return it as Markdown whose columns are aligned in plain text as well."""
        lines = [list(self.head), *(list(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]

        def text(line: Sequence[str]) -> str:
            cells = [
                cell.ljust(width) if not column else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            return f"| {' | '.join(cells)} |"

        rule = "|".join(
            "-" * (width + 2) if not column else "-" * (width + 1) + ":" for column, width in enumerate(widths)
        )
        return "\n".join([f"### {self.title}", "", self.method, "", text(lines[0]), f"|{rule}|", *map(text, lines[1:])])


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise and what became of it.

    Attributes:
        what: What was promised.
        kind: ``count`` for what is the same on every machine, ``time`` for what another's work can spoil.
        value: What was measured.
        limit: What it may be at most.
        exact: It must be just that.
    """

    what: str
    kind: Literal["count", "time"]
    value: float
    limit: float
    exact: bool = False

    @property
    def reached(self) -> bool:
        """Tell whether the promise is kept."""
        return self.value == self.limit if self.exact else self.value <= self.limit

    def row(self) -> list[str]:
        """Return it as a row of a table."""
        limit = f"{'=' if self.exact else '<='} {_short(self.limit)}"
        return [self.what, self.kind, limit, _short(self.value), "reached" if self.reached else "MISSED"]

    def told(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "what": self.what, "kind": self.kind, "limit": self.limit, "value": self.value, "reached": self.reached
        }  # fmt: skip


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def number(value: float, digits: int = 0) -> str:
    """Return a number with thousands marked."""
    return f"{value:,.{digits}f}"


def ratio(value: float, base: float) -> str:
    """Return how many times the base it is."""
    return f"{value / base:,.1f}x" if base else "-"


def processor() -> str:
    """Return the model of the processor as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def machine(versions: Sequence[str]) -> str:
    """Return where and with what this ran, in two lines."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{when}; {python}, {platform.system()}, {os.cpu_count()} x {processor()}{load}.\n{', '.join(versions)}."
