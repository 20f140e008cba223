"""What goes over the wire to `/auth/token` and `/auth/revoke`, and what is made of the answers (facts, section 2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
import respx

from monite_async._errors import (
    AuthenticationError,
    ConfigurationError,
    MoniteError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from monite_async._http.adapter import HttpxCarrier
from monite_async._http.limits import Limiter
from monite_async._http.place import Place
from monite_async._http.token_post import TokenPost
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.issuer import FlowParts, MoniteIssuer, Wire
from monite_async._tokens.static import StaticTokens
from tests.tokens.world import PARTNER, user

CLIENT = "28c10852-7e78-43cf-abfb-efeed1834963"
CANARY = "canary-615b3cfa-646b-41d9"
BASE = "https://api.sandbox.monite.com/v1"
PLACE = Place.parse(BASE)
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.x.y"


class Wired:
    """An issuer on a mocked wire."""

    def __init__(self) -> None:
        self.router = respx.Router(assert_all_called=False)
        self.token = self.router.post(f"{BASE}/auth/token")
        self.revoke = self.router.post(f"{BASE}/auth/revoke")
        self.issuer = MoniteIssuer(
            post=TokenPost(PLACE, HttpxCarrier(httpx.MockTransport(self.router.async_handler)), Limiter(None)),
            credentials=ClientCredentials(CLIENT, CANARY),
            api_version="2024-05-25",
            wire=Wire(),
        )

    def answer(self, status: int = 200, **answer: Any) -> None:
        self.token.mock(httpx.Response(status, headers={"x-request-id": "req-1"}, **answer))


async def test_the_partner_grant_is_sent_as_the_contract_says() -> None:
    """JSON with exactly three keys, the version header, and no authorization."""
    wired = Wired()
    wired.answer(json={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 1800})
    issued = await wired.issuer.issue(PARTNER, timeout=4)
    assert (issued.header, issued.lifetime) == (f"Bearer {TOKEN}".encode(), 1800.0)
    request = wired.token.calls.last.request
    assert json.loads(request.content) == {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": CANARY,
    }
    assert request.headers["x-monite-version"] == "2024-05-25"
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


async def test_the_user_grant_names_the_user() -> None:
    """The entity_user grant has exactly one key more."""
    wired = Wired()
    wired.answer(json={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 86400})
    await wired.issuer.issue(user(7), timeout=4)
    assert json.loads(wired.token.calls.last.request.content) == {
        "grant_type": "entity_user",
        "client_id": CLIENT,
        "client_secret": CANARY,
        "entity_user_id": user(7).entity_user_id,
    }


async def test_a_revocation_is_sent_as_the_contract_says() -> None:
    """JSON with exactly three keys; a 200 with any message is success."""
    wired = Wired()
    wired.revoke.mock(httpx.Response(200, json={"message": "whatever"}))
    await wired.issuer.revoke(TOKEN, timeout=4)
    assert json.loads(wired.revoke.calls.last.request.content) == {
        "client_id": CLIENT,
        "client_secret": CANARY,
        "token": TOKEN,
    }


@pytest.mark.parametrize(
    ("answer", "header", "lifetime"),
    [
        ({"access_token": TOKEN, "expires_in": 60}, f"Bearer {TOKEN}", 60.0),
        ({"access_token": TOKEN, "token_type": "bearer", "expires_in": "60"}, f"Bearer {TOKEN}", 60.0),
        ({"access_token": TOKEN, "token_type": "DPoP", "expires_in": 10**12}, f"DPoP {TOKEN}", 604800.0),
        ({"access_token": TOKEN, "token_type": "Bearer", "scope": "all", "extra": [1]}, f"Bearer {TOKEN}", 60.0),
    ],
)
async def test_answers_that_are_tolerated(answer: dict[str, Any], header: str, lifetime: float) -> None:
    """Unknown keys, another scheme, a missing or textual lifetime are no reason to fail."""
    wired = Wired()
    wired.answer(json=answer)
    issued = await wired.issuer.issue(PARTNER, timeout=4)
    assert (issued.header.decode(), issued.lifetime) == (header, lifetime)


GOOD = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 1800}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"content": b"<html>hello</html>"}, "access_token"),
        ({"content": b""}, "access_token"),
        ({"content": b"\xff\xfe\x00"}, "access_token"),
        ({"json": [1, 2]}, "access_token"),
        ({"json": {"token_type": "Bearer", "expires_in": 1800}}, "access_token"),
        ({"json": {**GOOD, "access_token": ""}}, "access_token"),
        ({"json": {**GOOD, "access_token": None}}, "access_token"),
        ({"json": {**GOOD, "access_token": 12345678901234567890}}, "access_token"),
        ({"json": {**GOOD, "access_token": "canary\nwith-a-newline-in-it"}}, "access_token"),
        ({"json": {**GOOD, "access_token": "canary-ünïcödé-öäüößß-1234"}}, "access_token"),
        ({"json": {**GOOD, "access_token": "canary with spaces in it 123"}}, "access_token"),
        ({"json": {**GOOD, "access_token": "canary" * 200_000}}, "TransportError|longer|access_token"),
        ({"json": {**GOOD, "access_token": "canary" * 3_000}}, "access_token"),
        ({"json": {**GOOD, "token_type": "Bea rer"}}, "token_type"),
        ({"json": {**GOOD, "token_type": 7}}, "token_type"),
        ({"json": {**GOOD, "token_type": "B" * 40}}, "token_type"),
        ({"json": {**GOOD, "expires_in": 0}}, "not positive"),
        ({"json": {**GOOD, "expires_in": -5}}, "not positive"),
        ({"json": {**GOOD, "expires_in": "soon"}}, "not a number"),
        ({"json": {**GOOD, "expires_in": [1800]}}, "not a number"),
    ],
)
async def test_answers_without_a_usable_token(answer: dict[str, Any], problem: str) -> None:
    """Each kind of nonsense is an error that says what is wrong and shows nothing of the answer."""
    wired = Wired()
    wired.answer(**answer)
    with pytest.raises(MoniteError, match=problem) as caught:
        await wired.issuer.issue(PARTNER, timeout=4)
    assert "canary" not in repr(caught.value)
    if isinstance(caught.value, AuthenticationError):
        assert caught.value.status == 200
        assert caught.value.request_id == "req-1"


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, AuthenticationError, "client_secret"),
        (401, AuthenticationError, "differ per environment"),
        (403, AuthenticationError, "entity user"),
        (404, AuthenticationError, "base_url"),
        (405, AuthenticationError, "base_url"),
        (408, RequestTimeout, "in time"),
        (422, AuthenticationError, "well-formed"),
        (429, RateLimitError, "too many"),
        (500, ServerError, "failed"),
        (503, ServerError, "failed"),
        (302, AuthenticationError, "base_url"),
    ],
)
async def test_refusals(status: int, kind: type[MoniteError], advice: str) -> None:
    """Each status of the token endpoint has its class, says what to check, and repeats nothing that was sent."""
    wired = Wired()
    wired.answer(status, json={"error": {"message": f"bad secret {CANARY}"}})
    with pytest.raises(MoniteError, match=advice) as caught:
        await wired.issuer.issue(PARTNER, timeout=4)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.path, caught.value.request_id) == (status, "/auth/token", "req-1")
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"ratelimit-reset": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "whenever"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
async def test_every_form_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """A throttled token request passes on how long to stay away, in whichever header it says so."""
    wired = Wired()
    wired.token.mock(httpx.Response(429, headers=headers, json={"message": "API rate limit exceeded"}))
    with pytest.raises(RateLimitError) as caught:
        await wired.issuer.issue(PARTNER, timeout=4)
    assert caught.value.retry_after == seconds


async def test_a_failed_revocation_says_that_it_was_one() -> None:
    """The message tells a revocation from an issue, and shows no token."""
    wired = Wired()
    wired.revoke.mock(httpx.Response(401, json={"error": {"message": TOKEN}}))
    with pytest.raises(AuthenticationError, match="could not be revoked") as caught:
        await wired.issuer.revoke(TOKEN, timeout=4)
    assert TOKEN not in repr(caught.value)
    assert repr(wired.issuer) == "<MoniteIssuer>"


class Vault:
    """A provider of secrets that counts and can be made to fail."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return cast("str", answer)


