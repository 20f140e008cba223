"""Waiting for work that the API does after it has answered: polling with backoff, under one time limit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from monite_async._errors import WorkFailedError, WorkTimeout
from monite_async._http.operation import Caller, Operation
from monite_async._options import RequestOptions, check_seconds, raise_faults, require_options

__all__ = ["Until", "wait_for"]

T = TypeVar("T")
_Progress: TypeAlias = Literal["pending", "done", "failed"]

_FIRST_PAUSE: Final = 0.5
_GROWTH: Final = 1.5
_LONGEST_PAUSE: Final = 10.0
_SPREAD: Final = 0.25
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Until:
    """What to look for in an answer.

    Attributes:
        state: The field that says how far the work is; None when only ``ready`` tells.
        done: States in which it is over; empty when every state is that is neither ``pending`` nor ``failed``.
        failed: States in which it came to nothing.
        pending: States in which it goes on.
        ready: The field that has a value as soon as the work is over.
        optional: Null for a state means that there is no work to wait for.
    """

    state: str | None = None
    done: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    ready: str | None = None
    optional: bool = False

    def look(self, answer: object) -> tuple[_Progress, str]:
        """Return how far the work is, and its state as the server calls it.

        A state that nobody knows is not the end: what is new in the API may well come before it.
        """
        state: object = None if self.state is None else getattr(answer, self.state, None)
        named = str(state) if state is not None else _UNKNOWN
        if named in self.failed:
            return "failed", named
        if self.ready is not None:
            ready: object = getattr(answer, self.ready, None)
            return ("pending" if ready is None else "done"), named
        if state is None:
            return ("done" if self.optional else "pending"), named
        over = named in self.done if self.done else named not in self.pending
        return ("done" if over else "pending"), named


async def wait_for(
    caller: Caller,
    operation: Operation[T],
    until: Until,
    *,
    path: Mapping[str, object],
    timeout: float,
    options: RequestOptions | None = None,
) -> T:
    """Ask again and again until the work is over, and return the answer that says so.

    The first pause is about half a second, each later one half as long again, none longer than about 10 seconds; all
    of them are drawn from a range, so that many waits at once do not ask at once.

    Args:
        caller: Who asks.
        operation: What is asked.
        until: What to look for in the answer.
        path: Values of the path.
        timeout: Seconds that the whole wait may take.
        options: Options of every request.

    Raises:
        ConfigurationError: The timeout is not a positive number of seconds.
        WorkFailedError: The work came to nothing; ``state`` says how.
        WorkTimeout: It was not over in time; ``state`` is the last one seen.
        MoniteError: A request failed for good.
    """
    faults: list[str] = []
    check_seconds(faults, "timeout", timeout)
    raise_faults("waiting", faults)
    require_options(options)
    loop = asyncio.get_running_loop()
    started = loop.time()
    state, attempts, pause = _UNKNOWN, 0, _FIRST_PAUSE
    progress: _Progress = "pending"
    scope = asyncio.timeout_at(started + timeout)
    try:
        async with scope:
            while True:
                attempts += 1
                answer = await caller.call(operation, path=path, options=options)
                progress, state = until.look(answer)
                if progress == "done":
                    return answer
                del answer  # or it stands in a traceback with locals of what comes now
                if progress == "failed":
                    break
                await asyncio.sleep(pause * random.uniform(1 - _SPREAD, 1 + _SPREAD))
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    except TimeoutError:
        if not scope.expired():
            raise
    place = {"method": operation.method, "path": operation.path, "attempts": attempts}
    elapsed = loop.time() - started
    if progress == "failed":
        raise WorkFailedError(f"the work ended in state {state}", state=state, elapsed=elapsed, **place)
    raise WorkTimeout(
        f"the work is not over within {timeout:g} s, its state is {state}", state=state, elapsed=elapsed, **place
    )
