"""Each event is handled once, however often it is delivered."""

from __future__ import annotations

import hashlib
import math
from typing import Literal, Protocol, TypeAlias

from monite_async._errors import ConfigurationError
from monite_async_stores import Busy, Granted, Hit, MemoryTokenStore, RecordName, TokenStore

__all__ = ["Claim", "ReplayGuard", "StoreReplayGuard", "is_positive"]

Claim: TypeAlias = Literal["claimed", "running", "handled"]

_WEEK = 7 * 86_400.0
# What is kept is one byte that says nothing; stores that seal want something to derive a key from all the same.
_SEALING = b"monite-async webhook replay guard"


def is_positive(value: object) -> bool:
    """Tell whether something is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


class ReplayGuard(Protocol):
    """Remembers which events were handled; all methods must be atomic over all processes that receive events.

    A claim is a lease: it ends by itself when the process that holds it dies, so that the next delivery is handled.
    """

    async def claim(self, event_id: str, *, owner: str, lease: float) -> Claim:
        """Ask to handle an event.

        Args:
            event_id: Which event.
            owner: Who asks; unique per delivery.
            lease: Seconds after which the claim ends if nothing is heard of it.

        Returns:
            ``claimed``: handle it. ``running``: somebody is at it. ``handled``: it was handled before.
        """
        ...

    async def done(self, event_id: str, *, owner: str) -> None:
        """Remember that the event was handled."""
        ...

    async def release(self, event_id: str, *, owner: str) -> None:
        """Give the claim back: the event was not handled, and is to be when it is delivered again."""
        ...


class StoreReplayGuard:
    """Keeps the marks in a token store: in memory, in Redis, or in files; the store of the client will do.

    Its leases and records are what a replay guard needs, with all that they stand: many processes, forks, outages. A
    store in memory forgets the oldest above its ``max_records``; one in files keeps a small lock file per event for good,
    which is for few events only.

    Args:
        store: Where; default the memory of this process, which suffices when one process receives all events. It is
            the caller's to close.
        remember: Seconds that a handled event is remembered: 7 days, a number of our own, since Monite does not say
            for how long it redelivers.

    Raises:
        ConfigurationError: ``remember`` is not a positive, finite number.
    """

    def __init__(self, store: TokenStore | None = None, *, remember: float = _WEEK) -> None:
        if not is_positive(remember):
            raise ConfigurationError("remember must be a positive, finite number of seconds")
        self._store: TokenStore = MemoryTokenStore() if store is None else store
        self._remember_ms = round(remember * 1000)

    async def claim(self, event_id: str, *, owner: str, lease: float) -> Claim:
        """See ``ReplayGuard.claim``.

        Raises:
            StoreError: The store cannot be reached.
        """
        answer = await self._acquire(event_id, owner, lease)
        if isinstance(answer, Granted):
            return "claimed"
        return "handled" if isinstance(answer, Hit) else "running"

    async def done(self, event_id: str, *, owner: str) -> None:
        """See ``ReplayGuard.done``.

        Raises:
            StoreError: The store cannot be reached.
        """
        # Asked for anew, which renews the lease: so nothing has to be kept here between the two calls.
        answer = await self._acquire(event_id, owner, 10.0)
        if isinstance(answer, Granted):
            life = self._remember_ms
            await self._store.commit(_record(event_id), owner, answer.gen, b"1", lifetime_ms=life, left_ms=life)

    async def release(self, event_id: str, *, owner: str) -> None:
        """See ``ReplayGuard.release``.

        Raises:
            StoreError: The store cannot be reached.
        """
        await self._store.fail(_record(event_id), owner, "released", ttl_ms=0)

    async def _acquire(self, event_id: str, owner: str, lease: float) -> Hit | Granted | Busy | object:
        record = _record(event_id)
        return await self._store.acquire(record, owner, lease_ms=round(lease * 1000), bad_gen=0, min_left_ms=0)


def _record(event_id: str) -> RecordName:
    digest = hashlib.sha256(b"webhook event\n" + event_id.encode()).hexdigest()
    return RecordName(digest[:32], _SEALING)
