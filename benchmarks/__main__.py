"""All benchmarks, one after the other: ``python -m benchmarks``, or ``make bench``.

Writes ``benchmarks/results.json`` and, into ``benchmarks/results/``, the tables and pictures; ``python -m
benchmarks.figures`` then puts them into README and docs. What is done is written at once, so that a run that is broken off
loses nothing. With ``--quick`` the same goes to ``build/benchmarks/``: such figures are for whoever changes a benchmark.
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
from typing import Any, cast

from benchmarks._report import processor

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS = ("tokens", "sharing", "imports", "decode", "calls", "levers", "idle", "soak", "fair")
"""In the order of the results; one that is not there is left out."""
_LONG = "fair"
"""At the real limit it runs for ten minutes, nearly all of them waiting: here it is run at its quick size, for the JSON
only; its tables are those of a run by hand. A quick run of everything leaves it out."""

_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and return the exit status: 1 when any of them failed, 130 when it was broken off."""
    options = _options(arguments)
    target: Path = options.into or (_ROOT / "build" / "benchmarks" if options.quick else _ROOT / "benchmarks")
    (target / "results").mkdir(parents=True, exist_ok=True)
    written = target / "results.json"
    names: list[str] = options.names or [one for one in _there() if not (options.quick and one == _LONG)]
    run, begin = _where(quick=options.quick), time.monotonic()
    failed: list[str] = []
    try:
        for number, name in enumerate(names, 1):
            print(f"## {name} ({number} of {len(names)}, after {time.monotonic() - begin:.0f} s)\n", flush=True)
            told = _run(name, target / "results", quick=options.quick, strict=options.strict)
            print(f"\n{name}: {told['seconds']} s, {'failed' if told['status'] else 'done'}\n", flush=True)
            failed += [name] * (told["status"] != 0)
            _keep(written, run, name, told)
    except KeyboardInterrupt:
        print(f"broken off; {os.path.relpath(written)} holds what was done before")
        return 130
    seconds = time.monotonic() - begin
    print(
        f"written: {os.path.relpath(written)}, {seconds:.0f} s" + (f"; failed: {', '.join(failed)}" if failed else "")
    )
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


def _run(name: str, results: Path, *, quick: bool, strict: bool) -> dict[str, Any]:
    """Run one in a process of its own; return how that went, and what it says for the JSON."""
    begin = time.monotonic()
    with TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(figures)]
        if name != _LONG:
            command += ["--markdown", str(results / f"{name}.md"), "--plot", str(results / f"{name}.svg")]
        command += ["--quick"] * (quick or name == _LONG) + ["--strict"] * strict
        status = subprocess.run(command, cwd=_ROOT, check=False).returncode
        text = figures.read_text(encoding="utf-8") if figures.exists() else "{}"
        told = cast("dict[str, Any]", json.loads(text))
    return {"seconds": round(time.monotonic() - begin), "status": status, **told}


def _keep(written: Path, run: dict[str, object], name: str, told: dict[str, Any]) -> None:
    """Write what came of one benchmark beside what is known of the others, each with the date of its run."""
    known: dict[str, Any] = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
    same = cast("dict[str, Any]", known.get("run", {})).get("quick") == run["quick"]
    others = cast("dict[str, Any]", known.get("benchmarks", {})) if same else {}
    whole = {**others, name: {"run": run["date"], **told}}
    ordered = {one: whole[one] for one in BENCHMARKS if one in whole}
    fresh = written.with_suffix(".new")
    fresh.write_text(json.dumps({"run": run, "benchmarks": ordered}, indent=1) + "\n", encoding="utf-8")
    fresh.replace(written)


def _where(*, quick: bool) -> dict[str, object]:
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": {
            one.name: one.version for one in sorted(metadata.distributions(), key=lambda one: one.name.lower())
        },
    }


if __name__ == "__main__":
    sys.exit(main())
