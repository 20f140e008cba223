"""The request loop on a scripted wire: what is sent, what is followed, what is raised."""

from __future__ import annotations

import asyncio
import gzip
import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pydantic
import pytest

from monite_async import (
    APIStatusError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ForbiddenError,
    MoniteError,
    NotFoundError,
    PoolTimeout,
    RateLimitError,
    RequestOptions,
    RequestTimeout,
    ResponseValidationError,
    RetryPolicy,
    ServerError,
    TransportError,
    UnauthorizedError,
    UnprocessableEntityError,
)
from monite_async._http.budget import RetryBudget
from tests.scripted import BASE_URL, CLIENT_SECRET, Chunks, Scripted, client

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)
NEVER = RetryPolicy(max_retries=0)
OK = httpx.Response(200, json={"id": "1"})


class Item(pydantic.BaseModel):
    """A small answer."""

    id: str


async def outcome(transport: httpx.AsyncBaseTransport, method: str = "GET", **options: Any) -> Any:
    """Make one call and return its result or its error."""
    call: dict[str, Any] = options.pop("call", {})
    async with client(transport, **{"retry": FAST, **options}) as monite:
        try:
            return await monite.request(method, "/things/{id}", path_params={"id": "a/b"}, **call)
        except MoniteError as error:
            return error


# -- what is sent


async def test_the_head_of_a_request() -> None:
    """A request carries token, version, entity, body and caller's headers, and nothing twice."""
    transport = Scripted(OK)
    async with client(transport, headers={"X-App": "one", "user-agent": "mine"}) as monite:
        acme = monite.entity("e-1").with_options(headers={"x-app": "two"})
        await acme.request(
            "post",
            "/things",
            json={"a": 1},
            query={"q": [1, 2]},
            options=RequestOptions(headers={"x-trace": "t"}, query={"z": "1"}),
        )
    request = transport.calls[0]
    assert (request.method, str(request.url)) == ("POST", f"{BASE_URL}/things?q=1&q=2&z=1")
    assert request.content == b'{"a":1}'
    assert sorted(request.headers.multi_items()) == [
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("authorization", f"Bearer canary-token-{1:030d}"),
        ("content-length", "7"),
        ("content-type", "application/json"),
        ("host", "api.monite.test"),
        ("user-agent", "mine"),
        ("x-app", "two"),
        ("x-monite-entity-id", "e-1"),
        ("x-monite-version", "2024-05-25"),
        ("x-trace", "t"),
    ]


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PATCH", "0"), ("PUT", "0")]
)
async def test_calls_without_a_body(method: str, length: str | None) -> None:
    """A method that anticipates a body says that there is none; the others say nothing."""
    transport = Scripted(OK)
    await outcome(transport, method)
    assert transport.calls[0].headers.get("content-length") == length
    assert "content-type" not in transport.calls[0].headers


@pytest.mark.parametrize("path", ["/p/{id", "/p/{a-b}", "/p/{}", "/p/{a%41}"])
async def test_braces_around_no_name_are_text(path: str) -> None:
    """Of a path that a caller wrote only ``{name}`` is replaced; what is no name is sent as it stands."""
    transport = Scripted(OK)
    values: dict[str, object] = {"id": "x", "a-b": "x", "": "x", "a%41": "x"}
    async with client(transport) as monite:
        await monite.request("GET", path, path_params=values)
        await monite.request("POST", path, path_params=values)
    assert [call.url.raw_path.decode() for call in transport.calls] == [
        f"/v1{path}".replace("{", "%7B").replace("}", "%7D")
    ] * 2


