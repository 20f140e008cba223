"""One scenario over both wires: Monite's own and that of Tesouro FinOps, on the same engine, cache, stores, resources."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    AuthenticationError,
    ConfigurationError,
    EntityClient,
    Wire,
)
from monite_async._tokens import cache
from monite_async.emulator import Emulator, EmulatorSettings
from monite_async.experimental.tesouro import finops
from monite_async.legacy import BASE_URL, LegacyMonite
from monite_async_stores import EncryptedFileTokenStore, MemoryTokenStore, TokenStore
from tests.emulator.drive import ORGANIZATION, PAYABLE_ACTIONS, permissions
from tests.proofs.canary import Canaries, told

Dialect = Literal["monite", "finops"]
JWT_CANARY = "canary-jwt-77aa"


async def mint(user_id: str) -> str:
    """Return a JWT of a user as a partner's own OIDC application would, without a signature."""
    claims = {"sub": user_id, "email": f"{user_id}@acme.test", "jti": JWT_CANARY}
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims))
    return b".".join((*parts, b"")).decode()


class Ears(httpx.AsyncBaseTransport):
    """Carries requests to the emulator and remembers them."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.heard: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Remember a request and pass it on."""
        await request.aread()
        self.heard.append(request)
        return await self.emulator.transport.handle_async_request(request)


@asynccontextmanager
async def speaking(
    dialect: Dialect, wire: Wire | None = None, store: TokenStore | None = None
) -> AsyncGenerator[tuple[AsyncMonite, Emulator, Ears]]:
    """Give a client of one wire and an emulator that speaks it."""
    async with Emulator(EmulatorSettings(dialect=dialect)) as emulator:
        ears = Ears(emulator)
        wire = wire or (Wire() if dialect == "monite" else finops(subject_token=mint))
        options = emulator.client_options()
        options["transport"] = ears
        async with AsyncMonite(**options, wire=wire, token_store=store or MemoryTokenStore()) as monite:
            yield monite, emulator, ears


async def prepared(monite: AsyncMonite) -> tuple[EntityClient, str]:
    """Make an entity and a user of it who may do everything with payables; return the scope and the user's id."""
    entity = await monite.request("POST", "/entities", json=ORGANIZATION, cast_to=dict[str, Any])
    acme = monite.entity(entity["id"])
    allowed: Any = permissions(payable=dict.fromkeys(PAYABLE_ACTIONS, "allowed"))
    role = await acme.roles.create(name="payer", permissions=allowed)
    user = await acme.entity_users.create(login="ann", first_name="Ann", role_id=role.id)
    return acme, user.id


