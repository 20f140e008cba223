"""Tokens of the emulator: grants, lifetimes, revocation, refusals."""

from __future__ import annotations

import httpx
import pytest

from monite_async.emulator import EmulatorSettings, _auth
from tests.emulator.drive import VERSION, driving, locations, message, permissions

DEAD = "The token has been revoked, expired or not found."


async def test_both_grants_answer_their_lifetimes() -> None:
    """A partner token lives 1800 s and an entity user token 86400 s, and the answer says so."""
    async with driving() as (emulator, driver):
        user = await driver.make_user("ann")
        partner, entity_user = await driver.grant(), await driver.grant(user)
        assert partner.json()["expires_in"] == 1800
        assert entity_user.json()["expires_in"] == 86_400
        assert {partner.json()["token_type"], entity_user.json()["token_type"]} == {"Bearer"}
        assert emulator.issued == {"client_credentials": 2, f"entity_user:{user}": 1}


@pytest.mark.parametrize("jwt", [True, False])
async def test_tokens_look_as_the_setting_says(jwt: bool) -> None:
    """A token looks like a JWT or is random text, and works either way."""
    async with driving(EmulatorSettings(jwt_tokens=jwt)) as (_, driver):
        token = await driver.token()
        assert (token.startswith("eyJ0eXAiOiJKV1Qi") and token.count(".") == 2) is jwt
        await driver.ask("GET", "/entities")


async def test_an_unknown_key_in_the_token_request_is_a_422() -> None:
    """The token endpoint refuses extra keys, missing keys and ids that are no UUIDs."""
    async with driving() as (_, driver):
        extra = await driver.grant(scope="all")
        assert extra.status_code == 422
        assert locations(extra) == [("body", "scope")]
        assert locations(await driver.grant(client_id="me")) == [("body", "client_id")]
        assert locations(await driver.grant(grant_type="password")) == [("body", "grant_type")]
        assert locations(await driver.grant(grant_type="entity_user")) == [("body", "entity_user_id")]


@pytest.mark.parametrize(("version", "status"), [("2024-05-25", 401), ("2024-01-31", 400)])
async def test_a_wrong_secret_is_refused_by_version(version: str, status: int) -> None:
    """Wrong credentials answer 401 from 2024-05-25 and 400 before it."""
    async with driving() as (emulator, driver):
        body = {**driver.credentials, "client_secret": "guess", "grant_type": "client_credentials"}
        response = await driver.http.post("/auth/token", json=body, headers={"x-monite-version": version})
        assert response.status_code == status
        assert emulator.issued == {"client_credentials": 1}


async def test_what_is_unknown_about_refusals_is_a_setting() -> None:
    """The status for bad credentials, unknown users and missing tokens, and the challenge, can be set."""
    settings = EmulatorSettings(
        bad_credentials_status=400, unknown_user_status=401, www_authenticate="Bearer", missing_authorization_status=401
    )
    async with driving(settings) as (_, driver):
        assert (await driver.grant(client_secret="guess")).status_code == 400
        assert (await driver.grant(driver.entity_id)).status_code == 401
        response = await driver.http.get("/entities", headers={"x-monite-version": VERSION})
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_every_client_of_the_project_may_ask() -> None:
    """Further client ids of the project are accepted with their own secrets only."""
    other = "0d9a7c52-9f0e-4c7e-8a63-9f1f9b1f6a11"
    async with driving(EmulatorSettings(other_clients={other: "second"})) as (_, driver):
        assert (await driver.grant(client_id=other, client_secret="second")).status_code == 200
        assert (await driver.grant(client_id=other)).status_code == 401


@pytest.mark.parametrize(("version", "status"), [("2025-06-23", 401), ("2024-05-25", 401), ("2024-01-31", 400)])
async def test_an_expired_token_is_refused_by_version(version: str, status: int) -> None:
    """A token dies when its lifetime has passed on the emulator's clock: 401 from 2024-05-25, 400 before it."""
    async with driving() as (emulator, driver):
        emulator.clock.freeze()
        driver.forget()
        await driver.token()
        emulator.clock.advance(1799)
        assert (await driver.send("GET", "/entities", version=version)).status_code == 200
        emulator.clock.advance(1)
        response = await driver.send("GET", "/entities", version=version)
        assert (response.status_code, message(response)) == (status, DEAD)


@pytest.mark.parametrize("header", [None, "Basic abc", "Bearer ", "Bearer nobody-knows-me"])
async def test_a_missing_garbled_or_unknown_token_is_refused(header: str | None) -> None:
    """Without a living token nothing but the auth endpoints answers."""
    async with driving() as (_, driver):
        headers = {"x-monite-version": VERSION} | ({} if header is None else {"authorization": header})
        assert (await driver.http.get("/entities", headers=headers)).status_code == 401