async def test_the_token_endpoint_is_asked_once() -> None:
    """Any number of calls at once cost one token request."""
    transport = Scripted(OK)
    async with client(transport) as monite:
        await asyncio.gather(*(monite.entity(f"e{n}").request("GET", "/x") for n in range(50)))
    assert (len(transport.calls), len(transport.posts)) == (50, 1)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"method": "TRACE"}, "method"),
        ({"method": "GET\r\nx: y"}, "method"),
        ({"path": "things"}, "path"),
        ({"path": "/{id}"}, "id"),
        ({"json": {"a": float("nan")}}, "body.a"),
        ({"query": {"a": None}}, "a"),
        ({"query": {"id__in": ["x" * 36] * 2000}}, "too long"),
        ({"path": "/" + "x" * 65_534 + "/{id}", "path_params": {"id": "x"}}, "too long"),
        ({"json": {}, "multipart": {"a": "b"}}, "multipart"),
        ({"options": RequestOptions(headers={"Authorization": "Bearer x"})}, "Authorization"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_call_sends_nothing(wrong: dict[str, Any], match: str) -> None:
    """What is wrong with a call is said before anything leaves."""
    transport = Scripted(OK)
    call: dict[str, Any] = {"method": "GET", "path": "/x", **wrong}
    async with client(transport) as monite:
        with pytest.raises(ConfigurationError, match=match):
            await monite.request(**call)
    assert not transport.calls
    assert not transport.posts


# -- what comes back


async def test_results_and_request_ids() -> None:
    """An answer is cast to what was asked for, and the raw status and headers can be had."""
    transport = Scripted(httpx.Response(201, json={"id": "1"}, headers={"x-request-id": "rq"}))
    assert await outcome(transport) == {"id": "1"}
    assert await outcome(transport, call={"cast_to": Item}) == Item(id="1")
    assert await outcome(transport, call={"cast_to": None}) is None
    assert await outcome(transport, call={"cast_to": bytes}) == b'{"id":"1"}'
    async with client(transport, lenient=True) as monite:
        raw = await monite.entity("e").roles.with_raw_response.get("r")
    assert (raw.status, raw.request_id, raw.parsed.request_id) == (201, "rq", "rq")


@pytest.mark.parametrize("status", [200, 204])
async def test_empty_answers(status: int) -> None:
    """An answer without a body is None where nothing is needed, and a typed error where something is."""
    transport = Scripted(httpx.Response(status))
    assert await outcome(transport) is None
    error = await outcome(transport, call={"cast_to": Item})
    assert isinstance(error, ResponseValidationError)
    assert (error.method, error.path, error.attempts) == ("GET", "/things/{id}", 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError), (401, UnauthorizedError), (403, ForbiddenError), (404, NotFoundError),
        (405, APIStatusError), (409, ConflictError), (418, APIStatusError), (422, UnprocessableEntityError),
        (429, RateLimitError), (500, ServerError), (503, ServerError), (304, APIStatusError),
    ],
)  # fmt: skip
async def test_each_status_has_its_error(status: int, kind: type[APIStatusError]) -> None:
    """An error tells method, template, status, request id, message, attempts and time, and pickles."""
    body = {"error": {"message": "the server's words"}}
    transport = Scripted(httpx.Response(status, json=body, headers={"x-request-id": "rq-7"}))
    error = await outcome(transport, "POST", retry=NEVER)
    assert type(error) is kind
    assert (error.method, error.path, error.status, error.request_id) == ("POST", "/things/{id}", status, "rq-7")
    assert error.attempts >= 1
    assert error.elapsed is not None
    assert status == 304 or "the server's words" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_the_retry_after_of_the_last_answer_is_told() -> None:
    """A rate limit that outlasts the policy ends the call at once and says when to come back."""
    transport = Scripted(
        httpx.Response(429, headers={"retry-after": "3600"}, json={"message": "API rate limit exceeded"})
    )
    error = await outcome(transport)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 3600
    assert len(transport.calls) == 1


@pytest.mark.parametrize("coding", ["gzip", "GZIP ", "identity", ""])
async def test_compressed_answers(coding: str) -> None:
    """A compressed answer is read as if it were not."""
    data = b'{"id":"1"}'
    packed = gzip.compress(data) if "zip" in coding.lower() else data
    transport = Scripted(
        httpx.Response(200, headers={"content-encoding": coding}, stream=Chunks(packed[:5], packed[5:]))
    )
    assert await outcome(transport) == {"id": "1"}


async def test_an_empty_answer_may_claim_to_be_compressed() -> None:
    """No bytes are no bytes, whatever the coding."""
    transport = Scripted(httpx.Response(204, headers={"content-encoding": "gzip"}, stream=Chunks()))
    assert await outcome(transport) is None


@pytest.mark.parametrize(
    "headers", [{"content-encoding": "br"}, {"content-encoding": "gzip"}, {"content-encoding": "gzip, gzip"}], ids=str
)
async def test_a_damaged_coding_is_a_typed_error(headers: dict[str, str]) -> None:
    """A 2xx that cannot be decompressed is no answer; an error answer still is its status."""
    stream = Chunks(b"no such coding")
    error = await outcome(Scripted(httpx.Response(200, headers=headers, stream=stream)))
    assert type(error) is ResponseValidationError
    assert stream.closed
    error = await outcome(Scripted(httpx.Response(404, headers=headers, stream=Chunks(b"no such coding"))))
    assert type(error) is NotFoundError


