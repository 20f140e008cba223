"""Webhook deliveries: signatures that hold, events that are typed, and nothing of either in any text."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import monite_async
from monite_async import ConfigurationError, WebhookError, webhooks
from monite_async.emulator._contract.bodies_6 import WebhookObjectType
from monite_async.webhooks import (
    EVENT_TYPES,
    Event,
    PayableEvent,
    PayableLineItemEvent,
    StoreReplayGuard,
    parse,
    sign,
    verify,
)

SECRET = "whsec_canary-of-a-secret"
PACKAGE = str(Path(monite_async.__file__).parent)
NOW = 1_800_000_000
FACTS: dict[str, Any] = {
    "id": "0a1b",
    "created_at": "2026-11-01T10:00:00",
    "action": "payable.approved",
    "api_version": "2024-05-25",
    "description": "canary-of-a-description",
    "entity_id": "entity-1",
    "object": {"id": "payable-1", "iban": "canary-of-an-object"},
    "object_type": "payable",
    "webhook_subscription_id": "subscription-1",
    "of_tomorrow": "canary-of-an-unknown-field",
}
BODY = json.dumps(FACTS).encode()


def body(**changes: object) -> bytes:
    """Return a delivery with other facts."""
    return json.dumps({**FACTS, **changes}).encode()


def failure(**arguments: Any) -> str:
    """Return the words, with all variables of all frames below this one, of a delivery that is refused."""
    given: dict[str, Any] = {
        "body": BODY,
        "signature": sign(BODY, SECRET, timestamp=NOW),
        "secrets": SECRET,
        "now": NOW,
    }
    with pytest.raises((WebhookError, ConfigurationError)) as caught:
        verify(**{**given, **arguments})
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    inner = "".join(line for frame in trace.stack[1:] for line in (frame.locals or {}).values())
    assert "canary" not in f"{inner}{error!r}{pickle.loads(pickle.dumps(error))}"
    return f"{type(error).__name__}: {error}"


# -- signatures


def test_a_signature_is_an_hmac_of_time_and_body() -> None:
    """The header holds ``t`` and the HMAC-SHA256 in hex of ``t.body`` with the whole secret as key."""
    expected = hmac.new(SECRET.encode(), b"%d." % NOW + BODY, hashlib.sha256).hexdigest()
    assert sign(BODY, SECRET, timestamp=NOW + 0.9) == f"t={NOW},v1={expected}"


def test_what_was_signed_just_now_is_accepted() -> None:
    """Without any times given, signing and verifying both read the clock of this machine."""
    event = verify(BODY, sign(BODY, SECRET), SECRET)
    assert (event.id, event.action) == ("0a1b", "payable.approved")
    mutable: Any = bytearray(BODY)
    assert verify(mutable, sign(BODY, SECRET).encode(), [SECRET]) == event


@pytest.mark.parametrize("age", [-300, -299, 0, 299, 300])
def test_the_tolerance_holds_both_ways(age: int) -> None:
    """Up to 300 seconds old or ahead are accepted, unless another tolerance is given."""
    assert verify(BODY, sign(BODY, SECRET, timestamp=NOW - age), SECRET, now=NOW).id == "0a1b"


def test_too_old_and_too_new_are_told_apart() -> None:
    """The text says by how much, which way, and what may be the matter."""
    assert "signed 301 s ago, and 300 s are allowed" in failure(now=NOW + 301)
    assert "signed 301 s ahead of this machine's clock" in failure(now=NOW - 301)
    assert "signed 3 s ago, and 2 s are allowed" in failure(now=NOW + 3, tolerance=2)


def test_a_time_counts_only_once_the_signature_is_known_to_be_good() -> None:
    """A forged signature that is also too old is told to be forged: its time says nothing."""
    assert "fits none of the secrets" in failure(signature=f"t={NOW - 9999},v1={'0' * 64}")


def test_any_of_several_secrets_and_signatures_will_do() -> None:
    """While a secret is replaced, or for several subscriptions, one match among all is enough; other schemes are passed over."""
    old, new = sign(BODY, "whsec_old", timestamp=NOW), sign(BODY, SECRET, timestamp=NOW)
    for header in (old, new):
        assert verify(BODY, header, ("whsec_old", SECRET), now=NOW).id == "0a1b"
    both = f"v0=xyz, {old},v1={new.rpartition('=')[2]}"
    assert verify(BODY, both, SECRET, now=NOW).id == "0a1b"
    assert "fits none" in failure(signature=old)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "has no Monite-Signature header"),
        ("", "has no Monite-Signature header"),
        ("nonsense", "not of the form"),
        (f"v1={'0' * 64}", "not of the form"),
        (f"t={NOW}", "not of the form"),
        (f"t={NOW},t={NOW + 1},v1={'0' * 64}", "not of the form"),
        (f"t=-{NOW},v1={'0' * 64}", "not of the form"),
        (f"t=1e9,v1={'0' * 64}", "not of the form"),
        (f"t=١٢٣,v1={'0' * 64}", "not of the form"),
        (f"t={'9' * 13},v1={'0' * 64}", "not of the form"),
        (f"t={NOW}" + ",v1=0" * 17, "not of the form"),
        (f"t={NOW},v1=" + "0" * 4096, "longer than 4096"),
        (f"t={NOW},v1=é", "fits none"),
        (f"t={NOW},v1=", "fits none"),
        (7, "has no Monite-Signature header"),
    ],
)
def test_a_header_that_is_none_says_so(header: object, said: str) -> None:
    """Whatever stands in the header, the answer is a WebhookError that does not repeat it."""
    shown = failure(signature=header)
    assert shown.startswith("WebhookError")
    assert said in shown


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_no_other_body_passes(content: bytes, place: int, change: int) -> None:
    """One bit changed anywhere in the body, or in the time, and the signature does not fit."""
    header = sign(content, SECRET, timestamp=NOW)
    other = bytearray(content or b"x")
    other[place % len(other)] ^= change
    assert "fits none" in failure(body=bytes(other), signature=header)
    assert "fits none" in failure(body=content, signature=header.replace(str(NOW), str(NOW + 1)))


@pytest.mark.parametrize("held", [f"t={NOW},v1=\udcff", f"t=\udcff,v1={'0' * 64}", f"t={NOW},\udcff=1", "\udcff"])
def test_bytes_that_are_no_text_are_refused_as_any_other_header(held: str) -> None:
    """Servers that decode headers as UTF-8 show such bytes as lone surrogates: a stranger's doing, and no crash."""
    assert failure(signature=held).startswith("WebhookError")
    assert failure(secrets=[SECRET, f"{SECRET}\udcff"], signature=f"t={NOW},v1=0").startswith("WebhookError")


