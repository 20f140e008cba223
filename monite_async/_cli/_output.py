"""What a command prints: tables and colours on a terminal, plain columns in a pipe, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from monite_async._cli._exits import Exit

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "as_json", "duration"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""What JSON leaves as it is though terminals act on it, or line readers split at it."""


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON that is safe to show on a terminal."""
    return json.dumps(value, ensure_ascii=False, indent=indent).translate(_CONTROLS)


def duration(seconds: float) -> str:
    """Return a length of time in the two largest units that it has."""
    whole = int(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"


class Output:
    """Where results and errors go.

    Attributes:
        json: Print one JSON value instead of tables.
    """

    def __init__(self) -> None:
        self.json = False

    def result(
        self, data: object, rows: Sequence[Mapping[str, str]], *, columns: bool = True, empty: str = "nothing"
    ) -> None:
        """Print a result: its data as JSON, or its rows as a table.

        Args:
            data: For programs.
            rows: For people; all with the same names of columns.
            columns: Whether the names of the columns are shown.
            empty: What to say when there are no rows.
        """
        if self.json:
            self.data(data)
            return
        from rich.table import Table
        from rich.text import Text

        console = _console(sys.stdout)
        if not rows:
            console.print(Text(empty))
            return
        table = Table(box=None, show_header=columns, header_style="bold", pad_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(value, style=_STYLES.get(value, "")) for value in row.values()))
        with console.capture() as captured:
            console.print(table)
        sys.stdout.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))

    def data(self, data: object) -> None:
        """Print a value as JSON: on a terminal with colours and indented, else on one line."""
        if not sys.stdout.isatty():
            sys.stdout.write(as_json(data) + "\n")
            return
        from rich.json import JSON

        _console(sys.stdout).print(JSON(as_json(data)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something beside the result, on standard error; nothing when programs read."""
        if not self.json:
            self._say("", "", text)

    def error(self, code: Exit, message: str, facts: Mapping[str, object]) -> None:
        """Say what went wrong, in one line on standard error."""
        if self.json:
            sys.stderr.write(as_json({"error": {"exit": int(code), "message": message, **facts}}) + "\n")
        else:
            self._say("error: ", "bold red", message)

    def _say(self, head: str, style: str, text: str) -> None:
        from rich.text import Text

        line = Text.assemble((head, style), "".join(ch if ch.isprintable() else " " for ch in text))
        _console(sys.stderr).print(line, soft_wrap=True)


def _console(stream: object) -> Console:
    from typing import IO, cast

    from rich.console import Console

    file = cast("IO[str]", stream)
    # In a pipe nothing is folded: whoever reads it has no width.
    return Console(file=file, width=None if file.isatty() else 10_000, highlight=False, markup=False, emoji=False)
