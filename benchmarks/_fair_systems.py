"""Ways of keeping to a rate limit in several processes, each behind the same two functions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from monite_async import AsyncMonite, EntityClient, SharedRate
from monite_async_stores import RedisTokenStore

__all__ = ["BY_HAND", "EACH", "LEARNING", "NONE", "PATIENCE", "SHARED", "SYSTEMS", "TOLD", "Place", "System", "make"]

PATIENCE = 900.0
"""Seconds after which a call is given up."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are, and what is known.

    Attributes:
        base_url: The API.
        client_id: The partner's id.
        client_secret: His secret.
        token: A token, for clients that have no way to get one.
        entity_id: An entity.
        redis: URL of a Redis.
        limit: Requests per second that the API takes.
        processes: How many processes there are; only what is divided by hand looks at it.
    """

    base_url: str
    client_id: str
    client_secret: str
    token: str
    entity_id: str
    redis: str
    limit: float
    processes: int


class System(Protocol):
    """A client in one process."""

    async def call(self) -> object:
        """Make one call."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


class Monite:
    """This library, with tokens in Redis; the limit is learned by each process for itself."""

    def __init__(self, place: Place) -> None:
        self._store = RedisTokenStore.from_url(place.redis)
        self._client = AsyncMonite(
            client_id=place.client_id,
            client_secret=place.client_secret,
            base_url=place.base_url,
            token_store=self._store,
            deadline=PATIENCE,
            rate_limit=self._rate(place),
        )
        self._entity: EntityClient = self._client.entity(place.entity_id)

    def _rate(self, place: Place) -> SharedRate | None:
        del place
        return None

    async def call(self) -> object:
        return await self._entity.payables.list(limit=1)

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._store.aclose()


class MoniteShared(Monite):
    """This library with one budget in Redis, of a limit that is given."""

    def _rate(self, place: Place) -> SharedRate | None:
        return SharedRate(place.limit)


class MoniteTold(Monite):
    """This library with one budget in Redis, of the limit that the server tells."""

    def _rate(self, place: Place) -> SharedRate | None:
        del place
        return SharedRate()


SHARED = "monite-async, SharedRate(limit)"
TOLD = "monite-async, SharedRate()"
LEARNING = "monite-async, learning only"
BY_HAND = "official + aiolimiter, limit / processes"
EACH = "official + aiolimiter, limit in each"
NONE = "official, no limiter"
_PEERS = "benchmarks._fair_peers"  # which take seconds to import
SYSTEMS: dict[str, tuple[str, str]] = {
    SHARED: (__name__, "MoniteShared"),
    TOLD: (__name__, "MoniteTold"),
    LEARNING: (__name__, "Monite"),
    BY_HAND: (_PEERS, "OfficialDivided"),
    EACH: (_PEERS, "OfficialEach"),
    NONE: (_PEERS, "Official"),
}


def make(name: str, place: Place) -> System:
    """Return the client of that name."""
    module, factory = SYSTEMS[name]
    return cast("System", getattr(import_module(module), factory)(place))
