"""The fleet of the demo keeps its promises on a real Redis and a real directory, and says so only when it does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from examples.demo import fleet
from examples.demo.__main__ import main
from examples.demo.fleet_redis import RedisProcess, find_redis
from examples.demo.fleet_report import FleetFigures, FleetStage, Outage, fleet_table, judge_fleet
from examples.demo.progress import Progress
from examples.demo.report import as_json
from tests.test_demo import is_alive

ROOT = Path(__file__).parents[1]
SMALL = ("--part", "fleet", "--fleet-calls", "30")

OUTAGE = Outage(asked=4, most=4, noticed=4, after=1)
STAGES = (FleetStage("start", 1000, 0, 10, 10, 10), FleetStage("end", 500, 0, 1, 2, 2))
GOOD = FleetFigures(
    store="one Redis",
    workers=4,
    keys=11,
    stages=STAGES,
    wasted=0,
    unserved=0,
    strangers=0,
    orphaned=1,
    succeeded=1,
    waited=3,
    adopted=10,
    revoked=1,
    refused=2,
    seconds=12.0,
    outage=OUTAGE,
)
LAST = STAGES[-1]


def play(*arguments: str, **surroundings: str) -> subprocess.Popen[str]:
    """Start the demo as ``make demo`` does."""
    command = [sys.executable, "-W", "error", "-m", "examples.demo", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **surroundings})


def children_of(pid: int) -> list[str]:
    """Return the commands of the processes that a process has started and that still run."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]  # in full: paths may be long
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [f"{words[0]} {words[2]}" for words in lines if len(words) == 3 and words[1] == str(pid)]


def wait_for_calls(demo: subprocess.Popen[str]) -> None:
    """Wait until the workers of a demo are there and begin to call."""
    assert demo.stdout is not None
    if not any("calls each, at once" in line for line in demo.stdout):
        raise AssertionError(f"the demo ended with status {demo.wait()}: {demo.stderr and demo.stderr.read()}")


def until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so, and fail when it does not come about."""
    limit = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def test_a_small_fleet_keeps_all_promises_on_redis_and_on_files() -> None:
    """Four processes play through with each store, one is killed, Redis is stopped and started; status 0."""
    with play(*SMALL, "--json") as demo:
        out, err = demo.communicate(timeout=110)
    assert demo.returncode == 0, out + err
    told = cast("dict[str, list[dict[str, dict[str, object]]]]", json.loads(out))
    assert [one["figures"]["store"] for one in told["fleets"]] == ["one Redis", "one encrypted directory"]
    assert [len(one["promises"]) for one in told["fleets"]] == [9, 6]
    assert "Redis is started again" in err
    assert "Traceback" not in err


def test_a_stopped_fleet_leaves_no_process_behind() -> None:
    """SIGTERM in the middle ends the workers, Redis and the emulator, and shows no traceback."""
    with play(*SMALL) as demo:
        wait_for_calls(demo)
        started = children_of(demo.pid)
        assert len(started) == 6, started  # four workers, a Redis, an emulator
        demo.terminate()
        _, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (130, "stopped; the emulator is gone too\n")
    pids = [int(command.split()[0]) for command in started]
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_the_death_of_a_worker_is_told_in_one_line() -> None:
    """When a worker ends under way that nobody had killed on purpose, the demo says so and ends with status 2."""
    with play(*SMALL) as demo:
        wait_for_calls(demo)
        workers = [command for command in children_of(demo.pid) if "fleet_worker" in command]
        os.kill(int(workers[-1].split()[0]), signal.SIGKILL)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert re.fullmatch(r"the demo could not be carried out: worker \d+ ended, or hung, when told to \w+\n", err)


def test_good_figures_keep_every_promise() -> None:
    """The figures that the next test spoils one by one are good as they stand, with an outage and without."""
    for figures, promises in ((GOOD, 9), (replace(GOOD, outage=None), 6)):
        judged = judge_fleet(figures)
        assert len(judged) == promises
        assert all(promise.kept for promise in judged)


@pytest.mark.parametrize(
    ("bad", "broken"),
    [
        (replace(GOOD, stages=(replace(LAST, failed=1),)), "no call failed"),
        (replace(GOOD, stages=()), "no call failed"),
        (replace(GOOD, wasted=1), "that another one had"),
        (replace(GOOD, unserved=1), "every key got its token"),
        (replace(GOOD, strangers=1), "every key got its token"),
        (replace(GOOD, orphaned=0), "one other took over"),
        (replace(GOOD, succeeded=3), "one other took over"),
        (replace(GOOD, waited=0), "one other took over"),
        (replace(GOOD, adopted=0), "found tokens waiting"),
        (replace(GOOD, revoked=0), "replaced once for all"),
        (replace(GOOD, revoked=4), "replaced once for all"),
        (replace(GOOD, outage=replace(OUTAGE, asked=0)), "fetched for itself"),
        (replace(GOOD, outage=replace(OUTAGE, asked=5)), "fetched for itself"),
        (replace(GOOD, outage=replace(OUTAGE, most=5)), "fetched for itself"),
        (replace(GOOD, outage=replace(OUTAGE, noticed=3)), "noticed that it was gone"),
        (replace(GOOD, outage=replace(OUTAGE, after=2)), "one process fetched for all again"),
    ],
)
def test_each_bad_figure_breaks_its_promise_and_no_other(bad: FleetFigures, broken: str) -> None:
    """A single figure that is not as promised is found, named in the table, and nothing else is blamed."""
    promises = judge_fleet(bad)
    assert [broken in promise.text for promise in promises if not promise.kept] == [True]
    assert "1 of 9 promises broken" in fleet_table(bad, promises)
    assert as_json(bad, promises)["kept"] is False


def test_the_table_shows_posts_per_key_beside_the_ideal() -> None:
    """Its last columns are the tokens for one key: issued, and needed."""
    shown = fleet_table(replace(GOOD, stages=(FleetStage("start", 1000, 0, 10, 13, 10),)), [])
    row = next(line for line in shown.splitlines() if line.startswith("  start"))
    assert row.split()[1:] == ["1,000", "0", "10", "13", "10", "1.30", "1.00"]


def test_errors_are_shown_above_the_promises() -> None:
    """What went wrong is printed, so that a broken promise can be looked into."""
    bad = replace(GOOD, wasted=1, errors=("2 x ServerError: gone",))
    assert "2 x ServerError: gone" in fleet_table(bad, judge_fleet(bad))


@pytest.mark.parametrize("bad", [False, True])
def test_the_exit_status_and_the_json_follow_the_promises(
    bad: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One fleet with a broken promise spoils the whole demo."""
    figures = [GOOD, replace(GOOD, wasted=1) if bad else GOOD]

    async def run(*_: object) -> list[FleetFigures]:
        return figures

    monkeypatch.setattr("examples.demo.__main__._run_fleets", run)
    assert main(("--json", "--part", "fleet")) == (1 if bad else 0)
    told = cast("dict[str, object]", json.loads(capsys.readouterr().out))
    assert told["kept"] is not bad
    assert main(("--part", "fleet")) == (1 if bad else 0)
    assert capsys.readouterr().out.count("promises kept") == (1 if bad else 2)


