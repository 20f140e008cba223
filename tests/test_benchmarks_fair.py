"""The benchmark of shared limits runs, and the counts that it promises hold on the emulator's real limit."""

from __future__ import annotations

from benchmarks._fair_systems import EACH, LEARNING, SHARED, TOLD
from benchmarks.fair import Size, bars, measure, table

_SHARED, _LEARNING = Size(processes=8, calls=30, limit=60), Size(processes=3, calls=30, limit=60)


async def test_processes_that_share_a_rate_are_hardly_ever_refused() -> None:
    """Eight processes with four seconds of the limit through Redis: no call fails, and under 1 % are refused."""
    figures = await measure(SHARED, _SHARED)
    assert figures["calls"] == 240
    assert figures["failed"] == 0
    assert figures["refused"] < 2.4


async def test_processes_that_only_learn_fail_no_call() -> None:
    """Three processes that know nothing of each other and only read the answers get all calls done."""
    figures = await measure(LEARNING, _LEARNING)
    assert figures["failed"] == 0


def test_what_is_missed_is_told() -> None:
    """A call that failed, a 429 too many and a limit that is not used each miss a bar, and are in the table."""
    good = dict.fromkeys(("seconds", "first", "rate", "p50", "p99"), 1.0)
    good |= {"calls": 100.0, "failed": 0.0, "refused": 1.0, "share": 0.95}
    kept = bars({SHARED: good, TOLD: good, LEARNING: {**good, "refused": 50.0, "share": 0.5}, EACH: good})
    assert len(kept) == 7
    assert all(bar.reached for bar in kept)
    missed = bars({SHARED: {**good, "failed": 1.0, "refused": 2.0, "share": 0.9}})
    assert not [bar.what for bar in missed if bar.reached]
    (row,) = table({SHARED: {**good, "refused": 2.0}}, Size()).rows
    assert row[:4] == [SHARED, "100", "0", "2"]
