"""One worker of the fleet, in a process of its own: ``python -m examples.demo.fleet_worker USER-ID...``.

Where Monite and the token store are it reads from the environment, as a real worker would. What to do it is told on
standard input, one JSON object per line, and it answers each with one line on standard output. It ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from monite_async import AsyncMonite, MoniteError

__all__ = ["main"]

_PAUSE = 0.03
_PATIENCE = 15.0


class Worker:
    """Calls as the partner and as users, and counts.

    Args:
        monite: The client.
        users: The users to call as, besides the partner.
    """

    def __init__(self, monite: AsyncMonite, users: Sequence[str]) -> None:
        self._monite = monite
        self._keys: list[str | None] = [None, *users]
        self._calls = self._failed = 0
        self._errors: Counter[str] = Counter()
        self._steady: asyncio.Task[None] | None = None

    async def obey(self, order: Mapping[str, object]) -> dict[str, object]:
        """Do what an order says, and return what was counted so far."""
        count, user = int(str(order.get("calls", 1))), str(order.get("user", ""))
        match order.get("do"):
            case "burst":
                keys = self._keys
                await asyncio.gather(*(self._call(keys[n % len(keys)]) for n in range(count)))
            case "ask":
                await asyncio.gather(*(self._call(user) for _ in range(count)))
            case "steady":
                self._steady = self._steady or asyncio.create_task(self._go_on())
            case "revoke":
                await self._monite.as_user(user).revoke_token()
            case "reach":
                await self._reach()
            case _:
                pass  # only a report is wanted
        return self._report()

    async def stop(self) -> None:
        """End the steady calls."""
        if self._steady is not None:
            self._steady.cancel()
            await asyncio.wait([self._steady])

    async def _call(self, user: str | None) -> None:
        self._calls += 1
        try:
            if user is None:
                await self._monite.entities.list(limit=1)
            else:
                await self._monite.as_user(user).entity_users.get_me()
        except MoniteError as error:
            self._failed += 1
            self._errors[f"{type(error).__name__}: {error}"] += 1

    async def _go_on(self) -> None:
        while True:
            for user in self._keys:
                await self._call(user)
                await asyncio.sleep(_PAUSE)

    async def _reach(self) -> None:
        """Use the store, at the cost of no token, until it answers again."""
        limit = asyncio.get_running_loop().time() + _PATIENCE
        while self._events("store_recovered") < self._events("store_degraded"):
            if asyncio.get_running_loop().time() > limit:
                return
            await self._monite.tokens.invalidate("nobody")
            await asyncio.sleep(0.1)

    def _events(self, kind: str) -> int:
        return self._monite.tokens.stats().events.get(kind, 0)

    def _report(self) -> dict[str, object]:
        return {
            "calls": self._calls,
            "failed": self._failed,
            "errors": dict(self._errors),
            "events": dict(self._monite.tokens.stats().events),
        }


async def _serve(users: Sequence[str]) -> None:
    async with AsyncMonite.from_env() as monite:
        worker = Worker(monite, users)
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(await worker.obey(cast("dict[str, object]", json.loads(line)))), flush=True)
        finally:
            await worker.stop()


def main(users: Sequence[str]) -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which then ends the input
    for name in ("monite_async", "monite_async_stores"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they warn of an outage, and this one is on purpose
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(_serve(users))


if __name__ == "__main__":
    main(sys.argv[1:])
