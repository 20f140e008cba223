"""From figures to tables and bars."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks._hits import PROOF_HITS
from benchmarks._plot import Panel
from benchmarks._report import Bar, Table, number, ratio
from benchmarks._run import Results, unfinished
from benchmarks._scenarios import CALLERS, LATENCY, Figures
from benchmarks._systems import OURS

__all__ = ["bars", "panels", "tables"]

_OWN = {
    "cache.peek": f"{OURS}: `peek`, synchronous",
    "client.token": f"{OURS}: `await client.token()`",
    "cache.get": f"{OURS}: `await cache.get()`",
}


def tables(results: Results, sizes: list[int]) -> list[Table]:
    """Return the tables of a run."""
    found = [_hit_table(results), _proof_table(results)]
    found += [_stampede_table(results, size) for size in sizes]
    found += [_keys_table(results), _failing_table(results), _callers_table(results), _cached_table(results)]
    return [table for table in found if table.rows]


def _hit_table(results: Results) -> Table:
    costs = results.of("hit_cost").get(OURS, {})
    base = costs.get("client.token", 0.0)
    order = sorted(costs, key=lambda name: (name not in _OWN, costs[name]))
    rows = [[_OWN.get(name, name), number(costs[name], 3), ratio(costs[name], base)] for name in order]
    method = (
        "A valid token is at hand. CPU time of the thread, least of interleaved rounds, the empty loop's own cost taken "
        "off, the collector off as in `timeit`; each peer at its own call that runs before every request."
    )
    return Table("What a hit costs", method, ["call", "us", "beside client.token()"], rows)


def _proof_table(results: Results) -> Table:
    proof = results.of("hit_proof").get(OURS, {})
    rows = [[name, number(proof[key])] for key, name in _PROOF.items() if proof]
    method = f"Counted over {PROOF_HITS:,} `peek` and {PROOF_HITS:,} `client.token()`; memory over 1,000 of each."
    return Table("What a hit does besides answering", method, ["what", "count"], rows)


_PROOF = {
    "locks": "locks taken (cache, table, stores)",
    "tasks": "tasks started",
    "suspended": "calls that did not finish on the first send",
    "new_headers": "header values other than the one made when the token came",
    "blocks": "memory blocks left over",
    "peek_bytes": "most bytes in use at once, peek",
    "token_bytes": "most bytes in use at once, client.token() with its coroutine",
    "header_bytes": "for comparison: bytes of one header value",
}


def _stampede_table(results: Results, size: int) -> Table:
    figures = results.of(f"stampede {size}")
    ours = figures.get(OURS, {})

    def row(name: str, one: Figures) -> list[str]:
        if why := unfinished(one):
            return [name, number(one["posts"]), why, "-", "-", "-", "-"]
        return [
            name,
            number(one["posts"]),
            number(one["seconds"] * 1000),
            ratio(one["seconds"], ours.get("seconds", 0.0)),
            number(one["cpu_us"], 1),
            number(one["gc_us"], 1),
            ratio(one["cpu_us"], ours.get("cpu_us", 0.0)),
        ]

    method = (
        f"The endpoint takes {LATENCY * 1000:g} ms, in another process. Least time of up to five rounds, most POSTs. The floor "
        "is one task and one bare future per waiter, woken after the same time without any request."
    )
    head = ["system", "POSTs", "all served, ms", "beside ours", "CPU us per waiter", "of it GC", "beside ours"]
    title = f"{size:,} coroutines, no token yet"
    return Table(title, method, head, [row(name, one) for name, one in figures.items()])


def _keys_table(results: Results) -> Table:
    rows = [
        [name, number(one["keys"]), number(one["served"]), number(one["posts"]), number(one["seconds"] * 1000)]
        for name, one in results.of("many_keys").items()
    ]
    head = ["system", "users", "callers served", "POSTs", "all served, ms"]
    return Table(
        "50 users with 200 coroutines each, at once",
        "One client, no tokens yet.",
        head,
        rows,
    )


def _failing_table(results: Results) -> Table:
    def row(name: str, one: Figures) -> list[str]:
        if why := unfinished(one):
            return [name, number(one["posts"]), "-", why, "-"]
        how = "in series" if one["peak"] == 1 else f"{one['peak']:g} at once"
        return [name, number(one["posts"]), how, number(one["seconds"], 2), number(one["more_posts"])]

    method = (
        "The endpoint answers 500 after 20 ms. Our flight tries up to three times with pauses, for all callers together, "
        "and 20 calls made right after get its failure; repeats of the peers' own are off."
    )
    head = ["system", "POSTs", "sent", "last caller waits, s", "POSTs of 20 more calls"]
    rows = [row(name, one) for name, one in results.of("failing").items()]
    return Table(f"{CALLERS} callers, endpoint down", method, head, rows)


def _callers_table(results: Results) -> Table:
    cancelled, budgets, loops = (results.of(case) for case in ("cancelled", "short_budgets", "second_loop"))

    def cells(figures: Figures | None, show: Callable[[Figures], list[str]], count: int) -> list[str]:
        why = "failed" if figures is None else unfinished(figures)
        if figures is None or why:
            return ["failed" if why == "failed" else "hung"] + ["-"] * (count - 1)
        return show(figures)

    def second(one: Figures) -> list[str]:
        return [f"{one['served']:g} / {one['raised']:g}" + (f" / {one['hung']:g} hung" if one["hung"] else "")]

    def first(one: Figures) -> list[str]:
        done = "" if one["cancelled"] else " (cannot be cancelled)"
        return [f"{one['served']:g}{done}", f"{one['posts']:g}", number(one["gap"] * 1000)]

    rows = [
        [
            name,
            *cells(cancelled.get(name), first, 3),
            *cells(budgets.get(name), lambda one: [f"{one['served']:g}", f"{one['posts']:g}"], 2),
            *cells(loops.get(name), second, 1),
        ]
        for name in cancelled
    ]
    method = (
        f"One cancelled: {CALLERS} callers, 300 ms endpoint, the first cancelled after 100 ms; loop blocked is the longest "
        "time the event loop did not get round. Short budgets: 20 callers, eight times, 50 ms each, 300 ms endpoint. "
        "Second loop: 50 callers on a second `asyncio.run` with the same object, its token expired in between."
    )
    head = [
        "system",
        f"one cancelled: served of {CALLERS - 1}",
        "POSTs",
        "loop blocked, ms",
        "short budgets: served of 160",
        "POSTs",
        "second loop: served / raised of 50",
    ]
    return Table("Callers that leave, hurry or move", method, head, rows)


def _cached_table(results: Results) -> Table:
    figures = results.of("cached_tokens").get(OURS, {})
    rows: list[list[str]] = []
    if figures:
        one, kept = figures["one"], figures["cached"]
        rows = [
            ["peek, one token in the cache, us", number(one, 3), ""],
            [f"peek, hot tokens among {kept:,.0f}, us", number(figures["many"], 3), f"{figures['many'] / one:.2f}x"],
            [f"peek, all {kept:,.0f} in random order, us", number(figures["sweep"], 3), ratio(figures["sweep"], one)],
            ["memory per token, bytes", number(figures["bytes"]), ""],
            ["of it the header value of 607 bytes", number(figures["header"]), ""],
            ["of it everything else, store included", number(figures["bytes"] - figures["header"]), ""],
        ]
    method = (
        "In random order every token is a miss of the processor's caches, which is the machine's cost, not the table's. "
        "Memory by `tracemalloc`, token, key and the memory store's record included."
    )
    return Table("Many tokens", method, ["what", "figure", "beside one"], rows)


def panels(results: Results, sizes: list[int]) -> list[Panel]:
    """Return what is worth a picture: hits, the largest stampede, POSTs while the endpoint is down."""
    hits = results.of("hit_cost").get(OURS, {})
    crowd = results.of(f"stampede {sizes[-1]}")
    down = results.of("failing")
    found = [
        Panel("us per hit", [(_OWN.get(name, name), cost, name in _OWN) for name, cost in hits.items()]),
        Panel(
            f"ms until all of {sizes[-1]:,} coroutines are served, endpoint {LATENCY * 1000:g} ms",
            [(name, one["seconds"] * 1000, name == OURS) for name, one in crowd.items() if not unfinished(one)],
        ),
        Panel(
            f"POSTs for {CALLERS} callers and 20 more, endpoint down",
            [
                (name, one["posts"] + one["more_posts"], name == OURS)
                for name, one in down.items()
                if not unfinished(one)
            ],
        ),
    ]
    return [Panel(panel.title, sorted(panel.bars, key=lambda bar: bar[1])) for panel in found]


def bars(results: Results, sizes: list[int]) -> list[Bar]:
    """Return the promises of this library, each with what was measured in this run."""
    hits, proof = results.of("hit_cost")[OURS], results.of("hit_proof")[OURS]
    cached = results.of("cached_tokens")[OURS]
    found = [
        Bar("peek, us", "time", hits["cache.peek"], 0.2),
        Bar("await client.token() on a hit, us", "time", hits["client.token"], 0.5),
        *(
            Bar(f"hit: {_PROOF[name]}", "count", proof[name], 0, exact=True)
            for name in ("locks", "tasks", "suspended", "new_headers", "blocks")
        ),
    ]
    for size in sizes:
        one = results.of(f"stampede {size}")[OURS]
        found += [
            Bar(f"{size:,} coroutines: POSTs", "count", one["posts"], 1, exact=True),
            Bar(f"{size:,} coroutines: served", "count", one["served"], size, exact=True),
            Bar(f"{size:,} coroutines: all served, ms", "time", one["seconds"] * 1000, (LATENCY + 0.15) * 1000),
        ]
    largest = results.of(f"stampede {sizes[-1]}")[OURS]
    found += [
        Bar(f"{sizes[-1]:,} coroutines: CPU us per waiter", "time", largest["cpu_us"], 15),
        Bar("50 users x 200 coroutines: POSTs", "count", results.of("many_keys")[OURS]["posts"], 50, exact=True),
        Bar("endpoint down, 100 callers: POSTs", "count", results.of("failing")[OURS]["posts"], 3),
        Bar("right after, 20 more calls: POSTs", "count", results.of("failing")[OURS]["more_posts"], 0, exact=True),
        Bar("one of 100 cancelled: POSTs", "count", results.of("cancelled")[OURS]["posts"], 1, exact=True),
        Bar("one of 100 cancelled: others served", "count", results.of("cancelled")[OURS]["served"], 99, exact=True),
        Bar("budgets under the latency: POSTs", "count", results.of("short_budgets")[OURS]["posts"], 1, exact=True),
        Bar("second event loop: served of 50", "count", results.of("second_loop")[OURS]["served"], 50, exact=True),
        Bar(f"peek among {cached['cached']:,.0f} tokens beside one", "time", cached["many"] / cached["one"], 1.1),
        Bar("memory per cached token, bytes", "count", cached["bytes"], 1500),
    ]
    return found
