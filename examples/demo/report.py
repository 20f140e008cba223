"""The figures of the demo, what was promised of them, and the table that shows both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Figures", "KeyFigures", "Promise", "StageFigures", "as_json", "judge", "table"]

_SLACK = 5
"""Requests that the machine itself may have lost: a repeat of one of them breaks no promise."""


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One line of the table.

    Attributes:
        name: The stage.
        outage: Whether the token endpoint was down in it.
        calls: Calls that began in it.
        failed: How many of them failed.
        waited: How many of them waited for a token.
        p50: Half of the calls took no longer, in seconds.
        p99: All but one in a hundred took no longer, in seconds.
        slowest: The slowest, in seconds.
    """

    name: str
    outage: bool
    calls: int
    failed: int
    waited: int
    p50: float
    p99: float
    slowest: float

    @classmethod
    def of(cls, name: str, *, failed: int, waited: int, seconds: Sequence[float], outage: bool = False) -> StageFigures:
        """Return the figures of a stage from how long each call took."""
        ordered = sorted(seconds)
        return cls(
            name,
            outage,
            len(ordered),
            failed,
            waited,
            p50=_quantile(ordered, 0.50),
            p99=_quantile(ordered, 0.99),
            slowest=_quantile(ordered, 1.0),
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """The tokens of one key.

    Attributes:
        user: Whether it is an entity user's key; the other one is the partner's.
        issued: Tokens that the server issued.
        needed: Tokens that could not be done without; see ``ledger``.
    """

    user: bool
    issued: int
    needed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was counted.

    Attributes:
        wanted: Calls that were to be made at once.
        at_once: The calls made at once.
        stages: The stages in their order, that one among them.
        total: All stages together.
        keys: The tokens of each key that there should be.
        strangers: Keys for which the server issued tokens and that nobody should have used.
        lasting: Keys of users whose tokens came due while the token endpoint was down.
        renewed: How many of them were renewed when it was back.
        refused: Requests for a token that the server refused meanwhile.
        returning: New tokens for each user who came back after the end of the old one.
        stumbles: Requests that the server was told to fail.
        retried: Requests sent again by the client, tokens replaced not counted.
        replayed: Requests answered 401 and sent again with another token.
        deadline: Seconds that a call may take.
        seconds: Seconds that all of it took.
        errors: What went wrong, most frequent first.
    """

    wanted: int
    at_once: int
    stages: tuple[StageFigures, ...]
    total: StageFigures
    keys: tuple[KeyFigures, ...]
    strangers: int
    lasting: int
    renewed: int
    refused: int
    returning: tuple[int, ...]
    stumbles: int
    retried: int
    replayed: int
    deadline: float
    seconds: float
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that must hold.

    Attributes:
        text: What was promised.
        kept: Whether it holds.
        found: What was found instead, or in its favour.
    """

    text: str
    kept: bool
    found: str


def judge(figures: Figures) -> list[Promise]:
    """Return every promise with whether it was kept; pure, so that a test can hand in bad figures."""
    total = figures.total
    wasted = sum(key.issued - key.needed for key in figures.keys)
    unserved = sum(key.issued == 0 for key in figures.keys)
    woken = figures.returning
    fitting = figures.stumbles <= figures.retried <= figures.stumbles + _SLACK
    return [
        Promise("no call failed", total.failed == 0 < total.calls, f"{total.failed:,} of {total.calls:,}"),
        Promise(
            "all calls of the burst were made", figures.at_once == figures.wanted, f"{figures.at_once:,} calls at once"
        ),
        Promise("no token was asked for without need", wasted == 0, f"{wasted} of {_issued(figures.keys)} wasted"),
        Promise(
            "every scope got its own token, and nobody else one",
            unserved == figures.strangers == 0,
            f"{unserved} keys without, {figures.strangers} keys too many",
        ),
        Promise(
            "a token revoked behind the client's back was replaced",
            figures.replayed > 0,
            f"{figures.replayed} calls answered 401 and sent again",
        ),
        Promise(
            "the token endpoint was down when tokens came due",
            figures.refused > 0,
            f"{figures.refused} requests for a token refused",
        ),
        Promise(
            "once it was back, all of them were renewed",
            figures.renewed == figures.lasting > 0,
            f"{figures.renewed} of {figures.lasting}",
        ),
        Promise(
            "each user back from sleep cost one token", set(woken) == {1}, f"{sum(woken)} tokens for {len(woken)} users"
        ),
        Promise(
            "reads that the server failed were sent again, nothing else was",
            fitting and figures.stumbles > 0,
            f"{figures.retried} repeats of {figures.stumbles} failures",
        ),
        Promise(
            "no call took longer than its deadline",
            total.slowest <= figures.deadline + 1,
            f"slowest {total.slowest:.2f} s of {figures.deadline:.0f} s",
        ),
    ]


def _issued(keys: Iterable[KeyFigures]) -> int:
    return sum(key.issued for key in keys)


def as_json(figures: DataclassInstance, promises: Sequence[Promise]) -> dict[str, object]:
    """Return figures and promises as JSON types."""
    return {
        "kept": all(promise.kept for promise in promises),
        "figures": asdict(figures),
        "promises": [asdict(promise) for promise in promises],
    }


def table(figures: Figures, promises: Sequence[Promise], *, explanation: str) -> str:
    """Return what anyone can read.

    Args:
        figures: What was counted.
        promises: What ``judge`` said of it.
        explanation: How the ideal and the waits are counted.
    """
    lines = ["", *_stage_lines(figures), "", *_fact_lines(figures), f"  {explanation}", ""]
    if figures.errors:
        lines += ["  What went wrong:", *(f"    {error}" for error in figures.errors), ""]
    lines += [f"  {'kept  ' if promise.kept else 'BROKEN'}  {promise.text} ({promise.found})" for promise in promises]
    broken = sum(not promise.kept for promise in promises)
    verdict = f"{broken} of {len(promises)} promises broken" if broken else f"All {len(promises)} promises kept"
    return "\n".join([*lines, "", f"  {verdict}, in {figures.seconds:.0f} s.", ""])


def _stage_lines(figures: Figures) -> list[str]:
    columns = ("calls", "failed", "waited", "p50", "p99", "slowest")
    head = "  stage".ljust(20) + "".join(f"{column:>10}" for column in columns)
    rule = "  " + "-" * (len(head) - 2)
    rows = [
        f"  {stage.name:<18}{stage.calls:>10,}{stage.failed:>10,}{stage.waited:>10,}"
        f"{_time(stage.p50):>10}{_time(stage.p99):>10}{_time(stage.slowest):>10}"
        for stage in (*figures.stages, figures.total)
    ]
    return [head, rule, *rows[:-1], rule, rows[-1]]


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _fact_lines(figures: Figures) -> list[str]:
    users = [key for key in figures.keys if key.user]
    partner = [key for key in figures.keys if not key.user]
    counts = [key.issued for key in users] or [0]
    spread = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    waiting = sorted(figures.stages, key=lambda stage: -stage.waited)[:2]
    waits = "most of them: " + ", ".join(f"{stage.waited:,} in '{stage.name}'" for stage in waiting)
    facts = [
        ("calls made", f"{figures.total.calls:,}", ""),
        ("failed", f"{figures.total.failed:,}", "0 promised"),
        ("tokens issued to the partner", f"{_issued(partner):,}", f"ideal {sum(key.needed for key in partner):,}"),
        (
            f"tokens issued to {len(users)} users",
            f"{_issued(users):,}",
            f"ideal {sum(key.needed for key in users):,} ({spread} each)",
        ),
        (
            "calls that waited for a token",
            f"{figures.total.waited:,}",
            waits,
        ),
        (
            "slowest call",
            _time(figures.total.slowest),
            f"p50 {_time(figures.total.p50)}, p99 {_time(figures.total.p99)}",
        ),
        ("retries made", f"{figures.retried:,}", f"the server failed {figures.stumbles:,} reads on purpose"),
        ("401s answered by a replay", f"{figures.replayed:,}", "with another token"),
        (
            "tokens refused in the outage",
            f"{figures.refused:,}",
            f"{sum(stage.failed for stage in figures.stages if stage.outage)} calls failed meanwhile",
        ),
    ]
    return [f"  {name:<32}{value:>12}    {remark}".rstrip() for name, value, remark in facts]
