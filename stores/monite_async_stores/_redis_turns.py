"""Whose turn it is when more ask at once than there are connections for: many questions go into one exchange.

An exchange is a task of the store's own, never of a caller: whoever is cancelled takes nothing with it, neither a
connection in the middle of an answer nor the questions of the others.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from monite_async_stores._protocol import StoreBusyError, StoreError

__all__ = ["Turns"]

Q = TypeVar("Q")
A = TypeVar("A")


class _Place(Generic[Q, A]):
    """One who waits."""

    __slots__ = ("answer", "question", "since")

    def __init__(self, question: Q, loop: asyncio.AbstractEventLoop) -> None:
        self.question = question
        self.since = loop.time()
        self.answer: asyncio.Future[A] = loop.create_future()

    def settle(self, answer: A | StoreError) -> None:
        """Answer, unless whoever asked is gone."""
        if self.answer.done():
            return
        if isinstance(answer, StoreError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Turns(Generic[Q, A]):
    """Serves the questions of one event loop, in the order they came, the urgent ones before the others.

    Args:
        serve: Answers some questions in one exchange; an error of a question is a value, and must be an object of its
            own, since each is raised to another caller.
        at_once: How many exchanges there may be at once.
        batch: How many questions one exchange may have.
        patience: After how many seconds in the queue to say that there is too much to do.
    """

    __slots__ = ("_at_once", "_batch", "_patience", "_queues", "_running", "_serve")

    def __init__(
        self,
        serve: Callable[[Sequence[Q]], Awaitable[Sequence[A | StoreError]]],
        *,
        at_once: int,
        batch: int,
        patience: float,
    ) -> None:
        self._serve = serve
        self._at_once = at_once
        self._batch = batch
        self._patience = patience
        self._queues: tuple[deque[_Place[Q, A]], deque[_Place[Q, A]]] = (deque(), deque())
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q, *, urgent: bool) -> A:
        """Wait for a turn and return the answer.

        Raises:
            StoreBusyError: No turn came in time.
            StoreError: What ``serve`` answered.
        """
        place: _Place[Q, A] = _Place(question, asyncio.get_running_loop())
        self._queues[not urgent].append(place)
        self._running = {task for task in self._running if not task.done()}
        if len(self._running) < self._at_once:
            # In a context of its own: it may serve others after the one who happened to start it.
            self._running.add(contextvars.Context().run(asyncio.create_task, self._run()))
        return await place.answer

    async def aclose(self) -> None:
        """Wait for the exchanges under way; each has a time limit."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self) -> None:
        places: list[_Place[Q, A]] = []
        try:
            while places := self._next():
                answers = await self._serve([place.question for place in places])
                for place, answer in zip(places, answers, strict=True):
                    place.settle(answer)
        except BaseException:  # the loop is ending, and nobody may be left waiting in it
            for place in (*places, *self._queues[0], *self._queues[1]):
                place.settle(StoreError("the event loop ended before redis answered"))
            raise

    def _next(self) -> list[_Place[Q, A]]:
        """Return those whose turn it is now; send away those who have waited for too long."""
        too_old = asyncio.get_running_loop().time() - self._patience
        places: list[_Place[Q, A]] = []
        for queue in self._queues:
            while queue and len(places) < self._batch:
                place = queue.popleft()
                if place.since < too_old:
                    place.settle(StoreBusyError("too many operations wait for redis in this process"))
                elif not place.answer.done():
                    places.append(place)
        return places
