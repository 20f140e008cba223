"""The command ``monite-async``; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; see ``docs/cli.md``.

    Args:
        arguments: The command line without the name of the program; default that of the process.
    """
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"error: {' and '.join(missing)} not found: pip install 'monite-async[cli]'\n")
        return 3
    try:
        from monite_async._cli._commands import run
    except KeyboardInterrupt:  # a second early, while modules are loaded: no reason for a traceback either
        sys.stderr.write("error: interrupted\n")
        return 130
    return run(list(sys.argv[1:] if arguments is None else arguments))
