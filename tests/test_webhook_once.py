"""The receiver of webhooks: each event is handled once, whatever fails, dies or comes at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from monite_async.webhooks import Claim, Event, Receiver, StoreReplayGuard, sign
from monite_async_stores import EncryptedFileTokenStore, MemoryTokenStore, RedisTokenStore, StoreError, TokenStore
from tests.stores.redis_server import RedisServer
from tests.virtual import VirtualClock, VirtualLoop, run_virtual
from tests.webhook_calls import SECRET, delivery, noting, post


@pytest.fixture(params=["memory", "redis", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TokenStore]:
    """A store that receivers share."""
    if request.param == "memory":
        yield MemoryTokenStore()
        return
    store: RedisTokenStore | EncryptedFileTokenStore
    if request.param == "file":
        store = EncryptedFileTokenStore(tmp_path / "store")
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        store = RedisTokenStore.from_url(f"redis://127.0.0.1:{server.port}/0", namespace="webhooks", timeout=5.0)
    yield store
    await store.aclose()


@pytest.fixture(scope="module")
def redis_server() -> Any:
    """A Redis for the tests of this module."""
    with RedisServer() as server:
        yield server


def two(store: TokenStore) -> tuple[Receiver, Receiver]:
    """Return the receivers of two processes that share a store."""
    return (
        Receiver(SECRET, guard=StoreReplayGuard(store)),
        Receiver(SECRET, guard=StoreReplayGuard(store)),
    )


async def test_an_event_is_handled_once_however_often_it_comes(store: TokenStore) -> None:
    """A second delivery is acknowledged in every process, and handled in none."""
    one, other = two(store)
    seen = noting(one), noting(other)
    assert (await post(one, delivery("often"))).json() == {"outcome": "handled"}
    for receiver in (one, other, one):
        answer = await post(receiver, delivery("often"))
        assert (answer.status, answer.json()) == (200, {"outcome": "duplicate"})
    assert [len(events) for events in seen] == [1, 0]
    assert (await post(other, delivery("another"))).json() == {"outcome": "handled"}


async def test_a_failed_event_is_handled_when_it_comes_again(store: TokenStore) -> None:
    """A handler that fails gives the event back at once, to whichever process gets the next delivery."""
    one, other = two(store)
    seen = noting(other)

    @one.on()
    async def failing(_event: Event) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await one.handle(delivery("failed"), sign(delivery("failed"), SECRET))
    assert (await post(other, delivery("failed"))).json() == {"outcome": "handled"}
    assert len(seen) == 1


async def test_of_deliveries_that_come_at_once_one_is_handled(store: TokenStore) -> None:
    """Of twenty deliveries of the same event at the same moment, half of them elsewhere, one is handled, and none lost."""
    one, other = two(store)
    handled: list[str] = []
    for receiver in (one, other):

        @receiver.on()
        async def slow(event: Event) -> None:
            await asyncio.sleep(0)
            handled.append(event.id)

    answers = await asyncio.gather(*(post(receiver, delivery("crowd")) for receiver in (one, other) * 10))
    assert handled == ["crowd"]
    assert {answer.status for answer in answers} <= {200, 503}
    assert [answer.json() for answer in answers].count({"outcome": "handled"}) == 1
    assert (await post(other, delivery("crowd"))).json() == {"outcome": "duplicate"}


async def test_a_delivery_of_what_is_being_handled_is_sent_away(store: TokenStore) -> None:
    """It is neither handled twice nor acknowledged before it is certain that the first will end well: 503, come again."""
    one, other = two(store)
    seen = noting(other)
    begun, may_end = asyncio.Event(), asyncio.Event()

    @one.on()
    async def slow(_event: Event) -> None:
        begun.set()
        await may_end.wait()

    first = asyncio.create_task(post(one, delivery("slow")))
    await begun.wait()
    answer = await post(other, delivery("slow"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    may_end.set()
    assert (await first).status == 200
    assert (await post(other, delivery("slow"))).json() == {"outcome": "duplicate"}
    assert seen == []


async def test_a_cancelled_delivery_gives_its_event_back(store: TokenStore) -> None:
    """A server that cancels the request leaves the event to the next delivery."""
    one, other = two(store)
    begun = asyncio.Event()

    @one.on()
    async def endless(_event: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(post(one, delivery("cancelled")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    noting(other)
    assert (await post(other, delivery("cancelled"))).json() == {"outcome": "handled"}


def test_a_handler_that_takes_too_long_has_failed() -> None:
    """After ``handler_timeout`` seconds for all handlers together the event is given back."""

    async def run() -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        receiver = Receiver(SECRET, handler_timeout=20)

        @receiver.on()
        async def endless(_event: Event) -> None:
            await asyncio.sleep(15)

        receiver.on()(endless)
        started = loop.time()
        with pytest.raises(TimeoutError):
            await receiver.handle(delivery(), sign(delivery(), SECRET))
        assert loop.time() == started + 20

    run_virtual(run())


def test_the_event_of_a_process_that_died_is_handled_later() -> None:
    """A claim of which nothing more is heard ends by itself, shortly after the handlers' time would have been over."""

    async def run() -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        store = MemoryTokenStore(clock=VirtualClock(loop))
        guard = StoreReplayGuard(store, remember=100)
        receiver = Receiver(SECRET, guard=guard)
        noting(receiver)
        assert await guard.claim("1", owner="the dead", lease=40) == "claimed"
        header = sign(delivery(), SECRET)
        loop.now += 39
        assert await receiver.handle(delivery(), header) == "running"
        loop.now += 2
        assert await receiver.handle(delivery(), header) == "handled"
        # And what comes back from the dead changes nothing.
        await guard.release("1", owner="the dead")
        await guard.done("1", owner="the dead")
        assert await receiver.handle(delivery(), header) == "duplicate"
        loop.now += 101
        assert await receiver.handle(delivery(), header) == "handled"

    run_virtual(run())


