"""What is done in threads for a coroutine, and how long that may take.

Two waits are kept apart. While a call is *queued*, others are served: that is no outage, and after a while the caller
is told to ask again. Once a call *runs*, nothing but the disk is between it and its end, and a second is a long time.
Both are counted in beats of the caller's event loop: a beat that comes late counts as one, so that a loop which is kept
busy does not take itself for a directory that hangs.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

from monite_async_stores._file_lock import LockTakenError
from monite_async_stores._protocol import StoreBusyError, StoreError

__all__ = ["BEATS", "Beats", "Job", "Once", "Steps", "Work"]

BEATS = 20
"""How many beats a call may run."""

_QUEUE_BEATS = 24
_FIRST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.01
_PATIENCE = 0.5
_STEP_PAUSE = 0.005

T = TypeVar("T")


class Work(Protocol):
    """Something for a thread to do."""

    def run(self) -> float | None:
        """Do it; return the seconds after which it wants to go on, or None when it is done. Must not raise."""
        ...


class Once:
    """A call that nobody waits for."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def run(self) -> float | None:
        """See ``Work.run``."""
        self._call()
        return None


class Steps:
    """Long work that nobody waits for, in short steps; trouble ends it."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Iterator[None]) -> None:
        self._steps = steps

    def run(self) -> float | None:
        """See ``Work.run``."""
        with suppress(StoreError, OSError):
            for _ in self._steps:
                return _STEP_PAUSE
        return None


class Job(Generic[T]):
    """One call, on its way from a coroutine to a thread and back."""

    __slots__ = (
        "_call",
        "_error",
        "_is_abandoned",
        "_is_begun",
        "_is_done",
        "_lock",
        "_loop",
        "_pause",
        "_paused",
        "_result",
        "_undo",
        "_waiter",
    )

    def __init__(self, call: Callable[[], T], undo: Callable[[T], None] | None) -> None:
        self._call = call
        self._undo = undo
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        self._result: list[T] = []
        self._error: Exception | None = None
        self._is_abandoned = self._is_begun = self._is_done = False
        self._pause = _FIRST_PAUSE
        self._paused = 0.0

    def run(self) -> float | None:
        """See ``Work.run``; a call that finds a lock taken is made again, and holds no thread meanwhile."""
        with self._lock:
            if self._is_abandoned and self._undo is not None:
                return None
            self._is_begun = True
        try:
            self._result.append(self._call())
        except LockTakenError as exc:
            # Counted is what the pauses should take: in a process that hardly gets to run, they take longer.
            if self._paused < _PATIENCE:
                pause, self._pause = self._pause, min(_LONGEST_PAUSE, self._pause * 2)
                self._paused += pause
                return pause * (0.5 + random.random())
            self._error = exc
        except Exception as exc:  # noqa: BLE001 - handed to whoever awaits it
            self._error = exc
        self._hand_over()
        return None

    def _hand_over(self) -> None:
        with self._lock:
            self._is_done = True
            is_awaited = not self._is_abandoned
        if is_awaited:
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop was closed under it
                is_awaited = False
        if not is_awaited:
            self.undo()

    def _wake(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)

    async def result(self) -> T:
        """Await the call, and return or raise what it did."""
        await self._waiter
        if self._error is not None:
            raise self._error
        return self._result[0]

    def abandon(self) -> bool:
        """Note that nobody awaits the call any more; tell whether it was made already, for nothing."""
        with self._lock:
            self._is_abandoned = True
            return self._is_done

    def give_up(self, error: StoreError, *, begun: bool) -> None:
        """Have the caller get an error, unless the call is done; without ``begun`` also unless it has begun."""
        with self._lock:
            if self._is_done or (self._is_begun and not begun):
                return
            self._is_abandoned = True
        if not self._waiter.done():
            self._waiter.set_exception(error)

    def undo(self) -> None:
        """Undo what the call did for nobody, as far as it can be undone."""
        if self._undo is not None and self._result:
            with suppress(StoreError, OSError):
                self._undo(self._result[0])


class Threads(Protocol):
    """What beats need to know of a pool."""

    def running(self) -> Iterable[Work]:
        """Return what threads are in the middle of."""
        ...

    def note_stuck(self, work: Work) -> None:
        """Take note that a thread has been in the middle of this for too long."""
        ...

    def all_stuck(self) -> bool:
        """Tell whether no thread is left for what is queued."""
        ...


class Beats:
    """The time limits of all jobs of one event loop: one timer for any number of them.

    Args:
        threads: What runs them.
        seconds: How long a beat is.
    """

    __slots__ = ("_awaited", "_beat", "_loop", "_seconds", "_since", "_threads", "_timer")

    def __init__(self, threads: Threads, seconds: float) -> None:
        self._threads = threads
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beat = 0
        self._awaited: dict[Job[Any], int] = {}  # the oldest first, with the beat it came at
        self._since: dict[Work, int] = {}

    @contextmanager
    def limit(self, job: Job[Any]) -> Generator[None, None, None]:
        """Limit a job while it is awaited inside."""
        self._awaited[job] = self._beat
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._tick)
        try:
            yield
        finally:
            del self._awaited[job]
            if not self._awaited:
                self._timer.cancel()
                self._timer = None
                self._since.clear()

    def _tick(self) -> None:
        self._beat += 1
        self._timer = self._loop.call_later(self._seconds, self._tick)
        self._since = {work: self._since.get(work, self._beat) for work in self._threads.running()}
        for work, beat in self._since.items():
            if self._beat - beat >= BEATS:
                self._threads.note_stuck(work)
                if isinstance(work, Job) and work in self._awaited:
                    work.give_up(StoreError("the token directory did not answer in time"), begun=True)
        is_dead = self._threads.all_stuck()
        for job, beat in self._awaited.items():
            if is_dead:
                job.give_up(StoreError("the token directory does not answer"), begun=True)
            elif self._beat - beat >= _QUEUE_BEATS:
                job.give_up(StoreBusyError("there is too much to do in the token directory"), begun=False)
            else:
                break
