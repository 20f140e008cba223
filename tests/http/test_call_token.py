"""Refused tokens: replaced once, the call repeated once, and never more than that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ForbiddenError,
    ResponseValidationError,
    TransportError,
    UnauthorizedError,
    Wire,
)
from monite_async._http.token_post import TokenPost
from monite_async._tokens.record import AccessToken
from monite_async._tokens.static import StaticTokens
from tests.scripted import BASE_URL, Chunks, Scripted, client

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

OK = httpx.Response(200, json={"id": "1"})
DEAD = httpx.Response(401, json={"error": {"message": "The token has been expired."}}, headers={"x-request-id": "rq"})


def aged(monite: AsyncMonite) -> AsyncMonite:
    """Make the brake of the cache think that every token is older than it is."""
    cache: Any = monite._core.issued()
    original = cache.replace

    async def replace(key: Any, refused: AccessToken) -> AccessToken | None:
        older = refused.as_stale()
        older.soft_mono -= 60
        found: AccessToken | None = await original(key, older)
        return found

    cache.replace = replace
    return monite


async def test_a_dead_token_is_replaced_and_the_call_repeated() -> None:
    """A 401 costs one token request and one repeat, body included."""
    transport = Scripted(DEAD, OK)
    async with aged(client(transport)) as monite:
        assert await monite.request("POST", "/x", json={"a": 1}) == {"id": "1"}
    assert len(transport.posts) == 2
    assert transport.tokens == [f"Bearer canary-token-{n:030d}" for n in (1, 2)]
    assert [request.content for request in transport.calls] == [b'{"a":1}'] * 2


@pytest.mark.parametrize("status", [400, 403])
async def test_older_versions_say_it_otherwise(status: int) -> None:
    """Before 2024-05-25 a dead token was a 400 with a message that says so."""
    dead = httpx.Response(status, json={"error": {"message": "The token has been revoked, expired or not found."}})
    transport = Scripted(dead, OK)
    async with aged(client(transport)) as monite:
        assert await monite.request("GET", "/x") == {"id": "1"}
    assert len(transport.calls) == 2


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (403, ForbiddenError)])
async def test_a_plain_refusal_is_not_about_the_token(status: int, kind: type[Exception]) -> None:
    """A permission that is missing does not cost a token."""
    transport = Scripted(httpx.Response(status, json={"error": {"message": "Action read for payable not allowed"}}))
    async with aged(client(transport)) as monite:
        with pytest.raises(kind):
            await monite.request("GET", "/x")
    assert (len(transport.calls), len(transport.posts)) == (1, 1)


async def test_a_second_refusal_stands() -> None:
    """A call is repeated once; a second 401 is raised, with what the server said."""
    transport = Scripted(DEAD)
    async with aged(client(transport)) as monite:
        with pytest.raises(UnauthorizedError, match="expired") as caught:
            await monite.request("GET", "/x")
    assert (len(transport.calls), caught.value.attempts, caught.value.request_id) == (2, 2, "rq")


async def test_a_young_token_is_not_replaced() -> None:
    """A 401 on a token that was just issued is not the token's fault: no repeat, no second token."""
    transport = Scripted(DEAD)
    async with client(transport) as monite:
        with pytest.raises(UnauthorizedError):
            await monite.request("GET", "/x")
    assert (len(transport.calls), len(transport.posts)) == (1, 1)


