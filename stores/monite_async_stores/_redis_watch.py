"""Hearing of what other processes did: one subscription per process, and a look at the records in use now and then.

Messages only speed things up. They can be lost (Redis keeps none for who is not listening), so the records in use are
re-read every minute, and after every reconnection.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Literal, cast

from monite_async_stores._loop_time import within
from monite_async_stores._protocol import RecordName, StoreError, StoreEvent, Watcher
from monite_async_stores._redis_cluster import ClusterLines
from monite_async_stores._redis_errors import problem_of
from monite_async_stores._redis_wire import Lines, Wire

__all__ = ["Board", "Subscriber", "event_of"]

_PING_SECONDS = 15.0
_PONG_SECONDS = 5.0
_REREAD_SECONDS = 60.0
_BACKOFF_SECONDS = (0.25, 5.0)
_STEADY_SECONDS = 5.0
_MAX_PENDING = 2000

_Kind = Literal["commit", "fail", "invalid", "purge"]
_KINDS: Final[dict[str, _Kind]] = {"commit": "commit", "fail": "fail", "invalid": "invalid", "purge": "purge"}

_log = logging.getLogger("monite_async_stores")


class Board:
    """The watchers of a store."""

    __slots__ = ("_lock", "_watchers")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: tuple[tuple[object, Watcher], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def renew_lock(self) -> None:
        """Make a new lock, in a forked child."""
        self._lock = threading.Lock()

    def add(self, watcher: Watcher) -> Callable[[], None]:
        """Tell a watcher of events from now on; return what ends it."""
        ticket = object()
        with self._lock:
            self._watchers = (*self._watchers, (ticket, watcher))

        def end() -> None:
            with self._lock:
                self._watchers = tuple(entry for entry in self._watchers if entry[0] is not ticket)

        return end

    def tell(self, event: StoreEvent) -> None:
        """Tell everyone of an event."""
        for _, watcher in self._watchers:
            try:
                watcher.on_event(event)
            except Exception as exc:  # noqa: BLE001 - one watcher's fault must not keep the news from the others
                _log.error("a watcher of the token store failed: %s", type(exc).__name__)

    def in_use(self) -> list[RecordName]:
        """Return the records used since the last call."""
        return [record for _, watcher in self._watchers for record in watcher.in_use()]


class Subscriber:
    """Listens in one task per process, in the loop that needed it first, and in another when that loop is gone.

    Args:
        board: Who wants to know.
        channel: Where messages come in.
        limit: The time it may take to connect, in seconds.
        look: Looks at records; returns what to tell of them, and those it could learn nothing of for now. Raises
            ``StoreError``.
        is_news: Tells whether a value under a name, sealed with a key, is of interest here.
        teardown: Closes what the store has open in the running loop, which is about to end.
    """

    __slots__ = (
        "_board",
        "_channel",
        "_is_news",
        "_limit",
        "_lock",
        "_look",
        "_pending",
        "_quiet",
        "_reread_at",
        "_task",
        "_teardown",
        "sender",
    )

    def __init__(
        self,
        board: Board,
        channel: str,
        limit: float,
        *,
        sender: str,
        look: Callable[[Sequence[RecordName]], Awaitable[tuple[list[StoreEvent], list[RecordName]]]],
        is_news: Callable[[str, str], bool],
        teardown: Callable[[], Awaitable[None]],
    ) -> None:
        self._board = board
        self._channel = channel
        self._limit = limit
        self._look = look
        self._is_news = is_news
        self._teardown = teardown
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._pending: dict[str, RecordName] = {}
        self._reread_at = 0.0
        self._quiet = False
        self.sender = sender

    def after_fork_in_child(self, sender: str) -> object:
        """Forget the parent's task; return it, to be kept from being freed."""
        task, self._task = self._task, None
        self._lock = threading.Lock()
        self._pending.clear()
        self.sender = sender
        return task

    def ensure(self, lines: Lines | ClusterLines) -> None:
        """Have it running, in the running loop unless it runs in another one, if anybody wants to know."""
        if not self._board or self._is_alive():
            return
        with self._lock:
            if not self._is_alive():
                # In a context of its own: it outlives whoever happens to start it.
                self._task = contextvars.Context().run(asyncio.create_task, self._run(lines))

    def stop_if_idle(self) -> None:
        """End it, from any thread, if nobody wants to know any more."""
        with self._lock:
            if self._board or self._task is None:
                return
            task, self._task = self._task, None
        with contextlib.suppress(RuntimeError):  # that loop is closed
            task.get_loop().call_soon_threadsafe(task.cancel)

    async def aclose(self) -> None:
        """End it if it runs in this loop."""
        task = self._task
        if task is None or task is asyncio.current_task() or task.get_loop() is not asyncio.get_running_loop():
            return
        self._task = None
        task.cancel()
        await asyncio.wait([task])

    def _is_alive(self) -> bool:
        task = self._task
        return task is not None and not task.done() and task.get_loop().is_running()

    def _is_mine(self) -> bool:
        """Return whether the running task is still the one of this process."""
        return self._task is asyncio.current_task()

    async def _run(self, lines: Lines | ClusterLines) -> None:
        time = asyncio.get_running_loop().time
        failures = 0
        try:
            while self._is_mine():
                since = float("inf")
                try:
                    async with self._subscription(lines) as (wire, pump):
                        since = time()
                        await self._attend(wire, pump)
                except Exception as exc:  # noqa: BLE001 - whatever cut it off, it listens again
                    failures = 1 if time() - since > _STEADY_SECONDS else failures + 1
                    if failures == 2:
                        _log.warning("cannot hear of what other processes do to tokens: %s", problem_of(exc))
                await self._reread_if_due()
                # Widely spread: all processes of a fleet are cut off at one instant, and each looks at its records first.
                shortest, longest = _BACKOFF_SECONDS
                await asyncio.sleep(min(longest, shortest * 2.0**failures) * random.uniform(0.1, 1.0))
        except asyncio.CancelledError:
            if self._is_mine():  # not aclose(): the loop itself is ending
                self._task = None
                await self._teardown()
            raise

    @contextlib.asynccontextmanager
    async def _subscription(self, lines: Lines | ClusterLines) -> AsyncGenerator[tuple[Wire, asyncio.Task[None]], None]:
        """Listen, on a connection of its own, until the block ends."""
        wire = lines.fresh()
        try:
            async with within(4 * self._limit):
                await wire.connect()
                await _send(wire, "SUBSCRIBE", self._channel)
                await wire.read_response()
            pump = asyncio.create_task(self._pump(wire))
            try:
                yield wire, pump
            finally:
                pump.cancel()
                await asyncio.wait([pump])
                if not pump.cancelled():
                    pump.exception()  # seen
        finally:
            with contextlib.suppress(Exception):
                await wire.disconnect(nowait=True)

    async def _pump(self, wire: Wire) -> None:
        while True:
            message = await wire.read_response()
            self._quiet = False
            event = event_of(message, self.sender, self._is_news)
            if event is not None:
                self._board.tell(event)

    async def _attend(self, wire: Wire, pump: asyncio.Task[None]) -> None:
        """Look after a subscription: re-read what may have changed unheard, and ping, until it ends."""
        time = asyncio.get_running_loop().time
        self._reread_at = time()
        ping_at, pong_at = time() + _PING_SECONDS, float("inf")
        while self._is_mine():
            await self._reread_if_due()
            if time() >= ping_at:
                self._quiet = True
                await _send(wire, "PING")
                ping_at, pong_at = float("inf"), time() + _PONG_SECONDS
            if time() >= pong_at:
                if self._quiet:
                    raise StoreError("redis fell silent")
                ping_at, pong_at = time() + _PING_SECONDS, float("inf")
            delay = min(self._reread_at, ping_at, pong_at) - time()
            done, _ = await asyncio.wait([pump], timeout=max(0.0, delay))
            if done:
                pump.result()

    async def _reread_if_due(self) -> None:
        """Tell what has become of the records in use."""
        time = asyncio.get_running_loop().time
        if time() < self._reread_at:
            return
        for record in self._board.in_use():
            if len(self._pending) < _MAX_PENDING:
                self._pending[record.name] = record
        try:
            events, unread = await self._look(list(self._pending.values()))
        except StoreError:
            self._reread_at = time() + random.uniform(0.5, 1.0) * min(_BACKOFF_SECONDS[1], _REREAD_SECONDS)
            return
        for event in events:
            self._board.tell(event)
        self._pending = {record.name: record for record in unread}
        self._reread_at = time() + _REREAD_SECONDS * random.uniform(0.9, 1.1)


def event_of(message: object, sender: str, is_news: Callable[[str, str], bool]) -> StoreEvent | None:
    """Return the event that a message tells of.

    None for other messages, broken ones, one's own, and for values of no interest here.
    """
    parts = cast("list[object]", message) if isinstance(message, list) else []
    if len(parts) != 3 or parts[0] != b"message" or not isinstance(parts[2], bytes):
        return None
    name, *words = parts[2].decode("ascii", "replace").split(" ")
    if len(words) != (4 if words[1:2] == ["commit"] else 3) or words[2] == sender or words[1] not in _KINDS:
        return None
    gen, kind = words[:2]
    if not (gen.isascii() and gen.isdecimal() and len(gen) <= 15) or not all(is_news(name, key) for key in words[3:]):
        return None
    return StoreEvent(_KINDS[kind], name, int(gen))


async def _send(wire: Wire, *command: str) -> None:
    await wire.send_packed_command(wire.pack_commands([command]), check_health=False)
