"""The token endpoint for browser components: who gets what, how long it lives, and what nobody is told."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

import monite_async
from monite_async import AsyncMonite, ClientClosedError, RetryPolicy
from monite_async.asgi import Scope, TokenEndpoint, lifespan, with_lifespan
from monite_async.emulator import Emulator
from monite_async_stores import MemoryTokenStore
from tests.asgi_calls import Answer, ask

PACKAGE = str(Path(monite_async.__file__).parent)
FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)


async def identify(scope: Scope) -> str | None:
    """Find the user in a header, which stands for the session of a host."""
    value: bytes | None = dict(scope["headers"]).get(b"x-user")
    return None if value is None else value.decode()


class Backend:
    """A host's backend with one user, on an emulator."""

    def __init__(self, store: MemoryTokenStore | None = None) -> None:
        self.emulator = Emulator()
        self.monite = AsyncMonite(**self.emulator.client_options(), retry=FAST, token_store=store)
        self.app = TokenEndpoint(self.monite, identify)
        self.user = ""

    async def hire(self) -> str:
        """Create an entity with a user, and return the user's id."""
        entity = await self.monite.entities.create(
            type="individual",
            email="ann@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            individual={"first_name": "Ann", "last_name": "Acker"},
        )
        user = await self.monite.entity(entity.id).entity_users.create(login=f"ann{uuid4()}", first_name="Ann")
        self.user = user.id
        return user.id

    async def ask(self, method: str = "POST", user: str | None = "") -> Answer:
        """Ask as a browser; None: as one that is not signed in."""
        name = self.user if user == "" else user
        answer = await ask(self.app, method, headers={} if name is None else {"x-user": name})
        assert answer is not None
        if method != "OPTIONS":
            assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
            assert answer.headers["content-type"] == "application/json"
        return answer


@pytest.fixture
async def backend() -> Any:
    """A backend with one user."""
    backend = Backend()
    await backend.hire()
    async with backend.monite:
        yield backend


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_signed_in_user_gets_what_the_components_ask_for(backend: Backend, method: str) -> None:
    """The three fields, no more, of a token that is the user's."""
    answer = await backend.ask(method)
    assert answer.status == 200
    token = answer.json()
    assert set(token) == {"access_token", "token_type", "expires_in"}
    assert token["token_type"] == "Bearer"
    assert token["access_token"] == (await backend.monite.as_user(backend.user).token()).value
    assert backend.emulator.issued == {"client_credentials": 1, f"entity_user:{backend.user}": 1}


async def test_however_many_tabs_ask_one_token_is_issued(backend: Backend) -> None:
    """A hundred questions at the same moment and a hundred later ones cost one request to Monite."""
    at_once = await asyncio.gather(*(backend.ask() for _ in range(100)))
    later = [await backend.ask() for _ in range(100)]
    assert len({answer.json()["access_token"] for answer in (*at_once, *later)}) == 1
    assert backend.emulator.issued[f"entity_user:{backend.user}"] == 1


async def test_the_life_of_a_token_is_never_overstated(backend: Backend) -> None:
    """What is told is a whole number of seconds, and less than what the token lived when it was issued."""
    backend.emulator.configure({"user_lifetime": 1000})
    lives = [(await backend.ask()).json()["expires_in"] for _ in range(3)]
    assert all(isinstance(life, int) for life in lives)
    assert lives == sorted(lives, reverse=True)
    token = await backend.monite.as_user(backend.user).token()
    assert token.left() <= (await backend.ask()).json()["expires_in"] + 1 <= 1000


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_without_identity_there_is_no_token(backend: Backend, method: str) -> None:
    """Who is not signed in gets 401 and costs no request to Monite."""
    requests = len(backend.emulator.log)
    answer = await backend.ask(method, user=None)
    assert answer.status == 401
    assert answer.body == (b"" if method == "HEAD" else b'{"error": {"message": "sign in first"}}')
    assert len(backend.emulator.log) == requests


async def test_head_is_get_without_its_body(backend: Backend) -> None:
    """The headers are those of GET, the length included."""
    head, get = await backend.ask("HEAD"), await backend.ask("GET")
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")


