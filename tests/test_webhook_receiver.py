"""The receiver of webhooks: what it answers, whom it calls, and that each event is handled once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from monite_async import ConfigurationError, WebhookError
from monite_async.webhooks import Claim, Event, PayableEvent, Receiver, StoreReplayGuard, sign
from monite_async_stores import MemoryTokenStore, RedisTokenStore, StoreError, TokenStore
from tests.asgi_calls import Answer, ask
from tests.stores.redis_server import RedisServer
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

SECRET = "whsec_canary-of-a-secret"


def delivery(event_id: str = "1", kind: str = "payable", action: str = "payable.approved") -> bytes:
    """Return a body."""
    facts = {"id": event_id, "action": action, "object_type": kind, "entity_id": "e", "object": {"iban": "canary"}}
    return json.dumps(facts).encode()


async def post(receiver: Receiver, body: bytes | None = None, *, secret: str = SECRET, **more: Any) -> Answer:
    """Deliver a signed body as a server would."""
    content = delivery() if body is None else body
    answer = await ask(receiver, body=content, headers={"Monite-Signature": sign(content, secret)}, **more)
    assert answer is not None
    assert "canary" not in f"{answer.headers}{answer.body!r}"
    return answer


def noting(receiver: Receiver, *where: Any) -> list[Event]:
    """Register a handler, and return what it will have been called with."""
    seen: list[Event] = []

    @receiver.on(*where)
    async def handler(event: Event) -> None:
        seen.append(event)

    return seen


# -- answers


async def test_a_delivery_is_acknowledged_once_its_handlers_are_done() -> None:
    """The answer 200 comes after the handler's end, not before."""
    receiver = Receiver(SECRET)
    may_end = asyncio.Event()

    @receiver.on(PayableEvent)
    async def slow(event: PayableEvent) -> None:
        assert event.object_type == "payable"
        await may_end.wait()

    answering = asyncio.create_task(post(receiver))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not answering.done()
    may_end.set()
    answer = await answering
    assert (answer.status, answer.json()) == (200, {"outcome": "handled"})
    assert answer.headers == {"content-type": "application/json", "content-length": str(len(answer.body))}


