"""All benchmarks, one after the other: ``python -m benchmarks``, or ``make bench``.

Writes ``benchmarks/results.json`` and, into ``benchmarks/results/``, the tables and pictures that README and docs show.
With ``--quick`` the same goes to ``build/benchmarks/``: such figures are for whoever changes a benchmark, not for readers.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS = ("tokens", "sharing", "imports", "decode", "calls", "idle", "soak", "fair")
"""In the order of the results; one that is not there is left out."""
_LONG = "fair"
"""At the real limit it runs for ten minutes, nearly all of them waiting: here it is run at its quick size, for the JSON
only; its tables are those of a run by hand. A quick run of everything leaves it out."""

_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and return the exit status: 1 when any of them failed."""
    options = _options(arguments)
    target: Path = options.into or (_ROOT / "build" / "benchmarks" if options.quick else _ROOT / "benchmarks")
    (target / "results").mkdir(parents=True, exist_ok=True)
    written = target / "results.json"
    told: dict[str, object] = {}
    failed: list[str] = []
    for name in options.names or [one for one in _there() if not (options.quick and one == _LONG)]:
        begin = time.monotonic()
        print(f"## {name}\n", flush=True)
        status, figures = _run(name, target / "results", quick=options.quick, strict=options.strict)
        seconds = time.monotonic() - begin
        print(f"\n{name}: {seconds:.0f} s, {'failed' if status else 'done'}\n", flush=True)
        told[name] = {"seconds": round(seconds), "status": status, **figures}
        failed += [name] * (status != 0)
    whole = {"run": _where(quick=options.quick), "benchmarks": told}
    written.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"written: {os.path.relpath(written)}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    there = _there()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(there)}; default all")
    parser.add_argument("--quick", action="store_true", help="under two minutes, small numbers")
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--into", metavar="DIRECTORY", type=Path, help="write there instead")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(there)):
        parser.error(f"there is no benchmark named {', '.join(unknown)}; there are {', '.join(there)}")
    return options


def _there() -> list[str]:
    return [name for name in BENCHMARKS if importlib.util.find_spec(f"benchmarks.{name}")]


def _run(name: str, results: Path, *, quick: bool, strict: bool) -> tuple[int, dict[str, object]]:
    """Run one in a process of its own; return its exit status, and what it says for the JSON."""
    with TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(figures)]
        if name != _LONG:
            command += ["--markdown", str(results / f"{name}.md"), "--plot", str(results / f"{name}.svg")]
        command += ["--quick"] * (quick or name == _LONG) + ["--strict"] * strict
        status = subprocess.run(command, cwd=_ROOT, check=False).returncode
        return status, json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}


def _where(*, quick: bool) -> dict[str, object]:
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "versions": {
            one.name: one.version for one in sorted(metadata.distributions(), key=lambda one: one.name.lower())
        },
    }


if __name__ == "__main__":
    sys.exit(main())
