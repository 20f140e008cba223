"""The token cache: one token per key and lifetime, for any number of coroutines, loops, threads and processes.

For each key a token is *fresh* (served at once: no lock, no task, no I/O), *soft* (served at once while one flight
refreshes it), *mandatory* (callers wait for the flight), or *blocked* (a flight just failed: callers get its failure
without another request). See ``lifetime.py`` for the windows and ``flight.py`` for what a flight does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import random as _random
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from monite_async._errors import ClientClosedError, RequestTimeout
from monite_async._tokens.events import EventKind, Events, TokenStats
from monite_async._tokens.failure import Failure, Trouble, failure_of
from monite_async._tokens.flight import ATTEMPT_SECONDS, Fetch, Flight
from monite_async._tokens.guard import Bells, LonelyWatcher, StoreGuard
from monite_async._tokens.issuer import TokenIssuer
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.l1 import RecordTable
from monite_async._tokens.lifetime import MIN_INTERVAL
from monite_async._tokens.owed import Owed
from monite_async._tokens.record import AccessToken
from monite_async._tokens.tasks import own_task
from monite_async_stores import (
    Clock,
    Hit,
    MemoryTokenStore,
    RecordName,
    StoreError,
    StoreEvent,
    SystemClock,
    TokenStore,
)
from monite_async_stores._fork import renew_after_fork

__all__ = ["TokenCache"]

_BRAKE_SECONDS = 5.0  # between two tokens of a key that are fetched because the API refused one
_CLOSE_SECONDS = 1.0  # that running flights are given when the client closes
_MAX_ROUNDS = 8  # in which a caller is told of a token that is gone again before it could be had

T = TypeVar("T")


async def _at_once() -> None:
    """Let a request go: there is no rate limiter."""


def _make_peek(records: dict[str, AccessToken], clock: Clock) -> Callable[[TokenKey], AccessToken | None]:
    """Make the hit path: a closure, because the attribute look-ups of a method are a third of its cost."""
    find, monotonic, wall = records.get, clock.monotonic, clock.wall

    def peek(key: TokenKey) -> AccessToken | None:
        """Return the key's token if it is fresh; never waits, never does I/O."""
        record = find(key.id)
        if record is not None and monotonic() < record.soft_mono and wall() < record.soft_wall:
            record.uses += 1
            return record
        return None

    return peek


