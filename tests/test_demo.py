"""The demo keeps its promises, and says so only when it does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from examples.demo.__main__ import main
from examples.demo.ledger import KeyAccount, Ledger
from examples.demo.progress import Progress
from examples.demo.report import Figures, KeyFigures, StageFigures, as_json, judge, table

ROOT = Path(__file__).parents[1]
SMALL = ("--part", "client", "--calls", "300", "--users", "5")

TOTAL = StageFigures("all", False, 1000, 0, 500, 0.1, 0.2, 0.3)
GOOD = Figures(
    wanted=900,
    at_once=900,
    stages=(TOTAL,),
    total=TOTAL,
    keys=(KeyFigures(user=False, issued=2, needed=2), KeyFigures(user=True, issued=3, needed=3)),
    strangers=0,
    lasting=3,
    renewed=3,
    refused=7,
    returning=(1, 1),
    stumbles=5,
    retried=5,
    replayed=60,
    deadline=60.0,
    seconds=25.0,
)


def play(*arguments: str) -> subprocess.Popen[str]:
    """Start the demo as ``make demo`` does."""
    command = [sys.executable, "-W", "error", "-m", "examples.demo", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


@contextlib.contextmanager
def playing(*arguments: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Start the demo, and give it with the process id of its emulator as soon as that is there."""
    with play(*arguments) as demo:
        try:
            yield demo, _emulator_of(demo)
        finally:
            demo.terminate()


def _emulator_of(demo: subprocess.Popen[str]) -> int:
    """Wait until the demo tells the process id of its emulator."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if found := re.search(r"it is process (\d+), at http://127", line):
            return int(found[1])
    raise AssertionError("the demo ended before it had an emulator")


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_small_demo_keeps_all_promises_and_shows_its_table() -> None:
    """The demo plays through on a real socket, prints one line per stage and the table, and ends with status 0."""
    with play(*SMALL) as demo:
        out, err = demo.communicate(timeout=110)
    assert (demo.returncode, err) == (0, ""), out
    assert "All 10 promises kept" in out
    for line in ("300 calls at once, over 7 scopes", "the token endpoint is down", "tokens issued to 5 users"):
        assert line in out
    assert "BROKEN" not in out
    assert "\x1b" not in out


def test_an_interrupted_demo_takes_its_emulator_with_it() -> None:
    """Ctrl-C ends the demo without a traceback, and the emulator's process is gone."""
    with playing(*SMALL) as (demo, emulator):
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (130, "stopped; the emulator is gone too\n")
    assert not is_alive(emulator)


def test_a_terminated_demo_takes_its_emulator_with_it() -> None:
    """SIGTERM, as ``make`` sends it, ends both processes too."""
    with playing(*SMALL) as (demo, emulator):
        demo.terminate()
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert not is_alive(emulator)


def test_the_death_of_the_emulator_is_told_in_one_line() -> None:
    """When the emulator ends under way the demo says so, shows no traceback, and ends with status 2."""
    with playing(*SMALL) as (demo, emulator):
        os.kill(emulator, signal.SIGKILL)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert err == (
        f"the demo could not be carried out: the emulator (process {emulator}) ended while the demo was calling it\n"
    )


