"""``python -m examples.demo [--calls N] [--users N] [--json]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import signal
import sys
from collections.abc import Sequence

from examples.demo.progress import Progress
from examples.demo.report import Figures, as_json, judge, table
from examples.demo.scenario import EXPLANATION, LIFETIME, EmulatorGoneError, Options, perform, require_alive, watch_over
from monite_async.emulator import launch

__all__ = ["main"]

_OPEN_FILES = 4096


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="One client, thousands of coroutines, a Monite on this machine, and tokens that come and go.",
        epilog="Status: 0 all promises kept, 1 one was broken, 2 the demo could not be carried out.",
    )
    parser.add_argument("--calls", type=int, default=5_000, help="calls made at once (default: 5000)")
    parser.add_argument("--users", type=int, default=50, help="entity users (default: 50, at least 4)")
    parser.add_argument(
        "--json", action="store_true", help="print the figures as JSON; progress goes to standard error"
    )
    return parser


def _read(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> tuple[Options, bool]:
    given = parser.parse_args(arguments)
    options = Options(given.calls, given.users)
    if options.users < 4:
        parser.error("--users must be 4 or more: two are revoked, one stays, one sleeps")
    if options.calls < 2 * (options.users + 2):
        parser.error(f"--calls must be {2 * (options.users + 2)} or more: two for each of the scopes")
    return options, bool(given.json)


def _allow_many_files() -> None:
    """Let this process open a file per connection: some systems begin with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(options: Options, progress: Progress) -> Figures:
    """Play the demo while watching over the emulator's process, which is ended in any case."""
    _allow_many_files()
    logging.getLogger("monite_async").setLevel(logging.ERROR)  # it warns of an outage, and this one is on purpose
    own = asyncio.current_task()
    if own is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo, print its table, and return the exit status."""
    options, wants_json = _read(_parser(), arguments)
    progress = Progress(sys.stderr if wants_json else sys.stdout)
    try:
        figures = asyncio.run(_run(options, progress))
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress.end()
        print("stopped; the emulator is gone too", file=sys.stderr)
        return 130
    except (EmulatorGoneError, RuntimeError) as error:
        progress.end()
        print(f"the demo could not be carried out: {error}", file=sys.stderr)
        return 2
    progress.end()
    promises = judge(figures)
    if wants_json:
        print(json.dumps(as_json(figures, promises), indent=2))
    else:
        print(table(figures, promises, explanation=EXPLANATION))
    return 0 if all(promise.kept for promise in promises) else 1


if __name__ == "__main__":
    raise SystemExit(main())
