"""What README and docs say in figures, made from ``results.json``: one function for each place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from benchmarks import levers
from benchmarks._call_systems import FAST, HTTPX, OFFICIAL, OURS, RAW
from benchmarks._call_tables import LATE, PLAIN
from benchmarks._known import NONE, Known, many, prose, strong, table, times, wait
from benchmarks._report import number

__all__ = ["TEXTS", "Text"]

_HTTPX2 = "httpx2 + model"
_AT_ONCE = (1, 100, 1_000)
_FIRST = "first parsed payable"
_TOKENS = {
    "monite-async": "monite-async",
    "Authlib": "Authlib, expired token",
    "azure-identity": "azure-identity credential",
    "httpx-auth": "httpx-auth",
    "aiobotocore": "aiobotocore credentials",
    "a lock by hand": "asyncio.Lock, by hand",
}
_NO_TOKEN = {"Authlib": "Authlib, first token"}
"""Where a crowd without a token is another matter than one whose token expired."""
_SHARING = {
    "monite-async": "monite-async, Redis",
    "no lock": "Redis, no lock",
    "redis-py `Lock`": "redis-py Lock pattern",
    "aiocache": "aiocache cached_stampede",
    "cashews": "cashews",
    "cashews, `lock=True`": "cashews, lock=True",
}
_SHARED = 2
"""Requests for a token whose fetcher was killed: his, and the one that all others share."""
_FLIGHT = 3
"""Requests of one flight at most, repeats included."""


def _row(what: str, systems: Mapping[str, str], cell: Callable[[str], str]) -> list[str]:
    """Return a row: what it is about, ours in bold, the others."""
    ours, *others = (cell(name) for name in systems.values())
    return [what, strong(ours), *others]


def _hit(known: Known, name: str) -> str:
    costs = known.case("tokens", "hit_cost", "monite-async")
    if name == "monite-async":
        return f"{costs['client.token']:.2f} µs (`peek` {costs['cache.peek']:.2f})"
    return f"{costs[name]:.{1 if costs[name] >= 1 else 2}f} µs" if name in costs else NONE


def _down(one: Mapping[str, float]) -> str:
    how = " in series" if one["posts"] > _FLIGHT else ""
    return f"{one['posts']:g}{how}, {one['seconds']:.1f} s" if one["peak"] == 1 else f"{one['posts']:g} at once"


def tokens(known: Known) -> str:
    """Return the table of tokens in the README."""
    crowd = "stampede 10000"
    first = {shown: _NO_TOKEN.get(shown, name) for shown, name in _TOKENS.items()}

    def requests(name: str) -> str:
        found = cast("Mapping[str, float]", known.figures("tokens").get(crowd, {}).get(name, {}))
        if not found:
            return NONE
        if "stopped" not in found:
            return number(found["posts"])
        return f"{number(found['posts'])}{'' if found['posts'] else ', none served'} in {found['stopped']:g} s"

    def of(case: str, show: Callable[[Mapping[str, float]], str]) -> Callable[[str], str]:
        return lambda name: show(found) if (found := known.case("tokens", case, name)) else NONE

    def hurried(name: str) -> str:
        one, gap = known.case("tokens", "short_budgets", name), known.case("tokens", "cancelled", name)
        if not one:
            return NONE
        if gap and not gap["cancelled"]:
            return f"blocks the loop for {number(gap['gap'] * 1000)} ms"
        return f"{one['served']:g}, {many(one['posts'], 'request')}"

    asked = "10,000 coroutines and no token: requests for one"
    rows = [
        _row(asked, first, requests),
        _row(
            "until all are served, from an endpoint that takes 150 ms",
            first,
            of(crowd, lambda one: wait(one["seconds"] * 1000)),
        ),
        _row("CPU per waiting coroutine", first, of(crowd, lambda one: f"{one['cpu_us']:.0f} µs")),
        _row("a hit", _TOKENS, partial(_hit, known)),
        _row("endpoint down, 100 callers: requests, last answer", _TOKENS, of("failing", _down)),
        _row("the next 20 callers: requests", _TOKENS, of("failing", lambda one: f"{one['more_posts']:g}")),
        _row("callers with 50 ms for a token that takes 300 ms: served of 160", _TOKENS, hurried),
        _row(
            "the same object in a second `asyncio.run`: served of 50",
            _TOKENS,
            of("second_loop", lambda one: f"{one['served']:g}"),
        ),
    ]
    expired = known.case("tokens", crowd, _TOKENS["Authlib"])
    works = (
        f"; with an expired one its lock works ({many(expired['posts'], 'request')}, {wait(expired['seconds'] * 1000)}, "
        f"{expired['cpu_us']:.0f} µs)"
        if expired
        else ""
    )
    machine = known.where("tokens")
    note = f"Authlib is shown with no token at all in the first three rows{works}. {machine}: read the ratios."
    return f"{table(['', *_TOKENS], rows)}\n\n{prose(note)}"


def sharing(known: Known) -> str:
    """Return the table of processes that share tokens in the README."""

    def of(case: str, show: Callable[[Mapping[str, float]], str]) -> Callable[[str], str]:
        def cell(name: str) -> str:
            found = known.case("sharing", case, name)
            return show(found) if found else known.why("sharing", case, name)

        return cell

    def posts(case: str) -> Callable[[str], str]:
        told = cast("Mapping[str, Mapping[str, float]]", known.figures("sharing")[case])

        def cell(name: str) -> str:
            if name not in told:
                return NONE
            stopped = told[name].get("stopped")
            return number(told[name]["posts"]) + (f" in {stopped:g} s" if stopped else "")

        return cell

    def commands(name: str) -> str:
        return number(found["commands"]) if (found := known.case("sharing", "one_key", name)) else NONE

    def after(one: Mapping[str, float]) -> str:
        return f"{one['after']:.1f} s" + (f", {many(one['posts'], 'request')}" if one["posts"] > _SHARED else "")

    def killed(name: str) -> str:
        files = known.case("sharing", "killed", "monite-async, files")
        more = f" (files {after(files)})" if files and name == _SHARING["monite-async"] else ""
        return of("killed", after)(name) + more

    def frozen(one: Mapping[str, float]) -> str:
        return f"{one['failed']:g}" + ("" if one["failed"] else f", {wait(one['worst'] * 1000)}")

    def hit(one: Mapping[str, float]) -> str:
        return f"{one['us']:.2f} µs" if one["us"] < 1 else f"{number(one['us'])} µs"

    rows = [
        _row("requests for one token", _SHARING, posts("one_key")),
        _row(
            "worst wait, from an endpoint that takes 300 ms",
            _SHARING,
            of("one_key", lambda one: wait(one["worst"] * 1000)),
        ),
        _row("Redis commands per process", _SHARING, commands),
        _row("requests for 100 tokens", _SHARING, posts("many_keys")),
        _row("the process that fetches is killed: the others are served after", _SHARING, killed),
        _row("Redis frozen: errors of 400, worst wait", _SHARING, of("frozen", frozen)),
        _row("a hit", _SHARING, of("hits", hit)),
    ]
    return table(["", *_SHARING], rows)


def _beside(known: Known, system: str, at_once: int) -> str:
    """Return what a call costs beside httpx."""
    case = PLAIN.format(at_once)
    cost, base = known.median(case, system, "cpu_us"), known.median(case, HTTPX, "cpu_us")
    if system == HTTPX:
        return "1"
    return NONE if cost is None or base is None else times(cost / base)


def calls(known: Known) -> str:
    """Return the table of calls in the README."""
    shown = {"monite-async": OURS, '`transport="fast"`': FAST, "aiohttp": RAW, "httpx2": _HTTPX2, "httpx": HTTPX}
    shown["official client"] = OFFICIAL

    def cells(at_once: int) -> list[str]:
        found = [_beside(known, name, at_once) for name in shown.values()]
        return [f"{at_once:,}", *map(strong, found[:2]), *found[2:]]

    costs = cast("Mapping[str, Mapping[str, float]]", known.figures("imports")["costs"])
    ours, official = costs[f"{_FIRST}, monite-async"], costs.get(f"{_FIRST}, monite")
    first = [strong(_ms(ours)), "", "", "", "", _ms(official) if official else NONE]
    rows = [*map(cells, _AT_ONCE), ["from nothing to the first payable, CPU", *first]]
    return table(["calls at once", *shown], rows)


def _ms(cost: Mapping[str, float]) -> str:
    return f"{number(cost['cpu_ms'])} ms"


def call(known: Known) -> str:
    """Return the table of calls in the docs."""
    shown = {OURS: "monite-async", FAST: 'monite-async, `transport="fast"`'}
    shown |= {name: name for name in (RAW, _HTTPX2, HTTPX, OFFICIAL)}

    def cells(name: str) -> list[str]:
        found = [_beside(known, name, at_once) for at_once in _AT_ONCE]
        if name == HTTPX:
            costs = [known.median(PLAIN.format(at_once), name, "cpu_us") for at_once in _AT_ONCE]
            found = [NONE if cost is None else f"1 ({number(cost)} µs)" for cost in costs]
        tail = known.median(PLAIN.format(100), name, "tail")
        found = [*map(strong, found)] if name in (OURS, FAST) else found
        return [shown[name], *found, NONE if tail is None else f"{tail:.1f}"]

    head = ["", "1 at once", "100 at once", "1,000 at once", "p99 / p50 at 100"]
    return table(head, [cells(name) for name in shown])


def slow(known: Known) -> str:
    """Return what 100 callers get from a server that takes 50 ms."""
    rates = sorted(known.median(LATE, name, "per_second") or 0.0 for name in (OURS, FAST))
    opened = sum(known.median(LATE, name, "opened") or 0.0 for name in (OURS, FAST))
    over = "over the connections of the warm-up" if not opened else f"with {many(opened, 'new connection')}"
    httpx, official = (known.median(LATE, name, "opened") for name in (HTTPX, OFFICIAL))
    peers = f"; httpx opens {number(httpx)} new ones meanwhile" if httpx is not None else ""
    peers += f", the official client {number(official)}" if official is not None else ""
    least, most = (number(round(rate, -1)) for rate in rates)
    return prose(
        f"From a server that takes 50 ms, 100 at once get {least} to {most} of the 2,000 answers a second that are possible, "
        f"{over}{peers}."
    )


def where(known: Known) -> str:
    """Return the machine and the day of what the docs show."""
    return f"{known.where('calls', 'imports', 'decode')}: read the ratios."


def start(known: Known) -> str:
    """Return the table of imports in the docs."""
    costs = cast("Mapping[str, Mapping[str, float]]", known.figures("imports")["costs"])
    bare = costs["pass"]["cpu_ms"]

    def over(name: str) -> list[str]:
        cost = max(0.0, costs[name]["cpu_ms"] - bare)  # the difference of two figures that are nearly the same
        return [f"`{name}`", f"{cost:,.{1 if cost < 1 else 0}f} ms", f"{number(costs[name]['peak_mb'])} MB"]

    names = ("import monite_async", "from monite_async import AsyncMonite", "import httpx, pydantic", "import monite")
    rows = [over(name) for name in names if name in costs]
    rows[0][-1] = ""
    whole = {
        f"{_FIRST}, monite-async": "from nothing to the first payable, its token included",
        f"{_FIRST}, monite": "the same, official client, given its token",
    }
    for name, text in whole.items():
        if name in costs:
            cells = [_ms(costs[name]), f"{number(costs[name]['peak_mb'])} MB"]
            rows.append([text, strong(cells[0]) if name.endswith("async") else cells[0], cells[1]])
    return table(["", "CPU", "peak memory"], rows)


def uses(known: Known) -> str:
    """Return what the first use of a resource costs."""
    dearest = max(cast("Mapping[str, float]", known.figures("imports")["first uses, CPU ms"]).values())
    return f"The dearest first use of any resource takes {dearest:.0f} ms."


def answer(known: Known) -> str:
    """Return what decoding costs, in the docs."""
    found = known.figures("decode")
    page, one = (cast("Mapping[str, float]", found[what]) for what in ("a page of 100 payables", "one payable"))
    beside = page["monite-async"] / page["bare `model_validate_json`"]
    reads = (
        f"in {beside:.2f} of the time of pydantic's own `model_validate_json`, because the collector rests meanwhile"
    )
    if "official client" not in page:
        return prose(f"A page of 100 payables is read {reads}.")
    faster, too = (costs["official client"] / costs["monite-async"] for costs in (page, one))
    return prose(
        f"A page of 100 payables is read {faster:.0f} times faster than by the official client, and {reads}; one payable "
        f"{too:.0f} times faster."
    )


def hit(known: Known) -> str:
    """Return what a hit costs, in the docs."""
    costs = known.case("tokens", "hit_cost", "monite-async")
    return f"A hit costs {costs['cache.peek']:.2f} µs (`peek`) or {costs['client.token']:.2f} µs (`await token()`)."


def ladder(known: Known) -> str:
    """Return the table of what carries a call, in the README of the benchmarks."""
    return _plain(levers.ladder(_levers(known)), f"{known.where('levers')}.")


def parts(known: Known) -> str:
    """Return the table of where a call goes, in the README of the benchmarks."""
    return _plain(levers.parts(_levers(known)))


def steps(known: Known) -> str:
    """Return the tables of what else was done, in the README of the benchmarks."""
    return "\n\n".join(_plain(one) for one in levers.pairs(_levers(known)))


def _levers(known: Known) -> Mapping[str, float]:
    return cast("Mapping[str, float]", known.figures("levers"))


def _plain(one: Any, more: str = "") -> str:
    """Return a table of a run without its title."""
    text = cast("str", one.render()).partition("\n\n")[2]
    method, _, rest = text.partition("\n\n")
    return f"{method}{' ' if more else ''}{more}\n\n{rest}"


class Text(NamedTuple):
    """A text, and the benchmarks whose figures it tells."""

    make: Callable[[Known], str]
    needs: tuple[str, ...]


TEXTS: dict[str, Text] = {
    "tokens": Text(tokens, ("tokens",)),
    "sharing": Text(sharing, ("sharing",)),
    "calls": Text(calls, ("calls", "imports")),
    "where": Text(where, ("calls", "imports", "decode")),
    "call": Text(call, ("calls",)),
    "slow": Text(slow, ("calls",)),
    "start": Text(start, ("imports",)),
    "uses": Text(uses, ("imports",)),
    "answer": Text(answer, ("decode",)),
    "hit": Text(hit, ("tokens",)),
    "ladder": Text(ladder, ("levers",)),
    "parts": Text(parts, ("levers",)),
    "steps": Text(steps, ("levers",)),
}
"""By the name that stands in the marker."""
