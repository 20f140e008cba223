"""The same deliveries to several processes at once: each event is handled once, and none is lost."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.web.fleet import ROOT

pytestmark = pytest.mark.checkout

PROCESSES, EVENTS = 2, 12


async def start(url: str) -> asyncio.subprocess.Process:
    """Start one process that gets all deliveries, and wait until it is ready."""
    command = (sys.executable, "-m", "tests.web.deliverer", url, str(EVENTS))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("kind", ["redis", "file"])
async def test_several_processes_handle_each_event_once_though_it_failed_first(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Twelve events reach two processes at once and are delivered until each was handled: once, after its failure."""
    url = str(request.getfixturevalue("redis_url")) if kind == "redis" else f"file://{tmp_path / 'store'}"
    processes = await asyncio.gather(*(start(url) for _ in range(PROCESSES)))
    handled: Counter[str] = Counter()
    for printed, _ in await asyncio.gather(*(process.communicate(b"\n") for process in processes)):
        handled.update(printed.decode().split())
    assert [process.returncode for process in processes] == [0] * PROCESSES
    assert handled == Counter(f"e{number}" for number in range(EVENTS))