class TokenCache:
    """Gets, shares, refreshes and drops the tokens of one client.

    Args:
        store: What is shared with other loops and processes.
        issuer: Where tokens come from.
        clock: Where time comes from.
        max_records: Tokens kept in memory at most.
        random: Draws from 0 to 1, for jitter.
        owns_store: Whether ``aclose()`` closes the store too.
        turn: Awaited before each request to the issuer: the client's rate limiter, with token requests first.
    """

    def __init__(
        self,
        store: TokenStore,
        issuer: TokenIssuer,
        *,
        clock: Clock | None = None,
        max_records: int = 10_000,
        random: Callable[[], float] = _random.random,
        owns_store: bool = False,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.store = store
        self.issuer = issuer
        self.random = random
        self.events: Events = Events()
        self.guard: StoreGuard = StoreGuard(self.events)
        self.bells: Bells = Bells()
        self.local: MemoryTokenStore = MemoryTokenStore(clock=self.clock)
        self._table = RecordTable(max_records)
        self._records = self._table.records
        self._monotonic = self.clock.monotonic
        self.peek: Callable[[TokenKey], AccessToken | None] = _make_peek(self._records, self.clock)
        self._troubles: dict[str, Trouble] = {}
        self.owed: Owed = Owed(store, self.guard, self._records, self._table.drop)
        self._flights: dict[asyncio.AbstractEventLoop, dict[str, Flight]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._abandoned: list[object] = []
        self._lock = threading.Lock()
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._owns_store = owns_store
        self.turn: Callable[[], Awaitable[None]] = turn or _at_once
        self._closed = False
        self._unwatch = (store.watch(self), self.local.watch(LonelyWatcher(self)))
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<TokenCache tokens={len(self._records)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token cache cannot be pickled")

    # What callers do.

    async def get(self, key: TokenKey, *, min_gen: int = 0) -> AccessToken:
        """Return a token that is alive, fetching one if there is none.

        Args:
            key: Whose token.
            min_gen: The lowest generation that will do.

        Raises:
            AuthenticationError: The token endpoint refused, now or a moment ago.
            MoniteError: It could not be reached; ``retry_after`` says when the next try starts.
        """
        record = self.peek(key)
        if record is not None and record.gen >= min_gen:
            return record
        for _ in range(_MAX_ROUNDS):
            self._check_open()
            record = self._records.get(key.id)
            if record is not None and (record.gen < min_gen or not record.is_alive()):
                record = None
            if record is not None and record.is_usable():
                self._refresh_soon(key, record)
                return record
            flight = self._join(key, record, min_gen)
            if isinstance(flight, Flight):
                await flight.waiter()
            outcome = flight.outcome if isinstance(flight, Flight) else flight
            if isinstance(outcome, Failure):
                self._check_open()
                record = self._records.get(key.id)
                if record is not None and record.gen >= min_gen and record.is_alive() and outcome.transient:
                    return record  # static stability: it is late, but it still opens the door
                raise outcome.again(self.trouble(key).retry_at - self._monotonic())
            if outcome is not None and outcome.gen >= min_gen and outcome.is_alive():
                return outcome
        raise RequestTimeout("no token: every one that arrived was dropped or expired at once", method="POST")

    async def replace(self, key: TokenKey, refused: AccessToken) -> AccessToken | None:
        """Return a token to send instead of one that the API refused as dead, or None to let the refusal stand.

        Any number of refusals of the same token cost one fetch. At most one fetch per key and five seconds is made
        for refusals, and none for a token younger than that: then the token is not what is wrong.
        """
        current = self._records.get(key.id)
        if current is not None and current.gen > refused.gen and current.is_alive():
            return current
        if current is not None and current.gen == refused.gen and refused.is_usable():
            trouble, now = self.trouble(key), self._monotonic()
            if refused.age() < _BRAKE_SECONDS or now - trouble.refused_at < _BRAKE_SECONDS:
                self.emit("refusal_braked", key, detail=f"gen {refused.gen}")
                return None
            trouble.refused_at = now
            self.emit("token_refused", key, detail=f"gen {refused.gen}")
            self._table.drop(key.id, refused.gen)
            if key.id not in self._flights_of(asyncio.get_running_loop()) and not self._is_blocked(key):
                self._start(key, refused.gen, refused=True)
        # Otherwise its time was over anyway, or it was dropped before: by another refusal, by a revocation here or
        # elsewhere, or to make room.
        return await self.get(key, min_gen=refused.gen + 1)

    async def revoke(self, key: TokenKey) -> None:
        """Drop the key's token in every process that shares the store, then have the API revoke it.

        Raises:
            MoniteError: The API could not be told; the token is dropped all the same.
        """
        self._check_open()
        token = self._forget(key)
        await self._own(self._revoke(key, token))

    async def invalidate(self, key: TokenKey) -> None:
        """Drop the key's token in every process that shares the store; the next call fetches a new one."""
        self._check_open()
        self._forget(key)
        await self._own(self._purge(key))

    async def warm(self, keys: Iterable[TokenKey]) -> None:
        """Get the tokens of several keys at once, before the first calls need them; raises the first failure."""
        results = await asyncio.gather(*(self.get(key) for key in keys), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def stats(self) -> TokenStats:
        """Return the counters so far."""
        return TokenStats(self._table.hits(), len(self._records), self.events.counts())

    async def aclose(self) -> None:
        """Refuse new flights, give running ones a second, cut off the rest, forget all tokens; idempotent."""
        if self._closed:
            return
        self._closed = True
        for end in self._unwatch:
            end()
        here = asyncio.get_running_loop()
        mine = [
            task for task in self._running_tasks() if task.get_loop() is here and task is not asyncio.current_task()
        ]
        for task in self._running_tasks():
            if task.get_loop() is not here:
                with contextlib.suppress(RuntimeError):
                    task.get_loop().call_soon_threadsafe(task.cancel)
        try:
            if mine:
                await asyncio.wait(mine, timeout=_CLOSE_SECONDS)
        finally:  # also when the closing itself is cancelled: nothing may stay behind
            late = [task for task in mine if not task.done()]
            for task in late:
                task.cancel()
            self._table.clear()
            self.owed.clear()
        if late:
            await asyncio.wait(late)
        if self._owns_store:
            await self.store.aclose()

    # What flights need.

    def held(self, key: TokenKey) -> AccessToken | None:
        """Return the key's token in memory while it is alive."""
        record = self._records.get(key.id)
        return record if record is not None and record.is_alive() else None

    def keep(self, key: TokenKey, record: AccessToken, *, shared: bool) -> AccessToken:
        """Keep a token that arrived; return it, or a newer one that arrived before it.

        Args:
            key: Whose token.
            record: The token.
            shared: Whether the store has it; if not, the store gets it when it is back.
        """
        trouble = self._troubles.get(key.id)
        if trouble is not None:
            trouble.clear()
        if self._closed:
            return record
        kept = self._table.put(key.id, record)
        if shared:
            self.owed.discard(key.id)
        else:
            self.owed.add(key.id, kept)
        return kept

    def unkeep(self, key: TokenKey, gen: int) -> None:
        """Drop a token that was purged while it was being kept."""
        self.owed.discard(key.id)
        self._table.drop(key.id, gen)

    def trouble(self, key: TokenKey) -> Trouble:
        """Return what went wrong with a key of late."""
        with self._lock:
            trouble = self._troubles.get(key.id)
            if trouble is None:
                self._sweep_troubles()
                trouble = self._troubles[key.id] = Trouble()
            return trouble

    def emit(self, kind: EventKind, key: TokenKey, *, seconds: float = 0.0, detail: str = "") -> None:
        """Report an event of a key."""
        if self.events.count(kind):
            text = f"{key.client_id}\n{key.id}".encode()
            self.events.emit(kind, hashlib.sha256(text).hexdigest()[:8], seconds=seconds, detail=detail)

    # What stores say.

    def on_event(self, event: StoreEvent) -> None:
        """See ``Watcher.on_event``."""
        if event.kind == "commit":
            self._table.outdate_name(event.name, event.gen)
        # Flights hear of it first: one whose token is being kept this very moment drops it, or it is dropped below.
        self.bells.ring(event.name, floor=event.gen if event.kind == "purge" else 0)
        if event.kind in ("invalid", "purge"):
            self._table.drop_name(event.name, event.gen)
        elif event.kind == "seen":
            self._saw(event.name, event.gen)
        elif event.kind == "recovered":
            self._pay_soon()

    def _saw(self, name: str, gen: int) -> None:
        """Take note of what the store has by a name, all messages about it may have been lost."""
        # Whether what is there now replaced a token that was due or one that was revoked, nobody can tell any more.
        self._table.drop_name(name, gen - 1)
        newer = self._table.newer_than(name, gen)
        if newer is not None:  # the store was emptied, or fell back: it gets the token again
            self.owed.add(*newer)
            self._pay_soon()

    def _pay_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # told in a thread without a loop: the next flight does it
            asyncio.get_running_loop()
            self._pay()

    def in_use(self) -> Sequence[RecordName]:
        """See ``Watcher.in_use``."""
        return self._table.in_use()

    def after_fork_in_child(self) -> None:
        """Keep the tokens; drop what belongs to the parent's loops and threads."""
        self._lock = threading.Lock()
        self._table.renew_lock()
        self.bells.renew()
        self.owed.after_fork_in_child()
        self._process = secrets.token_hex(8)
        # Kept, not freed: closing the parent's coroutines would reach into the sockets and selectors it still uses.
        self._abandoned.append((self._flights, self._tasks))
        self._flights, self._tasks = {}, set()

    # How a flight comes about.

    def _join(self, key: TokenKey, record: AccessToken | None, min_gen: int) -> Flight | Failure:
        """Return the key's flight, a new one if none flies, or the failure that forbids a new one for now."""
        flight = self._flights_of(asyncio.get_running_loop()).get(key.id)
        if flight is not None:
            return flight
        trouble = self._troubles.get(key.id)
        if trouble is not None and trouble.failure is not None and self._monotonic() < trouble.retry_at:
            return trouble.failure
        return self._start(key, max(min_gen - 1, 0 if record is None else record.gen), refused=False)

    def _is_blocked(self, key: TokenKey) -> bool:
        trouble = self._troubles.get(key.id)
        return trouble is not None and self._monotonic() < trouble.retry_at

    def _refresh_soon(self, key: TokenKey, record: AccessToken) -> None:
        """Start a flight for a token that is still served, unless one flies, just flew, or just failed."""
        flights = self._flights_of(asyncio.get_running_loop())
        is_due = not record.is_fresh() and record.age() >= MIN_INTERVAL
        if is_due and key.id not in flights and not self._is_blocked(key):
            self._start(key, record.gen, refused=False)

    def _start(self, key: TokenKey, bad_gen: int, *, refused: bool) -> Flight:
        loop = asyncio.get_running_loop()
        flight = Flight(key, bad_gen, loop, refused=refused)
        self._flights_of(loop)[key.id] = flight
        self.emit("flight_started", key)
        # Landed by a callback, not by the task's own code: a task cancelled before its first step runs none of that.
        observer = self.events.observer
        fly = self._fly if observer is None else observer.flight(self._fly)
        self._spawn(fly(flight), lambda _: self._land(flight))
        return flight

    async def _fly(self, flight: Flight) -> None:
        key, started = flight.key, self._monotonic()
        await self._pause(key)
        outcome = flight.outcome = await Fetch(self, flight, f"{self._process}:{next(self._numbers)}").run()
        seconds = self._monotonic() - started
        if isinstance(outcome, Failure):
            detail = f"{type(outcome.error).__name__} {outcome.error.status or ''}".rstrip()
            self.emit("flight_failed", key, seconds=seconds, detail=detail)
        else:
            self.emit("flight_succeeded", key, seconds=seconds)
        if not self.guard.is_down:
            self._pay()

    def _land(self, flight: Flight) -> None:
        flights = self._flights.get(flight.loop, {})
        if flights.get(flight.key.id) is flight:
            del flights[flight.key.id]
        self.events.count("flight_joined", flight.joined())
        flight.land()

    async def _pause(self, key: TokenKey) -> None:
        """Keep a second between two flights of a key, however short its tokens live.

        Suspends in any case: with eager tasks a flight would otherwise land before anyone waits for it.
        """
        record = self._records.get(key.id)
        await asyncio.sleep(0.0 if record is None else max(0.0, MIN_INTERVAL - record.age()))

    def _flights_of(self, loop: asyncio.AbstractEventLoop) -> dict[str, Flight]:
        flights = self._flights.get(loop)
        if flights is None:
            with self._lock:
                for dead in [other for other in self._flights if other.is_closed()]:
                    del self._flights[dead]
                for task in [task for task in list(self._tasks) if task.get_loop().is_closed()]:
                    self._tasks.discard(task)
                flights = self._flights.setdefault(loop, {})
        return flights

    def _spawn(self, work: Coroutine[Any, Any, T], *then: Callable[[asyncio.Task[T]], object]) -> asyncio.Task[T]:
        """Run in a task of the cache's own, held by a strong reference."""
        task = own_task(work, self._tasks.discard, *then)
        self._tasks.add(task)
        return task

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on when the caller is cancelled; nobody is told how it ended then."""
        task = self._spawn(work, lambda task: task.cancelled() or task.exception())
        await asyncio.wait([task])
        if task.cancelled():  # by aclose(): the caller was not
            self._check_open()
        return task.result()

    # Dropping tokens.

    def _forget(self, key: TokenKey) -> AccessToken | None:
        with self._lock:
            self._troubles.pop(key.id, None)
        self.owed.discard(key.id)
        return self._table.pop(key.id)

    async def _purge(self, key: TokenKey) -> None:
        name = key.record_name(await self.issuer.secret())
        await self.local.purge(name)
        await self.owed.purge(key.id, name)

    async def _revoke(self, key: TokenKey, token: AccessToken | None) -> None:
        name = key.record_name(await self.issuer.secret())
        if token is None:
            with contextlib.suppress(StoreError):
                token = await self.guard.run(self._stored(name))
        await self._purge(key)
        if token is not None:
            failure = await self._tell(token)
            if failure is not None:
                raise failure.error
            self.emit("token_revoked", key)

    async def _tell(self, token: AccessToken) -> Failure | None:
        """Have the API revoke a token; a failure is a value here, free of the frames that hold the token."""
        try:
            await self.turn()
            await self.issuer.revoke(token.value, timeout=ATTEMPT_SECONDS)
        except Exception as exc:  # noqa: BLE001 - an issuer is pluggable
            return failure_of(exc)
        return None

    async def _stored(self, name: RecordName) -> AccessToken | None:
        owner = f"{self._process}:{next(self._numbers)}"
        answer = await self.store.acquire(name, owner, lease_ms=1, bad_gen=0, min_left_ms=0)
        if isinstance(answer, Hit):
            return AccessToken(
                answer.value,
                answer.gen,
                answer.lifetime_ms / 1000,
                name=name,
                clock=self.clock,
                started_mono=self.clock.monotonic(),
                started_wall=self.clock.wall(),
                draw=0.0,
            )
        await self.store.fail(name, owner, "transient:auth:0", ttl_ms=0)
        return None

    def _pay(self) -> None:
        """Tell the store what it missed while it was away."""
        if self.owed and not self._closed:
            self._spawn(self.owed.pay())

    def _running_tasks(self) -> list[asyncio.Task[Any]]:
        return [task for task in list(self._tasks) if not task.done() and not task.get_loop().is_closed()]

    def _sweep_troubles(self) -> None:
        """Drop the oldest notes that no longer matter, so that idle keys cost nothing."""
        now = self._monotonic()
        for key_id in [key_id for key_id, _ in zip(self._troubles, range(16), strict=False)]:
            trouble = self._troubles.pop(key_id)
            if now < trouble.retry_at or now - trouble.refused_at < _BRAKE_SECONDS or key_id in self._records:
                self._troubles[key_id] = trouble  # to the end: what has to stay must not keep the rest from being seen

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("this client was closed by aclose(): make a new one")
