"""The API of 2021 on the engine of today: its call flow, its tokens above tokens, its errors."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import json
import pickle
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    RequestTimeout,
    RetryPolicy,
    ServerError,
    TransportError,
    UnprocessableEntityError,
)
from monite_async._http.token_post import TokenPost
from monite_async._tokens.issuer import PostResult
from monite_async._tokens.keys import TokenKey
from monite_async.emulator import Emulator, listen
from monite_async.legacy import Entity as LegacyEntity
from monite_async.legacy import LegacyEntityClient, LegacyMonite
from monite_async.legacy._issuer import LegacyIssuer
from monite_async.legacy._models import EntityPage
from monite_async.models._base import decode
from monite_async_stores import MemoryTokenStore

UUID = "28c10852-7e78-43cf-abfb-efeed1834963"
PDF = b"%PDF-1.7 a bill"
FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)


def over(emulator: Emulator, **options: Any) -> LegacyMonite:
    """Return a client of 2021 for an emulator."""
    settings: dict[str, Any] = {
        "client_id": emulator.settings.client_id,
        "client_secret": emulator.settings.client_secret,
        "base_url": f"{emulator.origin}/partner-api",
        "transport": emulator.transport,
        "retry": FAST,
    }
    return LegacyMonite(**{**settings, **options})


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator with nothing stored."""
    return Emulator()


@pytest.fixture
async def monite(emulator: Emulator) -> AsyncIterator[LegacyMonite]:
    """Yield a client of 2021."""
    async with over(emulator) as client:
        yield client


@pytest.fixture
async def acme(monite: LegacyMonite) -> LegacyEntityClient:
    """Return the scope of an entity."""
    return monite.entity((await monite.entities.create(name="Acme")).id)


# -- the call flow -----------------------------------------------------------------------------------------------


