"""What each lever of a call gives today: the same call with one thing done otherwise, all in one process, in turn.

Takes the case as JSON and prints its figures as JSON, as ``_call_worker`` does. Each way has connections of its own to the
same server; a figure is the least CPU time of many blocks of calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Any, cast

import httpx

from benchmarks._call_peers import HttpxSniffio
from benchmarks._call_systems import PAYABLE, Client, Floor, Ours, Target, fast
from benchmarks._call_worker import Figures, Job, closed_loop
from benchmarks._measure import allow_many_sockets, pin
from benchmarks._payable_server import HOST, Ports, answer, body
from monite_async import EntityClient
from monite_async._http.framing import Framing
from monite_async._http.transport import PooledTransport

__all__ = ["CROWD", "levers", "main"]

CROWD = 100
"""Calls at once, besides one."""
_LEAST_CALLS = 40
_PLENTY, _LONG = 1_000, 600.0
_HEAD = 64 * 1024
_FINER = 5
"""How many times as many blocks there are of what is quick: differences are small there."""


class _Given:
    """This library over a transport that it is given."""

    def __init__(self, target: Target, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._ours = Ours(target, transport=transport)
        self.call = self._ours.call

    async def aclose(self) -> None:
        await self._ours.aclose()
        await self._transport.aclose()


class _Foreign(httpx.AsyncBaseTransport):
    """This library's connections where it cannot tell that they are its own: requests and answers are httpx objects."""

    def __init__(self) -> None:
        self._inner = PooledTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _New(Ours):
    """Each call in a scope that was never used before, instead of one that the client remembers."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, transport="fast")
        self._ids = count()

    def scope(self) -> EntityClient:
        return self.client.entity(f"{next(self._ids):036d}")


class _Kept(Ours):
    """A scope that is kept, instead of one that the client is asked for."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, transport="fast")
        self._kept = self.scope()

    async def call(self) -> object:
        return await self._kept.payables.get(PAYABLE)


def _unlimited(target: Target) -> Ours:
    """Return the fast engine without its limiter."""
    ours = fast(target)
    cast("Any", ours.client)._core.engine.limiter.active = False
    return ours


def _timeless(target: Target) -> Ours:
    """Return the fast engine with no timer for the deadline."""
    ours = fast(target)
    engine: Any = cast("Any", ours.client)._core.engine
    engine.carrier = _Timeless(engine.carrier)
    return ours


