"""Bad input end to end: what a caller or a server gets wrong ends in a typed error, and nobody else suffers.

What is wrong with the settings of a client is in ``test_config.py`` (credentials, client id, environment, base URL,
plain http, version, timeouts, ids, store), with options in ``test_options.py``, with arguments in
``http/test_encode.py``, with files in ``test_files.py``, with a call on the wrong scope in ``test_scope.py``, with the
answers of the token endpoint in ``tokens/test_issuer.py`` and ``http/test_call_token.py``, with other answers in
``http/test_decode.py``, and with a server's certificate in ``http/test_transport_dial.py``.
"""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import pickle
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
import trustme

from monite_async import (
    APIStatusError,
    AsyncMonite,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    MoniteError,
    PooledTransport,
    RequestOptions,
    RequestTimeout,
    ResponseValidationError,
    RetryPolicy,
    TransportError,
    UnprocessableEntityError,
)
from monite_async._errors import status_error
from monite_async.emulator import Emulator
from tests.http._servers import Server, both_loops
from tests.scripted import BASE_URL, CLIENT_ID, CLIENT_SECRET, Scripted, client
from tests.virtual import run_virtual

ONCE = RetryPolicy(max_retries=0)
USER = "c3f7a1b2-0000-4000-8000-000000000002"


# -- the other side