async def test_cors_is_left_to_the_host(backend: Backend) -> None:
    """OPTIONS tells the methods, and no answer has a header that lets other origins in."""
    answer = await backend.ask("OPTIONS")
    assert (answer.status, answer.headers, answer.body) == (204, {"allow": "GET, HEAD, POST, OPTIONS"}, b"")
    for got in (answer, await backend.ask(), await backend.ask(user=None)):
        assert not [name for name in got.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(backend: Backend, method: str) -> None:
    """They get 405, and which are allowed."""
    answer = await backend.ask(method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


@pytest.mark.parametrize(
    ("fault", "status", "logged"),
    [
        ({"status": 503}, 503, "status 503"),
        ({"status": 429, "headers": {"retry-after": "0"}}, 503, "status 429"),
        ({"drop": "refuse"}, 503, "no token"),
        ({"status": 400}, 500, "status 400"),
        ({"status": 401, "body": {"error": {"message": "canary"}}}, 500, "status 401"),
    ],
)
async def test_failures_of_monite_are_clear_and_tell_nothing(
    backend: Backend, caplog: pytest.LogCaptureFixture, fault: dict[str, Any], status: int, logged: str
) -> None:
    """503 where trying again may help, 500 where not; the cause stands in the log, without any secret."""
    other = await backend.hire()
    backend.emulator.fail("POST", "/auth/token", times=None, **fault)
    with caplog.at_level(logging.WARNING):
        answer = await backend.ask(user=other)
    assert answer.status == status
    assert set(answer.json()["error"]) == {"message"}
    shown = f"{answer.body!r}{answer.headers}{caplog.text}"
    assert not [
        one for one in ("canary", backend.emulator.settings.client_secret, "auth/token") if one in str(answer.body)
    ]
    assert backend.emulator.settings.client_secret not in shown
    assert "canary" not in shown
    assert logged in caplog.text
    if status == 503:
        assert 0 < int(answer.headers["retry-after"]) <= 61


async def test_a_user_that_monite_does_not_know_is_a_failure_of_the_server(backend: Backend) -> None:
    """The host has vouched for an id that is none: 500, and the id is not repeated."""
    for wrong in (str(uuid4()), "", "not/an/id"):
        answer = await ask(TokenEndpoint(backend.monite, _says(wrong)), "POST")
        assert answer is not None
        assert (answer.status, answer.json()["error"]["message"]) == (500, "no token can be had for this user")


def _says(user: Any) -> Any:
    async def identify(_scope: Scope) -> Any:
        return user

    return identify


async def test_an_id_may_be_a_uuid(backend: Backend) -> None:
    """A host that keeps UUIDs need not turn them into text."""
    answer = await ask(TokenEndpoint(backend.monite, _says(UUID(backend.user))), "GET")
    assert answer is not None
    assert answer.status == 200


async def test_a_failing_session_check_is_answered_and_raised_to_the_server(backend: Backend) -> None:
    """500 without its cause for the browser, the error itself for the host's reporting; no token."""
    sent: list[Any] = []

    async def failing(_scope: Scope) -> str:
        raise LookupError("canary")

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(LookupError):
        await TokenEndpoint(backend.monite, failing)({"type": "http", "method": "GET", "headers": []}, _nothing, send)
    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b'{"error": {"message": "who is signed in could not be found out"}}'


@pytest.mark.parametrize("garbage", [7, True, b"id", ["id"], object(), float("nan"), "\ud800", "a\r\nb", "é" * 5000])
async def test_an_identity_that_is_none_is_a_failure_of_the_server(backend: Backend, garbage: object) -> None:
    """Whatever the host's check returns by mistake costs no request to Monite, and nobody gets a token for it."""
    answer = await ask(TokenEndpoint(backend.monite, _says(garbage)), "POST")
    assert answer is not None
    assert (answer.status, answer.json()["error"]["message"]) == (500, "no token can be had for this user")
    assert backend.emulator.issued == {"client_credentials": 1}


async def test_a_session_check_that_is_cancelled_answers_nothing(backend: Backend) -> None:
    """A browser that goes away while the host still asks its database gets no answer and costs no token."""
    begun = asyncio.Event()

    async def endless(_scope: Scope) -> str:
        begun.set()
        await asyncio.Event().wait()
        return backend.user

    asking = asyncio.create_task(ask(TokenEndpoint(backend.monite, endless), "GET"))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert backend.emulator.issued == {"client_credentials": 1}


class _GoneError(OSError):
    """What a server raises as the browser has closed the connection."""


async def _sent(app: Any, fails_at: str = "") -> tuple[list[Any], str]:
    """Return what an application sent, and all variables of the frames of this package that its error shows."""
    sent: list[Any] = []
    shown = ""

    async def send(message: Any) -> None:
        if message["type"] == fails_at:
            raise _GoneError
        sent.append(message)

    try:
        await app({"type": "http", "method": "GET", "headers": []}, _nothing, send)
    except Exception as error:
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in trace.stack if frame.filename.startswith(PACKAGE)]
        shown = f"{type(error).__name__} {[frame.locals for frame in frames]}"
    return sent, shown


@pytest.mark.parametrize("message", ["http.response.start", "http.response.body"])
async def test_a_connection_that_breaks_shows_no_token(backend: Backend, message: str) -> None:
    """A report of the server's error, with the variables of all frames, holds nothing of the token that was under way."""
    token = (await backend.monite.as_user(backend.user).token()).value
    _, shown = await _sent(TokenEndpoint(backend.monite, _says(backend.user)), message)
    assert shown.startswith("_GoneError")
    assert "<hidden>" in shown
    assert token not in shown


class _Broken(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise LookupError("canary")


async def test_what_nobody_thought_of_is_answered_clearly(caplog: pytest.LogCaptureFixture) -> None:
    """A transport of one's own that fails in a way of its own is a 500 like others, told in the log by its name alone."""
    options = Emulator().client_options()
    options["transport"] = _Broken()
    async with AsyncMonite(**options) as monite:
        sent, shown = await _sent(TokenEndpoint(monite, _says(str(uuid4()))))
    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b'{"error": {"message": "no token can be had for this user"}}'
    assert shown == ""
    assert "LookupError" in caplog.text
    assert "canary" not in caplog.text


class _Shifted:
    """The clocks of this machine, some seconds ahead."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead


async def test_the_time_that_a_token_spent_in_a_store_is_taken_off_its_life() -> None:
    """Another process that finds a token after 300 of its 1000 seconds tells the browser of less than 700."""
    clock = _Shifted()
    store = MemoryTokenStore(clock=clock)
    first = Backend(store)
    first.emulator.configure({"user_lifetime": 1000})
    user = await first.hire()
    assert 990 <= (await first.ask()).json()["expires_in"] <= 1000
    clock.ahead = 300.0
    async with first.monite, AsyncMonite(**first.emulator.client_options(), token_store=store) as other:
        answer = await ask(TokenEndpoint(other, _says(user)), "GET")
    assert answer is not None
    assert 690 <= answer.json()["expires_in"] <= 700
    assert first.emulator.issued[f"entity_user:{user}"] == 1


async def _nothing() -> Any:
    return {"type": "http.request"}


async def test_a_browser_that_goes_away_takes_nothing_from_the_others(backend: Backend) -> None:
    """A request that is cancelled while it waits leaves the flight to those who still wait."""
    fault = backend.emulator.fail("POST", "/auth/token", hold=True)
    asking = [asyncio.create_task(backend.ask()) for _ in range(10)]
    await fault.holding()
    for task in asking[:5]:
        task.cancel()
    fault.release()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True] * 5 + [False] * 5
    assert {answer.status for answer in answers if isinstance(answer, Answer)} == {200}
    assert backend.emulator.issued[f"entity_user:{backend.user}"] == 1


async def test_a_client_that_is_closed_is_a_server_that_ends(backend: Backend) -> None:
    """A request that comes after the end gets 503: another process will answer."""
    await backend.monite.aclose()
    assert (await backend.ask()).status == 503


async def test_the_lifespan_closes_the_client() -> None:
    """The application runs with the client in its state, and the client ends with the application."""
    monite = AsyncMonite(**Emulator().client_options())
    closed: list[str] = []

    class Store(MemoryTokenStore):
        async def aclose(self) -> None:
            closed.append("store")

    async with lifespan(monite, Store())(None) as state:
        assert state == {"monite": monite}
        assert await status_of(monite, None) == 401
        assert closed == []
    assert await status_of(monite, str(uuid4())) == 503
    assert closed == ["store"]


async def test_an_application_without_lifespan_gets_one() -> None:
    """The wrapper answers the server's start and end and closes the client in between; all else is the application's."""
    monite = AsyncMonite(**Emulator().client_options())
    app = with_lifespan(TokenEndpoint(monite, _says(str(uuid4()))), monite)
    assert (await ask(app, "OPTIONS")) is not None
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    serving = asyncio.create_task(app({"type": "lifespan"}, incoming.get, sent.put))
    await incoming.put({"type": "lifespan.startup"})
    assert await sent.get() == {"type": "lifespan.startup.complete"}
    before = await ask(app, "GET")
    await incoming.put({"type": "lifespan.shutdown"})
    assert await sent.get() == {"type": "lifespan.shutdown.complete"}
    await serving
    after = await ask(app, "GET")
    assert before is not None
    assert after is not None
    assert (before.status, after.status) == (500, 503)


class _Failing:
    async def aclose(self) -> None:
        raise LookupError("the store is away")


@pytest.mark.parametrize(("stage", "told"), [("startup", ClientClosedError), ("shutdown", LookupError)])
async def test_a_server_is_told_when_the_client_cannot_be_opened_or_closed(stage: str, told: type[Exception]) -> None:
    """It is told in its own words, lest it takes the error for an application without lifespan and goes on serving."""
    monite = AsyncMonite(**Emulator().client_options())
    app = with_lifespan(TokenEndpoint(monite, identify), monite, *([_Failing()] if stage == "shutdown" else []))
    if stage == "startup":
        await monite.aclose()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(told):
        await app({"type": "lifespan"}, _nothing, send)
    assert sent[-1]["type"] == f"lifespan.{stage}.failed"
    assert sent[-1]["message"].startswith(f"{told.__name__}: ")
    with pytest.raises(ClientClosedError):
        await monite.token()


async def status_of(monite: AsyncMonite, user: str | None) -> int:
    """Return what an endpoint of this client answers to a user."""
    answer = await ask(TokenEndpoint(monite, _says(user)), "GET")
    return 0 if answer is None else answer.status


async def test_other_scopes_than_requests_are_answered_politely() -> None:
    """A server may ask it about the lifespan and about websockets."""
    sent: list[Any] = []

    async def receive() -> Any:
        sent.append("")
        return {}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    app = TokenEndpoint(AsyncMonite(**Emulator().client_options()), identify)
    await app({"type": "websocket"}, receive, send)
    await app({"type": "lifespan"}, receive, send)
    assert sent == ["", "websocket.close", "", "lifespan.startup.complete", "", "lifespan.shutdown.complete"]