@pytest.mark.parametrize("arguments", [("--users", "3"), ("--users", "10", "--calls", "23"), ("--calls", "many")])
def test_a_demo_too_small_to_show_anything_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers with which a promise would be empty are refused before anything starts."""
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert arguments[-2] in capsys.readouterr().err


def test_good_figures_keep_every_promise() -> None:
    """The figures that the next test spoils one by one are good as they stand."""
    assert all(promise.kept for promise in judge(GOOD))


@pytest.mark.parametrize(
    ("bad", "broken"),
    [
        (replace(GOOD, total=replace(TOTAL, failed=1)), "no call failed"),
        (replace(GOOD, total=replace(TOTAL, calls=0)), "no call failed"),
        (replace(GOOD, at_once=899), "all calls of the burst were made"),
        (replace(GOOD, keys=(*GOOD.keys, KeyFigures(True, issued=3, needed=2))), "without need"),
        (replace(GOOD, keys=(*GOOD.keys, KeyFigures(True, issued=0, needed=0))), "got its own token"),
        (replace(GOOD, strangers=1), "nobody else one"),
        (replace(GOOD, replayed=0), "behind the client's back"),
        (replace(GOOD, refused=0), "down when tokens came due"),
        (replace(GOOD, renewed=2), "all of them were renewed"),
        (replace(GOOD, renewed=0, lasting=0), "all of them were renewed"),
        (replace(GOOD, returning=(1, 2)), "back from sleep"),
        (replace(GOOD, returning=()), "back from sleep"),
        (replace(GOOD, retried=4), "were sent again"),
        (replace(GOOD, retried=50), "were sent again"),
        (replace(GOOD, stumbles=0, retried=0), "were sent again"),
        (replace(GOOD, total=replace(TOTAL, slowest=62.0)), "deadline"),
    ],
)
def test_each_bad_figure_breaks_its_promise_and_no_other(bad: Figures, broken: str) -> None:
    """A single figure that is not as promised is found, named in the table, and nothing else is blamed."""
    promises = judge(bad)
    assert [broken in promise.text for promise in promises if not promise.kept] == [True]
    assert "1 of 10 promises broken" in table(bad, promises, explanation="")
    assert as_json(bad, promises)["kept"] is False


def test_the_table_says_how_many_calls_failed_in_the_outage_and_where_calls_waited() -> None:
    """Its remarks are computed from the stages, not written down."""
    stages = (replace(TOTAL, name="quiet", waited=7), replace(TOTAL, name="dark", outage=True, failed=3, waited=9))
    shown = table(replace(GOOD, stages=stages), [], explanation="")
    assert "3 calls failed meanwhile" in shown
    assert "most of them: 9 in 'dark', 7 in 'quiet'" in shown


def test_errors_are_shown_above_the_promises() -> None:
    """What went wrong is printed, so that a broken promise can be looked into."""
    bad = replace(GOOD, total=replace(TOTAL, failed=2), errors=("2 x ServerError: GET /payables: gone",))
    assert "2 x ServerError: GET /payables: gone" in table(bad, judge(bad), explanation="")


@pytest.mark.parametrize("bad", [False, True])
def test_the_exit_status_and_the_json_follow_the_promises(
    bad: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--json`` prints one object with figures and promises; the status is 0 only when all of these were kept."""
    figures = replace(GOOD, strangers=1) if bad else GOOD

    async def run(*_: object) -> Figures:
        return figures

    monkeypatch.setattr("examples.demo.__main__._run", run)
    assert main(("--json", "--part", "client")) == (1 if bad else 0)
    printed = cast("dict[str, object]", json.loads(capsys.readouterr().out))
    assert printed["kept"] is not bad
    assert cast("dict[str, object]", printed["figures"])["replayed"] == 60


class TestLedger:
    """The ledger of tokens that were needed, with tokens due from their tenth second on."""

    def test_the_first_token_of_a_key_is_needed(self) -> None:
        """One token per key is no waste."""
        ledger = Ledger(10.0)
        ledger.look({"a": 1, "b": 1}, asked=1.0, answered=1.1)
        assert [ledger.of(key).needed for key in ("a", "b", "c")] == [1, 1, 0]

    def test_a_second_token_at_the_same_time_is_a_waste(self) -> None:
        """A stampede shows: of a thousand tokens for one key, one was needed."""
        ledger = Ledger(10.0)
        ledger.look({"a": 1000}, asked=1.0, answered=1.1)
        assert (ledger.of("a").issued, ledger.of("a").needed) == (1000, 1)

    @pytest.mark.parametrize(("answered", "needed"), [(9.0, 1), (10.9, 1), (11.0, 2), (30.0, 2)])
    def test_a_token_is_needed_when_the_one_before_may_have_come_due(self, answered: float, needed: int) -> None:
        """The age counts from the last look that did not show the old token to the first that shows the new one."""
        ledger = Ledger(10.0)
        ledger.look({}, asked=1.0, answered=1.5)
        ledger.look({"a": 1}, asked=2.0, answered=2.5)
        ledger.look({"a": 2}, asked=answered - 0.1, answered=answered)
        assert ledger.of("a").needed == needed

    def test_a_revocation_makes_one_more_token_needed(self) -> None:
        """Each revocation excuses one token, not two."""
        ledger = Ledger(10.0)
        ledger.look({"a": 1}, asked=1.0, answered=1.1)
        ledger.revoked("a")
        ledger.look({"a": 2}, asked=2.0, answered=2.1)
        ledger.look({"a": 3}, asked=3.0, answered=3.1)
        assert ledger.of("a") == KeyAccount(issued=3, needed=2, not_before=1.0, not_after=3.1)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_sees_one_line_per_stage_that_is_rewritten() -> None:
    """On a terminal the line of a stage is rewritten in place, and ended before the next begins."""
    screen, times = Terminal(), iter([0.0, 0.0, 1.0, 2.0, 2.05, 3.0])
    progress = Progress(screen, clock=lambda: next(times))
    progress.update("before any stage")
    progress.stage("first")
    progress.update("1 call")
    progress.update("2 calls")
    progress.stage("second")
    progress.end()
    assert screen.getvalue() == ("  1.0 s  first\r\x1b[K  2.0 s  first: 1 call\n  3.0 s  second\n")


def test_quantiles_of_no_calls_are_nought() -> None:
    """A stage without calls has figures all the same, and those of others are of the calls themselves."""
    assert StageFigures.of("none", failed=0, waited=0, seconds=[]).slowest == 0.0
    some = StageFigures.of("some", failed=0, waited=0, seconds=[0.3, 0.1, 0.2])
    assert (some.calls, some.p50, some.p99, some.slowest) == (3, 0.2, 0.3, 0.3)