@pytest.mark.parametrize("dialect", ["monite", "finops"])
async def test_a_whole_life_goes_over_either_wire(
    dialect: Dialect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partner, entity, user, pages, a revoked token, a dead token that is replaced: the same code, the same results."""
    monkeypatch.setattr(cache, "_BRAKE_SECONDS", 0.0)  # tokens that are refused here are younger than any in earnest
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path / "tokens")
    async with speaking(dialect, store=store) as (monite, emulator, ears):
        acme, user_id = await prepared(monite)
        ann = acme.as_user(user_id)
        assert (await ann.entity_users.get_me()).id == user_id
        for number in range(5):
            await ann.payables.create(currency="EUR", total_amount=1000, document_id=f"INV-{number}")
        assert [payable.document_id async for payable in ann.payables.list(limit=2)] == [f"INV-{n}" for n in range(5)]
        assert emulator.issued == {"client_credentials": 1, f"entity_user:{user_id}": 1}

        first = await ann.token()
        await ann.revoke_token()
        assert (await ann.token()).fingerprint != first.fingerprint
        assert emulator.issued[f"entity_user:{user_id}"] == 2

        emulator.settings = replace(
            emulator.settings, dead_token_status=400, expiry_message="The token has been expired."
        )
        assert emulator.revoke_tokens() == 2
        assert len(await ann.payables.list().collect()) == 5
        assert (await monite.entities.get(acme.entity_id)).id == acme.entity_id
        assert emulator.issued == {"client_credentials": 2, f"entity_user:{user_id}": 3}
        names = {name for request in ears.heard for name in request.headers if name.startswith("x-")}
        assert names == (
            {"x-monite-version", "x-monite-entity-id"}
            if dialect == "monite"
            else {"x-finops-version", "x-organization-id"}
        )
    await store.aclose()


async def test_tokens_are_asked_for_as_the_documents_say() -> None:
    """A form at the root of the host: client credentials for the partner, a token exchange for a user."""
    async with speaking("finops") as (monite, emulator, ears):
        _, user_id = await prepared(monite)
        await monite.as_user(user_id).token()
        asked = [request for request in ears.heard if request.url.path == "/openid/connect/token"]
        forms = [dict(parse_qsl(request.content.decode(), strict_parsing=True)) for request in asked]
        credentials = {"client_id": emulator.settings.client_id, "client_secret": emulator.settings.client_secret}
        assert forms == [
            {"grant_type": "client_credentials", **credentials},
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token": await mint(user_id),
                **credentials,
            },
        ]
        assert {request.headers["content-type"] for request in asked} == {"application/x-www-form-urlencoded"}
        await monite.revoke_token()
        revoked = ears.heard[-1]
        assert (revoked.url.path, revoked.headers["x-finops-version"]) == ("/v1/auth/revoke", "2025-06-23")


async def test_neither_platform_takes_the_other_ones_words() -> None:
    """A client of one wire gets nowhere with a server of the other: no header has two names at once."""
    async with (
        speaking("finops", Wire()) as (monite, _, _),
        speaking("monite", finops()) as (finops_client, emulator, _),
    ):
        with pytest.raises(AuthenticationError):
            await monite.token()
        with pytest.raises(AuthenticationError):
            await finops_client.token()
        assert emulator.issued == {}


async def test_an_answer_names_what_the_request_named() -> None:
    """Answers echo the version and the organization under the names of the wire; the other path works too."""
    async with speaking("finops") as (monite, emulator, _), httpx.AsyncClient(transport=emulator.transport) as http:
        acme, _ = await prepared(monite)
        named = {"x-finops-version": "2025-06-23", "x-organization-id": acme.entity_id}
        headers = {"authorization": (await monite.token()).authorization, **named}
        answer = await http.get(f"{emulator.origin}/finops/v1/settings", headers=headers)
        assert answer.status_code == 200
        assert {name: answer.headers[name] for name in named} == named
        assert not {name for name in answer.headers if name.startswith("x-monite")}


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "client_credentials", "client_secret": "wrong"}, 401, "invalid_client"),
        (
            {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "a.b.c"},
            400,
            "invalid_grant",
        ),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "a"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "invalid_grant"),
        (None, 400, "invalid_grant"),
    ],
)
async def test_the_emulator_refuses_as_oauth_does(form: dict[str, str] | None, status: int, error: str) -> None:
    """A grant that cannot be is answered with the errors of RFC 6749; JSON is no form."""
    async with Emulator(EmulatorSettings(dialect="finops")) as emulator:
        settings = emulator.settings
        known = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        async with httpx.AsyncClient(transport=emulator.transport) as http:
            url = f"{emulator.origin}/openid/connect/token"
            answer = await (http.post(url, json=known) if form is None else http.post(url, data=known | form))
        assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_an_exchange_needs_a_subject_with_an_address() -> None:
    """A JWT without ``email`` is refused, as Tesouro says; with it the answer tells the type of what was issued."""
    async with speaking("finops") as (monite, emulator, _):
        _, user_id = await prepared(monite)
        settings = emulator.settings
        form = {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        }
        claims = base64.urlsafe_b64encode(json.dumps({"sub": user_id}).encode()).decode().rstrip("=")
        async with httpx.AsyncClient(transport=emulator.transport, base_url=emulator.origin) as http:
            refused = await http.post("/openid/connect/token", data={**form, "subject_token": f"e30.{claims}."})
            issued = await http.post("/openid/connect/token", data={**form, "subject_token": await mint(user_id)})
        assert refused.status_code == 400
        assert issued.json()["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"


async def _raise(_: str) -> str:
    raise RuntimeError(JWT_CANARY)


async def _no_text(_: str) -> Any:
    return {"jwt": JWT_CANARY}


async def _no_jwt(_: str) -> str:
    return f"{JWT_CANARY}&client_id=other"


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (_raise, "subject_token raised RuntimeError"),
        (_no_text, "did not return a JWT"),
        (_no_jwt, "did not return a JWT"),
    ],
)
async def test_a_provider_that_fails_is_told_without_what_it_holds(provider: Any, said: str) -> None:
    """Nothing is sent, and neither the text nor the traceback shows what the provider raised or returned."""
    async with speaking("finops", finops(subject_token=provider)) as (monite, emulator, _):
        with pytest.raises(AuthenticationError, match=said) as caught:
            await monite.as_user("ann").token()
        canaries = Canaries()
        canaries.add(JWT_CANARY)
        canaries.add(emulator.settings.client_secret)
        canaries.check(told(caught.value))
        assert emulator.issued == {}


async def test_a_secret_that_cannot_be_had_shows_nothing_of_the_jwt() -> None:
    """When the client secret's own provider fails, the JWT that was minted before is in no traceback."""

    async def vault() -> str:
        raise RuntimeError("sealed")

    async with Emulator(EmulatorSettings(dialect="finops")) as emulator:
        wire = finops(subject_token=mint)
        client_id, base_url = emulator.settings.client_id, emulator.base_url
        async with AsyncMonite(
            client_id=client_id, client_secret=vault, base_url=base_url, transport=emulator.transport, wire=wire
        ) as monite:
            with pytest.raises(AuthenticationError, match="raised RuntimeError") as caught:
                await monite.as_user("ann").token()
    canaries = Canaries()
    canaries.add(await mint("ann"))
    canaries.check(told(caught.value))


async def test_users_need_a_provider_and_the_partner_does_not() -> None:
    """Without ``subject_token`` the partner's calls work, and a user's say what is missing."""
    async with speaking("finops", finops()) as (monite, _, _):
        assert await monite.entities.list().collect() == []
        with pytest.raises(AuthenticationError, match="subject_token"):
            await monite.as_user("ann").token()


async def test_a_form_that_is_refused_or_makes_no_sense_is_an_authentication_error() -> None:
    """A refusal and an answer without a token name the endpoint that gave them."""
    async with speaking("finops") as (monite, emulator, _):
        emulator.fail("POST", "/auth/token", status=401)
        with pytest.raises(AuthenticationError, match="check client_id") as refused:
            await monite.token()
        assert refused.value.path == "/openid/connect/token"
    async with speaking("finops") as (monite, emulator, _):
        emulator.fail("POST", "/auth/token", status=200, body={"token": "x"})
        with pytest.raises(AuthenticationError, match="cannot be understood") as nonsense:
            await monite.token()
        assert nonsense.value.path == "/openid/connect/token"


CASES: list[tuple[Callable[[], Wire], dict[str, Any], str]] = [
    (Wire, {"environment": "eu"}, "https://api.monite.com/v1"),
    (Wire, {}, "https://api.sandbox.monite.com/v1"),
    (finops, {}, "https://api.sandbox.tesouro.com/v1"),
    (finops, {"environment": "us"}, "https://api.tesouro.com/v1"),
]


@pytest.mark.parametrize(("wire", "given", "base_url"), CASES)
def test_a_wire_says_where_its_platform_is(wire: Callable[[], Wire], given: dict[str, Any], base_url: str) -> None:
    """Environments belong to the wire, each with a default."""
    client = AsyncMonite(client_id="0" * 8 + "-0000" * 3 + "-" + "0" * 12, client_secret="s" * 16, wire=wire(), **given)
    assert client._core.config.base_url == base_url


def test_what_a_wire_does_not_have_is_refused_in_its_own_words() -> None:
    """An environment of the other platform is no environment here, and ids of any form are taken where nothing is known."""
    with pytest.raises(ConfigurationError, match="environment must be one of sandbox, us"):
        AsyncMonite(client_id="any", client_secret="s" * 16, wire=finops(), environment="eu")
    with pytest.raises(ConfigurationError, match="client_id must be a UUID"):
        AsyncMonite(client_id="any", client_secret="s" * 16)
    assert AsyncMonite(client_id="any", client_secret="s" * 16, wire=finops())._core.config.api_version == "2025-06-23"


def test_the_api_of_2021_is_a_wire_as_well() -> None:
    """The oldest platform needs nothing but its own wire either."""
    uuid = "0" * 8 + "-0000" * 3 + "-" + "0" * 12
    assert LegacyMonite(client_id=uuid, client_secret="s" * 16)._core.config.base_url == BASE_URL
