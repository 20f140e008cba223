"""The examples of workers, with real brokers: as many token requests as there are identities, and not one more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from examples.bulk_export import AT_ONCE, COMPANIES, Progress, export_all
from monite_async import AsyncMonite, RetryPolicy
from monite_async.emulator import Emulator
from tests.web.fleet import ROOT

pytestmark = pytest.mark.checkout


async def run(module: str, *arguments: str, redis: str = "") -> str:
    """Run an example to its end, and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MONITE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"examples.{module}",
        *arguments,
        cwd=ROOT,
        env={**kept, "REDIS_URL": redis},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    for complaint in ("Traceback", "Task was destroyed", "never retrieved", "never awaited", "ResourceWarning"):
        assert complaint not in errors.decode()
    return printed.decode()


async def test_taskiq_workers_share_tokens(redis_url: str) -> None:
    """200 jobs of 10 users in two processes with a loop each cost 10 token requests."""
    assert "200 jobs of 10 users, 6000 payables: 10 token requests, ideal 10" in await run(
        "taskiq_jobs", redis=redis_url
    )


async def test_celery_children_share_tokens_though_every_task_has_a_loop_of_its_own(redis_url: str) -> None:
    """200 tasks of 10 users in four forked children, each in a fresh loop, cost 10 token requests."""
    said = await run("celery_jobs", redis=redis_url)
    assert "200 tasks of 10 users, 6000 payables: 10 token requests, ideal 10" in said


async def test_a_bulk_job_pulls_fifty_thousand_payables(tmp_path: Path) -> None:
    """All of ten companies in 500 pages with one token request, telling how far it is."""
    said = await run("bulk_export", "50000", str(tmp_path))
    assert said.splitlines() == [
        *(f"{done}000 payables" for done in (10, 20, 30, 40, 50)),
        "50000 payables in 500 pages: 1 token requests, ideal 1",
    ]
    lines = [line for file in tmp_path.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 50_000


async def test_a_bulk_job_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    """Failures in the middle cost the pages that were not written yet; in the end each payable is there once."""
    async with Emulator() as emulator:
        companies = [emulator.seed_entity(payables=500) for _ in range(COMPANIES)]
        async with AsyncMonite(**emulator.client_options(), retry=RetryPolicy(max_retries=0)) as monite:
            for _ in range(3):
                emulator.fail("GET", "/payables", skip=12, times=1, status=500)
                with pytest.raises(ExceptionGroup):
                    await export_all(monite, companies, tmp_path)
                emulator.faults.clear()
                # Of a list that is not at its end: a page was written in part, and its mark not at all.
                going = [mark for mark in tmp_path.glob("*.mark") if "done" not in mark.read_text()]
                for half in [mark.with_suffix(".jsonl") for mark in going]:
                    half.write_bytes(half.read_bytes() + b'{"half a')
                assert going
            before = emulator.log.count("GET", "/payables")
            progress = await export_all(monite, companies, tmp_path)
            assert emulator.log.count("GET", "/payables") - before == progress.pages
            assert progress.pages < COMPANIES * 5
            assert (await export_all(monite, companies, tmp_path)).pages == 0
    ids = [json.loads(line)["id"] for file in tmp_path.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    assert len(set(ids)) == len(ids) == COMPANIES * 500


async def test_a_bulk_job_asks_for_few_companies_at_once(tmp_path: Path) -> None:
    """However many companies there are, only four lists are read at the same time."""
    async with Emulator() as emulator:
        companies = [emulator.seed_entity(payables=50) for _ in range(COMPANIES)]
        async with AsyncMonite(**emulator.client_options()) as monite:
            held = emulator.fail("GET", "/payables", times=None, hold=True)
            job = asyncio.create_task(export_all(monite, companies, tmp_path))
            await held.holding(AT_ONCE)
            for _ in range(100):
                await asyncio.sleep(0)
            assert held.held == AT_ONCE
            held.release()
            progress: Progress = await job
            assert (progress.payables, progress.pages) == (COMPANIES * 50, COMPANIES)


async def test_seeding_refuses_an_entity_that_is_not_there() -> None:
    """A misspelt id is told, not stored under."""
    with pytest.raises(ValueError, match="there is no entity 'nobody'"):
        Emulator().seed_payables("nobody", 1)
