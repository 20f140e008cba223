"""The client as a whole, against the emulator and on real sockets, from several loops, and for other HTTP clients."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import traceback
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import uvloop

from monite_async import (
    AccessToken,
    AsyncMonite,
    ClientClosedError,
    ConfigurationError,
    ForbiddenError,
    MoniteError,
    ResponseValidationError,
    RetryPolicy,
    UnauthorizedError,
    Upload,
)
from monite_async._core import Tokens
from monite_async._http.body import EMPTY
from monite_async._http.native import Native
from monite_async._http.place import Place
from monite_async.emulator import Emulator
from monite_async_stores import MemoryTokenStore
from tests.http._servers import Server, answer, both_loops, read_request
from tests.scripted import BASE_URL, CLIENT_ID, CLIENT_SECRET, Scripted, client

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

OK = httpx.Response(200, json={"id": "1"})
TOKEN = answer(b'{"access_token": "%s", "token_type": "Bearer", "expires_in": 1800}' % (b"t" * 40))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve tokens and one small object."""
    while True:
        head, _ = await read_request(reader)
        writer.write(TOKEN if b"/auth/token" in head else answer(b'{"id": "1"}'))


def over(server: Server, **options: Any) -> AsyncMonite:
    """Return a client of a server on loopback."""
    settings: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "base_url": f"{server.origin}/v1",
    }
    return AsyncMonite(**{**settings, **options})


# -- the five-minute path


async def test_partner_entity_user() -> None:
    """A partner makes an entity, the entity a role and a user, and the user may do what the role allows."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
            organization={"legal_name": "Acme"},
        )
        acme = monite.entity(entity.id)
        role = await acme.roles.create(
            name="reader",
            permissions={
                "objects": [{"object_type": "payable", "actions": [{"action_name": "read", "permission": "allowed"}]}]
            },
        )
        user = await acme.entity_users.create(login="ann", first_name="Ann", role_id=role.id)
        payable = await acme.payables.upload_from_file(file=Upload(b"%PDF-1.4 bill", "bill.pdf"))
        ann = acme.as_user(user.id)
        assert (await ann.entity_users.get_me()).id == user.id
        assert (await monite.as_user(user.id).entity_users.get_me()).id == user.id
        assert [each.id async for each in ann.payables.list()] == [payable.id]
        with pytest.raises(ForbiddenError) as caught:
            await ann.payables.cancel(payable.id)
        assert caught.value.path == "/payables/{payable_id}/cancel"
        assert payable.id not in str(caught.value)
        assert emulator.log.count("POST", "/auth/token") == 2


async def test_many_calls_over_many_scopes_cost_one_token_each() -> None:
    """Hundreds of calls at once over partner, entity and users take one token per identity."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
            organization={"legal_name": "Acme"},
        )
        acme = monite.entity(entity.id)
        users = [await acme.entity_users.create(login=f"u{n}", first_name="U") for n in range(5)]
        await monite.tokens.warm([None, *(user.id for user in users)])
        calls = [acme.as_user(user.id).entity_users.get_me() for user in users * 40]
        found = await asyncio.gather(*calls)
        assert [each.id for each in found] == [user.id for user in users] * 40
        assert emulator.log.count("POST", "/auth/token") == 6
        assert monite.tokens.stats().cached == 6


# -- loops, threads, processes


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_client_serves_loop_after_loop(factory: Any) -> None:
    """Two runs of a loop, one after another, use the same client and the same token."""
    posts: list[int] = []

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            posts.append(1) if b"/auth/token" in head else None
            writer.write(TOKEN if b"/auth/token" in head else answer(b'{"id": "1"}'))

    made: list[AsyncMonite] = []

    async def main() -> None:
        async with Server(counting) as server:
            monite = made[0] if made else over(server)
            made.append(monite)
            # The second server has another port: only the address is new, the client is not.
            monite._core.engine.place = monite._core.post.place = Place.parse(f"{server.origin}/v1")
            assert await monite.request("GET", "/x") == {"id": "1"}
            assert isinstance(monite._core.engine.carrier, Native)
            if len(made) == 2:
                await monite.aclose()

    for _ in range(2):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    assert len(posts) == 1


