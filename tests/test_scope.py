"""Scopes: values that cost nothing, equal when they mean the same, each with the calls that belong to it."""

from __future__ import annotations

import copy
import pickle
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    ConfigurationError,
    EntityClient,
    EntityUserClient,
    RequestOptions,
    RetryPolicy,
    UserClient,
)
from monite_async._scope import Scope
from tests.scripted import Scripted, client, scripted

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

ENTITY = "c3f7a1b2-0000-4000-8000-000000000001"
USER = "c3f7a1b2-0000-4000-8000-000000000002"

KINDS: dict[str, Callable[[AsyncMonite], Scope]] = {
    "partner": lambda monite: monite,
    "entity": lambda monite: monite.entity(ENTITY),
    "entity user": lambda monite: monite.entity(ENTITY).as_user(USER),
    "user": lambda monite: monite.as_user(USER),
}


@pytest.fixture
def monite() -> AsyncMonite:
    """A client that answers everything with a small object."""
    return client(Scripted())


def test_scopes_are_values(monite: AsyncMonite) -> None:
    """Two scopes that mean the same are equal and hash alike; any difference in meaning makes them unequal."""
    acme = monite.entity(ENTITY)
    assert acme == monite.entity(uuid.UUID(ENTITY))
    assert hash(acme) == hash(monite.entity(ENTITY))
    assert acme.as_user(USER) == monite.entity(ENTITY).as_user(uuid.UUID(USER))
    assert len({acme, monite.entity(ENTITY), acme.as_user(USER), acme.as_user(USER), monite.as_user(USER), monite}) == 4
    assert acme != monite.entity(USER)
    assert acme != acme.with_options(timeout=1)
    assert acme.with_options(timeout=1) == acme.with_options(timeout=1)
    assert acme != client(Scripted()).entity(ENTITY)
    assert acme != ENTITY


def test_the_client_remembers_scopes_but_not_without_bound(monite: AsyncMonite) -> None:
    """A scope asked for again is the same one, with its resources; of many, and of views, none is kept for ever."""
    acme = monite.entity(ENTITY)
    assert monite.entity(ENTITY) is acme
    assert acme.as_user(USER) is monite.entity(ENTITY).as_user(USER)
    assert monite.as_user(USER) is monite.as_user(USER)
    assert acme.payables is monite.entity(ENTITY).payables
    view = monite.with_options(timeout=1)
    assert view.entity(ENTITY) is not acme
    assert view.entity(ENTITY) is not view.entity(ENTITY)
    for number in range(3000):
        monite.entity(uuid.UUID(int=number))
    assert len(monite._core.scopes) <= 1000
    assert monite.entity(ENTITY) is not acme
    assert monite.entity(ENTITY) == acme


@pytest.mark.parametrize("text", [f"{ENTITY} {USER}", f" {USER}", f"None {USER}", f"('{ENTITY}', '{USER}')"])
def test_no_text_is_taken_for_the_ids_of_a_user(monite: AsyncMonite, text: str) -> None:
    """Whatever text stands for an entity or a user, it never leads to the scope of a user who was asked for before."""
    user, acme = monite.as_user(USER), monite.entity(ENTITY)
    users = {user, acme.as_user(USER)}
    for ask in (monite.entity, monite.as_user, acme.as_user):
        with pytest.raises(ConfigurationError, match="visible ASCII"):
            ask(text)
    assert {monite.as_user(USER), acme.as_user(USER)} == users
    assert isinstance(monite.entity(USER), EntityClient)


