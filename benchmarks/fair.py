"""Fair use: processes that share a rate limit of the server, beside aiolimiter and the official client without a limiter.

Run ``python -m benchmarks.fair``; the peers come with the extra ``bench``, and a Redis from
``scripts/redis_server.sh`` where none is installed. The server is the emulator, which enforces the limit and sends the
headers as Monite documents them; what is refused is counted there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks._fair_systems import BY_HAND, EACH, LEARNING, NONE, PATIENCE, SHARED, SYSTEMS, TOLD, Place
from benchmarks._output import installed, say
from benchmarks._report import Bar, Table, machine, number
from monite_async import AsyncMonite
from monite_async.emulator import Remote, launch
from tests.stores.redis_server import RedisServer

__all__ = ["Size", "main", "measure"]

Figures: TypeAlias = dict[str, float]
_ROOT = Path(__file__).resolve().parent.parent
_VERSIONS = ("aiolimiter", "monite", "monite-async", "redis")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for.

    Attributes:
        processes: Processes.
        calls: Calls of each, all begun at once.
        limit: Requests per second that the server takes.
    """

    processes: int = 8
    calls: int = 500
    limit: int = 30


_QUICK = Size(processes=4, calls=90, limit=60)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status: 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fair", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: few calls at a higher limit")
    parser.add_argument("--strict", action="store_true", help="fail on a missed time too, not only on a missed count")
    parser.add_argument("--only", action="append", metavar="SYSTEM", choices=list(SYSTEMS), help="one of the systems")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, with versions, machine and date")
    options = parser.parse_args(arguments)
    size = _QUICK if options.quick else Size()
    wanted = options.only or [SHARED, TOLD, LEARNING, BY_HAND, EACH, NONE]
    where = machine([f"{package} {version}" for package in _VERSIONS if (version := installed(package))])
    print(f"{where}\n")
    found = {name: figures for name in wanted if (figures := _measured(name, size))}
    promises = bars(found)
    rule = "A missed count fails the run; a missed time only with `--strict`, because other work on the machine adds to it."
    verdict = Table("The bars", rule, ["what", "kind", "bar", "measured", ""], [promise.row() for promise in promises])
    text = "\n\n".join([table(found, size).render(), verdict.render()])
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(f"# Sharing a rate limit\n\n{where}\n\n{text}\n", encoding="utf-8")
    if options.json:
        told = [{"what": bar.what, "kind": bar.kind, "value": bar.value, "reached": bar.reached} for bar in promises]
        Path(options.json).write_text(json.dumps({"machine": where, "figures": found, "bars": told}, indent=1))
    missed = [promise for promise in promises if not promise.reached and (options.strict or promise.kind == "count")]
    return 1 if missed else 0


def _measured(name: str, size: Size) -> Figures:
    """Measure one system; a peer that fails has no figures."""
    try:
        return asyncio.run(measure(name, size))
    except Exception as exc:
        if name in (SHARED, TOLD, LEARNING):
            raise
        print(f"{name} failed: {exc!r}\n", flush=True)
        return {}


async def measure(name: str, size: Size) -> Figures:
    """Let a fleet of one system make its calls against a server of its own; return what became of them."""
    say(name)
    with RedisServer() as redis:
        async with launch(("--port", "0")) as remote:
            place = await _place(remote, redis.url, size)
            await remote.configure(rate_limit=size.limit)
            fleet = await asyncio.gather(*(_start(name, place, size.calls) for _ in range(size.processes)))
            await remote.clear_log()
            answers = await asyncio.gather(*(_run(process) for process in fleet))
            statuses = await remote.statuses()
    waits = sorted(wait for answer in answers for wait in answer["waits"])
    begun = min(answer["begun"] for answer in answers)
    ends = sorted(answer["ended"] - begun for answer in answers)
    return {
        "calls": size.processes * size.calls,
        "failed": sum(answer["failed"] for answer in answers),
        "refused": statuses.get(429, 0),
        "seconds": ends[-1],
        "first": ends[0],
        "rate": len(waits) / ends[-1],
        "share": len(waits) / ends[-1] / size.limit,
        "p50": _at(waits, 0.5),
        "p99": _at(waits, 0.99),
    }


async def _place(remote: Remote, redis: str, size: Size) -> Place:
    options = remote.client_options()
    async with AsyncMonite(**options) as monite:
        entity = await monite.entities.create(
            type="individual",
            email="ann@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
            individual={"first_name": "Ann", "last_name": "Ann"},
        )
        token = (await monite.token()).value
    return Place(
        **options, token=token, entity_id=str(entity.id), redis=redis, limit=size.limit, processes=size.processes
    )


async def _start(name: str, place: Place, calls: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._fair_worker", name, json.dumps(asdict(place)), str(calls)),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def _run(process: asyncio.subprocess.Process) -> dict[str, Any]:
    output, _ = await asyncio.wait_for(process.communicate(b"\n"), PATIENCE)
    answer: dict[str, Any] = json.loads(output)
    return answer


def _at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def table(found: dict[str, Figures], size: Size) -> Table:
    """Return what was measured, as a table."""
    rows = [
        [
            name,
            number(one["calls"]),
            number(one["failed"]),
            number(one["refused"]),
            number(one["seconds"], 1),
            number(one["rate"], 1),
            f"{100 * one['share']:.0f} %",
            number(one["first"], 1),
            number(one["p50"], 1),
            number(one["p99"], 1),
        ]
        for name, one in found.items()
    ]
    method = (
        f"Each process has made one call; then all calls are begun at once. The server takes {size.limit} requests per second, with one second's worth at "
        "once; at most 50 per process are under way in the official client. 429s as the server counts them; calls/s that succeeded until the last process was done, and their share "
        "of the limit; waits from the beginning to the answer of calls that succeeded."
    )
    head = ["system", "calls", "failed", "429s", "s", "calls/s", "of the limit", "first process done, s"]
    head += ["wait p50, s", "p99, s"]
    return Table(f"{size.processes} processes x {size.calls} calls at {size.limit} per second", method, head, rows)


def bars(found: dict[str, Figures]) -> list[Bar]:
    """Return the promises of this library, each with what was measured in this run."""
    promises: list[Bar] = []
    for name in (SHARED, TOLD, LEARNING):
        one = found.get(name)
        if one is None:
            continue
        promises.append(Bar(f"{name}: failed calls", "count", one["failed"], 0, exact=True))
        if name != LEARNING:
            refused, lost = 100 * one["refused"] / one["calls"], 100 - 100 * one["share"]
            promises.append(Bar(f"{name}: 429s, % of the calls", "count", refused, 1))
            promises.append(Bar(f"{name}: % of the limit that is not used", "time", lost, 5))
    return promises


if __name__ == "__main__":
    sys.exit(main())
