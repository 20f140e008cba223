"""Attacks on the token cache: threads, re-entrance, revocation and closing at the worst moments, and what piles up."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from monite_async import AsyncMonite, ClientClosedError, MoniteError, TokenEvent
from monite_async._errors import ConnectError
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.failure import Trouble
from monite_async._tokens.guard import LonelyWatcher
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async_stores import Busy, Committed, Granted, Hit, MemoryTokenStore, Negative, RecordName
from tests.scripted import CLIENT_ID, Scripted, client
from tests.tokens.world import PARTNER, Endpoint, World, user
from tests.virtual import VirtualClock, VirtualLoop, run_virtual


class Far(MemoryTokenStore):
    """A store whose answers are on their way for a while, as those of a server are."""

    on_way: Callable[[str], Awaitable[None]] | None = None
    down = False

    async def _arrive(self, operation: str) -> None:
        if self.down:
            raise ConnectionError("the store is down")
        if self.on_way is not None:
            await self.on_way(operation)

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        answer = await super().acquire(record, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)
        await self._arrive("hit" if isinstance(answer, Hit) else "acquire")
        return answer

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        answer = await super().commit(record, owner, gen, value, lifetime_ms=lifetime_ms, left_ms=left_ms)
        await self._arrive("commit")
        return answer


def far(world: World, *, behind: float = 0.0) -> Far:
    """Give a world such a store, whose clock may be behind, and a cache on it."""
    clock = VirtualClock(cast("VirtualLoop", asyncio.get_running_loop()))
    clock.step_wall(-behind)
    store = Far(clock=clock)
    world.store, world.cache = store, TokenCache(store, world.endpoint, clock=world.clock)
    return store


class Deaf(Endpoint):
    """An endpoint whose revocations fail after a while."""

    def __init__(self, *, patience: float = 60.0) -> None:
        super().__init__()
        self.patience = patience

    async def revoke(self, token: str, *, timeout: float) -> None:
        await asyncio.sleep(self.patience)
        raise ConnectError("no route")


class Pause:
    """Holds one operation's answer back, once, until told otherwise."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, operation: str) -> None:
        if operation == self.operation and not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()


@contextmanager
def frantic() -> Generator[None, None, None]:
    """Have threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(*works: Callable[[], object]) -> None:
    """Run each work in a thread of its own, and raise what the first of them raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    with frantic():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


# -- revocation and closing at the worst moment


@pytest.mark.parametrize("behind", [0.0, 3600.0, -3600.0])
@pytest.mark.parametrize("operation", ["commit", "hit"])
def test_a_token_revoked_while_the_store_answers_is_not_handed_out(operation: str, behind: float) -> None:
    """R31: a token that was stored, or found, just before its revocation is not kept just after it.

    How far the clock of the store's machine is off makes no difference.
    """

    async def main() -> None:
        world = World(Endpoint(latency=0.1))
        store = far(world, behind=behind)
        if operation == "hit":
            await world.another().get(PARTNER)
        store.on_way = pause = Pause(operation)
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await pause.reached.wait()
        await world.another().revoke(PARTNER)
        pause.go_on.set()
        token = await caller
        assert len(world.endpoint.revoked) == 1
        assert token.value not in world.endpoint.revoked
        assert (await world.cache.get(PARTNER)).value == token.value
        assert world.posts == 2

    run_virtual(main())


def test_revoking_while_the_cache_closes_is_a_clear_error() -> None:
    """R13: a revocation that ``aclose`` cuts off raises ``ClientClosedError``; its caller was not cancelled."""

    async def main() -> None:
        world = World(Deaf())
        await world.cache.get(PARTNER)
        caller = asyncio.create_task(world.cache.revoke(PARTNER))
        await asyncio.sleep(0.1)
        await world.cache.aclose()
        with pytest.raises(ClientClosedError):
            await caller

    run_virtual(main())


