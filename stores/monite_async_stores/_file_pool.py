"""A few threads for file calls, so that a slow disk never stands still an event loop.

Not the loop's default threads, which belong to the application, and not ``ThreadPoolExecutor``, whose threads the
interpreter waits for when it exits: these are daemons, come when there is work, and go when there has been none.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import StoreError

__all__ = ["FilePool"]

T = TypeVar("T")


class _Job(Generic[T]):
    """One call, on its way from a coroutine to a thread and back."""

    __slots__ = (
        "_call",
        "_error",
        "_lock",
        "_loop",
        "_result",
        "_undo",
        "_waiter",
        "is_abandoned",
        "is_begun",
        "is_done",
    )

    def __init__(self, call: Callable[[], T], undo: Callable[[T], None] | None) -> None:
        self._call = call
        self._undo = undo
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        self._result: list[T] = []
        self._error: Exception | None = None
        self.is_abandoned = self.is_begun = self.is_done = False

    def run(self) -> None:
        """Make the call, in a thread of the pool."""
        with self._lock:
            if self.is_abandoned and self._undo is not None:
                return
            self.is_begun = True
        try:
            self._result.append(self._call())
        except Exception as exc:  # noqa: BLE001 - handed to whoever awaits it
            self._error = exc
        with self._lock:
            self.is_done = True
            is_awaited = not self.is_abandoned
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
            self.is_abandoned = True
            return self.is_done

    def is_stuck(self) -> bool:
        """Tell whether a thread is in the middle of the call."""
        return self.is_begun and not self.is_done

    def undo(self) -> None:
        """Undo what the call did for nobody, as far as it can be undone."""
        if self._undo is not None and self._result:
            with suppress(StoreError, OSError):
                self._undo(self._result[0])


class FilePool:
    """Runs calls that may block, in threads of its own.

    Args:
        size: Threads at most.
        idle: Seconds after which a thread without work ends.
    """

    __slots__ = ("__weakref__", "_idle", "_idle_seconds", "_jobs", "_retiring", "_size", "_stuck", "_threads", "_work")

    def __init__(self, *, size: int = 4, idle: float = 10.0) -> None:
        self._size = size
        self._idle_seconds = idle
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Begin without threads and work: the parent's threads do not exist here."""
        self._work = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads = self._idle = 0
        self._retiring = False
        self._stuck: list[Callable[[], bool]] = []

    async def run(self, call: Callable[[], T], *, limit: float, undo: Callable[[T], None] | None = None) -> T:
        """Make a call in a thread and await it.

        Args:
            call: What to do.
            limit: How long to wait, in seconds. A thread cannot be stopped: the call goes on, its result is dropped.
            undo: What to do with a result that nobody awaits any more. With it, a call that has not begun when its
                caller gives up is not made at all; without it, it is.

        Raises:
            StoreError: The time is over, or calls before it hold all threads.
            Exception: What the call raised.
        """
        with self._work:
            self._stuck = [is_stuck for is_stuck in self._stuck if is_stuck()]
            if len(self._stuck) >= self._size:
                raise StoreError("the token directory does not answer")
        job = _Job(call, undo)
        self.submit(job.run)
        try:
            async with asyncio.timeout(limit):
                return await job.result()
        except TimeoutError:
            self._give_up(job)
            with self._work:
                self._stuck.append(job.is_stuck)
            raise StoreError("the token directory did not answer in time") from None
        except asyncio.CancelledError:
            self._give_up(job)
            raise

    def _give_up(self, job: _Job[T]) -> None:
        if job.abandon():
            self.submit(job.undo)

    def submit(self, work: Callable[[], None]) -> None:
        """Have a thread do this some time; it must not raise.

        Raises:
            StoreError: No thread can be started.
        """
        with self._work:
            self._jobs.append(work)
            self._retiring = False
            if self._idle >= len(self._jobs) or self._threads >= self._size:
                self._work.notify()
                return
            self._threads += 1
        try:
            threading.Thread(target=self._serve, name="monite-token-files", daemon=True).start()
        except RuntimeError:
            with self._work:
                self._threads -= 1
                if self._threads or work not in self._jobs:
                    return  # those that run will come to it
                self._jobs.remove(work)
            raise StoreError("no thread can be started for the token directory") from None

    def retire(self) -> None:
        """Let the threads end once their work is done; more work starts new ones."""
        with self._work:
            self._retiring = True
            self._work.notify_all()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # what it holds on to must not live until the next one comes

    def _next(self) -> Callable[[], None] | None:
        """Return the next piece of work, or None when the thread should end."""
        with self._work:
            self._idle += 1
            self._work.wait_for(lambda: self._jobs or self._retiring, self._idle_seconds)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            return None
