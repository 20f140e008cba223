"""The figures of a fleet, what was promised of them, and the table that shows both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from examples.demo.report import Promise

__all__ = ["EXPLANATION", "FleetFigures", "FleetStage", "Outage", "fleet_table", "judge_fleet"]

EXPLANATION = (
    "ideal: one for the first call of a key, one each time its token came due, was revoked, or died with the worker that\n"
    "  had asked for it; reckoned from what the server says it issued. On their own the workers would need as many each."
)


@dataclass(frozen=True, slots=True)
class FleetStage:
    """One line of the table.

    Attributes:
        name: The stage.
        calls: Calls that all workers made in it.
        failed: How many of them failed.
        keys: Keys that got a token in it.
        posts: Tokens that the server issued.
        ideal: How many of them were needed; see ``ledger``.
    """

    name: str
    calls: int
    failed: int
    keys: int
    posts: int
    ideal: int


@dataclass(frozen=True, slots=True)
class Outage:
    """What happened while the store was away and after.

    Attributes:
        asked: Tokens issued for a key that all workers first used while it was away.
        most: The most tokens issued for any one key from its end on. It comes back empty, so a worker may fetch what
            another one has.
        noticed: Workers that reported the store gone and, later, back.
        after: Tokens issued for a key that all workers first used when it was back.
    """

    asked: int
    most: int
    noticed: int
    after: int


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """Everything that was counted.

    Attributes:
        store: What the workers share, in words.
        workers: How many there are.
        keys: Keys that got a token at all.
        stages: The stages in their order.
        wasted: Tokens issued without need while the store was there.
        unserved: Keys for which no token was ever issued.
        strangers: Keys for which there should be none.
        orphaned: Tokens issued to the worker that was killed while it waited for them.
        succeeded: Tokens issued to those who took its place as the one that fetches.
        waited: Workers that waited for somebody else's token.
        adopted: Tokens that the worker which took the dead one's place found in the store.
        revoked: Tokens issued for a key after its token was revoked, in all processes.
        refused: Calls answered 401 because their process had not heard of that yet; they were sent again.
        seconds: Seconds that all of it took.
        outage: What happened without the store; None for a store that cannot go away.
        errors: What went wrong.
    """

    store: str
    workers: int
    keys: int
    stages: tuple[FleetStage, ...]
    wasted: int
    unserved: int
    strangers: int
    orphaned: int
    succeeded: int
    waited: int
    adopted: int
    revoked: int
    refused: int
    seconds: float
    outage: Outage | None = None
    errors: tuple[str, ...] = ()

    @property
    def total(self) -> FleetStage:
        """All stages together."""
        stages = self.stages
        return FleetStage(
            "all",
            sum(stage.calls for stage in stages),
            sum(stage.failed for stage in stages),
            self.keys,
            sum(stage.posts for stage in stages),
            sum(stage.ideal for stage in stages),
        )


def judge_fleet(figures: FleetFigures) -> list[Promise]:
    """Return every promise with whether it was kept; pure, so that a test can hand in bad figures."""
    total = figures.total
    promises = [
        Promise("no call failed", total.failed == 0 < total.calls, f"{total.failed:,} of {total.calls:,}"),
        Promise(
            "no process asked for a token that another one had",
            figures.wasted == 0,
            f"{figures.wasted} asked for without need while the store was there",
        ),
        Promise(
            "every key got its token, and nobody else one",
            figures.unserved == figures.strangers == 0,
            f"{figures.unserved} keys without, {figures.strangers} keys too many",
        ),
        Promise(
            "when a worker was killed as it fetched, one other took over for all",
            figures.orphaned == figures.succeeded == 1 and figures.waited > 0,
            f"{figures.orphaned} token died with it, {figures.succeeded} fetched in its place, "
            f"{figures.waited} workers had waited",
        ),
        Promise(
            "the worker in its place found tokens waiting", figures.adopted > 0, f"{figures.adopted} out of the store"
        ),
        Promise(
            "a token revoked in one process was replaced once for all",
            figures.revoked == 1,
            f"{figures.revoked} new, {figures.refused} calls answered 401 and sent again",
        ),
    ]
    if figures.outage is not None:
        promises += _judge_outage(figures.workers, figures.outage)
    return promises


def _judge_outage(workers: int, outage: Outage) -> list[Promise]:
    return [
        Promise(
            "without the store each process fetched for itself, and no more",
            1 <= outage.asked <= workers and outage.most <= workers,
            f"{outage.asked} tokens for {workers} workers that asked for the same; {outage.most} at most for any key",
        ),
        Promise(
            "every worker noticed that it was gone and that it was back",
            outage.noticed == workers,
            f"{outage.noticed} of {workers}",
        ),
        Promise(
            "once it was back, one process fetched for all again", outage.after == 1, f"{outage.after} token for all"
        ),
    ]


def fleet_table(figures: FleetFigures, promises: Sequence[Promise]) -> str:
    """Return what anyone can read."""
    columns = ("calls", "failed", "keys", "POSTs", "ideal", "POSTs/key", "ideal/key")
    head = f"  {figures.store}".ljust(30) + "".join(f"{column:>10}" for column in columns)
    rule = "  " + "-" * (len(head) - 2)
    rows = [_row(stage) for stage in (*figures.stages, figures.total)]
    lines = ["", head, rule, *rows[:-1], rule, rows[-1], "", f"  {EXPLANATION}", ""]
    if figures.errors:
        lines += ["  What went wrong:", *(f"    {error}" for error in figures.errors), ""]
    lines += [f"  {'kept  ' if promise.kept else 'BROKEN'}  {promise.text} ({promise.found})" for promise in promises]
    broken = sum(not promise.kept for promise in promises)
    verdict = f"{broken} of {len(promises)} promises broken" if broken else f"All {len(promises)} promises kept"
    return "\n".join([*lines, "", f"  {verdict}, in {figures.seconds:.0f} s.", ""])


def _row(stage: FleetStage) -> str:
    numbers = "".join(f"{number:>10,}" for number in (stage.calls, stage.failed, stage.keys, stage.posts, stage.ideal))
    per_key = "".join(
        f"{number / stage.keys:>10.2f}" if stage.keys else f"{'-':>10}" for number in (stage.posts, stage.ideal)
    )
    return f"  {stage.name:<28}{numbers}{per_key}"