def test_threads_share_a_client() -> None:
    """Loops in several threads at once use one client, and one token."""
    results: list[object] = []
    transport = Scripted(OK)
    monite = client(transport)

    def work() -> None:
        async def main() -> None:
            results.extend(await asyncio.gather(*(monite.request("GET", "/x") for _ in range(20))))

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"id": "1"}] * 80
    assert len(transport.posts) == 1


def test_a_forked_child_goes_on_with_the_token() -> None:
    """After a fork the child calls with the token it inherited, over connections of its own."""
    transport = Scripted(OK)
    monite = client(transport)
    asyncio.run(_call(monite))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(_call(monite))
            code = 0 if len(transport.posts) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def _call(monite: AsyncMonite) -> None:
    assert await monite.request("GET", "/x") == {"id": "1"}


@both_loops
async def test_the_client_closes_what_it_made() -> None:
    """Closing ends the client's own connections, both of calls and of tokens; nothing is left open."""
    async with Server(serve) as server:
        async with over(server) as monite:
            await monite.request("GET", "/x")
            assert server.accepted == 2
        with pytest.raises(ClientClosedError):
            await monite.request("GET", "/x")


async def test_a_store_that_was_passed_stays_open() -> None:
    """A store belongs to whoever made it."""

    class Watched(MemoryTokenStore):
        """Notes when it is closed."""

        closed = False

        async def aclose(self) -> None:
            self.closed = True

    store = Watched()
    async with client(Scripted(), token_store=store) as monite:
        await monite.request("GET", "/x")
    assert not store.closed


async def test_two_clients_share_a_store() -> None:
    """A token in a shared store is good for every client of the same partner; a dropped one is dropped for all."""
    store = MemoryTokenStore()
    transport = Scripted()
    async with client(transport, token_store=store) as one, client(transport, token_store=store) as two:
        first = await one.token()
        assert (await two.token()).value == first.value
        await two.tokens.invalidate()
        assert (await one.token()).value != first.value
    assert len(transport.posts) == 2


# -- tokens from elsewhere


async def test_what_a_static_token_cannot_do() -> None:
    """A client with somebody else's token neither issues, drops nor revokes any, and has no users."""
    async with AsyncMonite(token="canary", base_url=BASE_URL, transport=Scripted()) as monite:
        for attempt in (monite.revoke_token, monite.tokens.invalidate, monite.tokens.warm):
            with pytest.raises(ConfigurationError, match="token="):
                await attempt()
        with pytest.raises(ConfigurationError, match="token="):
            monite.tokens.stats()
        with pytest.raises(ConfigurationError, match="as_user"):
            monite.entity("e").as_user("u")


async def test_the_tokens_of_a_client() -> None:
    """Tokens can be fetched ahead and dropped, by user or for the partner; ids are checked."""
    transport = Scripted()
    async with client(transport) as monite:
        await monite.tokens.warm(["u1", None])
        assert len(transport.posts) == 2
        await monite.tokens.invalidate("u1")
        await monite.as_user("u1").token()
        await monite.token()
        assert len(transport.posts) == 3
        with pytest.raises(ConfigurationError, match="user id"):
            await monite.tokens.invalidate("")
        assert isinstance(monite.tokens, Tokens)
        with pytest.raises(TypeError):
            monite.tokens.__reduce__()


# -- httpx.Auth


async def test_auth_for_another_client() -> None:
    """Any httpx.AsyncClient can send a client's tokens, with the headers that the API wants."""
    transport = Scripted(OK)
    async with client(transport) as monite, httpx.AsyncClient(transport=transport) as other:
        auth = monite.httpx_auth("user-1")
        await other.get(f"{BASE_URL}/x", auth=auth)
        await other.get(
            f"{BASE_URL}/x", auth=monite.entity("e").httpx_auth(), headers={"x-monite-version": "2024-01-31"}
        )
        await other.get(f"{BASE_URL}/x", auth=monite.httpx_auth())
        assert b"user-1" in transport.posts[0].content
    heads = [call.headers for call in transport.calls]
    assert [head.get("x-monite-entity-id") for head in heads] == [None, "e", None]
    assert [head["x-monite-version"] for head in heads] == ["2024-05-25", "2024-01-31", "2024-05-25"]
    assert heads[0]["authorization"] != heads[1]["authorization"] == heads[2]["authorization"]
    assert "canary" not in repr(auth)
    with pytest.raises(TypeError):
        auth.__reduce__()


