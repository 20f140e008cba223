"""What every benchmark here has in common: its options, what it prints and writes, and its exit status."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks._plot import Panel, draw
from benchmarks._report import Bar, Table

__all__ = ["Report", "installed", "last_line", "options", "publish", "say"]

_COUNTS = "A missed count fails the run; "
_TIMES = "missed time only with `--strict`, because other work on the machine adds to it."
_SAY_EVERY = 10.0
"""Seconds between two lines of progress where they are kept, as in the log of a build."""
_said_at = [time.monotonic()]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a benchmark.

    Attributes:
        title: Heading of what is written.
        where: Machine, versions and date.
        tables: What was measured.
        bars: What is promised, with what was measured.
        figures: All figures, for the JSON.
        panels: What is drawn.
        left_out: Names of peers that are not installed.
    """

    title: str
    where: str
    tables: Sequence[Table]
    bars: Sequence[Bar]
    figures: Mapping[str, object]
    panels: Sequence[Panel] = field(default_factory=tuple[Panel, ...])
    left_out: Sequence[str] = ()


def options(name: str, doc: str | None, quick: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of a benchmark.

    Args:
        name: Of its module.
        doc: Its docstring.
        quick: What ``--quick`` does.
        arguments: Instead of those of the process.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument(
        "--markdown", metavar="FILE", type=Path, help="write the tables there, with versions, machine and date"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the main figures there, as SVG")
    return parser.parse_args(arguments)


def publish(report: Report, wanted: argparse.Namespace) -> int:
    """Print a report, write what was asked for, and return the exit status.

    1 when a count is not as promised, with ``--strict`` also when a time is not.
    """
    missing = [f"{name} is not installed, left out" for name in report.left_out]
    rule = (_COUNTS + "a " if any(bar.kind == "count" for bar in report.bars) else "A ") + _TIMES
    verdict = Table("The bars", rule, ["what", "kind", "bar", "measured", ""], [bar.row() for bar in report.bars])
    tables = [table for table in (*report.tables, verdict) if table.rows]
    text = "\n\n".join([*missing, *(table.render() for table in tables)])
    print(f"{report.where}\n\n{text}")
    if wanted.markdown:
        wanted.markdown.write_text(f"# {report.title}\n\n{report.where}\n\n{text}\n", encoding="utf-8")
    if wanted.json:
        told = {"machine": report.where, "figures": report.figures, "bars": [bar.told() for bar in report.bars]}
        wanted.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if wanted.plot and report.panels:
        wanted.plot.write_text(draw(report.panels, report.where.partition("\n")[0]), encoding="utf-8")
    return 1 if any(not bar.reached and (wanted.strict or bar.kind == "count") for bar in report.bars) else 0


def installed(name: str) -> str:
    """Return the version of a package, empty when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def say(what: str) -> None:
    """Tell whoever watches what is going on; where it is kept, one line in ten seconds."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what} ...", end="\r", file=sys.stderr, flush=True)
    elif time.monotonic() - _said_at[0] >= _SAY_EVERY:
        _said_at[0] = time.monotonic()
        print(f"{what} ...", file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    """Return what a process that failed said last: of a traceback, the exception."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]
