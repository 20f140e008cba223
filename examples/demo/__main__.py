"""``python -m examples.demo [--part client|fleet] [--calls N] [--users N] [--json]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from examples.demo.fleet import FleetOptions, perform_fleets
from examples.demo.fleet_crew import WorkerGoneError
from examples.demo.fleet_report import FleetFigures, fleet_table, judge_fleet
from examples.demo.progress import Progress
from examples.demo.report import Figures, as_json, judge, table
from examples.demo.scenario import EXPLANATION, LIFETIME, EmulatorGoneError, Options, perform, require_alive, watch_over
from monite_async.emulator import launch

__all__ = ["main"]

_OPEN_FILES = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be played, and how it is to be told.

    Attributes:
        options: How big the client's part is.
        fleet: How big the fleet's part is.
        part: ``client``, ``fleet`` or ``all``.
        json: Whether the figures are wanted as JSON.
    """

    options: Options
    fleet: FleetOptions
    part: str
    json: bool


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="One client with thousands of coroutines, then four processes that share their tokens; a Monite on "
        "this machine, and tokens that come and go.",
        epilog="Status: 0 all promises kept, 1 one was broken, 2 the demo could not be carried out.",
    )
    parser.add_argument(
        "--part", choices=("all", "client", "fleet"), default="all", help="play one of the two parts (default: all)"
    )
    parser.add_argument("--calls", type=int, default=5_000, help="calls made at once (default: 5000)")
    parser.add_argument("--users", type=int, default=50, help="entity users (default: 50, at least 4)")
    parser.add_argument(
        "--fleet-calls", type=int, default=250, help="calls that each worker makes at once (default: 250, at least 10)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the figures as JSON; progress goes to standard error"
    )
    return parser


def _read(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> _Wish:
    given = parser.parse_args(arguments)
    options = Options(given.calls, given.users)
    if options.users < 4:
        parser.error("--users must be 4 or more: two are revoked, one stays, one sleeps")
    if options.calls < 2 * (options.users + 2):
        parser.error(f"--calls must be {2 * (options.users + 2)} or more: two for each of the scopes")
    fleet = FleetOptions(calls=given.fleet_calls)
    if fleet.calls <= fleet.users:
        parser.error(f"--fleet-calls must be {fleet.users + 1} or more: one for each of the keys")
    return _Wish(options, fleet, str(given.part), bool(given.json))


def _allow_many_files() -> None:
    """Let this process open a file per connection: some systems begin with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(options: Options, progress: Progress) -> Figures:
    """Play the client's part while watching over the emulator's process, which is ended in any case."""
    _allow_many_files()
    logging.getLogger("monite_async").setLevel(logging.ERROR)  # it warns of an outage, and this one is on purpose
    lifetime = str(LIFETIME)
    progress.stage("a Monite is started on this machine")
    async with launch(("--port", "0", "--partner-lifetime", lifetime, "--user-lifetime", lifetime)) as emulator:
        pid = emulator.pid or 0
        progress.stage(f"it is process {pid}, at {emulator.base_url}")
        play = asyncio.create_task(perform(emulator, options, progress))
        watch = asyncio.create_task(watch_over(pid))
        try:
            await asyncio.wait((play, watch), return_when=asyncio.FIRST_COMPLETED)
            require_alive(pid)
            return play.result()
        finally:
            play.cancel()
            watch.cancel()
            await asyncio.gather(play, watch, return_exceptions=True)


async def _run_fleets(options: FleetOptions, progress: Progress) -> list[FleetFigures]:
    """Play the fleet's part; what it starts is ended in any case."""
    return await perform_fleets(progress, options)


async def _until_terminated(play: Coroutine[Any, Any, T]) -> T:
    """Have SIGTERM end a part as Ctrl-C does, in good order."""
    own = asyncio.current_task()
    if own is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    return await play


def _play(wish: _Wish, progress: Progress) -> tuple[dict[str, object], bool]:
    """Play what is wanted, print the tables unless JSON is wanted; return the figures, and whether all was kept."""
    told: dict[str, object] = {}
    kept = True
    if wish.part != "fleet":
        figures = asyncio.run(_until_terminated(_run(wish.options, progress)))
        progress.end()
        promises = judge(figures)
        kept = all(promise.kept for promise in promises)
        told = as_json(figures, promises)
        if not wish.json:
            print(table(figures, promises, explanation=EXPLANATION), flush=True)
    if wish.part != "client":
        fleets = asyncio.run(_until_terminated(_run_fleets(wish.fleet, progress)))
        progress.end()
        judged = [(fleet, judge_fleet(fleet)) for fleet in fleets]
        kept = kept and all(promise.kept for _, promises in judged for promise in promises)
        told["fleets"] = [as_json(fleet, promises) for fleet, promises in judged]
        if not wish.json:
            print("".join(fleet_table(fleet, promises) for fleet, promises in judged))
    return told | {"kept": kept}, kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo, print its tables, and return the exit status."""
    wish = _read(_parser(), arguments)
    progress = Progress(sys.stderr if wish.json else sys.stdout)
    try:
        told, kept = _play(wish, progress)
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress.end()
        print("stopped; the emulator is gone too", file=sys.stderr)
        return 130
    except (EmulatorGoneError, WorkerGoneError, RuntimeError) as error:
        progress.end()
        print(f"the demo could not be carried out: {error}", file=sys.stderr)
        return 2
    if wish.json:
        print(json.dumps(told, indent=2))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