async def test_the_call_flow_of_the_oldest_brief(emulator: Emulator, monite: LegacyMonite, tmp_path: Path) -> None:
    """API user token, entity, entity token, a bill uploaded and read: each step with the token of its level."""
    entity = await monite.entities.create(name="Siemens GMBH", type="business", country_code="DE")
    assert (entity.name, entity.type, entity.country_code, entity.status) == (
        "Siemens GMBH",
        "business",
        "DE",
        "active",
    )
    siemens = monite.entity(entity.id)
    (tmp_path / "bill.pdf").write_bytes(PDF)
    bill = await siemens.incoming_bills.upload(file=tmp_path / "bill.pdf")
    assert (bill.entity_id, bill.currency, bill.file.size, bill.file.mimetype) == (
        entity.id, "EUR", len(PDF), "application/pdf",
    )  # fmt: skip
    assert bill.request_id
    await siemens.download(bill.file.url, to=tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == PDF
    assert emulator.issued == {"client_credentials": 1, f"entity_user:entity:{entity.id}": 1}
    assert (await monite.token()).value.startswith("au-")
    assert (await siemens.token()).authorization.startswith("en-")


async def test_a_user_has_a_token_of_their_own(
    emulator: Emulator, monite: LegacyMonite, acme: LegacyEntityClient
) -> None:
    """A user's token is asked for with the entity's; logging out ends it, and the next call fetches another."""
    made: Any = await acme.request("POST", "/entities/v1/entity_users", json={"login": "ann"})
    ann = acme.as_user(made["id"])
    info: Any = await ann.request("GET", "/entity_users/v1/info")
    assert info["login"] == "ann"
    first = await ann.token()
    assert first.value.startswith("eu-")
    await ann.revoke_token()
    again: Any = await ann.request("GET", "/entity_users/v1/info")
    assert again["id"] == ann.user_id
    assert await ann.token() != first
    assert emulator.issued[f"entity_user:user:{ann.user_id}"] == 2
    assert monite.tokens.stats().cached == 3


async def test_entities_and_bills_can_be_read_changed_and_deleted(
    monite: LegacyMonite, acme: LegacyEntityClient
) -> None:
    """The rest of both resources works as their paths say."""
    entity = await monite.entities.update(acme.entity_id, name="Acme & Co", type="person")
    assert (await monite.entities.get(entity.id)).name == "Acme & Co"
    bill = await acme.incoming_bills.upload(file=PDF)
    assert bill.id
    changed = await acme.incoming_bills.update(bill.id, amount=12_00, due_date="2021-12-24")
    assert (changed.amount, changed.due_date) == (1200, dt.date(2021, 12, 24))
    assert (await acme.incoming_bills.get(bill.id)).amount == 1200
    with pytest.raises(UnprocessableEntityError) as caught:
        await acme.incoming_bills.update(bill.id, levitation=1)
    assert list(caught.value.errors) == ["body.levitation"]
    await acme.incoming_bills.delete(bill.id)
    with pytest.raises(NotFoundError):
        await acme.incoming_bills.get(bill.id)
    await monite.entities.delete(entity.id)
    assert await monite.entities.list().collect() == []


def test_points_in_time_know_their_offset() -> None:
    """Of times that the server writes without an offset it is known that they are UTC."""
    body = {"id": "e", "name": "x", "type": "business", "country_code": "DE", "status": "active"}
    times = {"created_at": "2021-12-12T04:04:41", "updated_at": "2021-12-12T04:04:41.197124+01:00"}
    entity = decode(LegacyEntity, json.dumps({**body, **times}).encode())
    assert entity.created_at == dt.datetime(2021, 12, 12, 4, 4, 41, tzinfo=dt.UTC)
    assert entity.updated_at.utcoffset() == dt.timedelta(hours=1)


async def test_a_number_that_is_none_is_refused(emulator: Emulator, acme: LegacyEntityClient) -> None:
    """The emulator does not take what it could not answer as JSON."""
    bill = await acme.incoming_bills.upload(file=b"%PDF-1.4")
    token = await acme.token()
    response = await emulator.transport.handle_async_request(
        httpx.Request(
            "PUT",
            f"{emulator.origin}/partner-api/entities/v1/incoming_bills/{bill.id}",
            headers={"x-api-key": token.value},
            content=b'{"amount": 1e999}',
        )
    )
    assert response.status_code == 422


async def test_lists_follow_the_queries_of_their_neighbours(monite: LegacyMonite, acme: LegacyEntityClient) -> None:
    """A page names the query of the next one; its token is sent with the same limit until there is none."""
    for at in range(5):
        await acme.incoming_bills.upload(file=PDF + bytes([at]))
    sizes = [len(page.data) async for page in acme.incoming_bills.list(limit=2).pages()]
    assert sizes == [2, 2, 1]
    assert (await acme.incoming_bills.list()).total == 5
    ids = {bill.id async for bill in acme.incoming_bills.list(limit=2)}
    assert len(ids) == 5
    assert [entity.name async for entity in monite.entities.list(limit=1)] == ["Acme"]
    assert EntityPage(data=[], next_page="/partner-api/x?limit=1").next_pagination_token is None


# -- tokens ------------------------------------------------------------------------------------------------------


async def test_a_thousand_calls_of_one_entity_share_its_token(emulator: Emulator, acme: LegacyEntityClient) -> None:
    """The cache, and its single flight, are the ones of the present API."""
    bill = await acme.incoming_bills.upload(file=PDF)
    assert bill.id
    await acme.invalidate_token()
    await asyncio.gather(*(acme.incoming_bills.get(bill.id) for _ in range(100)))
    assert emulator.issued == {"client_credentials": 1, f"entity_user:entity:{acme.entity_id}": 2}


async def test_clients_share_tokens_through_a_store(emulator: Emulator) -> None:
    """Two clients with one store ask for each token once; users and entities with one id are kept apart."""
    store = MemoryTokenStore()
    async with over(emulator, token_store=store) as one, over(emulator, token_store=store) as other:
        entity = await one.entities.create(name="Acme")
        tokens = [await each.entity(entity.id).token() for each in (one, other)]
        assert tokens[0] == tokens[1]
    assert emulator.issued == {"client_credentials": 1, f"entity_user:entity:{entity.id}": 1}
    key = TokenKey("u", "c", "entity", entity_id="x")
    keys = [
        key,
        TokenKey("u", "c", "entity_user", "x"),
        TokenKey("u", "c", "entity_user", "x", "x"),
        TokenKey("u", "c", "client_credentials"),
    ]
    assert len({each.id for each in keys}) == len({each.record_name(b"s") for each in keys}) == 4


async def test_dead_tokens_are_replaced_on_every_level(emulator: Emulator, acme: LegacyEntityClient) -> None:
    """Once all tokens are dead at the server, a call fetches the entity's anew, and for that the API user's."""
    bill = await acme.incoming_bills.upload(file=PDF)
    assert bill.id
    emulator.clock.advance(10)
    emulator.revoke_tokens()
    for token in acme._core.issued()._table.records.values():
        token.soft_mono -= 600  # older than the brake on replacements of young tokens
    assert (await acme.incoming_bills.get(bill.id)).id == bill.id
    assert emulator.issued == {"client_credentials": 2, f"entity_user:entity:{acme.entity_id}": 2}


async def test_logging_out_ends_the_token_of_the_api_user(emulator: Emulator, monite: LegacyMonite) -> None:
    """``revoke_token`` sends DELETE with the token in its header, and the next call logs in again."""
    await monite.entities.list()
    old = await monite.token()
    await monite.revoke_token()
    assert emulator.log[-1].method == "DELETE"
    async with httpx.AsyncClient(transport=emulator.transport) as http:
        answer = await http.get(f"{emulator.origin}/partner-api/api_users/v1/auth", headers={"x-api-key": old.value})
        assert answer.status_code == 401
    await monite.entities.list()
    assert emulator.issued == {"client_credentials": 2}
    emulator.fail("DELETE", "/partner-api/api_users/v1/auth", status=503, times=None)
    with pytest.raises(ServerError, match="could not be revoked"):
        await monite.revoke_token()


async def test_neither_api_takes_the_tokens_of_the_other(emulator: Emulator, monite: LegacyMonite) -> None:
    """A token of 2021 opens nothing in the present API, whichever header it comes in."""
    token = await monite.token()
    async with httpx.AsyncClient(transport=emulator.transport) as http:
        headers = {"authorization": f"Bearer {token.value}", "x-monite-version": "2024-05-25"}
        assert (await http.get(f"{emulator.base_url}/entities", headers=headers)).status_code == 401


async def test_nothing_of_the_present_api_is_sent(emulator: Emulator) -> None:
    """No version, no entity header, no bearer: the token alone says who and what for, also for other httpx clients."""
    seen: list[httpx.Request] = []

    class Spy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return await emulator.transport.handle_async_request(request)

    async with over(emulator, transport=Spy(), headers={"accept-language": "de"}) as monite:
        acme = monite.entity((await monite.entities.create(name="Acme")).id)
        await acme.incoming_bills.list()
        async with httpx.AsyncClient(transport=Spy(), auth=acme.httpx_auth()) as http:
            url = f"{emulator.origin}/partner-api/entities/v1/incoming_bills"
            assert (await http.get(url)).status_code == 200
    assert len(seen) == 5
    for request in seen:
        assert not {"authorization", "x-monite-version", "x-monite-entity-id", ""} & set(request.headers)
    assert [request.headers.get("x-api-key", "")[:3] for request in seen] == ["", "au-", "au-", "en-", "en-"]
    assert seen[1].headers["accept-language"] == "de"


async def test_the_wrong_kind_of_token_is_told(acme: LegacyEntityClient) -> None:
    """An entity's token does not open what is the API user's."""
    with pytest.raises(ForbiddenError, match="another kind"):
        await acme.request("GET", "/api_users/v1/entities")


# -- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["api_users/v1/auth", "api_users/v1/entities/{}/access"])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (404, AuthenticationError), (422, AuthenticationError), (500, ServerError), (429, RateLimitError)]
)  # fmt: skip
async def test_refusals_are_the_errors_of_the_token_engine(
    emulator: Emulator, path: str, status: int, kind: type[Exception]
) -> None:
    """Whoever refuses a token, on whichever level, the error is the one of the present API and holds no secret."""
    async with over(emulator, deadline=1) as monite:
        acme = monite.entity("5a0b5a76-0b0e-4f3c-8f5e-7f8d3d2a0f11")
        emulator.fail("POST", "/partner-api/" + path.format(acme.entity_id), status=status, body={}, times=None)
        with pytest.raises((kind, RequestTimeout)) as caught:
            await acme.incoming_bills.list()
    assert emulator.settings.client_secret not in repr(caught.value)