@pytest.mark.parametrize(
    ("headers", "chunk"),
    [
        ({}, b"x" * 1000),
        ({"content-length": "1000000"}, b"x" * 1000),
        ({"content-length": "9" * 30}, b"x" * 1000),
        ({"content-encoding": "gzip"}, gzip.compress(bytes(10_000_000))),
    ],
    ids=["unannounced", "announced", "absurd", "bomb"],
)
async def test_a_huge_answer_is_not_read_to_its_end(headers: dict[str, str], chunk: bytes) -> None:
    """An answer past the limit ends in a typed error after the limit; other calls notice nothing."""
    stream = Chunks(chunk, repeat=1_000_000)
    big = httpx.Response(200, headers=headers, stream=stream)
    transport = Scripted(big, OK)
    async with client(transport, max_response_bytes=10_000) as monite:
        with pytest.raises(ResponseValidationError, match="max_response_bytes"):
            await monite.request("GET", "/big")
        assert await monite.request("GET", "/x") == {"id": "1"}
    assert stream.taken <= 11
    assert stream.closed


async def test_a_huge_error_keeps_its_status() -> None:
    """The body of an error answer is not worth more than a megabyte; the status stands."""
    stream = Chunks(b"x" * 65536, repeat=1_000_000)
    error = await outcome(Scripted(httpx.Response(400, stream=stream)))
    assert type(error) is BadRequestError
    assert stream.taken <= 17


async def test_the_length_of_a_head_answer_is_not_its_body() -> None:
    """HEAD announces what GET would send, and sends nothing."""
    transport = Scripted(httpx.Response(200, headers={"content-length": "99999999"}, stream=Chunks()))
    assert await outcome(transport, "HEAD", max_response_bytes=10) is None


async def test_a_transport_that_is_not_asynchronous() -> None:
    """A stream that would block the loop is refused, and not asked for again."""

    class Blocking(httpx.SyncByteStream):
        """A stream of the other kind."""

    transport = Scripted(httpx.Response(200, stream=Blocking()))
    error = await outcome(transport)
    assert isinstance(error, TransportError)
    assert len(transport.calls) == 1


# -- transport failures


@pytest.mark.parametrize(
    ("failure", "kind", "tries"),
    [
        (httpx.ConnectError("certificate has expired"), ConnectError, 3),
        (httpx.ConnectTimeout("x"), ConnectError, 3),
        (httpx.PoolTimeout("x"), PoolTimeout, 3),
        (httpx.ReadTimeout("x"), RequestTimeout, 1),
        (httpx.ReadError("Bearer canary"), TransportError, 1),
        (httpx.RemoteProtocolError("Bearer canary"), TransportError, 1),
        (httpx.LocalProtocolError("Bearer canary"), TransportError, 1),
        (httpx.UnsupportedProtocol("x"), TransportError, 1),
        (httpx.InvalidURL("x"), TransportError, 1),
        (httpx.StreamConsumed(), TransportError, 1),
        (OSError("Bearer canary"), TransportError, 1),
        (TimeoutError(), RequestTimeout, 1),
    ],
    ids=repr,
)
async def test_transport_failures_of_a_post(failure: Exception, kind: type[MoniteError], tries: int) -> None:
    """A POST is sent again only when it provably never left; no text and no context of the cause comes along."""
    transport = Scripted(failure)
    error = await outcome(transport, "POST")
    assert type(error) is kind
    assert len(transport.calls) == tries == error.attempts
    assert "canary" not in str(error)
    assert error.__context__ is None
    assert error.__cause__ is None


async def test_the_reason_of_a_failed_connection_is_told() -> None:
    """An expired certificate says so: there is nothing secret about why a connection was not made."""
    error = await outcome(Scripted(httpx.ConnectError("certificate has expired")))
    assert "certificate has expired" in str(error)


async def test_a_truncated_answer_is_read_again() -> None:
    """A GET whose answer breaks off is repeated, a POST is not."""
    broken = httpx.Response(200, stream=Chunks(b'{"id', error=httpx.RemoteProtocolError("incomplete")))
    assert await outcome(Scripted(broken, OK)) == {"id": "1"}
    error = await outcome(Scripted(broken, OK), "POST")
    assert type(error) is TransportError


# -- redirects