async def test_a_new_token_leaves_older_ones_alive_unless_set() -> None:
    """Several tokens of one key live side by side, unless the setting says otherwise."""
    for revokes, status in ((False, 200), (True, 401)):
        async with driving(EmulatorSettings(issue_revokes_older=revokes)) as (_, driver):
            await driver.grant()
            assert (await driver.send("GET", "/entities")).status_code == status


async def revoke(http: httpx.AsyncClient, **body: str) -> httpx.Response:
    """Revoke a token without an Authorization header."""
    return await http.post("/auth/revoke", json=body, headers={"x-monite-version": VERSION})


async def test_revocation_needs_no_bearer_and_kills_one_token() -> None:
    """Revoking ends that token at once and no other; an unknown token is answered alike (RFC 7009)."""
    async with driving() as (_, driver):
        user = await driver.make_user("ann")
        doomed = await driver.token(user)
        response = await revoke(driver.http, token=doomed, **driver.credentials)
        assert (response.status_code, set(response.json())) == (200, {"message"})
        assert (await driver.send("GET", "/entity_users/me", user=user)).status_code == 401
        await driver.ask("GET", "/entities")
        assert (await revoke(driver.http, token="never-issued", **driver.credentials)).status_code == 200
        wrong = {**driver.credentials, "client_secret": "guess"}
        assert (await revoke(driver.http, token=doomed, **wrong)).status_code == 401


async def test_revocation_can_demand_bearer_and_a_known_token() -> None:
    """Whether revocation wants a Bearer token and how it answers unknown tokens are settings."""
    settings = EmulatorSettings(revoke_needs_bearer=True, revoke_unknown_status=404)
    async with driving(settings) as (_, driver):
        assert (await revoke(driver.http, token="x", **driver.credentials)).status_code == 401
        answer = await driver.send("POST", "/auth/revoke", {**driver.credentials, "token": "x"})
        assert answer.status_code == 404


async def test_dead_tokens_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that runs for long keeps no dead tokens: beyond a bound they are dropped when one is issued."""
    monkeypatch.setattr(_auth, "_PURGE_ABOVE", 3)
    async with driving() as (emulator, driver):
        for _ in range(3):
            assert (await driver.grant()).status_code == 200
            emulator.revoke_tokens()
        driver.forget()
        await driver.token()
        assert len(emulator.snapshot()._state.tokens) < sum(emulator.issued.values())


async def test_deleting_a_user_ends_its_tokens_unless_set() -> None:
    """Tokens of a deleted entity user die with it, unless the setting says otherwise; new ones are refused."""
    for keeps, status in ((False, 401), (True, 200)):
        async with driving(EmulatorSettings(deleted_user_keeps_tokens=keeps)) as (_, driver):
            user = await driver.make_user("ann", permissions(payable={"read": "allowed"}))
            await driver.token(user)
            role = (await driver.ask("GET", f"/entity_users/{user}"))["role_id"]
            await driver.ask("DELETE", f"/entity_users/{user}", expect=204)
            assert (await driver.send("GET", "/payables", user=user)).status_code == status
            assert (await driver.grant(user)).status_code == 400
            await driver.ask("DELETE", f"/roles/{role}", expect=204)
            denied = await driver.send("GET", "/payables", user=user)
            assert denied.status_code == (403 if keeps else 401)


async def test_tokens_can_be_revoked_behind_the_clients_back() -> None:
    """``revoke_tokens`` ends the living tokens of one key, or of all."""
    async with driving() as (emulator, driver):
        user = await driver.make_user("ann")
        await driver.token(user)
        assert emulator.revoke_tokens(f"entity_user:{user}") == 1
        assert (await driver.send("GET", "/entity_users/me", user=user)).status_code == 401
        await driver.ask("GET", "/entities")
        assert emulator.revoke_tokens() == 1
        assert (await driver.send("GET", "/entities")).status_code == 401


async def test_nothing_that_is_kept_for_reading_shows_a_secret() -> None:
    """No token and no secret is in the log, the settings' repr, the state's repr or a snapshot's."""
    async with driving() as (emulator, driver):
        token = await driver.token()
        texts = (repr(list(emulator.log)), repr(emulator.settings), repr(emulator.snapshot()), repr(vars(emulator)))
        for text in texts:
            assert token not in text
            assert driver.credentials["client_secret"] not in text
