"""Webhook deliveries: signatures that hold, events that are typed, and nothing of either in any text."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async import ConfigurationError, WebhookError, webhooks
from monite_async.webhooks import (
    EVENT_TYPES,
    Event,
    PayableEvent,
    PayableLineItemEvent,
    Receiver,
    StoreReplayGuard,
    parse,
    sign,
    verify,
)
from tests.proofs.canary import Canaries, told

SECRET = "whsec_canary-of-a-secret"
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
        (body(id=7, created_at="canary"), "id: string_type; created_at."),
        (body(id=None), "id: string_type"),
    ],
)
def test_what_is_no_event_says_which_fields(content: bytes, said: str) -> None:
    """The error names the fields that do not fit and what was expected, never what stands in them."""
    shown = failure(body=content, signature=sign(content, SECRET, timestamp=NOW))
    assert f"WebhookError: the body is not a webhook event: {said}" in shown
    assert "canary" not in shown


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


@pytest.mark.parametrize(
    "make",
    [
        lambda: sign(cast("Any", "text"), SECRET),
        lambda: sign(b"", cast("Any", SECRET.encode())),
        lambda: Receiver([SECRET, ""]),
        lambda: Receiver(SECRET, max_body=0),
    ],
)
def test_no_frame_of_a_refusal_holds_a_secret(make: Callable[[], object]) -> None:
    """Whoever signs, or makes a receiver, with something that will not do sees no secret in the traceback with locals."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    canaries = Canaries()
    canaries.add(SECRET)
    canaries.check(told(caught.value))


@pytest.mark.parametrize("wrong", [0, -1.0])
def test_a_guard_that_remembers_nothing_is_the_callers_mistake(wrong: float) -> None:
    """An event must be remembered for some time."""
    with pytest.raises(ConfigurationError, match="remember"):
        StoreReplayGuard(remember=wrong)