@pytest.mark.parametrize("kind", KINDS)
def test_scopes_show_ids_and_nothing_else(monite: AsyncMonite, kind: str) -> None:
    """The text of a scope names its kind and ids."""
    scope = KINDS[kind](monite.with_options(headers={"x-a": "canary"}))
    assert "canary" not in repr(scope)
    assert ("entity_id" in repr(scope)) is ("entity" in kind)
    assert ("user_id" in repr(scope)) is ("user" in kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_scopes_stay_where_they_are(monite: AsyncMonite, kind: str, take: Callable[[object], object]) -> None:
    """A scope holds connections and secrets: pickling or copying it is a clear TypeError."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        take(KINDS[kind](monite))


@pytest.mark.parametrize("value", ["", "  ", None, 7, "a\r\nb"], ids=repr)
def test_ids_without_sense_are_refused(monite: AsyncMonite, value: Any) -> None:
    """An empty or impossible id is refused when the scope is made, not when the first call fails."""
    attempts: list[Callable[[], object]] = [
        lambda: monite.entity(value),
        lambda: monite.as_user(value),
        lambda: monite.entity(ENTITY).as_user(value),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError, match=r"(entity|user) id"):
            attempt()


async def test_each_scope_sends_its_own_token_and_header(monite: AsyncMonite) -> None:
    """Partner and entity share a token, a user has one of its own whatever the entity, and the header names the entity."""
    transport = scripted(monite)
    for make in KINDS.values():
        await make(monite).request("GET", "/x")
    partner, entity, entity_user, user = transport.tokens
    assert partner == entity
    assert entity_user == user
    assert partner != user
    assert [call.headers.get("x-monite-entity-id") for call in transport.calls] == [None, ENTITY, ENTITY, None]
    assert len(transport.posts) == 2


def test_ids_can_be_read(monite: AsyncMonite) -> None:
    """A scope tells whose it is."""
    ann = monite.entity(ENTITY).as_user(USER)
    assert (ann.entity_id, ann.user_id) == (ENTITY, USER)
    assert monite.as_user(USER).user_id == USER
    assert monite.entity(ENTITY).entity_id == ENTITY


def test_scopes_have_what_they_can_call(monite: AsyncMonite) -> None:
    """A partner-only call cannot be written on a user, nor a call that needs an entity on the partner."""
    ann = monite.entity(ENTITY).as_user(USER)
    assert hasattr(monite.entities, "create")
    assert not hasattr(ann.entities, "create")
    assert not hasattr(monite.entity(ENTITY).entities, "create")
    assert not hasattr(monite, "roles")
    assert hasattr(ann.entity_users, "get_me")
    assert not hasattr(monite.entity(ENTITY).entity_users, "get_me")
    assert {type(scope) for scope in (monite, monite.entity("e"), ann, monite.as_user("u"))} == {
        AsyncMonite, EntityClient, EntityUserClient, UserClient,
    }  # fmt: skip


async def test_options_are_inherited_and_overlaid(monite: AsyncMonite) -> None:
    """A view keeps what it does not change, passes all of it on to its scopes, and shares tokens and connections."""
    view = (
        monite.with_options(timeout=1, headers={"x-a": "1"})
        .entity(ENTITY)
        .with_options(deadline=2, headers={"x-b": "2"})
    )
    ann = view.as_user(USER)
    assert isinstance(ann, EntityUserClient)
    assert ann._core is monite._core
    options = ann._channel.options
    assert (options.timeout, options.deadline, options.headers) == (1, 2, {"x-a": "1", "x-b": "2"})
    assert options.retry is None
    assert ann.with_options(retry=RetryPolicy(0))._channel.options.retry == RetryPolicy(0)
    assert monite._channel.options.headers == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": -1},
        {"deadline": 0},
        {"retry": 3},
        {"headers": {"host": "x"}},
        {"headers": {"x": "ü"}},
        {"headers": [("x", "y")]},
    ],
    ids=str,
)
def test_views_with_wrong_options_are_refused(monite: AsyncMonite, wrong: dict[str, Any]) -> None:
    """A view is checked when it is made."""
    with pytest.raises(ConfigurationError):
        monite.with_options(**wrong)


async def test_resources_are_made_once(monite: AsyncMonite) -> None:
    """A resource of a scope is one object, and uses the scope's own way of calling."""
    acme = monite.entity(ENTITY)
    assert acme.roles is acme.roles
    await acme.roles.get("r", options=RequestOptions(lenient=True, headers={"x-a": "1"}))
    transport = scripted(monite)
    call = transport.calls[0]
    assert (call.url.path, call.headers["x-a"], call.headers["x-monite-entity-id"]) == ("/v1/roles/r", "1", ENTITY)


async def test_tokens_and_revocation(monite: AsyncMonite) -> None:
    """A scope's token is the one its calls carry; after revoking it the next call has another."""
    transport = scripted(monite)
    ann = monite.entity(ENTITY).as_user(USER)
    token = await ann.token()
    await ann.request("GET", "/x")
    assert transport.tokens == [token.authorization]
    assert token.value not in repr(token)
    await ann.revoke_token()
    assert transport.posts[-1].url.path == "/v1/auth/revoke"
    assert token.value in transport.posts[-1].content.decode()
    await ann.request("GET", "/x")
    assert transport.tokens[1] != transport.tokens[0]
    await monite.token()
    await monite.revoke_token()
    assert transport.posts[-1].url.path == "/v1/auth/revoke"


def test_views_of_another_http_library_are_made_on_demand(monite: AsyncMonite) -> None:
    """Each scope gives an ``httpx.Auth`` of its own."""
    for make in KINDS.values():
        assert isinstance(make(monite).httpx_auth(), httpx.Auth)


# -- calls that belong to somebody else

ANN = "client.entity(entity_id).as_user(user_id)"


@pytest.mark.parametrize(
    ("kind", "path", "places"),
    [
        ("user", "entities.list", ["client.entities.list"]),
        ("user", "roles", ["client.entity(entity_id).roles", f"{ANN}.roles"]),
        ("entity user", "entities.create", ["client.entities.create"]),
        (
            "entity",
            "entity_users.get_me",
            [f"{ANN}.entity_users.get_me", "client.as_user(user_id).entity_users.get_me"],
        ),
        ("entity", "entities.get", ["client.entities.get"]),
        ("partner", "payables.list", ["client.entity(entity_id).payables.list", f"{ANN}.payables.list"]),
        (
            "partner",
            "payables.line_items",
            ["client.entity(entity_id).payables.line_items", f"{ANN}.payables.line_items"],
        ),
        ("entity", "entities.documents.list", []),
        ("entity", "payables.line_items.approve_payment_operation", []),
        ("partner", "payables.nonsense", []),
        ("partner", "nonsense", []),
        ("partner", "entity_id", []),
        ("partner", "_private", []),
        ("user", "entities._private", []),
    ],
)
def test_a_call_of_another_scope_is_an_attribute_error_that_says_whose_it_is(
    monite: AsyncMonite, kind: str, path: str, places: list[str]
) -> None:
    """What a scope cannot call is not there, neither for ``hasattr`` nor for ``dir``, and the error names who has it."""
    *groups, name = path.split(".")
    owner: object = KINDS[kind](monite)
    for group in groups:
        owner = getattr(owner, group)
    assert not hasattr(owner, name)
    assert name not in dir(owner)
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    text = f"{type(owner).__name__!r} object has no attribute {name!r}"
    if places:
        text += f": this call is not for this scope; it is {' or '.join(places)}"
    assert str(caught.value) == text
    assert (caught.value.name, caught.value.obj) == (name, owner)


def test_the_failure_of_an_attribute_that_is_there_is_its_own(
    monite: AsyncMonite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource whose module is broken says so, and not that there is no such resource."""
    monkeypatch.delattr("monite_async.api.entities.EntitiesForPartner")
    with pytest.raises(ImportError, match="EntitiesForPartner"):
        _ = monite.entities
    monkeypatch.setattr(AsyncMonite, "tokens", property(lambda self: self._core.nonsense))
    with pytest.raises(AttributeError, match="'Core' object has no attribute 'nonsense'"):
        _ = monite.tokens
