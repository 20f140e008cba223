"""Programs that run in processes of their own, and what starts, stops and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from monite_async.emulator import Remote, launch
from tests.proofs.stage import ADDRESS

ROOT = Path(__file__).parents[2]

HEAD = """
import asyncio, gc, logging, os, sys, threading
from monite_async import AsyncMonite, MoniteError, RequestOptions, RetryPolicy

# That a busy machine is slow is no news; anything else that asyncio has to say is.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing <"))

def client(**options):
    base_url, client_id, client_secret = sys.argv[1:4]
    return AsyncMonite(base_url=base_url, client_id=client_id, client_secret=client_secret, **options)

async def calls(monite, count):
    results = await asyncio.gather(*(monite.request("GET", "/entities", cast_to=dict) for _ in range(count)))
    assert len(results) == count

async def own_calls(monite, count):
    # Nothing comes over a connection of the parent: there is none before, and what is there then was opened here.
    transport = monite._core.engine.carrier
    assert transport.stats().opened == 0
    await calls(monite, count)
    stats = transport.stats()
    assert stats.opened == stats.open == stats.idle > 0, stats
"""


@contextlib.asynccontextmanager
async def emulating(*arguments: str) -> AsyncGenerator[Remote, None]:
    """Run an emulator in a process of its own, with one entity in it."""
    async with launch(("--port", "0", *arguments)) as remote:
        yield remote


def arguments(remote: Remote) -> Sequence[str]:
    """Return what a program needs to know."""
    options = remote.client_options()
    return options["base_url"], options["client_id"], options["client_secret"]


async def run(remote: Remote, program: str, *more: str) -> str:
    """Run a program with every warning an error and asyncio's debug mode on; it must end well and say nothing aside."""
    process = await start(remote, program, *more)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b""), f"status {process.returncode}\n{err.decode()}"
    return out.decode()


async def start(remote: Remote, program: str, *more: str) -> asyncio.subprocess.Process:
    """Start a program."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + program, *arguments(remote), *more,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip


def tell(remote: Remote, number: signal.Signals) -> None:
    """Send a signal to an emulator."""
    assert remote.pid is not None
    os.kill(remote.pid, number)


__all__ = ["ADDRESS", "HEAD", "arguments", "emulating", "run", "start", "tell"]
