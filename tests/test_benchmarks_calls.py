"""What the benchmarks of calls count is as promised, their peers can be called, and their tables and bars say so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any, cast

import httpx
import pytest

from benchmarks._call_systems import FAST, HTTPX, OFFICIAL, OURS, RAW, Ours, Target, call_systems, find
from benchmarks._call_tables import LATE, OVERHEAD, PLAIN, TLS, bars, panels, tables
from benchmarks._call_worker import closed_loop, idle, loop, overhead
from benchmarks._cases import Case, Runs, run
from benchmarks._lever_worker import levers
from benchmarks._payable_server import HOST, PayableServer, Ports
from benchmarks._soak_worker import soak
from benchmarks.calls import cases
from benchmarks.levers import LADDER, STEPS, SWITCHES

_ENGINES = [spec.name for spec in call_systems() if spec.name in (OURS, FAST)]
_AT_ONCE = 100


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    """Run the server of payables for all tests here."""
    with PayableServer() as server:
        yield server.ports


def _ours(engine: str, ports: Ports, twin: str, **options: Any) -> Ours:
    target = Target(f"http://{HOST}:{getattr(ports, twin)}/v1", ports.authority)
    return cast("Ours", find(engine).load()(target, **options))


@pytest.mark.parametrize("engine", _ENGINES)
async def test_2000_calls_open_no_more_connections_than_callers(engine: str, ports: Ports) -> None:
    """100 callers of a slow server need 100 connections for 2,000 calls, and none is opened after the warm-up."""
    before = ports.counts()["open"]
    client = _ours(engine, ports, "late")
    try:
        figures = await loop(client, ports, _AT_ONCE, 2_000, 0.0)
        assert (figures["calls"], figures["opened"]) == (2_000, 0)
        assert ports.counts()["open"] - before <= _AT_ONCE + 1  # and one for the token
    finally:
        await client.aclose()


@pytest.mark.parametrize("engine", _ENGINES)
async def test_faults_and_cancellations_leave_nothing_over(engine: str, ports: Ports) -> None:
    """After cancelled calls and a server that fails, the next calls succeed, and no task and no connection is left."""
    figures = await soak(_ours(engine, ports, "faulty", timeout=2.0), ports, 1_500, 50)
    assert figures["done"] + figures["cancelled"] + figures["failed"] == 1_500
    assert figures["cancelled"] > 0
    assert figures["faults"] > 0
    assert figures["open_before"] <= 51
    assert (figures["next_failed"], figures["tasks_after"], figures["open_after"]) == (0, 0, 0)


@pytest.mark.parametrize("engine", _ENGINES)
async def test_a_burst_leaves_its_connections_idle(engine: str, ports: Ports) -> None:
    """What is measured beside idle connections is: all that the burst opened are still open at the end."""
    client = _ours(engine, ports, "held")
    try:
        figures = await idle(client, ports, [1, 30], 0.01)
    finally:
        await client.aclose()
    assert figures["open_30"] >= 30
    assert figures["cpu_us_30"] > 0


@pytest.mark.parametrize("engine", _ENGINES)
async def test_the_bare_engine_sends_what_a_whole_call_sends(engine: str, ports: Ports) -> None:
    """The bare engine makes real requests: the server sees as many as were measured, from both."""
    client = _ours(engine, ports, "plain")
    ports.reset()
    try:
        figures = await overhead(client, 0.0)
    finally:
        await client.aclose()
    assert ports.counts()["requests"] == 2 + (3 + 1) * 40 + 10 * 3 * 40
    assert figures["added_us"] == pytest.approx(figures["whole_us"] - figures["bare_us"])


async def test_a_call_adds_thirteen_functions_to_its_engine(ports: Ports) -> None:
    """What stands around the engine is counted too: 13 Python functions, from asking for the scope to the model."""
    client = _ours(OURS, ports, "plain")
    seen: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "monite_async" in frame.f_code.co_filename:
            seen.append(frame.f_code.co_qualname)

    try:
        await client.call()
        await client.call()
        sys.setprofile(note)
        await client.call()
    finally:
        sys.setprofile(None)
        await client.aclose()
    around = seen[: seen.index("Native.exchange")] + seen[seen.index("Limiter.heard") :]
    assert around[0] == "AsyncMonite.entity"
    assert around[-1].endswith("read_model")
    assert len(around) <= 13


async def test_a_ramp_is_no_part_of_what_is_measured() -> None:
    """The calls of the ramp are made and not counted, and as many as ever are on the way when the last that counts is done."""

    class Slow:
        made = on_the_way = 0

        async def call(self) -> object:
            self.made += 1
            self.on_the_way += 1
            await asyncio.sleep(0)
            self.on_the_way -= 1
            if self.made == 100:
                self.at_the_end = self.on_the_way
            return None

        async def aclose(self) -> None:
            """Do nothing."""

    client = Slow()
    span = await closed_loop(client, 10, 80, ramp=10)
    assert len(span.taken) == 80
    assert 90 <= client.made < 100 + 10
    exact = await closed_loop(client, 10, 7)
    assert len(exact.taken) == 7


async def test_the_server_counts_and_answers_as_the_api_does(ports: Ports) -> None:
    """Each twin answers with the payable and the headers of a rate limit; the server counts connections and requests."""
    ports.reset()
    async with httpx.AsyncClient() as client:
        answers = [await client.get(f"http://{HOST}:{port}/v1/payables/1") for port in (ports.plain, ports.late)]
        assert {answer.json()["currency"] for answer in answers} == {"Acme Supplies Ltd."}
        assert {answer.headers["ratelimit-limit"] for answer in answers} == {"1000000"}
    counts = ports.counts()
    assert (counts["opened"], counts["requests"], counts["faults"]) == (2, 2, 0)


def test_every_lever_can_be_pulled(ports: Ports) -> None:
    """Each way of making the call is measured alone and in a crowd, each step by itself, and every table has its figures."""
    figures = levers(Target(f"http://{HOST}:{ports.plain}/v1", ports.authority), 1, 0.0, crowd=3)
    wanted = {f"{name} {number}" for name in LADDER for number in (1, 3)}
    wanted |= {name.replace("100", "3") for pair in (*STEPS, *SWITCHES) for name in (pair.here, pair.otherwise)}
    assert wanted == set(figures)
    assert min(figures.values()) > 0


def test_every_system_can_be_measured(ports: Ports) -> None:
    """Each system that is installed makes its calls, over TLS too where it can, and has a row in each table."""
    systems = [spec.name for spec in call_systems()]
    todo = [Case(PLAIN.format(1), name, calls=5) for name in systems]
    todo += [Case(TLS, name, twin="tls", at_once=(2,), calls=4) for name in (OURS, RAW)]
    runs = run(todo, ports, rounds=1)
    assert [name for name in systems if not runs.has(PLAIN.format(1), name)] == []
    assert all(runs.median(PLAIN.format(1), name, "cpu_us") > 0 for name in systems)
    first = tables(runs)[0].render()
    assert all(f"| {name} " in first for name in systems)
    assert runs.has(TLS, OURS)
    assert runs.has(TLS, RAW)


def test_a_peer_that_fails_is_shown_as_such(ports: Ports) -> None:
    """A peer that cannot do a case is shown as failed and does not end the run; one of ours does."""
    gone = Case(PLAIN.format(1), HTTPX, worker="benchmarks.no_such_worker")
    runs = run([gone], ports, rounds=1)
    assert "failed" in tables(runs)[0].render()
    assert bars(runs) == []
    assert panels(runs) == []
    with pytest.raises(RuntimeError, match="no_such_worker"):
        run([replace(gone, system=OURS)], ports, rounds=1)


def test_a_case_that_hangs_is_stopped(ports: Ports) -> None:
    """A case that takes longer than its limit is stopped, and shown as failed when it is a peer's."""
    runs = run([Case(PLAIN.format(1), HTTPX, twin="held", limit=0.2)], ports, rounds=1)
    assert not runs.has(PLAIN.format(1), HTTPX)


