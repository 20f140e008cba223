"""A few threads for file calls, so that a slow disk never stands still an event loop.

Not the loop's default threads, which belong to the application, and not ``ThreadPoolExecutor``, whose threads the
interpreter waits for when it exits: these are daemons, come when there is work, and go when there has been none.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from time import monotonic
from typing import TypeVar

from monite_async_stores._file_jobs import BEATS, Beats, Job, Once, Work
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import StoreError

__all__ = ["FilePool"]

T = TypeVar("T")


class FilePool:
    """Runs calls that may block, in threads of its own.

    Args:
        size: Threads at most.
        idle: Seconds after which a thread without work ends.
        limit: How long a call may run, in seconds in which the caller's loop is free. A thread cannot be stopped: the
            call goes on, its result is dropped.
    """

    __slots__ = (
        "__weakref__",
        "_beats",
        "_idle",
        "_idle_seconds",
        "_jobs",
        "_later",
        "_limit",
        "_numbers",
        "_retiring",
        "_running",
        "_size",
        "_stuck",
        "_threads",
        "_urgent",
        "_work",
    )

    def __init__(self, *, size: int = 4, idle: float = 10.0, limit: float = 0.8) -> None:
        self._size = size
        self._idle_seconds = idle
        self._limit = limit
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Begin without threads and work: the parent's threads do not exist here."""
        self._work = threading.Condition()
        self._urgent: deque[Work] = deque()
        self._jobs: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []
        self._numbers = count()
        self._threads = self._idle = 0
        self._retiring = False
        self._running: set[Work] = set()
        self._stuck: set[Work] = set()
        self._beats: dict[asyncio.AbstractEventLoop, Beats] = {}

    async def run(self, call: Callable[[], T], *, undo: Callable[[T], None] | None = None, urgent: bool = False) -> T:
        """Make a call in a thread and await it.

        Args:
            call: What to do. It is made again, a little later, when it raises ``LockTakenError``.
            undo: What to do with a result that nobody awaits any more. With it, a call that has not begun when its
                caller gives up is not made at all; without it, it is.
            urgent: Whether it goes before those that are not.

        Raises:
            StoreBusyError: It was not its turn for a while, though others had theirs.
            StoreError: It took too long, or calls that do hold all threads.
            Exception: What the call raised.
        """
        with self._work:
            if len(self._stuck) >= self._size:
                raise StoreError("the token directory does not answer")
        job = Job(call, undo)
        self.submit(job, urgent=urgent)
        with self._beats_here().limit(job):
            try:
                return await job.result()
            except asyncio.CancelledError:
                if job.abandon():
                    self.submit(Once(job.undo))
                raise

    def submit(self, work: Work, *, urgent: bool = True) -> None:
        """Have a thread do this some time.

        Raises:
            StoreError: No thread can be started.
        """
        with self._work:
            line = self._urgent if urgent else self._jobs
            line.append(work)
            self._retiring = False
            if self._idle >= len(self._jobs) + len(self._urgent) or self._threads >= self._size:
                self._work.notify()
                return
            self._threads += 1
        try:
            threading.Thread(target=self._serve, name="monite-token-files", daemon=True).start()
        except RuntimeError:
            with self._work:
                self._threads -= 1
                if self._threads or work not in line:
                    return  # those that run will come to it
                line.remove(work)
            raise StoreError("no thread can be started for the token directory") from None

    def retire(self) -> None:
        """Let the threads end once their work is done; more work starts new ones."""
        with self._work:
            self._retiring = True
            self._work.notify_all()

    def running(self) -> Iterable[Work]:
        """See ``Threads.running``."""
        with self._work:
            return tuple(self._running)

    def note_stuck(self, work: Work) -> None:
        """See ``Threads.note_stuck``."""
        with self._work:
            if work in self._running:
                self._stuck.add(work)

    def all_stuck(self) -> bool:
        """See ``Threads.all_stuck``."""
        with self._work:
            return len(self._stuck) >= self._threads > 0

    def _beats_here(self) -> Beats:
        loop = asyncio.get_running_loop()
        with self._work:
            beats = self._beats.get(loop)
            if beats is None:
                for dead in [other for other in self._beats if other.is_closed()]:
                    del self._beats[dead]
                beats = self._beats[loop] = Beats(self, self._limit / BEATS)
            return beats

    def _serve(self) -> None:
        work = self._next()
        while work is not None:
            pause = work.run()
            self._finish(work, pause)
            del work  # what it holds on to must not live until the next one comes
            work = self._next()

    def _finish(self, work: Work, pause: float | None) -> None:
        with self._work:
            self._running.discard(work)
            self._stuck.discard(work)
            if pause is not None:
                heapq.heappush(self._later, (monotonic() + pause, next(self._numbers), work))

    def _next(self) -> Work | None:
        """Return the next piece of work, or None when the thread should end."""
        end = monotonic() + self._idle_seconds
        with self._work:
            self._idle += 1
            while (work := self._pick()) is None:
                now = monotonic()
                if self._later:
                    self._work.wait(self._later[0][0] - now)
                elif self._retiring or now >= end:
                    break
                else:
                    self._work.wait(end - now)
            self._idle -= 1
            if work is None:
                self._threads -= 1
            else:
                self._running.add(work)
            return work

    def _pick(self) -> Work | None:
        """Take what comes first: what goes on after a pause, what is urgent, the rest."""
        if self._later and self._later[0][0] <= monotonic():
            return heapq.heappop(self._later)[2]
        line = self._urgent or self._jobs
        return line.popleft() if line else None