class Still:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    wall = monotonic


async def test_a_secret_from_a_provider_is_kept_for_a_minute_and_asked_for_once() -> None:
    """R32: all that ask at once share one call; a minute later it is asked again; a refresh asks at once."""
    clock, vault = Still(), Vault("one-secret", "two-secret", "three-secret")
    credentials = ClientCredentials(CLIENT, vault, clock=clock)
    assert set(await asyncio.gather(*(credentials.secret() for _ in range(50)))) == {"one-secret"}
    clock.now = 59
    assert await credentials.secret() == "one-secret"
    clock.now = 61
    assert await credentials.secret() == "two-secret"
    assert await credentials.secret(refresh=True) == "three-secret"
    assert vault.calls == 3
    assert repr(credentials) == f"<ClientCredentials {CLIENT}>"


@pytest.mark.parametrize(
    ("answer", "problem"), [(ValueError(CANARY), "raised ValueError"), ("", "non-empty"), (None, "non-empty")]
)
async def test_a_provider_that_fails_is_named_without_its_text(answer: object, problem: str) -> None:
    """What a provider raises may hold the secret: only its class is repeated."""
    credentials = ClientCredentials(CLIENT, Vault(answer))
    with pytest.raises(AuthenticationError, match=problem) as caught:
        await credentials.secret()
    assert CANARY not in repr(caught.value)


