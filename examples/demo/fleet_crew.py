"""The workers of the fleet as seen by whoever tells them what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, cast

__all__ = ["Crew", "Member", "WorkerGoneError"]

_PATIENCE = 90.0
_GOODBYE = 5.0


class WorkerGoneError(Exception):
    """A worker ended although nobody had told it to."""


class Member:
    """One worker process, and what it reported last.

    Attributes:
        calls: Calls that it made.
        failed: How many of them failed.
        errors: What they failed with.
        events: What happened to its tokens, by kind.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.calls = self.failed = 0
        self.errors: dict[str, int] = {}
        self.events: dict[str, int] = {}
        self._process = process

    @classmethod
    async def start(cls, users: Sequence[str], surroundings: Mapping[str, str]) -> Self:
        """Start a worker and wait until it is ready.

        Args:
            users: The users it is to call as.
            surroundings: What to add to its environment.
        """
        pipe = asyncio.subprocess.PIPE
        # As strict about warnings as this process is; the user ids are last, whatever comes before them.
        warn = [f"-W{option}" for option in sys.warnoptions]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *warn,
            *("-m", "examples.demo.fleet_worker", *users),
            stdin=pipe,
            stdout=pipe,
            env={**os.environ, **surroundings},
        )
        member = cls(process)
        try:
            await member.tell("report")
        except BaseException:
            await member.kill()
            raise
        return member

    def seen(self, kind: str) -> int:
        """Return how often something had happened to its tokens."""
        return self.events.get(kind, 0)

    async def tell(self, do: str, **order: object) -> None:
        """Give an order, and wait until it is carried out and reported on.

        Raises:
            WorkerGoneError: The worker ended instead.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerGoneError("a worker has no pipes")
        line = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_PATIENCE):
                stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        if not line:
            raise WorkerGoneError(f"worker {self._process.pid} ended, or hung, when told to {do}")
        report = cast("dict[str, dict[str, int]]", json.loads(line))
        self.calls, self.failed = int(str(report["calls"])), int(str(report["failed"]))
        self.errors, self.events = report["errors"], report["events"]

    async def kill(self) -> None:
        """End it without warning (SIGKILL)."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def leave(self) -> None:
        """End its input, give it a while to close, and end it in any case."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._process.wait()
        await self.kill()


class Crew:
    """All workers, for ``async with``; also those that are gone, because what they did still counts.

    Args:
        size: How many work at once.
        users: The users they call as.
        surroundings: What to add to their environment.
    """

    def __init__(self, size: int, users: Sequence[str], surroundings: Mapping[str, str]) -> None:
        self.alive: list[Member] = []
        self._gone: list[Member] = []
        self._size = size
        self._users = users
        self._surroundings = surroundings

    async def __aenter__(self) -> Self:
        started = await asyncio.gather(*(self._one() for _ in range(self._size)), return_exceptions=True)
        self.alive = [member for member in started if isinstance(member, Member)]
        failures = [failure for failure in started if isinstance(failure, BaseException)]
        if failures:
            await self._dismiss()
            raise failures[0]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._dismiss()

    @property
    def calls(self) -> int:
        """Calls that all of them made."""
        return sum(member.calls for member in (*self.alive, *self._gone))

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(member.failed for member in (*self.alive, *self._gone))

    @property
    def errors(self) -> Counter[str]:
        """What they failed with."""
        total: Counter[str] = Counter()
        for member in (*self.alive, *self._gone):
            total.update(member.errors)
        return total

    async def tell(self, do: str, **order: object) -> None:
        """Give all the same order, and wait for all."""
        await asyncio.gather(*(member.tell(do, **order) for member in self.alive))

    async def kill(self, member: Member) -> None:
        """End one without warning."""
        self.alive.remove(member)
        self._gone.append(member)
        await member.kill()

    async def hire(self) -> Member:
        """Start one more."""
        member = await self._one()
        self.alive.append(member)
        return member

    def _one(self) -> asyncio.Task[Member]:
        return asyncio.create_task(Member.start(self._users, self._surroundings))

    async def _dismiss(self) -> None:
        await asyncio.gather(*(member.leave() for member in self.alive))