class _Timeless:
    """Carries requests without end, but for the first, which needs a connection."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._more = inner, dict[str, float]()

    async def exchange(self, *arguments: Any, **options: Any) -> object:
        answer: object = await self._inner.exchange(*arguments, **{**options, **self._more})
        self._more = {"until": math.inf}
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(frozen=True, slots=True)
class Way:
    """One way of making the call.

    Attributes:
        make: Makes its client.
        uvloop: Whether it runs on uvloop.
        around: What a block of calls stands in.
        alone: Whether it is measured one call at a time, too: that is for what differs by much.
        slow: Whether a block of a crowd takes long.
    """

    make: Callable[[Target], Client]
    uvloop: bool = False
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    alone: bool = True
    slow: bool = False


@contextlib.contextmanager
def _without_collector() -> Generator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _wide() -> httpx.Limits:
    return httpx.Limits(max_connections=_PLENTY, max_keepalive_connections=_PLENTY, keepalive_expiry=_LONG)


_WAYS: dict[str, Way] = {
    "client": Way(HttpxSniffio, slow=True),
    "transport": Way(lambda target: _Given(target, httpx.AsyncHTTPTransport()), slow=True),
    "wide": Way(lambda target: _Given(target, httpx.AsyncHTTPTransport(limits=_wide())), slow=True),
    "adapter": Way(lambda target: _Given(target, _Foreign())),
    "default": Way(Ours),
    "fast": Way(fast),
    "floor": Way(Floor),
    "kept": Way(_Kept, alone=False),
    "new": Way(_New),
    "unlimited": Way(_unlimited, alone=False),
    "timeless": Way(_timeless, alone=False),
    "uncollected": Way(fast, around=_without_collector, alone=False),
    "uvloop": Way(fast, uvloop=True),
}


def levers(target: Target, rounds: int, seconds: float, crowd: int = CROWD) -> Figures:
    """Measure every way, and the steps that can be had alone; CPU microseconds per call, or per step.

    Args:
        target: What is called.
        rounds: Blocks of a slow way; a quick one has more.
        seconds: About how long a block takes, where so many calls fit in it.
        crowd: Calls at once, besides one.
    """
    with ExitStack() as stack:
        plain = stack.enter_context(asyncio.Runner())
        found = bool(find_spec("uvloop"))
        factory: Any = import_module("uvloop").new_event_loop if found else None
        other = stack.enter_context(asyncio.Runner(loop_factory=factory))
        ways = {name: way for name, way in _WAYS.items() if found or not way.uvloop}
        clients: dict[str, tuple[asyncio.Runner, Client]] = {}
        for name, way in ways.items():
            runner = other if way.uvloop else plain
            clients[name] = runner, runner.run(_made(way, target))
        # One at a time first: later a hundred idle connections lie beside, which some pools are slow with.
        alone = {name: way for name, way in ways.items() if way.alone}
        figures = _measured(alone, clients, 1, rounds, seconds)
        figures |= _measured(ways, clients, crowd, rounds, seconds)
        for runner, client in clients.values():
            runner.run(client.aclose())
    return figures | _steps(rounds)


async def _made(way: Way, target: Target) -> Client:
    client = way.make(target)
    await client.call()
    return client


def _measured(
    ways: dict[str, Way],
    clients: dict[str, tuple[asyncio.Runner, Client]],
    at_once: int,
    rounds: int,
    seconds: float,
) -> Figures:
    calls: dict[str, int] = {}
    for name in ways:
        runner, client = clients[name]
        first = runner.run(_block(client, at_once, max(at_once, _LEAST_CALLS)))
        calls[name] = max(2 * at_once, int(seconds / first))
    least = dict.fromkeys(ways, math.inf)
    for turn in range(rounds * _FINER):
        for name in list(ways) if turn % 2 else reversed(ways):
            if ways[name].slow and turn % _FINER:
                continue
            runner, client = clients[name]
            with ways[name].around():
                least[name] = min(least[name], runner.run(_block(client, at_once, calls[name])))
    return {f"{name} {at_once}": value * 1e6 for name, value in least.items()}


async def _block(client: Client, at_once: int, calls: int) -> float:
    return (await closed_loop(client, at_once, calls)).cpu / calls


def _steps(rounds: int) -> Figures:
    """Measure what is done to an answer: reading it from the wire, and making models of it."""
    from benchmarks._payloads import page
    from monite_async._http.framing_h11 import H11Framing
    from monite_async._http.framing_llhttp import LlhttpFraming
    from monite_async.models._base import decode
    from monite_async.models.payables import PayablePaginationResponse, PayableResponseSchema

    one, many, wire = body(), json.dumps(page()).encode(), answer()
    decode(PayableResponseSchema, one)
    steps: dict[str, tuple[Callable[[], object], int]] = {
        "h11": (partial(_read, H11Framing(_HEAD), wire), 100),
        "llhttp": (partial(_read, LlhttpFraming(_HEAD), wire), 100),
        "json": (partial(decode, PayableResponseSchema, one), 100),
        "python": (lambda: PayableResponseSchema.model_validate(json.loads(one)), 100),
        "resting": (partial(decode, PayablePaginationResponse, many), 1),
        "running": (partial(PayablePaginationResponse.model_validate_json, many), 1),
    }
    least = dict.fromkeys(steps, math.inf)
    for _ in range(2 * rounds):
        for name, (step, times) in steps.items():
            gc.collect()
            begin = time.process_time()
            for _time in range(times):
                step()
            least[name] = min(least[name], (time.process_time() - begin) / times)
    return {name: value * 1e6 for name, value in least.items()}


def _read(framing: Framing, wire: bytes) -> None:
    """Read an answer as it comes from the wire, and make ready for the next."""
    framing.begin(b"GET")
    framing.feed(wire)
    assert framing.complete
    framing.chunks = []
    framing.reset()


def main() -> None:
    """Run what the command line asks for."""
    allow_many_sockets()
    pin(0)
    warnings.simplefilter("ignore")  # of httpx, about itself
    job = cast("Job", json.loads(sys.argv[1]))
    ports = Ports(**job["ports"])
    target = Target(f"http://{HOST}:{ports.plain}/v1", ports.authority)
    print(json.dumps(levers(target, job["calls"], job["seconds"])), flush=True)


if __name__ == "__main__":
    main()
