"""What the tests of the Redis store share."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable

from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    Keyring,
    Negative,
    RecordName,
    RedisTokenStore,
    StoreEvent,
    TokenStore,
)

__all__ = ["PATIENT", "Ear", "Keep", "a_name", "ask", "eventually", "grant", "key_of", "opened", "put", "run"]

PATIENT = 5.0
"""A time limit for tests that are about something else, on a machine that may be busy."""


def a_name() -> RecordName:
    """Return a name that no other test uses."""
    return RecordName(secrets.token_hex(16), b"client secret")


def key_of(name: RecordName, kind: str, namespace: str = "monite") -> str:
    """Return a key of a record: ``t`` for the record, ``l`` lease, ``n`` negative, ``f`` memory of generations."""
    return f"{{{namespace}:{name.name}}}:{kind}"


async def ask(
    store: TokenStore,
    name: RecordName,
    owner: str = "a",
    *,
    bad_gen: int = 0,
    min_left_ms: int = 0,
    lease_ms: int = 5000,
) -> Hit | Negative | Granted | Busy:
    """Ask for a value or a lease."""
    return await store.acquire(name, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)


async def grant(store: TokenStore, name: RecordName, owner: str = "a", *, bad_gen: int = 0) -> int:
    """Get the lease and return its generation."""
    answer = await ask(store, name, owner, bad_gen=bad_gen)
    assert isinstance(answer, Granted), answer
    return answer.gen


async def put(
    store: TokenStore, name: RecordName, value: bytes = b"value", *, life_ms: int = 60_000, bad_gen: int = 0
) -> int:
    """Store a value and return its generation."""
    gen = await grant(store, name, bad_gen=bad_gen)
    assert await store.commit(name, "a", gen, value, lifetime_ms=life_ms, left_ms=life_ms) == Committed()
    return gen


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something is so, and fail when it does not come about."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def opened(
    url: str,
    *,
    namespace: str = "monite",
    keyring: Keyring | None = None,
    timeout: float = PATIENT,
) -> AsyncGenerator[RedisTokenStore, None]:
    """Open a store and close it."""
    store = RedisTokenStore.from_url(url, namespace=namespace, keyring=keyring, timeout=timeout)
    try:
        yield store
    finally:
        await store.aclose()


Keep = Callable[[RedisTokenStore], RedisTokenStore]


def run(main: Callable[[Keep], Awaitable[None]]) -> None:
    """Run a test in a loop of its own; it is given what takes note of a store that has to be closed in the end."""

    async def whole() -> None:
        async with contextlib.AsyncExitStack() as stack:

            def keep(store: RedisTokenStore) -> RedisTokenStore:
                stack.push_async_callback(store.aclose)
                return store

            await main(keep)

    asyncio.run(whole())


class Ear:
    """A watcher that remembers what it was told."""

    def __init__(self, *names: RecordName) -> None:
        self.names: list[RecordName] = list(names)
        self.heard: list[StoreEvent] = []

    def on_event(self, event: StoreEvent) -> None:
        """Remember an event."""
        self.heard.append(event)

    def in_use(self) -> list[RecordName]:
        """Return the names given, every time."""
        return self.names

    def has(self, kind: str, name: RecordName, gen: int | None = None) -> bool:
        """Return whether it was told of such an event."""
        return any(event.kind == kind and event.name == name.name and gen in (None, event.gen) for event in self.heard)

    def count(self, kind: str) -> int:
        """Return how many events of a kind it was told of."""
        return sum(event.kind == kind for event in self.heard)
