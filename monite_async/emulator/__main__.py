"""``python -m monite_async.emulator``: a Monite on this machine, in a process of its own.

When it listens, it prints one line of JSON on standard output: ``base_url``, ``client_id``, ``client_secret``, ``pid``.
It ends on SIGTERM or SIGINT. Its controls are described in ``monite_async.emulator._control`` and used most easily
through ``monite_async.emulator.Remote``; they ask for no credentials, so keep it on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence

from monite_async.emulator._checked import checked
from monite_async.emulator._emulator import Emulator
from monite_async.emulator._events import is_loopback
from monite_async.emulator._message import as_object, loads
from monite_async.emulator._server import listen, raise_file_limit
from monite_async.emulator._settings import EmulatorSettings

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monite_async.emulator", description="A Monite to run against.")
    parser.add_argument("--port", type=int, default=8765, help="port to listen on; 0: any free one (default: 8765)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--allow-remote", action="store_true", help="permit an address other than loopback")
    parser.add_argument("--client-id", help="the client id to accept (a UUID)")
    parser.add_argument("--client-secret", help="its secret")
    parser.add_argument("--partner-lifetime", type=int, help="seconds that a partner token lives (default: 1800)")
    parser.add_argument("--user-lifetime", type=int, help="seconds that an entity user token lives (default: 86400)")
    parser.add_argument("--rate-limit", type=int, help="requests per second and client (default: 100000)")
    parser.add_argument(
        "--settings", default="{}", help="further settings as a JSON object (names as in EmulatorSettings)"
    )
    return parser


def _settings(options: argparse.Namespace) -> EmulatorSettings:
    names = ("client_id", "client_secret", "partner_lifetime", "user_lifetime", "rate_limit")
    values: dict[str, object] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    given = loads(options.settings.encode("utf-8", "surrogateescape"))
    if as_object(given) != given:
        raise ValueError("argument --settings: it must be a JSON object")
    return checked(EmulatorSettings, {**as_object(given), **values})


async def _serve(emulator: Emulator, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with listen(emulator, host=host, port=port) as base_url:
        settings = emulator.settings
        ready = {
            "base_url": base_url,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to end; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not (is_loopback(options.host) or options.allow_remote):
        parser.error(f"{options.host} is not a loopback address: anyone there could use the emulator (--allow-remote)")
    if not 0 <= options.port < 65_536:
        parser.error(f"argument --port: {options.port} is no port: 0 to 65535")
    try:
        emulator = Emulator(_settings(options))
    except ValueError as error:
        parser.error(str(error))
    raise_file_limit()
    try:
        asyncio.run(_serve(emulator, options.host, options.port))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