@pytest.mark.parametrize(
    "url",
    ["https://evil.test/v1/x", "http://api.monite.test/v1/x", "https://api.monite.test:8443/x", "http://127.0.0.1/x"],
)
async def test_auth_goes_nowhere_else(url: str) -> None:
    """The token is refused to any other host, port or scheme before anything is sent."""
    transport = Scripted(OK)
    async with client(transport) as monite, httpx.AsyncClient(transport=transport, auth=monite.httpx_auth()) as other:
        with pytest.raises(ConfigurationError, match="another host"):
            await other.get(url)
    assert not transport.calls
    assert not transport.posts


async def _body() -> AsyncIterator[bytes]:
    yield b"once"


@pytest.mark.parametrize(
    ("reply", "content", "calls"),
    [
        (httpx.Response(401, json={"error": {"message": "expired"}}), b"abc", 2),
        (httpx.Response(401, json={"error": {"message": "expired"}}), None, 1),
        (httpx.Response(403, json={"error": {"message": "not allowed"}}), b"abc", 1),
        (httpx.Response(500), b"abc", 1),
    ],
    ids=["dead", "stream", "forbidden", "broken"],
)
async def test_auth_replaces_a_dead_token_once(reply: httpx.Response, content: bytes | None, calls: int) -> None:
    """A refused token is replaced and the request repeated once, if its body is still there."""
    transport = Scripted(reply, keep_streams=True)
    async with client(transport) as monite:
        (await monite.token()).soft_mono -= 60  # older than the brake
        async with httpx.AsyncClient(transport=transport, auth=monite.httpx_auth()) as other:
            answered = await other.post(f"{BASE_URL}/x", content=_body() if content is None else content)
    assert answered.status_code == reply.status_code
    assert len(transport.calls) == calls
    assert len(set(transport.tokens)) == calls


async def test_auth_leaves_a_refusal_standing() -> None:
    """A token that was only just issued is not what is wrong."""
    transport = Scripted(httpx.Response(401, json={"error": {"message": "expired"}}))
    async with (
        client(transport) as monite,
        httpx.AsyncClient(transport=transport, auth=monite.httpx_auth()) as other,
    ):
        assert (await other.get(f"{BASE_URL}/x")).status_code == 401
    assert len(transport.calls) == 1


async def test_auth_of_a_closed_client_and_of_a_sync_one() -> None:
    """A closed client gives no tokens, and a synchronous one cannot wait for them."""
    transport = Scripted(OK)
    monite = client(transport)
    auth = monite.httpx_auth()
    with pytest.raises(ConfigurationError, match=r"httpx\.AsyncClient only"):
        auth.sync_auth_flow(httpx.Request("GET", BASE_URL))
    await monite.aclose()
    async with httpx.AsyncClient(transport=transport, auth=auth) as other:
        with pytest.raises(ClientClosedError):
            await other.get(f"{BASE_URL}/x")


# -- secrets