async def test_a_wrong_secret_is_an_authentication_error(emulator: Emulator) -> None:
    """The login of the API user fails as ``POST /auth/token`` would."""
    async with over(emulator, client_secret="wrong") as monite:
        with pytest.raises(AuthenticationError) as caught:
            await monite.entities.list()
    assert (caught.value.status, caught.value.path) == (401, "/api_users/v1/auth")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "no usable token"), (b"[]", "no usable token"), (b'{"token": "short"}', "no usable token"),
        (b'{"token": "with a space in it"}', "no usable token"), (b'{"data": {"token": 5}}', "no usable token"),
        (b'{"token": "au-0123456789", "expiration_in": "soon"}', "expiration_in is not a date-time"),
        (b'{"token": "au-0123456789", "expiration_in": "2021-01-01T00:00:00+00:00"}', "not positive"),
    ],
)  # fmt: skip
async def test_answers_without_a_token(body: bytes, problem: str, emulator: Emulator) -> None:
    """An answer that holds no token, or one that is over already, is an error that says which."""
    async with _answering(emulator, httpx.Response(200, content=body)) as monite:
        with pytest.raises(AuthenticationError, match=problem) as caught:
            await monite.token()
    assert "0123456789" not in repr(caught.value)


@pytest.mark.parametrize(
    ("answer", "headers", "seconds"),
    [
        ({"data": {"token": "au-0123456789", "type": "api-key"}}, {}, 60),
        ({"token": "au-0123456789", "expiration_in": "2021-12-12T05:00:00+00:00"}, {"date": "Sun, 12 Dec 2021 04:00:00 GMT"}, 3600),
        ({"token": "au-0123456789", "expiration_in": "2021-12-12T05:00:00"}, {"date": "Sun, 12 Dec 2021 04:00:00 -0000"}, 3600),
        ({"token": "au-0123456789", "expiration_in": "2999-01-01T00:00:00Z"}, {"date": "nonsense"}, 604800),
    ],
)  # fmt: skip
async def test_both_forms_of_answers(
    answer: dict[str, object], headers: dict[str, str], seconds: int, emulator: Emulator
) -> None:
    """A token lives until the time it is told, by the server's clock if it tells its own; a minute when nobody says."""
    async with _answering(emulator, httpx.Response(200, json=answer, headers=headers)) as monite:
        token = await monite.token()
    assert token.value == "au-0123456789"
    assert token.lifetime == pytest.approx(seconds, abs=5)


