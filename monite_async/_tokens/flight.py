"""One flight: the task that gets a token for everyone who waits for it, and answers to none of them.

A flight belongs to the cache, not to the caller who happened to start it: cancelling callers, the first included,
cancels nothing, and their deadlines, trace spans and context variables stay outside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from monite_async._errors import RequestTimeout
from monite_async._tokens.failure import Failure, failure_of, from_kind
from monite_async._tokens.guard import STORE_SECONDS, Bell
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import hard_margin
from monite_async._tokens.record import AccessToken
from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreBusyError,
    StoreError,
    TokenStore,
)

if TYPE_CHECKING:
    from monite_async._tokens.cache import TokenCache
    from monite_async._tokens.issuer import IssuedToken

__all__ = ["ATTEMPT_SECONDS", "LEASE_MS", "Fetch", "Flight"]

ATTEMPT_SECONDS = 4.0
"""Seconds that one request for a token may take; less than the lease, so that its holder is done before it ends."""
FLIGHT_SECONDS = 10.0
"""Seconds that a flight may take, and that it waits for other holders of the lease; waiting for a turn is not counted."""
MAX_ATTEMPTS = 3
"""Requests of a flight, when they fail in a way that a repeat may cure."""
MAX_FENCED = 10
"""Tokens of a flight that may be revoked before they arrive."""
LEASE_MS = 5000
"""Milliseconds for which the store lets nobody else fetch the same token."""
GIVE_BACK_SECONDS = 0.25
"""Seconds that a flight which was cut off may take to give its lease back."""
_POLL_FIRST = 0.05
"""Seconds until a flight that waits for another holder of the lease first looks by itself; then twice as long each time."""
_POLL_MAX = 0.5
_POLLS_PER_SECOND = 500
"""Such looks of all flights of a process together, at most."""
_CROWD_SECONDS = 30.0
"""Seconds that a flight waits in all for a store that has too much to do."""
_LONG_WAIT = 0.5
"""Seconds of waiting for a turn after which the store is asked anew: the lease may be another's by then."""
_ALONE_SECONDS = 2.0
"""Seconds over which a fleet that lost its store spreads its requests."""

T = TypeVar("T")


class Flight:
    """What callers share while a token is on its way.

    Attributes:
        key: Whose token.
        bad_gen: The newest generation that nobody in this flight wants.
        loop: The event loop that it and everyone who waits for it run in.
        refused: Whether ``bad_gen`` was refused by the API and has to be dropped from the store first.
        outcome: The token or the failure; None while flying, and after the flight was cut off.
    """

    __slots__ = ("bad_gen", "key", "loop", "outcome", "refused", "waiters")

    def __init__(self, key: TokenKey, bad_gen: int, loop: asyncio.AbstractEventLoop, *, refused: bool) -> None:
        self.key = key
        self.bad_gen = bad_gen
        self.loop = loop
        self.refused = refused
        self.outcome: AccessToken | Failure | None = None
        self.waiters: list[asyncio.Future[None]] = []

    def waiter(self) -> asyncio.Future[None]:
        """Return what to await until the flight lands: a bare future of one's own, so cancelling it touches no other."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.waiters.append(waiter)
        return waiter

    def joined(self) -> int:
        """Return how many wait besides the one who started it."""
        return max(0, len(self.waiters) - 1)

    def land(self) -> None:
        """Tell everyone who waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()