def test_a_provider_works_in_one_loop_after_another() -> None:
    """A provider's call in a loop that died is not waited for in the next."""
    vault = Vault("secret")
    credentials = ClientCredentials(CLIENT, vault)
    first = asyncio.new_event_loop()
    pending = first.create_task(credentials.secret())
    for _ in range(2):  # as far as the call of the provider, and no further
        first.call_soon(first.stop)
        first.run_forever()
    setattr(pending, "_log_destroy_pending", False)  # noqa: B010 - this caller dies with its loop
    first.close()
    assert asyncio.run(credentials.secret()) == "secret"


async def test_a_provider_whose_callers_all_left_reports_nothing() -> None:
    """A failure that nobody waits for any more is not handed to the loop's exception handler."""
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    credentials = ClientCredentials(CLIENT, Vault(ValueError("x")))
    caller = asyncio.create_task(credentials.secret())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)
    assert troubles == []


async def test_a_provider_whose_call_is_cut_off_is_asked_again() -> None:
    """A call of the provider that was cancelled, as at the end of ``asyncio.run``, is not waited for by the next."""
    vault = Vault("secret")
    credentials = ClientCredentials(CLIENT, vault)
    caller = asyncio.create_task(credentials.secret())
    await asyncio.sleep(0)
    for call in credentials._calls.values():
        call.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    assert await credentials.secret() == "secret"


async def test_a_fixed_token_is_always_there_and_never_replaced() -> None:
    """A static token costs nothing and has no successor."""
    tokens = StaticTokens(TOKEN)
    token = tokens.peek(PARTNER)
    assert token is not None
    assert token is await tokens.get(PARTNER)
    assert token.authorization == f"Bearer {TOKEN}"
    assert await tokens.replace(PARTNER, token) is None


async def test_a_token_function_is_asked_on_every_call() -> None:
    """A function is asked each time, and once more after a refusal; the same answer again is no replacement."""
    answers = ["first-token", "second-token", "second-token"]

    async def function() -> str:
        return answers.pop(0)

    tokens = StaticTokens(function)
    assert tokens.peek(PARTNER) is None
    first = await tokens.get(PARTNER)
    second = await tokens.replace(PARTNER, first)
    assert second is not None
    assert second.value == "second-token"
    assert await tokens.replace(PARTNER, second) is None


@pytest.mark.parametrize("answer", ["", "two words", "new\nline", None, 7, ValueError(CANARY)])
async def test_a_token_function_that_returns_no_token(answer: object) -> None:
    """Whatever is no token is refused before it reaches a header, and not shown."""
    function: Callable[[], Awaitable[str]] = Vault(answer)
    with pytest.raises(AuthenticationError, match="token function") as caught:
        await StaticTokens(function).get(PARTNER)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "ünï"])
def test_a_fixed_token_that_is_none(token: str) -> None:
    """A static token that could not be sent is refused at once."""
    with pytest.raises(ConfigurationError, match="visible ASCII"):
        StaticTokens(token)


async def test_a_token_request_waits_a_minute_for_its_turn_and_not_longer() -> None:
    """R10: the wait for the rate limit is bounded, and too long a one says how long it would have been."""
    limiter = Limiter(None)
    post = TokenPost(PLACE, HttpxCarrier(httpx.MockTransport(respx.Router().async_handler)), limiter)
    await post.turn()
    limiter.close(0.01)
    await post.turn()
    slow = TokenPost(PLACE, post.carrier, Limiter(0.01, burst=1))
    await slow.turn()
    await slow.turn()  # this one goes before whoever waits
    with pytest.raises(RequestTimeout, match="waiting for the rate limit") as caught:
        await slow.turn()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 60


async def test_what_an_issuer_is_made_of_shows_no_credentials() -> None:
    """The parts of a flow hold the client secret, and say nothing of themselves."""

    async def post(*_: object, **__: object) -> Any:
        raise AssertionError("nothing is sent")

    def tokens() -> Any:
        raise AssertionError("nothing is asked")

    parts = FlowParts(post, ClientCredentials("28c10852-7e78-43cf-abfb-efeed1834963", "canary-secret"), "v", tokens)
    assert repr(parts) == "<FlowParts>"


def test_a_key_is_a_value() -> None:
    """Keys of one identity are one entry of a set, those of others are not."""
    assert len({user(1), user(1), user(2), PARTNER}) == 3