async def test_many_refusals_of_one_token_cost_one_request() -> None:
    """A hundred calls that meet the same dead token cost one new token."""

    async def reply(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return DEAD if request.headers["authorization"].endswith("1") else OK

    transport = Scripted(reply)
    async with aged(client(transport)) as monite:
        await monite.token()
        await asyncio.gather(*(monite.request("GET", "/x") for _ in range(100)))
    assert len(transport.posts) == 2


async def test_a_body_that_is_gone_is_not_repeated() -> None:
    """A one-shot body is not sent twice, dead token or not."""

    async def once() -> AsyncIterator[bytes]:
        yield b"abc"

    transport = Scripted(DEAD, OK)
    async with aged(client(transport)) as monite:
        with pytest.raises(UnauthorizedError):
            await monite.request("POST", "/x", multipart={"file": once()})
    assert len(transport.calls) == 1


@pytest.mark.parametrize("name", ["", "x y", "ä", "x:"])
def test_names_of_headers_are_checked(name: str) -> None:
    """A wire with a header name that cannot be is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="entity_header must be the name of a header"):
        client(Scripted(OK), wire=Wire(entity_header=name))


async def test_another_wire_has_other_headers() -> None:
    """Header names and the sign of a dead token can be replaced as one value."""
    wire = Wire("x-api-key", "x-finops-version", "x-organization-id", lambda status, message: status == 418)
    transport = Scripted(httpx.Response(418), OK)
    async with aged(client(transport, wire=wire)) as monite:
        await monite.entity("org").request("GET", "/x")
    head = transport.calls[1].headers
    assert (head["x-api-key"], head["x-finops-version"], head["x-organization-id"]) == (
        f"Bearer canary-token-{2:030d}", "2024-05-25", "org",
    )  # fmt: skip
    assert "authorization" not in head


# -- tokens from elsewhere


async def test_a_static_token_is_sent_and_never_replaced() -> None:
    """A fixed token has no successor: its refusal stands, and no token is asked for."""
    transport = Scripted(OK, DEAD)
    async with AsyncMonite(token="canary-static", base_url=BASE_URL, transport=transport) as monite:
        await monite.entity("e").request("GET", "/x")
        with pytest.raises(UnauthorizedError):
            await monite.request("GET", "/x")
        assert (await monite.token()).value == "canary-static"
    assert transport.tokens == ["Bearer canary-static"] * 2
    assert not transport.posts


async def test_a_token_function_is_asked_again() -> None:
    """A function that knows a newer token than the refused one saves the call."""
    tokens = iter(["old", "new", "new"])

    async def current() -> str:
        return next(tokens)

    transport = Scripted(DEAD, OK)
    async with AsyncMonite(token=current, base_url=BASE_URL, transport=transport) as monite:
        assert await monite.request("GET", "/x") == {"id": "1"}
    assert transport.tokens == ["Bearer old", "Bearer new"]
    assert isinstance(monite._core.engine.tokens, StaticTokens)


# -- the token endpoint


def endpoint(reply: httpx.Response | Exception) -> httpx.AsyncBaseTransport:
    """Return a transport that answers every request with this."""

    async def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(reply, Exception):
            raise reply
        return reply

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>canary</html>",
        b"{}",
        b"[]",
        b'{"access_token": "", "token_type": "Bearer", "expires_in": 1800}',
        b'{"access_token": "canary-canary-canary\\nx: y", "token_type": "Bearer", "expires_in": 1800}',
        b'{"access_token": "canary-canary-canary-canary", "token_type": "Bearer", "expires_in": -1}',
        b'{"access_token": "canary-canary-canary-canary", "token_type": "Bearer", "expires_in": "soon"}',
    ],
)
async def test_nonsense_from_the_token_endpoint(body: bytes) -> None:
    """A 200 without a usable token is an AuthenticationError that repeats nothing of it."""
    async with client(endpoint(httpx.Response(200, content=body))) as monite:
        with pytest.raises(AuthenticationError) as caught:
            await monite.request("GET", "/x")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 422])
async def test_the_token_endpoint_refuses(status: int) -> None:
    """A refusal, and a redirect, is an AuthenticationError; the secret is not sent anywhere else."""
    seen: list[str] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(status, headers={"location": "https://evil.test/v1/auth/token"}, json={"error": {}})

    async with client(httpx.MockTransport(handle)) as monite:
        with pytest.raises(AuthenticationError) as caught:
            await monite.request("GET", "/x")
    assert set(seen) == {"api.monite.test"}
    assert caught.value.status == status


def post(transport: httpx.AsyncBaseTransport) -> TokenPost:
    """Return the way of a client's token requests."""
    return client(transport)._core.post


async def test_a_huge_token_answer_is_not_read() -> None:
    """An answer of the token endpoint is at most a megabyte."""
    stream = Chunks(b"x" * 65536, repeat=1_000_000)
    with pytest.raises(ResponseValidationError):
        await post(endpoint(httpx.Response(200, stream=stream)))("/auth/token", b"{}", headers={}, timeout=4)
    assert stream.taken <= 17


async def test_a_token_request_that_fails_says_where() -> None:
    """A transport failure names the token endpoint, and shows nothing of the request."""
    with pytest.raises(TransportError) as caught:
        await post(endpoint(httpx.ReadError("canary")))("/auth/token", b"canary", headers={}, timeout=4)
    error = caught.value
    assert (error.method, error.path, error.attempts) == ("POST", "/auth/token", 1)
    assert "canary" not in str(error)
    assert error.__context__ is None


async def test_a_token_request_of_a_closed_client() -> None:
    """What breaks because the client was closed says that."""
    way = post(endpoint(httpx.ReadError("x")))
    way.closed = True
    with pytest.raises(ClientClosedError):
        await way("/auth/token", b"{}", headers={}, timeout=4)
    assert repr(way) == "<TokenPost>"


@pytest.mark.parametrize("headers", [{"retry-after": "2"}, {}], ids=["asked", "silent"])
async def test_a_429_of_the_token_endpoint(headers: dict[str, str]) -> None:
    """A rate-limited token request closes the gate for as long as it was told, if it was, and slows all calls down."""
    way = post(endpoint(httpx.Response(429, headers=headers)))
    result = await way("/auth/token", b"{}", headers={"Host": "evil.test", "x-a": "b"}, timeout=4)
    assert result.status == 429
    assert way.limiter.active
    assert (way.limiter._gate > 0) is bool(headers)