class Fetch:
    """The steps of one flight: ask the store, take the lease or wait for its holder, fetch, commit."""

    __slots__ = (
        "_attempts",
        "_bell",
        "_cache",
        "_crowded",
        "_deadline",
        "_flight",
        "_has_turn",
        "_leased",
        "_owner",
        "_poll",
        "_reread",
        "_rotated",
        "_started",
        "_store",
        "_waited",
    )

    def __init__(self, cache: TokenCache, flight: Flight, owner: str) -> None:
        self._cache = cache
        self._flight = flight
        self._owner = owner
        self._store: TokenStore = cache.store
        self._bell = Bell()
        self._attempts = 0
        self._crowded = 0.0
        self._has_turn = False
        self._leased = False
        self._reread = False
        self._rotated = False
        self._poll = _POLL_FIRST
        self._waited = 0.0
        self._started = cache.clock.monotonic()
        self._deadline = self._started + FLIGHT_SECONDS

    async def run(self) -> AccessToken | Failure:
        """Fly, and again under a new name when the credentials turn out to have been rotated."""
        while True:
            self._rotated = False
            try:
                name = self._flight.key.record_name(await self._cache.issuer.secret())
            except Exception as exc:  # noqa: BLE001 - an issuer is pluggable
                return self._note(failure_of(exc))
            with self._cache.bells.listening(name.name, self._bell):
                try:
                    outcome = await self._negotiate(name)
                except asyncio.CancelledError:
                    await self._give_back(name, limit=GIVE_BACK_SECONDS)
                    raise
            if outcome is not None:
                return outcome

    async def _negotiate(self, name: RecordName) -> AccessToken | Failure | None:
        """Get the token of one name; None when the credentials were rotated."""
        if self._flight.refused:
            with contextlib.suppress(StoreError):
                await self._bounded(self._store.invalidate(name, self._flight.bad_gen))
        owed = self._cache.owed
        if self._flight.key.id in owed.purges and not await owed.purge(self._flight.key.id, name):
            self._store = self._cache.local  # what was revoked may still lie in the shared one
        while not self._rotated:
            held = self._cache.held(self._flight.key)
            if held is not None and held.gen > self._flight.bad_gen and held.is_usable():
                return held  # another loop of this process brought it meanwhile
            self._bell.clear()
            t0 = self._cache.clock.monotonic(), self._cache.clock.wall()
            answer = await self._acquire(name, held)
            if isinstance(answer, AccessToken):
                return answer
            if isinstance(answer, Hit):
                adopted = self._adopt(name, answer, t0)
                if not self._is_purged(adopted) and adopted.is_usable():
                    self._cache.emit("adopted", self._flight.key, detail=f"gen {adopted.gen}")
                    return adopted
                continue  # it is kept in case nothing better can be had, but a request may not arrive with it
            if isinstance(answer, Negative):
                failure = from_kind(answer.kind)
                self._cache.trouble(self._flight.key).block(failure, t0[0] + answer.left_ms / 1000)
                return failure
            if isinstance(answer, Granted):
                outcome = await self._granted(name, answer.gen)
                if outcome is not None:
                    return outcome
            elif answer is not None and not await self._wait_turn(answer):
                error = RequestTimeout("no token: another process holds the lease and does not finish", method="POST")
                return self._note(Failure(error, transient=True))
        return None

    async def _acquire(
        self, name: RecordName, held: AccessToken | None
    ) -> AccessToken | Hit | Negative | Granted | Busy | None:
        """Ask the store; when it is away, this process goes on alone, with a lease among its own loops.

        Returns:
            The store's answer; the token at hand, if the store is away and nothing is known against that token but that
            there is a newer one; or None: ask again, it had too much to do.
        """
        margin_ms = int(hard_margin(held.lifetime) * 1000) if held is not None else 0
        is_patient = held is not None and held.is_usable() and not self._flight.refused
        while True:
            try:
                return await self._bounded(
                    self._store.acquire(
                        name, self._owner, lease_ms=LEASE_MS, bad_gen=self._flight.bad_gen, min_left_ms=margin_ms
                    )
                )
            except StoreBusyError:
                if await self._is_worth_waiting():
                    return None
            except StoreError:
                if held is not None and is_patient:
                    # Nobody waits: that spreads the requests of a fleet of which each process goes on alone now. The
                    # store may be back by then.
                    is_patient = False
                    await asyncio.sleep(min(_ALONE_SECONDS * self._cache.random(), held.left() - margin_ms / 1000))
                    continue
            if held is not None and not self._flight.refused and held.is_early():
                return held
            self._store = self._cache.local

    async def _is_worth_waiting(self) -> bool:
        """Wait for a store that has too much to do, which costs the flight none of its time; False after half a minute."""
        if self._crowded >= _CROWD_SECONDS:
            return False
        wait = _POLL_MAX * (0.5 + 0.5 * self._cache.random())
        self._crowded += wait
        self._deadline += wait
        await asyncio.sleep(wait)
        return True

    async def _granted(self, name: RecordName, gen: int) -> AccessToken | Failure | None:
        """Wait for the turn of a request, which costs the flight none of its time, and fetch."""
        self._leased = True
        if not self._has_turn:
            before = self._cache.clock.monotonic()
            try:
                await self._cache.turn()
            except Exception as exc:  # noqa: BLE001 - the limiter may say that it takes too long
                return await self._failed(name, failure_of(exc))
            waited = self._cache.clock.monotonic() - before
            observer = self._cache.events.observer
            if observer is not None:
                observer.turn(waited)
            self._deadline += waited
            self._has_turn = True
            if waited > _LONG_WAIT:
                return None  # the lease may have passed on, or somebody else may have brought the token meanwhile
        self._has_turn = False
        return await self._attempt(name, gen)

    async def _attempt(self, name: RecordName, gen: int) -> AccessToken | Failure | None:
        """Fetch once as the holder of the lease; None means: ask the store again."""
        clock = self._cache.clock
        started = clock.monotonic(), clock.wall()
        if not self._attempts:
            self._deadline = max(self._deadline, started[0] + ATTEMPT_SECONDS)
            if self._poll > _POLL_FIRST:
                self._cache.emit("lease_taken_over", self._flight.key)
        self._attempts += 1
        limit = max(0.0, min(ATTEMPT_SECONDS, self._deadline - started[0]))
        try:
            async with asyncio.timeout(limit):
                issued = await self._cache.issuer.issue(self._flight.key, timeout=limit)
        except Exception as exc:  # noqa: BLE001 - an issuer is pluggable, and nothing it raises may leak from here
            return await self._failed(name, failure_of(exc))
        self._cache.emit("token_fetched", self._flight.key, seconds=clock.monotonic() - started[0])
        left = issued.lifetime - max(clock.monotonic() - started[0], clock.wall() - started[1])
        if left <= 0:
            error = RequestTimeout("no token: it was already expired when it arrived", method="POST")
            return await self._failed(name, failure_of(error))
        return await self._commit(name, gen, issued, started, left)

    async def _commit(
        self, name: RecordName, gen: int, issued: IssuedToken, started: tuple[float, float], left: float
    ) -> AccessToken | Failure | None:
        answer: Committed | Hit | None = Committed()
        try:
            answer = await self._bounded(
                self._store.commit(
                    name,
                    self._owner,
                    gen,
                    issued.header,
                    lifetime_ms=int(issued.lifetime * 1000),
                    left_ms=int(left * 1000),
                )
            )
        except StoreError:
            self._store = self._cache.local
        self._leased = False
        kept: AccessToken | None
        if isinstance(answer, Committed):
            kept = self._keep(name, issued.header, gen, issued.lifetime, started)
        else:
            self._cache.emit("commit_fenced", self._flight.key, detail=f"gen {gen}")
            now = self._cache.clock.monotonic(), self._cache.clock.wall()
            kept = None if answer is None else self._adopt(name, answer, now)
        if kept is not None and not self._is_purged(kept):
            return kept
        # Purged meanwhile: a token asked for before a revocation is not handed out after it.
        if self._attempts < MAX_FENCED:
            return None
        error = RequestTimeout("no token: each one was revoked before it arrived", method="POST")
        return self._note(Failure(error, transient=True))

    def _is_purged(self, kept: AccessToken) -> bool:
        """Tell whether a token was purged between the store's answer and its arrival here; it is dropped then."""
        if kept.gen > self._bell.floor:
            return False
        self._cache.unkeep(self._flight.key, kept.gen)
        return True

    async def _failed(self, name: RecordName, failure: Failure) -> Failure | None:
        """Wait for another attempt (None), or give up: tell the store, and let everyone stay away for a while."""
        if not failure.transient and not self._reread:
            self._reread = True
            if await self._was_rotated(name):
                await self._give_back(name)
                self._rotated = True
                return None
        wait = max(self._cache.random() * min(2.0, 0.25 * 2.0**self._attempts), failure.error.retry_after or 0.0)
        now = self._cache.clock.monotonic()
        if failure.is_repeatable and self._attempts < MAX_ATTEMPTS and now + wait < self._deadline:
            await asyncio.sleep(wait)
            return None
        self._note(failure)
        ttl = self._cache.trouble(self._flight.key).retry_at - now
        await self._give_back(name, kind=failure.kind, ttl=ttl)
        return failure

    async def _was_rotated(self, name: RecordName) -> bool:
        """After a refusal read the credentials once more."""
        try:
            secret = await self._cache.issuer.secret(refresh=True)
        except Exception:  # noqa: BLE001 - the refusal is the better news
            return False
        return self._flight.key.record_name(secret) != name

    async def _wait_turn(self, busy: Busy) -> bool:
        """Wait until the holder of the lease is done, or its lease is over; False when this flight's time is."""
        if self._waited >= FLIGHT_SECONDS:
            return False
        if self._poll == _POLL_FIRST:
            self._cache.emit("lease_waited", self._flight.key)
        poll = max(self._poll, len(self._cache.bells) / _POLLS_PER_SECOND) * (0.8 + 0.4 * self._cache.random())
        self._poll = min(_POLL_MAX, self._poll * 2)
        delay = min(poll, busy.left_ms / 1000 + 0.05 * self._cache.random())
        before = self._cache.clock.monotonic()
        alarm = asyncio.get_running_loop().call_later(delay, self._bell.set)
        try:
            await self._bell.wait()
        finally:
            alarm.cancel()
        # No more than it meant to wait: what a busy loop adds to that says nothing about the holder of the lease.
        self._waited += min(delay, self._cache.clock.monotonic() - before)
        return True

    def _adopt(self, name: RecordName, hit: Hit, t0: tuple[float, float]) -> AccessToken:
        """Take over a token that somebody else fetched; its life counts from before the store was asked."""
        lifetime = hit.lifetime_ms / 1000
        spent = lifetime - min(hit.left_ms, hit.lifetime_ms) / 1000
        self._leased = False
        return self._keep(name, hit.value, hit.gen, lifetime, (t0[0] - spent, t0[1] - spent))

    def _keep(
        self, name: RecordName, header: bytes, gen: int, lifetime: float, started: tuple[float, float]
    ) -> AccessToken:
        record = AccessToken(
            header,
            gen,
            lifetime,
            name=name,
            clock=self._cache.clock,
            started_mono=started[0],
            started_wall=started[1],
            draw=self._cache.random(),
        )
        return self._cache.keep(self._flight.key, record, shared=self._store is self._cache.store)

    def _note(self, failure: Failure) -> Failure:
        """Take note of a failure of this flight's own making."""
        now = self._cache.clock.monotonic()
        failure.error.attempts, failure.error.elapsed = self._attempts, now - self._started
        self._cache.trouble(self._flight.key).note(
            failure,
            now,
            self._started,
            has_token=self._cache.held(self._flight.key) is not None,
            random=self._cache.random,
        )
        return failure

    async def _give_back(
        self, name: RecordName, *, kind: str = "transient:auth:0", ttl: float = 0.0, limit: float = STORE_SECONDS
    ) -> None:
        """Give the lease back, with a failure to remember for ``ttl`` seconds or without."""
        if self._leased:
            self._leased = False
            with contextlib.suppress(StoreError):
                await self._bounded(self._store.fail(name, self._owner, kind, ttl_ms=int(ttl * 1000)), limit=limit)

    async def _bounded(self, operation: Awaitable[T], *, limit: float = STORE_SECONDS) -> T:
        """Await an operation of the store in use; only the shared one can fail."""
        if self._store is self._cache.local:
            return await operation
        return await self._cache.guard.run(operation, limit=limit)
