"""One scenario over both wires: Monite's own and that of Tesouro FinOps, on the same engine, cache, stores, resources."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import re
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
    ServerError,
    UnauthorizedError,
    Wire,
)
from monite_async._tokens import cache
from monite_async.emulator import Emulator, EmulatorSettings
from monite_async.experimental.tesouro import finops
from monite_async.legacy import BASE_URL, LegacyMonite
from monite_async_stores import EncryptedFileTokenStore, MemoryTokenStore, TokenStore
from tests.emulator.drive import ORGANIZATION, PAYABLE_ACTIONS, permissions
from tests.proofs.canary import Canaries, told
from tests.virtual import run_virtual

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


async def test_credentials_of_any_letters_survive_the_form() -> None:
    """Ids and secrets are encoded as RFC 6749, appendix B, has it: UTF-8, then as a form; the server reads what was meant."""
    secret = "a+b%2B&c=d e;f/ü日\"'*~#?é"
    async with Emulator(EmulatorSettings(dialect="finops", client_secret=secret)) as emulator:
        async with AsyncMonite(**emulator.client_options(), wire=finops()) as monite:
            assert await monite.entities.list().collect() == []
        ears = Ears(emulator)
        odd = "ops+team@acme.test:1&grant_type=x=ü"
        options: dict[str, Any] = {**emulator.client_options(), "client_id": odd, "transport": ears}
        async with AsyncMonite(**options, wire=finops()) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.token()
    form = ears.heard[0].content
    assert dict(parse_qsl(form.decode("ascii"), strict_parsing=True)) == {
        "grant_type": "client_credentials",
        "client_id": odd,
        "client_secret": secret,
    }
    assert not set(form) & set(b" ;\"'?#/@:"), "all of these are encoded"


@pytest.mark.parametrize("client_id", ["\udc80", " ops", "ops\n", "o\x00ps"])
def test_an_id_that_cannot_be_sent_is_refused_at_once(client_id: str) -> None:
    """Where ids have no form that is known, white space around them and what is no letter is a mistake all the same."""
    with pytest.raises(ConfigurationError, match="client_id has white space around it or holds control characters"):
        AsyncMonite(client_id=client_id, client_secret="s" * 16, wire=finops())


@pytest.mark.parametrize("dialect", ["monite", "finops"])
async def test_tokens_that_ran_out_on_the_server_are_replaced(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server's clock is ahead, its word counts: partner and user get new tokens, once each, on either wire."""
    monkeypatch.setattr(cache, "_BRAKE_SECONDS", 0.0)
    async with speaking(dialect) as (monite, emulator, _):
        acme, user_id = await prepared(monite)
        ann = acme.as_user(user_id)
        await ann.payables.list().collect()
        emulator.clock.advance(2 * 86_400)
        assert (await asyncio.gather(*(ann.payables.list().collect() for _ in range(20)))) == [[]] * 20
        assert (await monite.entities.get(acme.entity_id)).id == acme.entity_id
        assert emulator.issued == {"client_credentials": 2, f"entity_user:{user_id}": 2}


async def test_a_revocation_that_fails_drops_the_token_all_the_same() -> None:
    """The server could not be told: the caller hears of it, and the next call fetches another token."""
    async with speaking("finops") as (monite, emulator, _):
        first = await monite.token()
        emulator.fail("POST", "/auth/revoke", status=503, times=None)
        with pytest.raises(ServerError, match="could not be revoked"):
            await monite.revoke_token()
        assert (await monite.token()).fingerprint != first.fingerprint


async def test_what_is_about_a_token_is_not_taken_for_a_word_on_the_one_it_was_sent_with() -> None:
    """Which operations those are is the wire's to say: their 401 replaces no token."""
    async with speaking("monite", Wire(token_paths=frozenset({"/settings"}))) as (monite, emulator, _):
        emulator.fail("GET", "/settings", status=401)
        with pytest.raises(UnauthorizedError):
            await monite.request("GET", "/settings")
        assert emulator.issued == {"client_credentials": 1}


@pytest.mark.checkout
def test_nothing_but_wires_names_a_platform() -> None:
    """No header, host or token path of Monite's is written in cache, stores, loop or scopes: the wire alone knows them."""
    root = Path(__file__).parents[1]
    sources = {*root.glob("monite_async/*.py"), *root.glob("monite_async/_*/*.py"), *root.glob("stores/**/*.py")}
    wires = {"_config.py", "issuer.py"}  # where ``Wire`` is defined, and the environments that it has by default
    found = {
        f"{path.name}: {text}"
        for path in sources
        if path.name not in wires
        for text in literals(path.read_text("utf-8"))
        if PLATFORMS.search(text)
    }
    assert len(sources) > 100
    assert found == set()


PLATFORMS = re.compile(r"x-monite|/auth/|monite\.com|openid|x-finops|tesouro\.com")


def literals(source: str) -> set[str]:
    """Return the strings of a module that are not its documentation; nothing if it cannot be of interest."""
    tree = ast.parse(source if PLATFORMS.search(source) else "")
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }


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


def test_a_provider_that_hangs_is_not_taken_for_the_token_endpoint() -> None:
    """Whoever does not return a JWT in time is named, and nothing is sent."""

    async def hang(_: str) -> str:
        await asyncio.Event().wait()
        return ""

    async def main() -> None:
        async with speaking("finops", finops(subject_token=hang)) as (monite, emulator, ears):
            with pytest.raises(AuthenticationError, match="subject_token raised TimeoutError"):
                await monite.as_user("ann").token()
            assert (emulator.issued, ears.heard) == ({}, [])

    run_virtual(main())


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
