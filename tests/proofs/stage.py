"""A client on real sockets in front of an emulator, for tests that attack it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from monite_async import AsyncMonite, RequestOptions, RetryPolicy, TokenEvent
from monite_async._http.native import Native
from monite_async._tokens.cache import TokenCache
from monite_async.emulator import Emulator, EmulatorSettings, listen
from monite_async.types.entities import EntityAddressSchemaInput
from monite_async_stores import MemoryTokenStore
from tests.proofs.canary import Canaries, shown, told

ADDRESS: EntityAddressSchemaInput = {"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"}
CLIENT_ID = "6f3e1c5a-2b7d-4c8e-9a10-5d2f4b6c8e01"
ONCE = RetryPolicy(max_retries=0)
QUICK = RetryPolicy(max_retries=2, base_wait=0.001)


class Stage:
    """An emulator that serves on a socket, a client of it, one entity and one user.

    Attributes:
        errors: What failed so far.
        things: Public objects that were met.
    """

    def __init__(self, emulator: Emulator, base_url: str, canaries: Canaries, **options: Any) -> None:
        self.emulator = emulator
        self.canaries = canaries
        self.base_url = base_url
        self.errors: list[BaseException] = []
        self.things: list[object] = []
        self.events: list[TokenEvent] = []
        self.entity_id = self.user_id = ""
        self.clients: list[AsyncMonite] = []
        self.monite = self.client(**options)

    def client(self, **options: Any) -> AsyncMonite:
        """Return another client of the emulator; it is closed at the end."""
        secret = self.emulator.settings.client_secret
        credentials: dict[str, Any] = {"client_id": CLIENT_ID, "client_secret": secret, "base_url": self.base_url}
        if "token" in options:
            credentials = {"base_url": self.base_url}
        settings: dict[str, Any] = {**credentials, "retry": QUICK, **options}
        monite = AsyncMonite(**settings)
        self.clients.append(monite)
        if "token" not in options:
            monite.tokens.listen(self.events.append)
        return monite

    async def build(self) -> None:
        """Make an entity and a user of it."""
        async with AsyncMonite(**self.emulator.client_options()) as monite:
            entity = await monite.entities.create(
                type="organization", email="ap@acme.test", address=ADDRESS, organization={"legal_name": "Acme"}
            )
            self.entity_id = entity.id
            user = await monite.entity(entity.id).entity_users.create(login="ann", first_name="Ann")
            self.user_id = user.id
        self.emulator.log.clear()

    async def fails(self, work: Awaitable[object]) -> BaseException:
        """Await something that has to fail; whatever it raises is kept and returned."""
        try:
            result = await work
        except BaseException as exc:
            self.errors.append(exc)
            return exc
        raise AssertionError(f"it did not fail: {type(result).__name__}")

    def texts(self) -> list[str]:
        """Return all texts that can be had of everything that was met."""
        things = [*self.things, *self.clients, *self.events, self.emulator.log, list(self.emulator.log)]
        for monite in self.clients:
            things += [monite.tokens, monite.entity("e"), monite._core, monite._channel, monite.httpx_auth()]
            if monite._core.cache is not None:
                things += [monite.tokens.stats(), monite.as_user("u"), monite.entity("e").as_user("u")]
        found = [text for thing in things for text in shown(thing)]
        found += [text for error in self.errors for text in told(error)]
        return found


@asynccontextmanager
async def staged(
    canaries: Canaries | None = None, *, settings: EmulatorSettings | None = None, tls: Any = None, **options: Any
) -> AsyncGenerator[Stage, None]:
    """Set the stage, and clear it in the end."""
    emulator = Emulator(settings)
    async with listen(emulator, tls=tls) as base_url:
        stage = Stage(emulator, base_url, canaries or Canaries(), **options)
        await stage.build()
        try:
            yield stage
        finally:
            emulator.faults.clear()
            for monite in stage.clients:
                await monite.aclose()


def cache_of(monite: AsyncMonite) -> TokenCache:
    """Return the cache behind a client."""
    return monite._core.issued()


def pool_of(monite: AsyncMonite) -> Native:
    """Return the connections of a client's calls."""
    carrier = monite._core.engine.carrier
    assert isinstance(carrier, Native)
    return carrier


class Moved:
    """A clock that tests move: both clocks of the machine, ahead by so many seconds."""

    def __init__(self, monite: AsyncMonite) -> None:
        cache = cache_of(monite)
        self.ahead = 0.0
        self._clock = cache.clock
        fresh = TokenCache(MemoryTokenStore(clock=self), cache.issuer, clock=self)
        monite._core.cache = monite._core.engine.tokens = fresh

    def monotonic(self) -> float:
        """Return the monotonic time, moved."""
        return self._clock.monotonic() + self.ahead

    def wall(self) -> float:
        """Return the wall time, moved."""
        return self._clock.wall() + self.ahead


def brief(timeout: float) -> RequestOptions:
    """Return options with so much time for everything, and no repeats."""
    return RequestOptions(timeout=timeout, deadline=timeout, retry=ONCE)


async def soon(work: Awaitable[None], seconds: float = 30.0) -> None:
    """Await something that must not hang."""
    async with asyncio.timeout(seconds):
        await work