@pytest.mark.parametrize(
    "target",
    [
        "/v1/other", "other", f"{BASE_URL}/other", "https://api.monite.test:443/v1/other", "https://evil.test/v1/things",
        "//evil.test/", "http://api.monite.test/v1/things", "https://user:pw@api.monite.test/v1/things", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_call_with_a_token_follows_no_redirect(method: str, status: int, target: str) -> None:
    """A redirect is the answer, whatever its kind and wherever it leads; the error does not repeat its address."""
    transport = Scripted(httpx.Response(status, headers={"location": target}), OK)
    error = await outcome(transport, method)
    assert type(error) is APIStatusError
    assert error.status == status
    assert "redirect" in str(error)
    assert "evil" not in str(error)
    assert len(transport.calls) == 1


# -- repeats


async def test_a_call_is_repeated_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A failing GET is sent three times in all; the log says when, and nothing of what was passed."""
    caplog.set_level(logging.DEBUG)
    transport = Scripted(httpx.Response(503))
    error = await outcome(transport)
    assert isinstance(error, ServerError)
    assert (error.attempts, len(transport.calls)) == (3, 3)
    assert caplog.text.count("GET (a raw path): again in") == 2
    assert caplog.text.count("GET (a raw path): not again: no retries left") == 1
    assert CLIENT_SECRET not in caplog.text
    assert "canary-token" not in caplog.text


async def test_options_of_a_call_win() -> None:
    """The retry policy of one call replaces the one of its client."""
    transport = Scripted(httpx.Response(503))
    await outcome(transport, call={"options": RequestOptions(retry=NEVER)})
    assert len(transport.calls) == 1


async def test_the_budget_bounds_the_repeats_of_all_calls() -> None:
    """When everything fails, a client repeats a reserve and a tenth of its calls, not twice as many."""
    transport = Scripted(httpx.Response(500))
    async with client(transport, retry=FAST) as monite:
        results = await asyncio.gather(*(monite.request("GET", "/x") for _ in range(200)), return_exceptions=True)
    assert all(isinstance(result, ServerError) for result in results)
    assert 200 <= len(transport.calls) <= 200 + 10 + 20 + 1


async def test_a_budget_that_another_call_used_up_meanwhile() -> None:
    """Between looking and paying another thread may be faster; then the failure stands."""

    class Contended(RetryBudget):
        """There is always something left until one wants it."""

        def take(self) -> bool:
            return False

    transport = Scripted(httpx.Response(500))
    async with client(transport, retry=FAST) as monite:
        monite._core.engine.budget = Contended()
        with pytest.raises(ServerError):
            await monite.request("GET", "/x")
    assert len(transport.calls) == 1


# -- closing


async def test_a_closed_client_says_so() -> None:
    """Everything that needs the client raises ClientClosedError after aclose, which may be repeated."""
    transport = Scripted(OK)
    monite = client(transport)
    acme = monite.entity("e")
    await monite.aclose()
    await monite.aclose()
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: acme.request("GET", "/x"),
        lambda: acme.roles.get("r"),
        monite.token,
        monite.revoke_token,
        monite.tokens.warm,
        monite.tokens.invalidate,
        monite.__aenter__,
    ]
    for attempt in attempts:
        with pytest.raises(ClientClosedError):
            await attempt()
    assert not transport.calls
    assert not transport.closed, "a transport that was passed is the caller's to close"


async def test_a_call_under_way_when_the_client_closes() -> None:
    """A call that breaks because the client was closed meanwhile says that, and is not repeated."""

    async def closing(request: httpx.Request) -> httpx.Response:
        await monite.aclose()
        raise httpx.ReadError("closed under it")

    transport = Scripted(closing)
    monite = client(transport, retry=FAST)
    with pytest.raises(ClientClosedError):
        await monite.request("GET", "/x")
    assert len(transport.calls) == 1


@pytest.mark.parametrize("where", ["client", "scope", "call"])
async def test_a_lenient_call_hands_back_what_fits(where: str) -> None:
    """An answer that does not fit raises with request id and place; lenient mode, set anywhere, hands back the rest."""
    odd = httpx.Response(200, json={"data": [{"id": 5, "name": "payer"}]}, headers={"x-request-id": "rq-9"})
    async with client(Scripted(odd), lenient=where == "client") as monite:
        acme = monite.entity("e-1").with_options(lenient=True if where == "scope" else None)
        options = RequestOptions(lenient=True if where == "call" else None)
        page = await acme.roles.list(options=options)
        assert page.data[0].name == "payer"
        assert page.drift[0] == "data.0.id: expected string"
        with pytest.raises(ResponseValidationError) as caught:
            await acme.roles.list(options=RequestOptions(lenient=False))
    assert caught.value.request_id == "rq-9"
    assert caught.value.path == "/roles"
    assert caught.value.problems[0] == "data.0.id: expected string"


async def test_lenient_is_a_bool() -> None:
    """A word for a flag is refused at once, wherever it is given."""
    with pytest.raises(ConfigurationError, match="lenient must be a bool"):
        RequestOptions(lenient=cast("Any", "yes"))
    with pytest.raises(ConfigurationError, match="lenient must be a bool"):
        client(Scripted(), lenient="yes")
