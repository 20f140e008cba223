"""The benchmarks run, and the counts that they promise hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks._hits import hit_cost
from benchmarks._report import Bar, Table
from benchmarks._run import Results, run_case, unfinished
from benchmarks._systems import OURS, SYSTEMS, Spec, raw_post
from benchmarks._token_server import TokenServer, make_token

_ROOT = Path(__file__).resolve().parent.parent
_BY_HAND = "no lock, by hand"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the quick benchmark once; return what it wrote, its exit status and what it printed."""
    target = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks.tokens", "--quick"]
    command += ["--json", str(target / "tokens.json"), "--markdown", str(target / "tokens.md")]
    command += ["--plot", str(target / "tokens.svg")]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert all(line.endswith(" ...") for line in done.stderr.splitlines())  # progress, and no complaints
    told: dict[str, Any] = json.loads((target / "tokens.json").read_text())
    return {
        **told,
        "status": done.returncode,
        "out": done.stdout,
        "picture": (target / "tokens.svg").read_text(encoding="utf-8"),
        "markdown": (target / "tokens.md").read_text(encoding="utf-8"),
    }


def test_quick_run_keeps_every_count(report: dict[str, Any]) -> None:
    """Every promise that is a count holds, whatever else the machine does, and the exit status says so."""
    counts = {bar["what"]: bar["reached"] for bar in report["bars"] if bar["kind"] == "count"}
    assert [what for what, reached in counts.items() if not reached] == []
    assert len(counts) >= 14
    assert report["status"] == 0


def test_quick_run_tells_a_stampede_from_a_single_flight(report: dict[str, Any]) -> None:
    """The endpoint counts: without a lock there is one POST per coroutine, here there is one in all."""
    stampede = report["figures"]["stampede 500"]
    assert (stampede[OURS]["posts"], stampede[OURS]["served"]) == (1, 500)
    assert stampede[_BY_HAND]["posts"] == 500
    assert report["figures"]["many_keys"][OURS]["posts"] == report["figures"]["many_keys"][OURS]["keys"] == 50


def test_quick_run_tells_a_lasting_fetch_from_one_that_dies_with_its_caller(report: dict[str, Any]) -> None:
    """Callers in more of a hurry than the endpoint still get one fetch going here, and none finished without."""
    budgets = report["figures"]["short_budgets"]
    assert budgets[OURS]["posts"] == 1
    assert budgets[_BY_HAND]["posts"] > 1
    assert budgets[_BY_HAND]["served"] == 0


def test_tables_are_printed_and_written(report: dict[str, Any]) -> None:
    """What is printed is what is written, with the machine and the versions above it."""
    tables = report["out"].partition("###")[2].strip()
    assert tables
    assert tables in report["markdown"]
    assert report["machine"] in report["markdown"]
    assert "monite-async " in report["machine"]


def test_picture_has_a_bar_for_every_figure(report: dict[str, Any]) -> None:
    """The picture is well-formed, and each panel shows this library beside the others."""
    drawn = ET.fromstring(report["picture"])
    styles = [path.get("style") for path in drawn.iter("{http://www.w3.org/2000/svg}path")]
    ours, others = styles.count("fill: #139b74"), styles.count("fill: #98a2ad")
    figures = report["figures"]
    assert ours + others == len(figures["hit_cost"][OURS]) + len(figures["stampede 500"]) + len(figures["failing"])
    assert ours == 3 + 1 + 1
    words = "".join(drawn.itertext())
    assert all(name in words for name in figures["stampede 500"])
    assert report["machine"].partition("\n")[0] in words


def test_missing_peer_is_known_before_it_is_asked() -> None:
    """A peer that is not installed is recognised by its module, whatever package that would lie in."""
    assert not Spec("nobody", "benchmarks._peers", "Nobody", "no_such_package.at_all", "nobody").is_installed
    assert not Spec("nobody", "benchmarks._peers", "Nobody", "no_such_package", "nobody").is_installed
    assert next(spec for spec in SYSTEMS if spec.name == _BY_HAND).is_installed


def test_bars_are_exact_or_upper_limits() -> None:
    """A count that must be exact is missed by too few as well; a limit only by too much."""
    assert not Bar("served", "count", 99, 100, exact=True).reached
    assert Bar("served", "count", 100, 100, exact=True).reached
    assert Bar("us", "time", 0.2, 0.2).reached
    assert not Bar("us", "time", 0.21, 0.2).reached
    assert Bar("us", "time", 0.21, 0.2).row()[-1] == "MISSED"


def test_tables_are_aligned() -> None:
    """Every line of a table is equally long: text to the left, figures to the right."""
    lines = Table("Title", "Method.", ["system", "us"], [["a", "1,000"], ["longer", "2"]]).render().splitlines()[4:]
    assert len({len(line) for line in lines}) == 1
    assert lines[-1] == "| longer |     2 |"


def test_rounds_are_merged_without_hiding_a_second_post() -> None:
    """Times are the least of all rounds, POSTs the most, and a round that finished outweighs one that was stopped."""
    results = Results()
    results.add("stampede", "one", {"seconds": 2.0, "posts": 1})
    results.add("stampede", "one", {"seconds": 3.0, "posts": 2})
    results.add("stampede", "one", {"stopped": 20.0, "posts": 7})
    assert results.of("stampede") == {"one": {"seconds": 2.0, "posts": 2}}
    assert results.of("never ran") == {}


async def test_token_server_counts_what_it_is_asked() -> None:
    """The endpoint answers as ordered, with another token each time, and counts from the last order on."""
    with TokenServer() as server:
        endpoint = server.endpoint
        endpoint.set(delay=0.0)
        tokens = [await raw_post(endpoint) for _ in range(2)]
        assert tokens[0] != tokens[1]
        assert (endpoint.counts().posts, endpoint.counts().peak) == (2, 1)
        endpoint.set(delay=0.0, status=500)
        with pytest.raises(RuntimeError, match="failed"):
            await raw_post(endpoint)
        assert endpoint.counts().posts == 1
    assert len(make_token(1)) == 600


def test_worker_that_takes_too_long_is_stopped() -> None:
    """A system that hangs costs its limit of time and is reported with the POSTs it made; the run goes on."""
    results = Results()
    run_case(results, "cancelled", [_BY_HAND], limit=0.001)
    assert unfinished(results.of("cancelled")[_BY_HAND]) == "stopped after 0.001 s"


def test_peer_that_fails_is_told_and_one_of_ours_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A peer whose process dies costs its own figures and a line that says why; where we fail there is no run."""
    results = Results()
    run_case(results, "no_such_scenario", [_BY_HAND])
    assert unfinished(results.of("no_such_scenario")[_BY_HAND]) == "failed"
    assert "KeyError: 'no_such_scenario'" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="no_such_scenario"):
        run_case(results, "no_such_scenario", [OURS])


def test_hits_of_a_peer_that_cannot_get_a_token_are_left_out() -> None:
    """A peer that fails at its first token has no hit cost, and the others have theirs."""
    gone = Spec("nobody", "benchmarks._no_such_module", "Nobody")
    with TokenServer() as server:
        costs = hit_cost([gone, SYSTEMS[1]], server.endpoint, 1)
    assert set(costs) == {"empty coroutine", _BY_HAND}
