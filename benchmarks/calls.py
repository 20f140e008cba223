"""Calls: what one typed payable costs here and on the peers, at one, 100 and 1,000 calls at once.

Run ``python -m benchmarks.calls``; the peers come with the extra ``bench``. Each case has a process and a core of its
own, the server another; cases take turns, round after round. Read the ratios: CPU time repeats within some 10 %.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks._call_systems import FAST, FLOOR, HTTPX, OFFICIAL, OURS, RAW, SNIFFIO, call_systems
from benchmarks._call_tables import LATE, OVERHEAD, PLAIN, TLS, bars, panels, tables
from benchmarks._cases import Case, run
from benchmarks._output import Report, installed, options, publish
from benchmarks._payable_server import PayableServer
from benchmarks._report import machine

__all__ = ["cases", "main"]

_LATE_CALLS, _QUICK_LATE_CALLS = 2_000, 400
_AT_ONCE = (1, 100, 1_000)
_CROWD = 100
_ROUNDS, _FINE_ROUNDS = 3, 5
"""In how many rounds cases take part; and those whose figures are bent most by what else the machine does."""
_NAMES = ("aiohttp", "httpcore", "httptools", "httpx", "httpx2", "monite", "monite-async", "pydantic", "uvloop")
_FEW = (OURS, FAST, HTTPX, RAW, OFFICIAL)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    wanted = options("calls", __doc__, "half a minute: one round of what matters most", arguments)
    where = machine([f"{name} {found}" for name in _NAMES if (found := installed(name))])
    with PayableServer() as server:
        todo = cases([spec.name for spec in call_systems()], quick=wanted.quick)
        runs = run(todo, server.ports, rounds=1 if wanted.quick else _FINE_ROUNDS)
    left_out = [name for name in _NAMES if not installed(name)]
    report = Report("Calls", where, tables(runs), bars(runs), runs.told(), panels(runs), left_out)
    return publish(report, wanted)


def cases(systems: list[str], *, quick: bool) -> list[Case]:
    """Return what is to be measured on these systems."""
    late = _QUICK_LATE_CALLS if quick else _LATE_CALLS
    chosen = [name for name in systems if not quick or name in _FEW]

    def seconds(at_once: int) -> float:
        # One stall of a few milliseconds meets everybody who is on the way: for a p99 that is not about it, many calls.
        return 0.2 if quick else 2.0 if at_once == _CROWD else 0.5

    found = [
        Case(
            PLAIN.format(at_once),
            name,
            at_once=(at_once,),
            seconds=seconds(at_once),
            ramp=_CROWD if at_once == _CROWD else 0,
            rounds=_rounds(name, at_once),
        )
        for at_once in (_AT_ONCE[:2] if quick else _AT_ONCE)
        for name in chosen
    ]
    crowd = partial(Case, at_once=(_CROWD,), ramp=_CROWD)
    calm = [name for name in chosen if name not in (FLOOR, SNIFFIO) and not (quick and name == OFFICIAL)]
    found += [crowd(LATE, name, twin="late", calls=late, rounds=_rounds(name, late)) for name in calm]
    if not quick:
        found += [crowd(TLS, name, twin="tls", seconds=seconds(1), rounds=_ROUNDS) for name in calm if name != OFFICIAL]
    # A difference of two figures needs them to be exact: more time, and both in one process.
    found += [Case(OVERHEAD, name, what="overhead", seconds=seconds(1) * 8) for name in systems if name in (OURS, FAST)]
    return found


def _rounds(system: str, calls: int) -> int:
    """Return in how many rounds a system takes part: fewer, where it takes a quarter of a minute."""
    if calls == 1 and system in (OURS, FAST, HTTPX, RAW):
        return _FINE_ROUNDS  # a process that mostly sleeps is what a machine in a bad minute is hardest on
    if calls <= _CROWD:
        return _ROUNDS
    return {OFFICIAL: 1, SNIFFIO: 1, HTTPX: 2}.get(system, _ROUNDS)  # no bar is about the first two


if __name__ == "__main__":
    sys.exit(main())