@both_loops
async def test_an_expired_certificate_is_a_connect_error_before_anything_is_sent() -> None:
    """A server whose certificate has expired gets neither credentials nor token, and the error says what is wrong."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
    server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    cast("Any", leaf).configure_cert(server_side)
    cast("Any", authority).configure_trust(client_side)
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(1))

    async with (
        Server(serve, tls=server_side) as server,
        PooledTransport(ssl_context=client_side) as transport,
        AsyncMonite(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, base_url=f"{server.origin}/v1", transport=transport
        ) as issuing,
        AsyncMonite(token="t" * 40, base_url=f"{server.origin}/v1", transport=transport, retry=ONCE) as static,
    ):
        for monite, path in ((issuing, "/auth/token"), (static, "/entities")):
            with pytest.raises(ConnectError, match="certificate has expired") as caught:
                await monite.with_options(deadline=5).entities.list()
            assert path in str(caught.value)
    assert requests == []


ODD: dict[str, tuple[dict[str, Any], type[MoniteError]]] = {
    "gigabyte": ({"status": 200, "stream": 10**9}, ResponseValidationError),
    "truncated": ({"truncate": 10}, TransportError),
    "slow": ({"latency": 3600.0}, RequestTimeout),
    "silent": ({"hold": True}, RequestTimeout),
    "not JSON": ({"status": 200, "body": "<html>Maintenance</html>"}, ResponseValidationError),
    "half JSON": ({"status": 200, "body": '{"id": "'}, ResponseValidationError),
    "no body": ({"status": 200, "body": ""}, ResponseValidationError),
    "broken": ({"drop": "after"}, TransportError),
    "refused": ({"drop": "refuse"}, ConnectError),
}


@pytest.mark.parametrize("kind", ODD)
def test_the_odd_answer_of_one_call_is_its_own(kind: str) -> None:
    """One call ends in its typed error, and a hundred others of the same client and time notice nothing."""
    fault, error = ODD[kind]

    async def main() -> None:
        async with Emulator() as emulator, AsyncMonite(**emulator.client_options(), retry=ONCE) as monite:
            await monite.token()
            emulator.fail("GET", f"/entities/{USER}", times=None, **fault)
            bad = asyncio.ensure_future(monite.entities.get(USER, options=RequestOptions(timeout=5)))
            start = asyncio.get_running_loop().time()
            pages = await asyncio.gather(*(monite.entities.list() for _ in range(100)))
            assert asyncio.get_running_loop().time() == start
            assert [page.data for page in pages] == [[]] * 100
            with pytest.raises(error) as caught:
                await bad
            assert (caught.value.path, caught.value.attempts) == ("/entities/{entity_id}", 1)
            assert USER not in str(caught.value)
            assert emulator.issued == {"client_credentials": 1}

    run_virtual(main())


GOOD = {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 1800}


@pytest.mark.parametrize(
    ("body", "lifetime"),
    [
        ({key: value for key, value in GOOD.items() if key != "access_token"}, None),
        ({**GOOD, "access_token": "t" * 20 + "\n" + "t" * 20}, None),
        ({key: value for key, value in GOOD.items() if key != "expires_in"}, 60),
        ({**GOOD, "expires_in": 0}, None),
        ({**GOOD, "expires_in": -1800}, None),
        ({**GOOD, "expires_in": "soon"}, None),
        ({**GOOD, "expires_in": "1800"}, 1800),
        ({**GOOD, "expires_in": 10**12}, 7 * 24 * 3600),
        ("<html>", None),
    ],
    ids=["no token", "newline", "no life", "0", "negative", "soon", "string", "10^12", "not JSON"],
)
def test_the_odd_token_of_one_user_is_its_own(body: Any, lifetime: int | None) -> None:
    """A token answer that makes no sense fails that user's calls, or is understood; everybody else's calls go on."""

    async def main() -> None:
        async with Emulator() as emulator, AsyncMonite(**emulator.client_options(), retry=ONCE) as monite:
            await monite.token()
            emulator.fail("POST", "/auth/token", status=200, body=body, times=None)
            bad = asyncio.ensure_future(monite.as_user(USER).token())
            assert len(await asyncio.gather(*(monite.entities.list() for _ in range(100)))) == 100
            if lifetime is None:
                with pytest.raises(AuthenticationError) as caught:
                    await bad
                assert "t" * 20 not in f"{caught.value!r}"
            else:
                assert (await bad).expires_in == pytest.approx(lifetime, abs=2)

    run_virtual(main())


# -- the shapes of errors

SHAPES: dict[str, tuple[int, object, str]] = {
    "error": (409, {"error": {"message": "Wrong state.\nTry later."}}, "Wrong state. Try later."),
    "type": (400, {"error": {"type": "missing_api_version", "message": "Missing", "more": [1]}}, "Missing"),
    "detail": (
        422,
        {"detail": [{"loc": ["body", "lines", 0, "price"], "msg": "Not\na number", "type": "x"}]},
        "body.lines.0.price: Not a number",
    ),
    "list": (422, [{"loc": ["header", "x-monite-version"], "msg": "No date"}], "header.x-monite-version: No date"),
    "gateway": (413, {"message": "Request size limit exceeded"}, "Request size limit exceeded"),
    "text": (502, "<html>canary</html>", "the answer has no message that can be read (text/html, 19 bytes)"),
    "nothing": (500, "", "the answer has no message"),
    "empty": (422, [], "the answer lists no problem that can be read"),
}


def _pickled(error: APIStatusError) -> APIStatusError:
    return cast("APIStatusError", pickle.loads(pickle.dumps(error)))


TAKES: dict[str, Callable[[APIStatusError], APIStatusError]] = {
    "pickled": _pickled,
    "copied": copy.copy,
    "deep": copy.deepcopy,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
async def test_every_shape_of_error_is_a_message_that_travels(
    shape: str, take: Callable[[APIStatusError], APIStatusError]
) -> None:
    """Each body becomes one line with method, path template, status and request id, also after pickling or copying."""
    status, body, message = SHAPES[shape]
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options(), retry=ONCE) as monite:
        emulator.fail("GET", "/entities/*", status=status, body=body, headers={"x-request-id": "rq-1"})
        with pytest.raises(APIStatusError) as caught:
            await monite.entities.get(USER)
    error = take(caught.value)
    assert str(error) == str(caught.value)
    assert type(error) is status_error(status)
    assert (error.message, error.status, error.request_id, error.attempts) == (message, status, "rq-1", 1)
    assert error.elapsed is not None
    assert error.elapsed > 0
    text = f"GET /entities/{{entity_id}}: {message} (status {status}, request id rq-1, {error.elapsed:.2f} s)"
    assert str(error) == text
    if isinstance(error, UnprocessableEntityError):
        field, _, said = message.partition(": ")
        assert error.errors == ({field: [said]} if said else {})


async def test_the_problems_of_an_unreadable_field_travel() -> None:
    """What makes a field unreadable is told by place, also after pickling."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        emulator.fail("GET", "/entities", set_fields={"data": 5})
        page = await monite.entities.list(options=RequestOptions(lenient=True))
    with pytest.raises(ResponseValidationError) as caught:
        _ = page.data
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
        assert error.problems == ("data: expected array",)


