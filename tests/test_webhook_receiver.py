"""The receiver of webhooks: what it answers, and whom it calls."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest

import monite_async
from monite_async import ConfigurationError, WebhookError
from monite_async.webhooks import Event, PayableEvent, Receiver, sign, verify
from tests.asgi_calls import ask
from tests.webhook_calls import SECRET, delivery, noting, post

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
    assert (answer.body == b"") is (method == "HEAD")


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


async def test_a_handler_that_verifies_something_of_its_own_fails_as_any_other() -> None:
    """A WebhookError of a handler is its failure, and no word on the delivery: 500, and raised to the server."""
    receiver = Receiver(SECRET)
    statuses: list[int] = []

    @receiver.on()
    async def forwarding(_event: Event) -> None:
        verify(b"{}", "t=1,v1=0", "whsec_another")

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async def receive() -> Any:
        return {"type": "http.request", "body": delivery()}

    scope = {"type": "http", "method": "POST", "headers": [(b"monite-signature", sign(delivery(), SECRET).encode())]}
    with pytest.raises(WebhookError):
        await receiver(scope, receive, send)
    assert statuses == [500]


@pytest.mark.parametrize("trouble", ["handler", "secrets", "vault", "connection"])
async def test_no_report_of_a_failure_shows_secret_or_body(trouble: str) -> None:
    """Whatever fails, the variables of all frames of this package hold nothing of the secret or of what was delivered."""
    wrong: Any = [SECRET, None]

    async def secrets() -> list[str]:
        if trouble == "vault":
            raise LookupError
        found: list[str] = wrong if trouble == "secrets" else [SECRET]
        return found

    receiver = Receiver(secrets)

    @receiver.on()
    async def handle(_event: Event) -> None:
        if trouble == "handler":
            raise LookupError

    async def send(message: Any) -> None:
        if trouble == "connection":
            raise OSError(message["type"])

    async def receive() -> Any:
        return {"type": "http.request", "body": delivery()}

    scope = {"type": "http", "method": "POST", "headers": [(b"monite-signature", sign(delivery(), SECRET).encode())]}
    with pytest.raises((LookupError, OSError, ConfigurationError)) as caught:
        await receiver(scope, receive, send)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    package = str(Path(monite_async.__file__).parent)
    shown = [frame.locals for frame in trace.stack if frame.filename.startswith(package)]
    assert shown
    assert "canary" not in f"{shown}"


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


@pytest.mark.parametrize("wrong", [print, None, int, 7, Event(id="1", action="a", object_type="o", entity_id="e")])
def test_what_is_no_kind_of_event_is_refused(wrong: Any) -> None:
    """``@receiver.on`` without its brackets would register nothing, and nobody would notice."""
    with pytest.raises(ConfigurationError, match=r"@receiver\.on\(\)"):
        Receiver(SECRET).on(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"handler_timeout": 0},
        {"handler_timeout": float("nan")},
        {"handler_timeout": float("inf")},
        {"handler_timeout": None},
        {"max_body": 0},
        {"max_body": "1"},
        {"tolerance": -1},
        {"secrets": []},
    ],
)
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


# -- what a server says besides


async def test_a_receiver_can_stand_alone() -> None:
    """It answers the start and the end of a server, closes websockets, and refuses what it does not know."""
    receiver = Receiver(SECRET)
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "websocket.connect"}])
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
