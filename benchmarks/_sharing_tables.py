"""From the figures of fleets to tables and bars."""

from __future__ import annotations

from typing import TypeAlias

from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, number, ratio
from benchmarks._run import unfinished
from benchmarks._scenarios import Figures
from benchmarks._sharing_cases import FETCH, Sizes
from benchmarks._sharing_systems import FILES, LEASE, MEMORY, OURS

__all__ = ["Measured", "bars", "panels", "tables"]

Measured: TypeAlias = dict[str, dict[str, Figures]]
"""Figures by case and system."""

_MS = 1000.0
_MINE = (OURS, FILES, MEMORY)


def tables(measured: Measured, sizes: Sizes) -> list[Table]:
    """Return the tables of a run."""
    asked = sizes.processes * sizes.callers
    of_keys = sizes.processes * sizes.keys * 10
    return [
        _crowd(
            measured["one_key"],
            f"{sizes.processes} processes x {sizes.callers:,} coroutines, one key",
            f"All at once, no token yet, the endpoint takes {FETCH * _MS:g} ms; {asked:,} callers. {sizes.crowds} rounds, "
            "three of the peers, one of those that take over 4 s: the least of the worst waits, the most of what is counted.",
        ),
        _crowd(
            measured["many_keys"],
            f"{sizes.keys} keys at once, {sizes.processes} processes x 10 coroutines each",
            f"No tokens yet, the endpoint takes {FETCH * _MS:g} ms; {of_keys:,} callers.",
        ),
        _killed(measured["killed"]),
        _gone(measured),
        _hits(measured["hits"]),
        _revoked(measured["revoked"], sizes),
    ]


def _crowd(figures: dict[str, Figures], title: str, method: str) -> Table:
    def row(name: str, one: Figures) -> list[str]:
        if why := unfinished(one):
            return [name, number(one["posts"]), "-", "-", "-", why]
        commands = "-" if name == FILES else number(one["commands"])
        figures = [number(one["posts"]), number(one["served"]), number(one["failed"]), commands]
        return [name, *figures, number(one["worst"] * _MS)]

    head = ["system", "POSTs", "served", "errors", "Redis commands per process", "worst wait, ms"]
    method += " Commands as Redis counts them, those inside scripts included."
    return Table(title, method, head, [row(name, one) for name, one in figures.items()])


def _killed(figures: dict[str, Figures]) -> Table:
    def row(name: str, one: Figures) -> list[str]:
        if why := unfinished(one):
            return [name, number(one["posts"]), "-", "-", why]
        return [
            name,
            number(one["posts"]),
            number(one["served"]),
            number(one["failed"]),
            number(one["after"], 2),
        ]

    method = (
        "One process begins to fetch from a slow endpoint; three more with 50 callers each come to wait; SIGKILL half a "
        f"second later, and the next fetch takes {FETCH * _MS:g} ms. Leases: 5 s here, {LEASE} s for the peers that have one."
    )
    head = ["system", "POSTs", "served of 150", "errors", "last served after the kill, s"]
    return Table("The leader is killed", method, head, [row(name, one) for name, one in figures.items()])


def _gone(measured: Measured) -> Table:
    def cells(one: Figures) -> list[str]:
        if why := unfinished(one):
            return [number(one["posts"]), "-", why]
        return [number(one["posts"]), number(one["failed"]), number(one["worst"] * _MS)]

    rows = [[name, *cells(measured["refused"][name]), *cells(measured["frozen"][name])] for name in measured["refused"]]
    method = f"Four processes x 100 callers, no token yet, the endpoint takes {FETCH * _MS:g} ms."
    head = ["system", "refused: POSTs", "errors of 400", "worst wait, ms"]
    head += ["frozen: POSTs", "errors of 400", "worst wait, ms"]
    return Table("Redis is gone", method, head, rows)


def _hits(figures: dict[str, Figures]) -> Table:
    base = figures.get(MEMORY, {}).get("us", 0.0)
    order = sorted(figures, key=lambda name: figures[name].get("us", float("inf")))
    rows = [[name, number(figures[name]["us"], 3), ratio(figures[name]["us"], base)] for name in order]
    method = (
        "A valid token is at hand; `await client.token()` here, the look into Redis of the peers. CPU time of the "
        "thread, least of interleaved rounds; waiting for Redis comes on top."
    )
    return Table("What a hit costs", method, ["system", "us", "beside the memory store"], rows)


def _revoked(figures: dict[str, Figures], sizes: Sizes) -> Table:
    rows = [[name, number(one["seconds"] * _MS)] for name, one in figures.items() if "seconds" in one]
    method = f"One of {sizes.processes} processes revokes; until the last of the others no longer serves the token."
    return Table("A revocation", method, ["system", "dropped everywhere after, ms"], rows)


def panels(measured: Measured) -> list[Panel]:
    """Return what is worth a picture: requests for one token, and the cost of a hit."""
    crowd, hits = measured["one_key"], measured["hits"]
    return [
        Panel("requests for one token", [(name, one["posts"], name in _MINE) for name, one in crowd.items()]),
        Panel("us per hit", [(name, one["us"], name in _MINE) for name, one in hits.items()]),
    ]


def bars(measured: Measured, sizes: Sizes) -> list[Bar]:
    """Return the promises of this library, each with what was measured in this run."""
    one, keys, dead = (measured[case][OURS] for case in ("one_key", "many_keys", "killed"))
    files, dead_files = measured["one_key"][FILES], measured["killed"][FILES]
    hit = measured["hits"][MEMORY]["us"]
    found = [
        Bar("one key: POSTs", "count", one["posts"], 1, exact=True),
        Bar("one key: served", "count", _get(one, "served"), sizes.processes * sizes.callers, exact=True),
        Bar("one key: Redis commands per process", "count", _get(one, "commands"), 40),
        Bar("one key: worst wait, ms", "time", _get(one, "worst") * _MS, (FETCH + 0.1) * _MS),
        Bar("one key, files: POSTs", "count", files["posts"], 1, exact=True),
        Bar("one key, files: worst wait, ms", "time", _get(files, "worst") * _MS, (FETCH + 0.1) * _MS),
        Bar(f"{sizes.keys} keys: POSTs", "count", keys["posts"], sizes.keys, exact=True),
        Bar("leader killed: POSTs", "count", dead["posts"], 2),
        Bar("leader killed: served of 150", "count", _get(dead, "served"), 150, exact=True),
        Bar("leader killed: last served after, s", "time", _get(dead, "after"), 5.5),
        Bar("leader killed, files: POSTs", "count", dead_files["posts"], 2),
    ]
    for case in ("refused", "frozen"):
        gone = measured[case][OURS]
        found += [
            Bar(f"Redis {case}: errors", "count", _get(gone, "failed"), 0, exact=True),
            Bar(f"Redis {case}: POSTs of four processes", "count", gone["posts"], 4),
            Bar(f"Redis {case}: worst wait, ms", "time", _get(gone, "worst") * _MS, (FETCH + 0.5) * _MS),
        ]
    found += [
        Bar(f"hit, {name}, beside the memory store", "time", measured["hits"][name]["us"] / hit, 1.2)
        for name in (OURS, FILES)
    ]
    reach = _get(measured["revoked"][OURS], "seconds")
    found.append(Bar("revoked: dropped everywhere after, ms", "time", reach * _MS, 100))
    return found


def _get(figures: Figures, name: str) -> float:
    """Return a figure; of a case that was stopped it is beyond every bar."""
    return figures.get(name, float("inf"))