# -- calls


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "FETCH"},
        {"method": 7},
        {"path": "payables"},
        {"cast_to": 7},
        {"cast_to": "roles:RoleResponse"},
        {"cast_to": []},
        {"cast_to": asyncio.Task},
        {"options": {"timeout": 5}},
        {"json": {}, "multipart": {}},
    ],
    ids=str,
)
async def test_a_call_without_sense_is_refused_before_it_is_sent(wrong: dict[str, Any]) -> None:
    """A wrong method, path, type or options is found out before a POST has done what it does."""
    transport = Scripted()
    async with client(transport) as monite:
        with pytest.raises(ConfigurationError, match=r"method|path|cast_to|options|not both"):
            await cast("Any", monite).request(**{"method": "POST", "path": "/payables", **wrong})
    assert (transport.calls, transport.posts) == ([], [])


async def test_options_of_the_wrong_type_are_refused_by_raw_methods_too() -> None:
    """``with_raw_response`` checks its options like the plain method."""
    transport = Scripted()
    async with client(transport) as monite:
        with pytest.raises(ConfigurationError, match="options must be a RequestOptions, got dict"):
            await monite.entities.with_raw_response.list(options=cast("Any", {"timeout": 5}))
    assert transport.calls == []


CLOSED: dict[str, Callable[[AsyncMonite], Awaitable[object]]] = {
    "call": lambda monite: monite.entities.get(USER),
    "upload": lambda monite: monite.entities.upload_logo(USER, file=b"GIF89a"),
    "page": lambda monite: monite.entities.list(),
    "items": lambda monite: anext(aiter(monite.entities.list())),
    "pages": lambda monite: anext(monite.entities.list().pages()),
    "collect": lambda monite: monite.entities.list().collect(),
    "raw": lambda monite: monite.entities.with_raw_response.list(),
    "entity": lambda monite: monite.entity(USER).payables.list(),
    "entity user": lambda monite: monite.entity(USER).as_user(USER).roles.list(),
    "user": lambda monite: monite.as_user(USER).entity_users.get_me(),
    "view": lambda monite: monite.with_options(timeout=5).entities.list(),
    "request": lambda monite: monite.request("GET", "/entities"),
    "token": lambda monite: monite.token(),
    "user's token": lambda monite: monite.as_user(USER).token(),
    "revoke": lambda monite: monite.revoke_token(),
    "user's revoke": lambda monite: monite.as_user(USER).revoke_token(),
    "warm": lambda monite: monite.tokens.warm([USER]),
    "invalidate": lambda monite: monite.tokens.invalidate(USER),
    "enter": lambda monite: monite.__aenter__(),
}


@pytest.mark.parametrize("kind", CLOSED)
async def test_a_closed_client_says_so_whatever_is_asked_of_it(kind: str) -> None:
    """After ``aclose()``, which may be repeated, every way to use the client, its scopes and views is a clear error."""
    transport = Scripted()
    monite = client(transport)
    await monite.token()
    await monite.aclose()
    await monite.aclose()
    with pytest.raises(ClientClosedError, match="closed; make a new one"):
        await CLOSED[kind](monite)
    assert transport.calls == []
    assert len(transport.posts) == 1


async def test_the_auth_of_a_closed_client_sends_nothing() -> None:
    """An ``httpx.Auth`` taken before or after closing gives no token any more."""
    transport = Scripted()
    monite = client(transport)
    before = monite.httpx_auth(USER)
    await monite.aclose()
    async with httpx.AsyncClient(transport=transport) as other:
        for auth in (before, monite.httpx_auth(USER), monite.entity(USER).httpx_auth()):
            with pytest.raises(ClientClosedError):
                await other.get(f"{BASE_URL}/x", auth=auth)
    assert (transport.calls, transport.posts) == ([], [])
