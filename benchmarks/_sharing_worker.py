"""One process of a fleet that is measured: does what lines of JSON on its standard input say."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import warnings
from functools import partial
from itertools import repeat
from typing import Any

from benchmarks._measure import Probe, allow_many_sockets, async_probe, best, microseconds, without_gc
from benchmarks._sharing_systems import FILES, MEMORY, OURS, Monite, Place, Shared, find
from benchmarks._token_server import Endpoint

Order = dict[str, Any]
Figures = dict[str, float]


class Worker:
    """What the orders do."""

    def __init__(self, name: str) -> None:
        self._make = find(name)
        self._system: Shared | None = None

    @property
    def system(self) -> Shared:
        assert self._system is not None
        return self._system

    async def open(self, order: Order) -> Figures:
        """Make a system with no token yet."""
        await self.close(order)
        self._system = self._make(_place(order))
        return {}

    async def close(self, _: Order) -> Figures:
        """Close what there is."""
        system, self._system = self._system, None
        if system is not None:
            await system.aclose()
        return {}

    async def crowd(self, order: Order) -> Figures:
        """Let so many coroutines for each of so many users ask at once."""
        begin, worst, served = time.perf_counter(), 0.0, 0

        async def call(user: int) -> None:
            nonlocal worst, served
            try:
                await self.system.get(user)
            except Exception:
                return
            finally:
                worst = max(worst, time.perf_counter() - begin)
            served += 1

        await asyncio.gather(*(call(user) for _ in range(order["size"]) for user in order["users"]))
        asked = order["size"] * len(order["users"])
        return {"served": served, "failed": asked - served, "worst": worst, "ended": time.monotonic()}

    async def hits(self, order: Order) -> Figures:
        """Measure what a token that is there costs, in several systems in turn."""
        systems: list[Shared] = []
        probes: dict[str, Probe] = {}
        for name in order["systems"]:
            ours = name in (OURS, FILES, MEMORY)
            try:
                system = find(name)(_place(order))
                call = system.client.token if isinstance(system, Monite) else partial(system.get, 0)
                await call()
            except Exception:
                if ours:
                    raise
                continue  # it has failed, or will, at everything else too, and is shown so
            systems.append(system)
            probes[name] = async_probe(call)
        with without_gc():
            costs = await best(probes, rounds=order["rounds"])
        for system in systems:
            await system.aclose()
        return {name: microseconds(cost) for name, cost in costs.items()}

    async def revoke(self, _: Order) -> Figures:
        """Revoke the partner's token; tell when that began."""
        assert isinstance(self.system, Monite)
        begun = time.monotonic()
        await self.system.client.revoke_token()
        return {"begun": begun}

    async def await_drop(self, _: Order) -> Figures:
        """Use the partner's token until it is no longer served; tell when that was."""
        assert isinstance(self.system, Monite)
        core = self.system.client._core
        key, peek = core.key(), core.issued().peek
        first = peek(key)
        print(json.dumps({"watching": first is not None}), flush=True)
        for _turn in repeat(None):
            if first is None or peek(key) is not first:
                break
            await asyncio.sleep(0.001)
        return {"dropped": time.monotonic()}


def _place(order: Order) -> Place:
    port, orders = order["ports"]
    return Place(Endpoint(port, orders), order["redis"], order["directory"])


async def main(name: str) -> None:
    """Carry out orders, one after the other, until there are no more."""
    worker, loop = Worker(name), asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order: Order = json.loads(line)
        print(json.dumps(await getattr(worker, order["do"])(order)), flush=True)


if __name__ == "__main__":
    allow_many_sockets()
    logging.getLogger().addHandler(logging.NullHandler())
    logging.disable(logging.CRITICAL)  # nobody reads what peers log, and a terminal would slow them down
    warnings.simplefilter("ignore")
    asyncio.run(main(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
