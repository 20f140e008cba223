"""What is seen while the demo runs: one line that changes on a terminal, one line per stage anywhere else."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress"]

_EVERY = 0.1


class Progress:
    """Writes to a stream, which is not standard output when that is wanted for the figures.

    Args:
        stream: Where to write.
        clock: Where time comes from.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stream = stream
        self._live = stream.isatty()
        self._shown = -_EVERY
        self._started = clock()
        self._title = ""
        self._open = False

    def stage(self, title: str) -> None:
        """Begin a stage: its title stays on the screen."""
        self.end()
        self._title = title
        self._write(f"{self._clock() - self._started:5.1f} s  {title}", end="" if self._live else "\n")
        self._open = self._live

    def update(self, state: str) -> None:
        """Show how the stage stands, ten times a second at most; on a terminal only."""
        now = self._clock()
        if not self._open or now - self._shown < _EVERY:
            return
        self._shown = now
        self._rewrite(f"{now - self._started:5.1f} s  {self._title}: {state}")

    def end(self) -> None:
        """End the line that is being rewritten, if there is one."""
        if self._open:
            self._write("")
            self._open = False

    def _rewrite(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{line[:width]}", end="")

    def _write(self, text: str, end: str = "\n") -> None:
        self._stream.write(text + end)
        self._stream.flush()
