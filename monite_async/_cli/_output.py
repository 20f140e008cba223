"""What a command prints: tables and colours on a terminal, plain columns in a pipe, JSON when asked for."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from monite_async._cli._exits import Exit, Stop

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["Output", "as_json", "duration", "open_streams"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""What JSON leaves as it is though terminals act on it, or line readers split at it."""

_NARROW = 40
"""Columns below which tables are folded no further: the terminal does that with less harm."""


def open_streams() -> None:
    """Let what this process was started without (``>&-``) lead nowhere, instead of failing whatever uses it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def as_json(value: object, *, indent: int | None = None, encoding: str = "utf-8") -> str:
    """Return a value as JSON that is safe to show on a terminal, and can be written in an encoding."""
    text = json.dumps(value, ensure_ascii=False, indent=indent).translate(_CONTROLS)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # half a pair of surrogates, or an encoding that lacks a letter
        return json.dumps(value, indent=indent)
    return text


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

        if not rows:
            self.write(empty + "\n")
            return
        table = Table(box=None, show_header=columns, header_style="bold", pad_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_plain(value, "\n"), style=_STYLES.get(value, "")) for value in row.values()))
        self.write("".join(line.rstrip() + "\n" for line in _drawn(table, sys.stdout).splitlines()))

    def data(self, data: object) -> None:
        """Print a value as JSON: on a terminal with colours and indented, else on one line."""
        encoding = sys.stdout.encoding
        if not sys.stdout.isatty():
            self.write(as_json(data, encoding=encoding) + "\n")
            return
        from rich.highlighter import JSONHighlighter

        shown = JSONHighlighter()(as_json(data, indent=2, encoding=encoding))
        self.write(_drawn(shown, sys.stdout, soft_wrap=True))

    def write(self, what: str | bytes) -> None:
        """Write to standard output, letters that its encoding lacks as escapes.

        Raises:
            BrokenPipeError: Whoever read it has seen enough.
            Stop: It takes nothing more: a disk is full.
        """
        encoding = sys.stdout.encoding
        try:
            if isinstance(what, str):
                sys.stdout.write(what.encode(encoding, "backslashreplace").decode(encoding))
            else:
                sys.stdout.buffer.write(what)
            sys.stdout.flush()
        except OSError as exc:
            # What could not be written is tried again when the process ends, and would be complained of then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(exc, BrokenPipeError):
                raise
            problem = f"standard output: {exc.strerror}"
        else:
            return
        raise Stop(Exit.FAILURE, problem)

    def note(self, text: str) -> None:
        """Say something beside the result, on standard error; nothing when programs read."""
        if not self.json:
            self._say("", "", text)

    def error(self, code: Exit, message: str, facts: Mapping[str, object]) -> None:
        """Say what went wrong, in one line on standard error."""
        if self.json:
            told = {"error": {"exit": int(code), "message": message, **facts}}
            sys.stderr.write(as_json(told, encoding=sys.stderr.encoding) + "\n")
        else:
            self._say("error: ", "bold red", message)

    def _say(self, head: str, style: str, text: str) -> None:
        from rich.text import Text

        sys.stderr.write(_drawn(Text.assemble((head, style), _plain(text)), sys.stderr, soft_wrap=True))


def _plain(text: str, but: str = "") -> str:
    """Return a text without what a terminal would obey; some of it comes from a server."""
    return "".join(ch if ch.isprintable() or ch in but else " " for ch in text)


def _drawn(what: Text | Table, stream: TextIO, *, soft_wrap: bool = False) -> str:
    """Return what to write to a stream to show something there, with colours if it is a terminal."""
    from rich.console import Console

    on_terminal = stream.isatty()
    # In a pipe nothing is folded: whoever reads it has no width.
    width = None if on_terminal else 10_000
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=on_terminal or None, width=width, highlight=False, markup=False)
    console.width = max(console.width, _NARROW)
    console.print(what, soft_wrap=soft_wrap)
    return drawn.getvalue()