class _Broken:
    """A guard whose store fails at one step."""

    def __init__(self, step: str) -> None:
        self._step = step

    def _maybe(self, step: str) -> None:
        if step == self._step:
            raise StoreError("away")

    async def claim(self, event_id: str, *, owner: str, lease: float) -> Claim:
        self._maybe("claim")
        return "claimed"

    async def done(self, event_id: str, *, owner: str) -> None:
        self._maybe("done")

    async def release(self, event_id: str, *, owner: str) -> None:
        self._maybe("release")


async def test_without_its_guard_nothing_is_handled_and_nothing_acknowledged() -> None:
    """When it cannot be known whether an event was handled, it is left to a later delivery."""
    receiver = Receiver(SECRET, guard=_Broken("claim"))
    seen = noting(receiver)
    with pytest.raises(StoreError):
        await post(receiver)
    assert seen == []


async def test_what_was_handled_is_acknowledged_even_if_that_cannot_be_noted(caplog: pytest.LogCaptureFixture) -> None:
    """A guard that fails after the handlers are done costs a line in the log, not a second handling."""
    receiver = Receiver(SECRET, guard=_Broken("done"))
    seen = noting(receiver)
    assert (await post(receiver)).status == 200
    assert len(seen) == 1
    assert "could not note the end of event 1: StoreError" in caplog.text


async def test_the_failure_of_a_handler_is_not_hidden_by_that_of_the_guard(caplog: pytest.LogCaptureFixture) -> None:
    """What is raised is the handler's error, also when the event could not be given back."""
    receiver = Receiver(SECRET, guard=_Broken("release"))

    @receiver.on()
    async def failing(_event: Event) -> None:
        raise LookupError

    with caplog.at_level(logging.WARNING), pytest.raises(LookupError):
        await receiver.handle(delivery(), sign(delivery(), SECRET))
    assert "could not note the end" in caplog.text
