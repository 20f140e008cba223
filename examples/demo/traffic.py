"""The calls of the demo, and how each of them is measured."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from monite_async import AsyncMonite, EntityClient, EntityUserClient

__all__ = ["Crowd", "Job", "Stage", "Tally", "jobs"]

Scope: TypeAlias = AsyncMonite | EntityClient | EntityUserClient
T = TypeVar("T")
Job: TypeAlias = tuple[Scope, Callable[[], Awaitable[object]]]


@dataclass(slots=True)
class Stage:
    """What was counted in one stage.

    Attributes:
        name: Its name in the table.
        outage: Whether the token endpoint is down in it.
        failed: Calls that raised.
        waited: Calls that had to wait for a token.
        seconds: How long each call took, its wait for a token included.
    """

    name: str
    outage: bool = False
    failed: int = 0
    waited: int = 0
    seconds: list[float] = field(default_factory=list[float])


class Tally:
    """Makes calls and counts them for the stage in which they begin."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.errors: Counter[str] = Counter()

    @property
    def done(self) -> int:
        """Calls that came to an end."""
        return sum(len(stage.seconds) for stage in self.stages)

    @property
    def failed(self) -> int:
        """Calls that failed."""
        return sum(stage.failed for stage in self.stages)

    def begin(self, name: str, *, outage: bool) -> None:
        """Begin a stage."""
        self.stages.append(Stage(name, outage))

    async def do(self, scope: Scope, work: Callable[[], Awaitable[T]]) -> T:
        """Make one call, count it, and return what it returns or raise what it raises."""
        stage = self.stages[-1]
        started = time.perf_counter()
        try:
            waited = await _had_to_wait(scope)
            stage.waited += waited
            return await work()
        except Exception as error:
            stage.failed += 1
            self.errors[f"{type(error).__name__}: {error}"] += 1
            raise
        finally:
            stage.seconds.append(time.perf_counter() - started)

    async def call(self, job: Job) -> None:
        """Make one call; a failure is counted and not raised: the demo goes on and tells of it at its end."""
        with contextlib.suppress(Exception):
            await self.do(*job)

    async def all(self, jobs: Sequence[Job]) -> None:
        """Make many calls, all at once."""
        await asyncio.gather(*(self.call(job) for job in jobs))


async def _had_to_wait(scope: Scope) -> bool:
    """Take the token that the next call of this scope is sent with, and tell whether it had to be waited for.

    ``token()`` with a token in hand returns without giving way to any other task. So if the event loop came to run
    what was put in its queue just before, ``token()`` has waited.
    """
    turns: list[None] = []
    handle = asyncio.get_running_loop().call_soon(turns.append, None)
    await scope.token()
    handle.cancel()
    return bool(turns)


class Crowd:
    """Calls that never stop while it is open: each scope makes one, pauses, and makes its next.

    Args:
        tally: Makes and counts the calls.
        series: The calls of each scope, made over and over.
        pause: Seconds between two calls of one scope.
    """

    def __init__(self, tally: Tally, series: Sequence[Sequence[Job]], *, pause: float) -> None:
        self._tally = tally
        self._series = series
        self._pause = pause
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._walk(turn, series)) for turn, series in enumerate(self._series)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.wait(self._tasks)

    async def _walk(self, turn: int, series: Sequence[Job]) -> None:
        while not self._stop.is_set():
            await self._tally.call(series[turn % len(series)])
            turn += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._pause)


def _of_partner(monite: AsyncMonite, entity_id: str) -> list[Job]:
    return [
        (monite, lambda: monite.entities.get(entity_id)),
        (monite, lambda: monite.entities.list(limit=5)),
        (monite, lambda: monite.entities.update(entity_id, phone="+4930123456")),
        (monite, lambda: monite.entities.get_settings(entity_id)),
    ]


def _of_entity(acme: EntityClient, payable_id: str) -> list[Job]:
    return [
        (acme, lambda: acme.payables.get(payable_id)),
        (acme, lambda: acme.roles.list(limit=5)),
        (acme, lambda: acme.entity_users.list(limit=5)),
        (acme, lambda: acme.payables.create(currency="EUR", total_amount=12_50)),
        (acme, lambda: acme.payables.update(payable_id, description="seen by the entity")),
    ]


def _of_user(user: EntityUserClient, payable_id: str) -> list[Job]:
    return [
        (user, user.entity_users.get_me),
        (user, lambda: user.payables.get(payable_id)),
        (user, lambda: user.payables.create(currency="EUR", total_amount=99_00, document_id="DEMO")),
        (user, lambda: user.payables.list(limit=5, order="desc")),
        (user, lambda: user.payables.update(payable_id, description="seen by a user")),
    ]


def jobs(
    monite: AsyncMonite, acme: EntityClient, users: Sequence[EntityUserClient], payable_ids: Sequence[str]
) -> list[list[Job]]:
    """Return a series of mixed reads and writes for each scope: the partner's, the entity's, then each user's."""
    series = [_of_partner(monite, acme.entity_id), _of_entity(acme, payable_ids[0])]
    series.extend(_of_user(user, payable_ids[index % len(payable_ids)]) for index, user in enumerate(users))
    return series