def test_a_revocation_that_nobody_waits_for_any_more_fails_in_silence() -> None:
    """A caller who gave up hears nothing more of it, and neither does the loop's exception handler."""

    async def main() -> None:
        world = World(Deaf(patience=1.0))
        await world.cache.get(PARTNER)
        caller = asyncio.create_task(world.cache.revoke(PARTNER))
        await asyncio.sleep(0.5)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_a_closing_that_is_cancelled_leaves_nothing_behind() -> None:
    """R13: tokens are forgotten and flights cut off even if whoever closes runs out of patience."""

    async def main() -> None:
        world = World()
        await world.cache.get(user(1))
        world.endpoint.latency = 3.0
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await world.cache.aclose()
        assert world.cache.stats().cached == 0
        with pytest.raises(ClientClosedError):
            await caller
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_a_flight_that_breaks_because_of_the_closing_says_so() -> None:
    """Callers of a flight that could not finish because the client was closed are told just that."""

    async def main() -> None:
        world = World(Endpoint(latency=0.3))
        world.endpoint.failure = ClientClosedError("closed")
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0.1)
        await world.cache.aclose()
        with pytest.raises(ClientClosedError):
            await caller

    run_virtual(main())


def test_a_refused_token_that_is_over_is_replaced_however_young() -> None:
    """R30: the brake is for tokens that should work; one whose short life is over is replaced, by the usual request."""

    async def main() -> None:
        world = World(Endpoint(lifetime=4.0))
        token = await world.cache.get(PARTNER)
        assert await world.cache.replace(PARTNER, token) is None
        await asyncio.sleep(3.5)
        fresh = await asyncio.gather(*(world.cache.replace(PARTNER, token) for _ in range(50)))
        assert {each.gen > token.gen for each in fresh if each is not None} == {True}
        assert None not in fresh
        assert world.posts == 2

    run_virtual(main())


# -- what piles up


def test_keys_in_use_do_not_keep_notes_of_others_alive() -> None:
    """R4: notes on keys that failed once are swept, however many keys with a note of their own are in use."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0))
        for number in range(20):
            await world.cache.get(user(number))
            world.cache.trouble(user(number))
        for number in range(1000, 2000):
            world.cache.trouble(user(number))
        assert len(world.cache._troubles) <= 40

    run_virtual(main())


def test_a_store_that_stays_away_does_not_make_memory_grow() -> None:
    """R4: tokens that wait for the store to come back are bounded by the tokens in memory."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0))
        store = Far(clock=world.clock)
        store.down = True
        cache = TokenCache(store, world.endpoint, clock=world.clock, max_records=10)
        for number in range(200):
            await cache.get(user(number))
        assert len(cache.owed) <= 21
        assert cache.stats().cached == 10

    run_virtual(main())


# -- threads


class Instant:
    """An issuer without latency, for any thread."""

    async def secret(self, *, refresh: bool = False) -> bytes:
        return b"secret"

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        return IssuedToken(f"Bearer {'t' * 20}".encode(), 1800.0)

    async def revoke(self, token: str, *, timeout: float) -> None:
        """Do nothing."""


class Interrupted:
    """A note that, when it is looked at, gives another thread a chance to do something first."""

    refused_at = float("-inf")

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    @property
    def retry_at(self) -> float:
        if not self._thread.is_alive() and self._thread.ident is None:
            self._thread.start()
            self._thread.join(0.2)  # it gets no further than to the lock
        return float("-inf")


def test_notes_are_swept_while_another_thread_drops_one() -> None:
    """Dropping a token in one thread waits for the sweep in another, which so finds every note that it looks at."""
    cache = TokenCache(MemoryTokenStore(), Instant())
    dropping = threading.Thread(target=lambda: asyncio.run(cache.invalidate(user(2))))
    cache._troubles.update({user(1).id: cast("Trouble", Interrupted(dropping)), user(2).id: Trouble()})
    cache.trouble(user(3))
    dropping.join()
    assert user(2).id not in cache._troubles


class Ended:
    """Stands for a loop that has ended; whoever asks is interrupted by a thread that does something else first."""

    closed = True

    def __init__(self, interruption: Callable[[], None]) -> None:
        self._interruption = interruption

    def is_closed(self) -> bool:
        self._interruption()
        return self.closed