@pytest.mark.parametrize(
    "signature",
    [None, "", "t=1,v1=0", sign(b"other", SECRET, timestamp=1e9), sign(delivery(), SECRET, timestamp=1e9)],
    ids=["none", "empty", "short", "other", "old"],
)
async def test_what_cannot_be_verified_is_refused_without_a_reason(
    signature: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever forges learns nothing from the answer; whoever runs the server finds the reason in the log."""
    receiver = Receiver(SECRET)
    seen = noting(receiver)
    headers = {} if signature is None else {"monite-signature": signature}
    answer = await ask(receiver, body=delivery(), headers=headers)
    assert answer is not None
    assert (answer.status, answer.json()["error"]["message"]) == (400, "the delivery could not be verified")
    assert seen == []
    assert "a webhook delivery was refused: " in caplog.text
    assert "canary" not in caplog.text


async def test_a_signed_body_that_is_no_event_is_refused() -> None:
    """What cannot be understood is not acknowledged, so that it is not lost unnoticed."""
    assert (await post(Receiver(SECRET), b"[]")).status == 400


@pytest.mark.parametrize("chunks", [1, 7])
async def test_a_long_body_is_not_read_to_its_end(chunks: int) -> None:
    """Above the limit the answer is 413, whether the length was announced or found out."""
    receiver = Receiver(SECRET, max_body=100)
    assert (await post(receiver, b"x" * 101, chunks=chunks)).status == 413
    announced = await ask(receiver, headers={"content-length": "101"})
    assert announced is not None
    assert announced.status == 413
    assert (await post(receiver, b"x" * 100, chunks=chunks)).status == 400


async def test_a_body_comes_in_any_number_of_pieces() -> None:
    """However the server cuts the body, what is verified is the whole of it."""
    assert (await post(Receiver(SECRET), chunks=11)).json() == {"outcome": "ignored"}


async def test_a_sender_that_goes_away_is_not_answered() -> None:
    """A body that never becomes complete is no delivery."""
    receiver = Receiver(SECRET)
    seen = noting(receiver)
    assert (
        await ask(receiver, body=delivery(), headers={"monite-signature": sign(delivery(), SECRET)}, gone=True) is None
    )
    assert seen == []


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "HEAD"])
async def test_only_post_is_a_delivery(method: str) -> None:
    """Every other method is told so."""
    answer = await ask(Receiver(SECRET), method)
    assert answer is not None
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_a_failing_handler_is_answered_500_and_raised_to_the_server() -> None:
    """The answer says nothing of the failure, and the server's own reporting gets to see it."""
    receiver = Receiver(SECRET)
    answers: list[Any] = []

    @receiver.on("payable")
    async def failing(_event: Event) -> None:
        raise ValueError("canary")

    async def send(message: Any) -> None:
        answers.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": delivery()}

    scope = {"type": "http", "method": "POST", "headers": [(b"monite-signature", sign(delivery(), SECRET).encode())]}
    with pytest.raises(ValueError, match="canary"):
        await receiver(scope, receive, send)
    assert answers[0]["status"] == 500
    assert answers[1]["body"] == b'{"error": {"message": "the event could not be handled"}}'


# -- who is called


async def test_handlers_get_the_events_that_they_asked_for() -> None:
    """By class or by name of the object, by what happened with or without the object, or all there are."""
    receiver = Receiver(SECRET)
    wishes: dict[str, tuple[Any, ...]] = {
        "class": (PayableEvent,),
        "action": (PayableEvent, "approved"),
        "long action": ("payable", "payable.approved", "payable.rejected"),
        "other action": ("payable", "paid"),
        "other object": ("receivable",),
        "underscore": ("payable_line_item",),
        "dot": ("payable.line_item", "created"),
        "everything": (),
        "generic": (Event,),
    }
    seen = {name: noting(receiver, *wish) for name, wish in wishes.items()}
    assert (await post(receiver)).status == 200
    assert {name for name, events in seen.items() if events} == {
        "class",
        "action",
        "long action",
        "everything",
        "generic",
    }
    assert (await post(receiver, delivery("2", "payable.line_item", "payable_line_item.created"))).status == 200
    assert {name for name, events in seen.items() if [one.id for one in events][-1:] == ["2"]} == {
        "underscore",
        "dot",
        "everything",
        "generic",
    }
    assert repr(receiver) == "<Receiver with 9 handlers>"


async def test_handlers_of_one_event_run_one_after_another() -> None:
    """In the order of their registration, and none after one that failed."""
    receiver = Receiver(SECRET)
    order: list[str] = []

    @receiver.on()
    async def first(_event: Event) -> None:
        await asyncio.sleep(0)
        order.append("first")

    @receiver.on()
    async def second(_event: Event) -> None:
        order.append("second")
        raise LookupError

    last = noting(receiver)
    with pytest.raises(LookupError):
        await receiver.handle(delivery(), sign(delivery(), SECRET))
    assert (order, last) == (["first", "second"], [])


def test_a_handler_must_be_async() -> None:
    """A plain function would block the server, or never be awaited: it is refused where it is registered."""

    class Handling:
        async def __call__(self, event: Event) -> None:
            """Take an event."""

    receiver = Receiver(SECRET)
    receiver.on()(Handling())
    plain: Any = print
    with pytest.raises(ConfigurationError, match="async function"):
        receiver.on()(plain)


@pytest.mark.parametrize("wrong", [{"handler_timeout": 0}, {"max_body": 0}, {"tolerance": -1}, {"secrets": []}])
def test_a_receiver_that_could_not_work_is_not_made(wrong: dict[str, Any]) -> None:
    """Numbers that make no sense, and no secret, are refused as it is made."""
    arguments: dict[str, Any] = {"secrets": SECRET, **wrong}
    with pytest.raises(ConfigurationError):
        Receiver(**arguments)


# -- secrets, times


async def test_secrets_can_be_asked_for_and_replaced_while_it_runs() -> None:
    """An async function is asked for every delivery; what it raises is the server's to answer for."""
    current = ["whsec_old"]

    async def secrets() -> list[str]:
        if not current:
            raise ConnectionError("the vault is away")
        return current

    receiver = Receiver(secrets)
    assert (await post(receiver, secret="whsec_old")).status == 200
    assert (await post(receiver, secret="whsec_new")).status == 400
    current[:] = ["whsec_new"]
    assert (await post(receiver, secret="whsec_new")).status == 200
    current.clear()
    with pytest.raises(ConnectionError):
        await receiver.handle(delivery(), sign(delivery(), "whsec_new"))


async def test_the_clock_and_the_signed_string_can_be_replaced() -> None:
    """Both are passed through to the verification."""
    receiver = Receiver(SECRET, clock=lambda: 1e9, tolerance=1, signed_string=lambda _time, body: body)
    good = sign(delivery(), SECRET, timestamp=1e9, signed_string=lambda _time, body: body)
    assert await receiver.handle(delivery(), good) == "ignored"
    with pytest.raises(WebhookError, match="fits none"):
        await receiver.handle(delivery(), sign(delivery(), SECRET, timestamp=1e9))


# -- once


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[TokenStore]:
    """A store that receivers share."""
    if request.param == "memory":
        yield MemoryTokenStore()
        return
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


# -- what a server says besides


async def test_a_receiver_can_stand_alone() -> None:
    """It answers the start and the end of a server, closes websockets, and refuses what it does not know."""
    receiver = Receiver(SECRET)
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await receiver({"type": "lifespan"}, receive, send)
    await receiver({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
    with pytest.raises(ValueError, match="HTTP requests only"):
        await receiver({"type": "of tomorrow"}, receive, send)
