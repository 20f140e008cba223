"""README and docs say what the benchmarks measured, and what was measured once is not lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as driver
from benchmarks._known import Known
from benchmarks.figures import FILES, PICTURES, fill, main, wanted

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parent.parent


def test_readme_and_docs_say_what_was_measured() -> None:
    """Tables, sentences and pictures are those that the command writes from ``results.json``."""
    found = wanted(ROOT)
    assert set(found) >= {*FILES, *(f"docs/img/{name}.svg" for name in PICTURES)}
    stale = [file for file, text in found.items() if (ROOT / file).read_text(encoding="utf-8") != text]
    assert stale == [], "run python -m benchmarks.figures"
    assert main(["--check"]) == 0


def test_a_place_follows_the_figures_and_waits_for_them() -> None:
    """A place is written anew from other figures, stays as it is without any, and must have a known name."""
    page = "<!-- figures:begin uses -->\nold\n<!-- figures:end -->\n"
    nothing: dict[str, Any] = {"run": {}, "benchmarks": {"imports": {"status": 1}}}
    assert fill(page, Known(nothing)) == page
    known = Known({"run": {}, "benchmarks": {"imports": {"figures": {"first uses, CPU ms": {"a": 3.0, "b": 7.4}}}}})
    written = fill(page, known)
    assert "The dearest first use of any resource takes 7 ms." in written
    assert "old" not in written
    assert fill(written, known) == written
    with pytest.raises(KeyError):
        fill("<!-- figures:begin coffee -->\n<!-- figures:end -->", known)


def test_peers_that_failed_have_no_figures_and_spoil_none() -> None:
    """Every place can be written when all peers failed, were stopped or are not installed."""
    told = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    for name in ("tokens", "sharing", "calls"):
        for systems in told["benchmarks"][name]["figures"].values():
            for system in systems:
                if not system.startswith("monite-async"):
                    systems[system] = None if name == "calls" else {"failed to run": 1.0, "posts": 0.0}
    told["benchmarks"]["decode"]["figures"]["a page of 100 payables"].pop("official client")
    for cost in ("import monite", "first parsed payable, monite"):
        told["benchmarks"]["imports"]["figures"]["costs"].pop(cost)
    pages = [fill((ROOT / file).read_text(encoding="utf-8"), Known(told)) for file in FILES]
    assert "| requests for one token | **1** | 0 |" in pages[0]
    assert "| 100 | **" in pages[0]


def test_a_run_that_is_broken_off_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each benchmark is written when it is done, beside those of other runs, with the date of its run; quick ones apart."""
    target = ["--into", str(tmp_path)]

    def runs(figures: int) -> None:
        def run(name: str, *_: object, **__: object) -> dict[str, object]:
            if name == "idle":
                raise KeyboardInterrupt
            return {"seconds": 1, "status": int(name == "calls"), "figures": {"made": figures}}

        monkeypatch.setattr(driver, "_run", run)

    def known() -> dict[str, Any]:
        told: dict[str, Any] = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
        assert {one["run"] for one in told["benchmarks"].values()} >= {told["run"]["date"]}
        return {name: one["figures"]["made"] for name, one in told["benchmarks"].items()}

    runs(1)
    assert driver.main(["calls", "tokens", *target]) == 1
    assert list(known()) == ["tokens", "calls"]
    runs(2)
    assert driver.main(["calls", "idle", "decode", *target]) == 130
    assert known() == {"tokens": 1, "calls": 2}
    assert driver.main(["decode", "--quick", *target]) == 0
    assert known() == {"decode": 2}