def test_a_loop_begins_while_another_asks_for_the_secret() -> None:
    """A provider of secrets serves loops in many threads: one that comes in the middle disturbs no other."""

    async def provider() -> str:
        return "secret"

    async def main() -> str:
        credentials = ClientCredentials(CLIENT_ID, provider)
        elsewhere = asyncio.get_running_loop().create_task(credentials._read(provider))
        calls = cast("dict[object, object]", credentials._calls)
        newcomer = Ended(lambda: None)
        living = Ended(lambda: None)
        living.closed = False
        calls[living] = elsewhere
        calls[Ended(lambda: calls.update({newcomer: elsewhere}))] = elsewhere
        secret = await credentials.secret()
        assert newcomer in calls
        assert living in calls
        assert len(calls) <= 3
        await elsewhere
        return secret

    assert asyncio.run(main()) == "secret"


def test_threads_that_revoke_refuse_and_fetch_at_once_end_well() -> None:
    """Loops in four threads that use, refuse, drop and revoke the same few tokens neither fail nor get stuck."""
    cache = TokenCache(MemoryTokenStore(), Instant())

    async def work() -> None:
        for number in range(150):
            key = user(number % 5)
            token = await cache.get(key)
            await asyncio.gather(cache.replace(key, token), cache.get(key), cache.get(PARTNER))
            await (cache.revoke(key) if number % 3 else cache.invalidate(key))

    in_threads(*(lambda: asyncio.run(work()) for _ in range(4)))
    assert all(not flights for flights in cache._flights.values())
    assert cache.stats().cached <= 6


# -- re-entrance


def test_a_listener_may_call_back_into_the_cache() -> None:
    """Whatever a listener does with the cache, from within any event, works: no lock is held while it runs."""

    async def main() -> None:
        world = World(Endpoint(latency=0.1))
        tasks: set[asyncio.Future[Any]] = set()

        def listen(event: TokenEvent) -> None:
            world.cache.stats()
            world.cache.peek(PARTNER)
            world.cache.trouble(PARTNER)
            world.cache.held(PARTNER)
            assert LonelyWatcher(world.cache).in_use() == []
            if event.kind == "flight_started" and len(tasks) < 10:
                tasks.add(asyncio.ensure_future(world.cache.get(PARTNER)))
                tasks.add(asyncio.ensure_future(world.cache.invalidate(user(1))))

        world.cache.events.listen(listen)
        token = await world.cache.get(PARTNER)
        await asyncio.sleep(6)
        assert await world.cache.replace(PARTNER, token) != token
        await world.cache.revoke(PARTNER)
        await asyncio.gather(*tasks)
        assert world.posts <= 3

    run_virtual(main())


# -- what debugging shows


def test_debugging_does_not_show_the_secret_of_a_provider(caplog: pytest.LogCaptureFixture) -> None:
    """The debug mode of asyncio logs slow tasks with their results: no result of a task of this library is a secret."""
    canary = "canary-4f1d8a0c"

    async def provider() -> str:
        time.sleep(0.002)
        return canary

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.0
        monite = client(Scripted(), client_secret=provider)
        assert isinstance(monite, AsyncMonite)
        await asyncio.gather(*(monite.token() for _ in range(3)))
        await monite.revoke_token()
        await monite.aclose()

    caplog.set_level(logging.DEBUG)
    asyncio.run(main(), debug=True)
    assert "_read" in caplog.text  # it was logged at all
    assert canary not in caplog.text
    assert "canary-token" not in caplog.text


def test_the_clock_may_step_back_and_forth() -> None:
    """A wall clock that jumps by a day at any moment costs a request per jump at most, and no caller an error."""

    async def main() -> None:
        world = World(Endpoint(latency=0.2))
        clock: VirtualClock = world.clock
        failures: list[MoniteError] = []
        for step in range(40):
            try:
                caller = asyncio.create_task(world.cache.get(PARTNER))
                await asyncio.sleep(0.1)
                clock.step_wall(86_400 if step % 2 else -86_400)
                assert (await caller).is_alive()
            except MoniteError as exc:
                failures.append(exc)
            await asyncio.sleep(30)
        assert failures == []
        assert world.posts <= 42

    run_virtual(main())
