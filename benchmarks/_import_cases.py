"""Processes that are measured from their start to their end."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import monite_async
import monite_async_stores
from monite_async import operations

__all__ = ["Cost", "Server", "compile_ours", "first_uses", "measure"]

_HERE = Path(__file__).resolve().parent
_MEGABYTE = 1024.0 if sys.platform != "darwin" else 1024.0**2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: CPU milliseconds, user and system; peak memory in megabytes; and its exit status."""

    cpu_ms: float
    peak_mb: float
    status: int

    def told(self) -> dict[str, float]:
        """Return its figures for JSON."""
        return {"cpu_ms": self.cpu_ms, "peak_mb": self.peak_mb}


def compile_ours() -> None:
    """Write the bytecode of this library as ``pip`` does: in a checkout, or where Python may write none, it is missing."""
    for package in (monite_async, monite_async_stores):
        for folder in package.__path__:
            compileall.compile_dir(folder, quiet=1)


def measure(codes: Mapping[str, str], *, rounds: int, environment: Mapping[str, str] | None = None) -> dict[str, Cost]:
    """Run each piece of code in processes of its own, in turn; return the least cost of each."""
    found: dict[str, Cost] = {}
    for _ in range(rounds):
        for name, code in codes.items():
            cost = _run(code, environment or {})
            known = found.get(name, cost)
            status = known.status or cost.status
            found[name] = Cost(min(cost.cpu_ms, known.cpu_ms), min(cost.peak_mb, known.peak_mb), status)
    return found


def _run(code: str, environment: Mapping[str, str]) -> Cost:
    # Not -I: it would hide the checkout; no site hooks of coverage tools either way.
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environment}, cwd=_HERE.parent)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost((usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / _MEGABYTE, process.returncode)


class Server:
    """An emulator in a process of its own, with a payable in it.

    Attributes:
        environment: What the scripts need to find both.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "monite_async.emulator", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        told = cast("dict[str, str]", json.loads(self._process.stdout.readline()))
        self.environment = {
            "MONITE_BASE_URL": told["base_url"],
            "MONITE_CLIENT_ID": told["client_id"],
            "MONITE_CLIENT_SECRET": told["client_secret"],
        }
        prepared = subprocess.run(
            [sys.executable, "-c", self.script("_first_prepare.py")],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        self.environment |= cast("dict[str, str]", json.loads(prepared.stdout))

    def script(self, name: str) -> str:
        """Return the code of a script beside this module."""
        return (_HERE / name).read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()


def first_uses(*, rounds: int, limit: int | None = None) -> dict[str, float]:
    """Return the CPU milliseconds of the first use of each resource, the least of some processes each."""
    names = sorted({info.resource for info in operations()})[:limit]
    found: dict[str, float] = {}
    for _ in range(rounds):
        for name in names:
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks._first_use", name],
                cwd=_HERE.parent,
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            found[name] = min(found.get(name, float("inf")), float(told.stdout))
    return found