def _answering(emulator: Emulator, response: httpx.Response) -> LegacyMonite:
    class Canned(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert json.loads(await request.aread())["user_id"] == emulator.settings.client_id
            return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    return over(emulator, transport=Canned(), retry=RetryPolicy(0))


async def test_a_token_above_that_does_not_come_is_a_timeout(emulator: Emulator) -> None:
    """The time for one token bounds the asking for those above it."""
    held = emulator.fail("POST", "/partner-api/api_users/v1/auth", hold=True, times=None)
    async with over(emulator) as monite:
        issuer = monite._core.issued().issuer
        assert isinstance(issuer, LegacyIssuer)
        assert repr(issuer) == "<LegacyIssuer>"
        key = monite.entity("e-1")._channel.key
        with pytest.raises(RequestTimeout, match="did not come in time"):
            await issuer.issue(key, timeout=0.05)
        held.release()


async def test_a_timeout_of_somebody_else_comes_through(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TimeoutError from within, which is not the time for the token, is not taken for it."""

    async def fail(*_: object, **__: object) -> PostResult:
        raise TimeoutError("of its own")

    async with over(emulator) as monite:
        await monite.token()
        monkeypatch.setattr(TokenPost, "__call__", fail)
        with pytest.raises(TimeoutError, match="of its own"):
            await monite._core.issued().issuer.issue(monite.entity("e-1")._channel.key, timeout=5)


async def test_no_traceback_shows_a_secret(emulator: Emulator) -> None:
    """The variables of the frames between a failure and its caller hold neither the secret nor a token."""
    async with over(emulator, retry=RetryPolicy(0)) as monite:
        token = await monite.token()
        emulator.fail(drop="before", times=None)
        issuer = monite._core.issued().issuer
        acme = monite.entity("e-1")
        attempts = (
            lambda: issuer.issue(monite._channel.key, timeout=5),
            lambda: issuer.issue(acme._channel.key, timeout=5),
            lambda: monite.revoke_token(),
        )
        for attempt in attempts:
            with pytest.raises(TransportError) as caught:
                await attempt()
            shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
            assert "_issuer.py" in shown
            assert emulator.settings.client_secret not in shown
            assert token.value not in shown


# -- values ------------------------------------------------------------------------------------------------------


async def test_scopes_are_values(monite: LegacyMonite) -> None:
    """Scopes that mean the same are equal, show whom they are for, keep their options, and cannot be pickled."""
    acme = monite.entity("E-1")
    assert acme == monite.entity("E-1")
    assert acme != monite.entity("E-2")
    assert hash(acme) == hash(monite.entity("E-1"))
    ann = acme.as_user("u-1")
    assert ann != monite.entity("E-2").as_user("u-1")
    assert repr(acme) == "<LegacyEntityClient entity_id='E-1'>"
    assert repr(ann) == "<LegacyUserClient entity_id='E-1' user_id='u-1'>"
    assert (acme.entity_id, ann.user_id) == ("E-1", "u-1")
    view = acme.with_options(timeout=3)
    assert (view.entity_id, type(view)) == ("E-1", LegacyEntityClient)
    assert view.as_user("u-1")._channel.options.timeout == 3
    with pytest.raises(TypeError):
        pickle.dumps(acme)


def test_wrong_settings_are_refused_at_once() -> None:
    """What is wrong with the credentials, the address or an id is told when it is given."""
    wrong: Any = {"client_id": "no-uuid", "client_secret": " ", "base_url": "http://api.test"}
    with pytest.raises(ConfigurationError) as caught:
        LegacyMonite(**wrong)
    for word in ("client_id", "client_secret", "base_url"):
        assert word in str(caught.value)
    fine = LegacyMonite(client_id="28c10852-7e78-43cf-abfb-efeed1834963", client_secret="secret")
    assert fine._core.config.base_url == "https://api.dev.monite.dev/partner-api"
    with pytest.raises(ConfigurationError, match="entity id"):
        fine.entity("")
    with pytest.raises(ConfigurationError, match="user id"):
        fine.entity("e").as_user(" ")


def test_it_takes_what_the_present_client_takes() -> None:
    """Connections, limits and options are those of ``AsyncMonite``: all its parameters but those about its platform."""
    mine, theirs = (set(inspect.signature(kind).parameters) for kind in (LegacyMonite, AsyncMonite))
    assert theirs - mine == {"api_version", "environment", "issuer", "token", "wire"}
    assert mine <= theirs
    with pytest.raises(ConfigurationError, match="LegacyMonite: proxy must be a URL") as caught:
        LegacyMonite(client_id=UUID, client_secret="secret", proxy="canary://:canary@x")
    assert "canary" not in str(caught.value)


async def test_it_goes_through_a_proxy(emulator: Emulator) -> None:
    """Tokens and calls both go the way that ``proxy=`` says, over the fast engine too; a limit of one's own holds."""
    async with (
        listen(emulator) as base_url,
        LegacyMonite(
            client_id=emulator.settings.client_id,
            client_secret=emulator.settings.client_secret,
            base_url="http://127.0.0.1:1/partner-api",
            proxy=base_url.removesuffix("/v1"),
            transport="fast",
            rate_limit=1000,
        ) as monite,
    ):
        assert (await monite.entities.create(name="Acme")).name == "Acme"
        assert monite._core.config.rate_limit == 1000


async def test_what_the_emulator_does_not_know_of_2021_it_refuses(emulator: Emulator, acme: LegacyEntityClient) -> None:
    """Unknown paths are 501, wrong pages 416, bodies without what is needed 422, unknown users 404."""
    with pytest.raises(ServerError, match="does not emulate GET /partner-api/entities/v1/reconciliation"):
        await acme.with_options(retry=RetryPolicy(0)).request("GET", "/entities/v1/reconciliation")
    for limit in (0, 101):
        with pytest.raises(Exception, match="Wrong pagination parameters"):
            await acme.incoming_bills.list(limit=limit)
    with pytest.raises(UnprocessableEntityError):
        await acme.request("POST", "/entities/v1/entity_users", json={})
    with pytest.raises(AuthenticationError):
        await acme.as_user("nobody").token()
    async with over(emulator) as monite:
        wrong: Any = {"name": "x", "type": "robot"}
        with pytest.raises(UnprocessableEntityError):
            await monite.entities.create(**wrong)
        assert await monite.request("GET", "/api_users/v1/auth") == {}
    async with httpx.AsyncClient(transport=emulator.transport) as http:
        assert (await http.post(f"{emulator.origin}/partner-api/api_users/v1/auth", content=b"{")).status_code == 422
