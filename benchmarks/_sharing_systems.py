"""Ways for several processes to share a token, each behind the same three functions."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks._systems import Spec, raw_post
from benchmarks._token_server import Endpoint
from monite_async import AsyncMonite
from monite_async_stores import EncryptedFileTokenStore, MemoryTokenStore, RedisTokenStore, TokenStore

__all__ = ["FILES", "LEASE", "MEMORY", "OURS", "SHARED", "Place", "Shared", "find"]

_LIFE = 1800
LEASE = 8
"""Seconds; longer than the slowest fetch here, as a lease has to be."""
_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are.

    Attributes:
        endpoint: The token endpoint.
        redis: Port of the Redis on this machine.
        directory: A directory that all processes can use.
    """

    endpoint: Endpoint
    redis: int
    directory: str


class Shared(Protocol):
    """A way of getting the tokens of several users in several processes."""

    async def get(self, user: int) -> object:
        """Get the token of a user; 0 is the partner."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


class Monite:
    """This library on a store: ``await client.token()``."""

    def __init__(self, place: Place) -> None:
        self._store = self._make(place)
        self.client = AsyncMonite(
            client_id=str(uuid.UUID(int=1)),
            client_secret="benchmark-secret",
            base_url=f"http://127.0.0.1:{place.endpoint.port}/v1",
            token_store=self._store,
        )

    def _make(self, place: Place) -> TokenStore:
        return RedisTokenStore.from_url(f"redis://127.0.0.1:{place.redis}/0")

    async def get(self, user: int) -> object:
        scope = self.client.as_user(uuid.UUID(int=user)) if user else self.client
        return await scope.token()

    async def aclose(self) -> None:
        await self.client.aclose()
        await self._store.aclose()


class MoniteFiles(Monite):
    """This library on encrypted files."""

    def _make(self, place: Place) -> TokenStore:
        return EncryptedFileTokenStore(place.directory)


class MoniteMemory(Monite):
    """This library on its memory store, which is shared with nobody."""

    def _make(self, place: Place) -> TokenStore:
        del place
        return MemoryTokenStore()


class NoLock:
    """Look into Redis; fetch if there is none, and set."""

    def __init__(self, place: Place) -> None:
        self._endpoint = place.endpoint
        # By default redis-py fails beyond a hundred connections instead of waiting for one.
        pool = BlockingConnectionPool(max_connections=_CONNECTIONS, timeout=60, host="127.0.0.1", port=place.redis)
        self._redis = Redis(connection_pool=pool)

    async def get(self, user: int) -> object:
        value = cast("bytes | None", await self._redis.get(f"token:{user}"))
        return value or await self._fetch(user)

    async def _fetch(self, user: int) -> object:
        token, _ = await raw_post(self._endpoint)
        await self._redis.set(f"token:{user}", token, ex=_LIFE)
        return token

    async def aclose(self) -> None:
        await self._redis.aclose()


class RedisLock(NoLock):
    """The pattern of redis-py's ``Lock``: get, lock, get again, fetch, set."""

    async def get(self, user: int) -> object:
        value = cast("bytes | None", await self._redis.get(f"token:{user}"))
        if value:
            return value
        lock = cast("AbstractAsyncContextManager[object]", self._redis.lock(f"lock:{user}", timeout=LEASE))
        async with lock:
            return await super().get(user)


class _Decorated:
    """A peer that decorates the fetch."""

    def __init__(self, place: Place) -> None:
        self._endpoint = place.endpoint
        self._get = self._decorate(place)

    def _decorate(self, place: Place) -> Callable[[int], Awaitable[object]]:
        raise AssertionError(place)

    async def _fetch(self, user: int) -> object:
        del user
        token, _ = await raw_post(self._endpoint)
        return token

    async def get(self, user: int) -> object:
        return await self._get(user)

    async def aclose(self) -> None:
        """Its connections end with the process."""


_Decorator = Callable[[Callable[[int], Awaitable[object]]], Callable[[int], Awaitable[object]]]


class Aiocache(_Decorated):
    """``aiocache.cached_stampede`` with a Redis and a lease as long as a fetch may take."""

    def _decorate(self, place: Place) -> Callable[[int], Awaitable[object]]:
        module = import_module("aiocache")
        serializers = import_module("aiocache.serializers")
        decorate = cast(
            "_Decorator",
            module.cached_stampede(
                lease=LEASE,
                ttl=_LIFE,
                cache=module.RedisCache,
                endpoint="127.0.0.1",
                port=place.redis,
                key_builder=_key,
                serializer=serializers.StringSerializer(),
                pool_max_size=_CONNECTIONS,
                connection_pool_class=BlockingConnectionPool,
                connection_pool_kwargs={"timeout": 60},
            ),
        )
        return decorate(self._fetch)


def _key(function: object, user: int) -> str:
    del function
    return f"token:{user}"


class Cashews(_Decorated):
    """``cashews.cache`` with its defaults: one call at a time in each process."""

    lock = False

    def _decorate(self, place: Place) -> Callable[[int], Awaitable[object]]:
        module = import_module("cashews")
        cache = module.Cache()
        cache.setup(f"redis://127.0.0.1:{place.redis}", pickle_type="default", secret="")
        decorate = cast("_Decorator", cache(ttl=_LIFE, key="token:{user}", lock=self.lock))

        async def fetch(user: int) -> object:
            return await self._fetch(user)

        return decorate(fetch)


class CashewsLock(Cashews):
    """``cashews.cache(lock=True)``: one call at a time in all processes."""

    lock = True


OURS, FILES, MEMORY = "monite-async, Redis", "monite-async, files", "monite-async, memory"
_HERE = __name__
SHARED = (
    Spec(OURS, _HERE, "Monite", "monite_async", "monite-async"),
    Spec(FILES, _HERE, "MoniteFiles", "monite_async"),
    Spec("Redis, no lock", _HERE, "NoLock"),
    Spec("redis-py Lock pattern", _HERE, "RedisLock", "redis", "redis"),
    Spec("aiocache cached_stampede", _HERE, "Aiocache", "aiocache", "aiocache"),
    Spec("cashews", _HERE, "Cashews", "cashews", "cashews"),
    Spec("cashews, lock=True", _HERE, "CashewsLock", "cashews"),
)
_MEMORY = Spec(MEMORY, _HERE, "MoniteMemory")


def find(name: str) -> Callable[[Place], Shared]:
    """Return what makes the system of that name."""
    spec = next(spec for spec in (*SHARED, _MEMORY) if spec.name == name)
    return cast("Callable[[Place], Shared]", getattr(import_module(spec.module), spec.factory))