def test_a_fleet_too_small_to_show_anything_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer calls than keys would leave keys without a token."""
    with pytest.raises(SystemExit) as refused:
        main(("--fleet-calls", "9"))
    assert refused.value.code == 2
    assert "--fleet-calls must be 10 or more" in capsys.readouterr().err


@pytest.mark.parametrize(("missing", "said"), [("redis-server", "install redis-server"), ("redis", "[redis]")])
async def test_without_a_redis_the_directory_alone_is_shown(
    missing: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no redis-server or no redis-py, one line says so, and the other store is played."""
    titles: list[str] = []

    class Told(Progress):
        def __init__(self) -> None:
            super().__init__(sys.stderr)

        def stage(self, title: str) -> None:
            titles.append(title)

    async def perform(words: str, url: str, *_: object) -> FleetFigures:
        assert url.startswith("file:///")
        return replace(GOOD, store=words)

    monkeypatch.setattr(fleet, "_perform", perform)
    monkeypatch.setattr(fleet, "find_redis", lambda: None if missing == "redis-server" else "redis-server")
    monkeypatch.setattr(fleet, "find_spec", {"redis": object(), "cryptography": object(), missing: None}.get)
    played = await fleet.perform_fleets(Told())
    assert [figures.store for figures in played] == ["one encrypted directory"]
    assert len(titles) == 1
    assert said in titles[0]


async def test_without_cryptography_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are never shared in the clear just to have something to show."""
    monkeypatch.setattr(fleet, "find_spec", {"redis": object()}.get)
    with pytest.raises(RuntimeError, match=r"pip install 'monite-async\[all\]'"):
        await fleet.perform_fleets(Progress(sys.stderr))


async def test_a_redis_that_does_not_start_is_told() -> None:
    """A program that knows no --port is no Redis, and nothing waits for it."""
    with pytest.raises(RuntimeError, match="does not start"):
        async with RedisProcess(sys.executable):
            raise AssertionError("never reached")


async def test_redis_comes_back_on_its_port_and_goes_for_good() -> None:
    """Stopped and started again it is where it was, and empty-handed after the end."""
    path = find_redis()
    assert path is not None, "scripts/redis_server.sh brings one, or says that it cannot"
    redis = RedisProcess(path)
    async with redis:
        url = redis.url
        await redis.stop()
        await redis.start()
        assert redis.url == url
    await redis.stop()  # nothing is left to end
