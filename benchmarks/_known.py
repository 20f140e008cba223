"""The figures of ``results.json``, and how they are written in prose."""

from __future__ import annotations

import datetime as dt
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks._report import number
from benchmarks._run import unfinished

__all__ = ["NONE", "Known", "many", "prose", "strong", "table", "times", "wait"]

NONE = "\N{EN DASH}"
_SECOND_MS = 1_000.0
_LINE = 120


class Known:
    """What is known of a run.

    Args:
        told: The content of ``results.json``.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.run: Mapping[str, Any] = told["run"]
        self._benchmarks: Mapping[str, Any] = told["benchmarks"]

    @classmethod
    def read(cls, file: Path) -> Known:
        """Return what a file holds."""
        return cls(cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8"))))

    def has(self, *names: str) -> bool:
        """Tell whether there are figures of all these benchmarks."""
        return all(self._benchmarks.get(name, {}).get("figures") for name in names)

    def figures(self, name: str) -> Mapping[str, Any]:
        """Return the figures of a benchmark."""
        return cast("Mapping[str, Any]", self._benchmarks[name]["figures"])

    def case(self, name: str, case: str, system: str) -> Mapping[str, float]:
        """Return the figures of a system in a case; none of one that was not finished."""
        found = cast("Mapping[str, float]", self.figures(name).get(case, {}).get(system, {}))
        return {} if unfinished(dict(found)) else found

    def why(self, name: str, case: str, system: str) -> str:
        """Return what there is to say of a system that did not finish a case: how long it was waited for."""
        found = cast("Mapping[str, float]", self.figures(name).get(case, {}).get(system, {}))
        return f"not in {found['stopped']:g} s" if "stopped" in found else NONE

    def median(self, case: str, system: str, figure: str) -> float | None:
        """Return a median of the benchmark of calls, None where the system failed."""
        found = cast("Mapping[str, Any] | None", self.figures("calls").get(case, {}).get(system))
        return None if found is None else cast("float", found[figure]["median"])

    def where(self, *names: str) -> str:
        """Return the machine and the days on which these benchmarks ran, as a sentence."""
        days = sorted({cast("str", self._benchmarks[name]["machine"])[:10] for name in names})
        python = cast("str", self.run["python"])
        return f"{python}, {self.run['cores']} x {self.run['processor']}, {' and '.join(map(_day, days))}"


def _day(day: str) -> str:
    date = dt.date.fromisoformat(day)
    return f"{date.day} {date:%B %Y}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown whose first column is text."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in (head, rule, *rows))


def strong(text: str) -> str:
    """Return a text in bold, what stands in brackets behind it left out."""
    first, bracket, rest = text.partition(" (")
    return f"**{first}**{bracket}{rest}"


def wait(ms: float) -> str:
    """Return milliseconds, or seconds where it is one and more."""
    return f"{ms:,.0f} ms" if ms < _SECOND_MS else f"{ms / _SECOND_MS:,.1f} s"


def prose(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, _LINE, break_long_words=False, break_on_hyphens=False)


def times(ratio: float) -> str:
    """Return a ratio."""
    return f"{ratio:.2f}x" if ratio < 1 else f"{ratio:.1f}x"


def many(count: float, what: str) -> str:
    """Return a number of things."""
    return f"{number(count)} {what}{'' if count == 1 else 's'}"