@given(st.text(max_size=300))
def test_no_header_breaks_the_verification(header: str) -> None:
    """Any text at all in the header is refused in the same orderly way."""
    assert failure(signature=header).startswith("WebhookError")


def test_the_signed_string_can_be_replaced() -> None:
    """Should Monite sign something else than is inferred, one function is passed, and everything else stays."""

    def only_the_body(_timestamp: str, content: bytes) -> bytes:
        return content

    header = sign(BODY, SECRET, timestamp=NOW, signed_string=only_the_body)
    assert verify(BODY, header, SECRET, now=NOW, signed_string=only_the_body).id == "0a1b"
    assert "fits none" in failure(signature=header)


def test_a_signed_string_that_is_text_is_the_callers_mistake() -> None:
    """A function that returns no bytes is told so, before any key is used that a traceback could show."""

    def text(timestamp: str, content: bytes) -> Any:
        return f"{timestamp}.{content.decode()}"

    assert "signed_string must return the bytes that are signed, not str" in failure(signed_string=text)
    assert "not str" in shown_by(lambda: sign(BODY, SECRET, signed_string=text))


def shown_by(call: Callable[[], object]) -> str:
    """Return the words of a caller's mistake; neither they nor any frame of this package holds a secret."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inner = [frame.locals for frame in trace.stack if frame.filename.startswith(PACKAGE)]
    assert inner
    assert "canary" not in f"{inner}{caught.value!r}"
    return str(caught.value)


def test_secrets_are_in_no_traceback_of_whoever_signs_or_receives() -> None:
    """One good secret beside one that is none, or a body that is no bytes: what is told holds neither."""
    wrong: Any = [SECRET, None]
    assert "secrets must be" in shown_by(lambda: webhooks.Receiver(wrong))
    assert "must be positive" in shown_by(lambda: webhooks.Receiver(SECRET, max_body=0))
    assert "secrets must be" in shown_by(lambda: sign(BODY, wrong))
    not_raw: Any = BODY.decode()
    assert "raw body" in shown_by(lambda: sign(not_raw, SECRET))
    not_text: Any = SECRET.encode()
    assert "secrets must be" in shown_by(lambda: sign(BODY, not_text))


def test_a_clock_that_tells_no_number_lets_nothing_through() -> None:
    """Nothing is within a tolerance of what is no time."""
    assert "300 s are allowed" in failure(now=float("nan"))


@pytest.mark.parametrize("content", [FACTS, BODY.decode(), [FACTS], None, memoryview(BODY)])
def test_a_body_that_is_not_raw_bytes_is_the_callers_mistake(content: Any) -> None:
    """A text or parsed JSON is refused with the name of its type and how to get at the raw body, never its content."""
    shown = failure(body=content)
    assert shown.startswith("ConfigurationError")
    assert type(content).__name__ in shown
    assert "await request.body()" in shown
    assert "canary" not in shown
    with pytest.raises(ConfigurationError, match="raw body"):
        sign(content, SECRET)


@pytest.mark.parametrize("secrets", ["", [], [""], None, 7, [SECRET, None], [SECRET.encode()], {SECRET: 1, 2: 3}])
def test_secrets_that_are_none_are_the_callers_mistake(secrets: object) -> None:
    """Without a usable secret nothing is verified: an empty key would let everyone sign."""
    assert failure(secrets=secrets).startswith("ConfigurationError: secrets must be")


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf"), None, True, "300"])
def test_a_tolerance_that_is_none_is_the_callers_mistake(tolerance: object) -> None:
    """A tolerance that would let everything through, or nothing, is refused."""
    assert failure(tolerance=tolerance).startswith("ConfigurationError: tolerance")


# -- events


def test_an_event_is_of_the_class_for_its_object() -> None:
    """The type of the object chooses the class, and the facts of the delivery are its fields."""
    event = parse(BODY)
    assert type(event) is PayableEvent
    assert (event.object_type, event.name, event.object_id, event.entity_id) == (
        "payable",
        "approved",
        "payable-1",
        "entity-1",
    )
    assert event.created_at is not None
    assert event.created_at.utcoffset() is not None
    assert event.webhook_subscription_id == "subscription-1"
    assert getattr(event, "of_tomorrow") == "canary-of-an-unknown-field"  # noqa: B009 - no type checker knows it
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event


@pytest.mark.parametrize("kind", [*EVENT_TYPES, "nonsense", ""])
def test_every_type_of_object_has_its_class_and_the_unknown_a_generic_one(kind: str) -> None:
    """What Monite lists has a class of its own; whatever else comes is an Event."""
    event = parse(body(object_type=kind, action=f"{kind}.created"))
    assert type(event) is EVENT_TYPES.get(kind, Event)
    assert (event.object_type, event.name) == (kind, "created")


def test_every_object_that_can_be_subscribed_to_and_asked_for_has_its_class() -> None:
    """Of the types in the contract only those are generic that no operation of the API is about."""
    nowhere = {"account", "approval", "counterpart_partner_metadata", "payment", "todo_task", "workflow"}
    assert set(get_args(WebhookObjectType)) - EVENT_TYPES.keys() == nowhere | {"workflow_pipeline"}


@pytest.mark.parametrize(
    ("kind", "action", "name"),
    [
        ("payable", "approved", "approved"),
        ("payable", "payable.approved", "approved"),
        ("payable.line_item", "payable.line_item.created", "created"),
        ("payable.line_item", "payable_line_item.created", "created"),
        ("entity", "entity.onboarding_requirements.updated", "onboarding_requirements.updated"),
        ("payable", "payables.approved", "payables.approved"),
    ],
)
def test_the_name_of_what_happened_is_without_the_object(kind: str, action: str, name: str) -> None:
    """With or without the type of the object in front, and however that is spelt, the name is the same."""
    assert parse(body(object_type=kind, action=action)).name == name


@pytest.mark.parametrize("held", [None, "text", [1], {}, {"id": None}, {"id": 7}])
def test_an_object_may_be_anything(held: object) -> None:
    """Whatever stands for the object is kept as it is; its id is found where it is, and None otherwise."""
    event = parse(body(object=held))
    assert (event.object, event.object_id) == (held, None)
    assert parse(body(object=held, object_id="beside")).object_id == "beside"


def test_only_what_tells_the_event_is_required() -> None:
    """Fields that came into the contract later may be missing."""
    event = parse(b'{"id":"1","action":"tag.created","object_type":"tag","entity_id":"e"}')
    assert (event.api_version, event.object, event.created_at, event.webhook_subscription_id) == (None,) * 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "body: json_invalid"),
        (b"\xff", "body: json_invalid"),
        (b"[]", "body: model_type"),
        (b'{"id":"canary"}', "action: missing; object_type: missing; entity_id: missing"),
        (body(id=7, entity_id=["canary"]), "id: string_type; entity_id: string_type"),
        (body(id=None), "id: string_type"),
        (body(id=""), "id: string_too_short"),
    ],
)
def test_what_is_no_event_says_which_fields(content: bytes, said: str) -> None:
    """The error names the fields that do not fit and what was expected, never what stands in them."""
    shown = failure(body=content, signature=sign(content, SECRET, timestamp=NOW))
    assert f"WebhookError: the body is not a webhook event: {said}" in shown
    assert "canary" not in shown


@pytest.mark.parametrize("garbage", [[], {"a": 1}, [7.5]])
@pytest.mark.parametrize("name", ["created_at", "api_version", "description", "webhook_subscription_id", "object_id"])
def test_what_only_describes_an_event_does_not_cost_it(name: str, garbage: object) -> None:
    """A field beside what tells the event may come as anything: what cannot be read is None, and the event is there."""
    event = parse(body(**{name: garbage}))
    assert isinstance(event, PayableEvent)
    assert event.id == FACTS["id"]
    assert (event.given_object_id if name == "object_id" else getattr(event, name)) is None
    assert parse(body(created_at="long ago")).created_at is None


def test_an_event_shows_which_it_is_and_nothing_of_what_it_holds() -> None:
    """Neither its ``repr`` nor its text holds the object, the description or unknown fields."""
    event = parse(BODY)
    assert repr(event) == "PayableEvent(id='0a1b', action='payable.approved', entity_id='entity-1')"
    assert "canary" not in f"{event} {event!r} {[event]}"


def test_events_can_be_matched_by_class_and_name() -> None:
    """A ``match`` statement finds its way by class, which narrows the type of the object."""
    seen: list[str] = []
    for kind, action in (("payable", "payable.paid"), ("payable.line_item", "created"), ("nonsense", "x")):
        match parse(body(object_type=kind, action=action)):
            case PayableEvent(name="paid", object_type="payable"):
                seen.append("paid")
            case PayableLineItemEvent():
                seen.append("line item")
            case event:
                seen.append(type(event).__name__)
    assert seen == ["paid", "line item", "Event"]


def test_an_event_cannot_be_changed() -> None:
    """What was verified stays as it was."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(parse(BODY), "action", "payable.paid")  # noqa: B010 - type checkers know that it cannot be set


def test_keys_are_not_shown_and_do_not_leave_the_process() -> None:
    """A receiver shows no secret, and neither it nor its keys can be pickled or copied."""
    receiver = webhooks.Receiver([SECRET])
    assert repr(receiver) == "<Receiver with 0 handlers>"
    assert "canary" not in f"{vars(receiver)}"
    for held in (receiver, receiver._keys):
        with pytest.raises(TypeError):
            pickle.dumps(held)
        with pytest.raises(TypeError):
            copy.copy(held)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), True, "7", None])
def test_a_guard_that_remembers_nothing_is_the_callers_mistake(wrong: Any) -> None:
    """An event must be remembered for some time, and for a time that a store can count."""
    with pytest.raises(ConfigurationError, match="remember"):
        StoreReplayGuard(remember=wrong)