def _figures(cpu: float, **more: float) -> dict[str, float]:
    base = {
        "per_second": 1_950.0,
        "p50_ms": 10.0,
        "p99_ms": 12.0,
        "tail": 1.2,
        "opened": 0.0,
        "peak_mb": 40.0,
        "calls": 10.0,
    }
    return {"cpu_us": cpu, **base, **more}


def test_bars_hold_medians_against_the_peers_of_the_same_run() -> None:
    """A cost is the median of its rounds beside that of httpx; one that is too high misses its bar."""
    runs = Runs()
    for cpu in (100.0, 400.0, 120.0):
        runs.add(PLAIN.format(100), OURS, _figures(cpu))
        runs.add(PLAIN.format(100), HTTPX, _figures(1_000.0))
    runs.add(LATE, OURS, _figures(100.0, per_second=1_000.0))
    runs.add(LATE, OURS, _figures(100.0, opened=1.0))
    around = {"added_us": 20.0, "scope_us": 1.5, "client_us": 150.0, "whole_us": 130.0, "bare_us": 110.0}
    runs.add(OVERHEAD, OURS, around)
    reached = {bar.what.partition(": ")[2]: bar.reached for bar in bars(runs)}
    assert reached == {
        "100 at once, beside httpx + model": True,
        "p99 / p50 at 100 at once": True,
        "50 ms server, time beside the ideal": False,
        "50 ms server, new connections": False,
        "added around the engine, us": False,
        "a scope, us": True,
        "a further client, us": True,
    }
    assert runs.spread(PLAIN.format(100), OURS, "cpu_us") == pytest.approx((400 - 120) / 120)
    expected = {name: {"median": value, "least": value, "most": value} for name, value in around.items()}
    assert runs.told()[OVERHEAD] == {OURS: expected}


def test_the_fast_engine_is_held_against_aiohttp_too() -> None:
    """The fast engine may cost no more than raw aiohttp with the same model."""
    runs = Runs()
    for name, cpu in ((FAST, 150.0), (RAW, 140.0)):
        runs.add(PLAIN.format(1), name, _figures(cpu))
    (bar,) = bars(runs)
    assert not bar.reached
    assert "aiohttp" in bar.what


def test_a_quick_run_measures_less() -> None:
    """The quick run leaves out cases, not what is promised at 1 and 100 at once."""
    systems = [OURS, HTTPX, RAW, OFFICIAL, "httpx2 + model"]
    whole, quick = cases(systems, quick=False), cases(systems, quick=True)
    assert {case.system for case in whole} == set(systems)
    assert len(quick) < len(whole) / 2
    assert {(case.name, case.system) for case in quick} >= {(PLAIN.format(n), OURS) for n in (1, 100)}
