"""Puts the figures of ``results.json`` into README and docs, and the pictures beside the docs: ``python -m benchmarks.figures``.

Each place stands between ``<!-- figures:begin NAME -->`` and ``<!-- figures:end -->``; what is between is not written by
hand. Of a benchmark without figures the places stay as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._figure_texts import TEXTS
from benchmarks._known import Known

__all__ = ["FILES", "PICTURES", "fill", "main", "wanted"]

FILES = ("README.md", "docs/performance.md", "benchmarks/README.md")
PICTURES = ("calls", "decode", "imports")
"""Drawn by the benchmarks of these names, shown by README and docs."""
_PLACE = re.compile(r"(<!-- figures:begin (\w+) -->\n).*?(<!-- figures:end -->)", re.DOTALL)
_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is not as it should be, and tell; with ``--check`` only tell, and return 1 if there is any."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=(__doc__ or "").split(":", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    options = parser.parse_args(arguments)
    stale = {file: text for file, text in wanted(_ROOT).items() if _text(_ROOT / file) != text}
    for file, text in stale.items():
        print(f"{file}: {'not what results.json says' if options.check else 'written'}")
        if not options.check:
            (_ROOT / file).write_text(text, encoding="utf-8")
    return 1 if stale and options.check else 0


def wanted(root: Path) -> dict[str, str]:
    """Return what the files should hold, by their paths under the root."""
    known = Known.read(root / "benchmarks/results.json")
    found = {file: fill(_text(root / file), known) for file in FILES}
    pictures = {name: root / f"benchmarks/results/{name}.svg" for name in PICTURES}
    return found | {f"docs/img/{name}.svg": _text(file) for name, file in pictures.items() if file.exists()}


def fill(page: str, known: Known) -> str:
    """Return a page with its places filled; a place that nobody knows is an error.

    Raises:
        KeyError: A marker names no text.
    """

    def replaced(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        text = TEXTS[name]
        return f"{begin}\n{text.make(known)}\n\n{end}" if known.has(*text.needs) else match[0]

    return _PLACE.sub(replaced, page)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