FAILURES: dict[str, httpx.Response | Exception] = {
    "refused": httpx.Response(401, json={"error": {"message": "no"}}),
    "echo": httpx.Response(500, text=f"canary {CLIENT_SECRET}"),
    "nonsense": httpx.Response(200, text="canary"),
    "broken": httpx.ReadError("canary"),
    "unconnected": httpx.ConnectError("no route"),
    "too long": httpx.Response(200, content=b"canary" * 10_000),
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_no_failure_shows_a_secret(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """No error, log line or traceback with the locals of this library holds a token, a secret or a body."""
    caplog.set_level(logging.DEBUG)
    async with client(
        Scripted(FAILURES[kind]), retry=RetryPolicy(max_retries=1, base_wait=0.001), max_response_bytes=1000
    ) as monite:
        with pytest.raises(MoniteError) as caught:
            await monite.entity("e").request("GET", "/x", options=None)
    ours = [frame for frame in _frames(caught.value) if "monite_async" in frame.filename]
    assert ours
    text = "\n".join(f"{frame.name} {frame.locals}" for frame in ours)
    for shown in (text, str(caught.value), repr(caught.value), caplog.text):
        assert "canary" not in shown


async def test_no_log_shows_a_path_that_was_written_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    """Of a raw path, which may hold ids, names or worse, the log of a repeat shows nothing; of a method its template."""
    caplog.set_level(logging.DEBUG)
    broken = httpx.Response(503)
    async with client(Scripted(broken, broken, broken), retry=RetryPolicy(1, base_wait=0.001)) as monite:
        for path in ("/counterparts/canary", "/counterparts/{id}"):
            with pytest.raises(MoniteError):
                await monite.request("GET", path, path_params={"id": "canary"})
        with pytest.raises(MoniteError):
            async with monite.stream("GET", "/files/canary"):
                pass
        with pytest.raises(MoniteError):
            await monite.entity("e").counterparts.get("canary")
    assert caplog.text.count("GET (a raw path): again in") == 3
    assert caplog.text.count("GET /counterparts/{counterpart_id}: again in") == 1
    assert "canary" not in caplog.text


def _frames(error: BaseException) -> traceback.StackSummary:
    return traceback.TracebackException.from_exception(error, capture_locals=True).stack


def test_a_refused_configuration_shows_no_secret() -> None:
    """Not even the frames of the constructor hold what was passed to it."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncMonite(client_id="x", client_secret=CLIENT_SECRET, token_store=cast("Any", 7))
    frames = [frame for frame in _frames(caught.value) if "monite_async/" in frame.filename]
    assert len(frames) >= 3
    assert CLIENT_SECRET not in "\n".join(str(frame.locals) for frame in frames)


async def test_texts_of_the_inside() -> None:
    """The parts of a client show what they are and nothing of what they hold."""
    async with client(Scripted()) as monite:
        token = await monite.token()
        channel = monite._channel
        parts: list[object] = [monite, monite._core, channel, channel.engine, monite.tokens, token, EMPTY]
        assert isinstance(token, AccessToken)
        for part in parts:
            assert "canary" not in repr(part)


async def test_refusals_by_the_emulator_after_revocation() -> None:
    """A revoked token is replaced without the caller noticing, unless it is too young to be at fault."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        token = await monite.token()
        async with httpx.AsyncClient(transport=emulator.transport) as other:
            await other.post(
                f"{monite._core.engine.place}/auth/revoke",
                json={**emulator_credentials(emulator), "token": token.value},
                headers={"x-monite-version": "2024-05-25"},
            )
        with pytest.raises(UnauthorizedError):
            await monite.request("GET", "/entities")
        token.soft_mono -= 60  # older than the brake
        assert await monite.request("GET", "/entities", cast_to=dict)


def emulator_credentials(emulator: Emulator) -> dict[str, str]:
    """Return the credentials of an emulator."""
    options = emulator.client_options()
    return {"client_id": options["client_id"], "client_secret": options["client_secret"]}


async def test_a_body_of_a_gigabyte_harms_nobody() -> None:
    """An endless answer is a typed error after the limit, and calls beside it are served as ever."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options(), max_response_bytes=100_000) as monite:
        emulator.fail(method="GET", path="/entities", stream=10**9)
        big = asyncio.ensure_future(monite.request("GET", "/entities"))
        beside = await asyncio.gather(
            *(monite.as_user("x").request("GET", "/nothing") for _ in range(5)), return_exceptions=True
        )
        with pytest.raises(ResponseValidationError, match="max_response_bytes"):
            await big
        assert all(isinstance(each, MoniteError) for each in beside)
        assert await monite.request("GET", "/entities", cast_to=dict)
