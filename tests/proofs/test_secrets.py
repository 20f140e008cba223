"""T10: run every failure path, and look for the secrets in everything that can be seen afterwards."""

from __future__ import annotations

import asyncio
import logging
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import trustme

from monite_async import AsyncMonite, ResponseValidationError, TokenEvent, Upload
from monite_async._errors import MoniteError
from monite_async._http.transport import PooledTransport
from monite_async.emulator import EmulatorSettings, Fault, Faults, OrderedFault, _auth
from monite_async.emulator._state import Token, World
from monite_async_stores import MemoryTokenStore
from tests.http._servers import turns
from tests.proofs.canary import Canaries, logged
from tests.proofs.stage import ADDRESS, Stage, brief, cache_of, staged

SECRET = "canary-secret-b0a3f1e2d4c596870123456789"
BODY = "canary-body-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    """Have the canaries looked for after this."""
    SCENARIOS[run.__name__.removeprefix("_")] = run
    return run


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Canaries:
    """Watch over the client secret and every token that the emulator issues."""
    watched = Canaries()
    watched.add(SECRET)
    issue = _auth._token_text

    def noted(world: World, token: Token) -> str:
        return watched.add(issue(world, token))

    monkeypatch.setattr(_auth, "_token_text", noted)
    return watched


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_failure_shows_a_secret(name: str, canaries: Canaries, caplog: pytest.LogCaptureFixture) -> None:
    """No log record, warning, error, traceback with locals, repr, pickle, event or statistic holds a secret."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(_play(SCENARIOS[name], canaries), debug=True)
    assert caplog.records
    canaries.check(logged(caplog.records))
    canaries.check(f"{each.message} {each.source!r}" for each in caught)


async def _play(run: Scenario, canaries: Canaries) -> None:
    asyncio.get_running_loop().slow_callback_duration = 0.0  # everything is slow: asyncio logs all of it
    settings = EmulatorSettings(client_secret=SECRET)
    async with staged(canaries, settings=settings) as stage:
        stage.emulator.faults = faults = _NotedFaults()
        await run(stage)
        assert stage.errors
        assert [each.fault for each in faults.noted if not each.hits] == []
        assert len(canaries.secrets) > 1
        canaries.check(stage.texts())
        for error in stage.errors:
            assert BODY not in f"{error!r} {error}"


class _NotedFaults(Faults):
    """Faults that are remembered when they are over: one that struck nothing proved nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[OrderedFault] = []

    def add(self, fault: Fault) -> OrderedFault:
        """Put a fault in force, and note it."""
        self.noted.append(super().add(fault))
        return self.noted[-1]


def _age(stage: Stage, seconds: float = 60.0) -> None:
    """Make the tokens in memory, and what was refused of them, older than the brake."""
    cache = cache_of(stage.monite)
    for record in cache._records.values():
        record.soft_mono -= seconds
    for trouble in cache._troubles.values():
        trouble.refused_at -= seconds


# -- the token endpoint


@scenario
async def _token_endpoint_refuses(stage: Stage) -> None:
    for status in (301, 307, 400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503):
        fault = stage.emulator.fail("POST", "/auth/token", status=status, body=f"you sent {SECRET}", times=None)
        monite = stage.client()
        await stage.fails(monite.request("GET", "/entities", options=brief(0.3)))
        fault.remove()
        await monite.aclose()


@scenario
async def _token_endpoint_talks_nonsense(stage: Stage) -> None:
    bodies: list[dict[str, object]] = [
        {"access_token": BODY + "\nx-evil: 1"},
        {"access_token": BODY + "\u00e9"},
        {"access_token": ""},
        {"access_token": [BODY]},
        {"access_token": None},
        {"access_token": BODY * 1000},
        {"token_type": f"{BODY} {BODY}"},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": BODY},
    ]
    for fields in bodies:
        fault = stage.emulator.fail("POST", "/auth/token", set_fields=fields, times=None)
        await stage.fails(stage.client().request("GET", "/entities"))
        fault.remove()
    for text in (BODY, "", f'"{BODY}"', f'["{BODY}"]', f'{{"access_token": "{BODY}', "\x00" + BODY):
        fault = stage.emulator.fail("POST", "/auth/token", status=200, body=text, times=None)
        await stage.fails(stage.client().token())
        fault.remove()
    stage.emulator.fail("POST", "/auth/token", stream=3_000_000)
    await stage.fails(stage.client().token())


@scenario
async def _token_endpoint_breaks(stage: Stage) -> None:
    effects: list[dict[str, Any]] = [
        {"drop": "refuse"},
        {"drop": "before"},
        {"drop": "after"},
        {"truncate": 10},
        {"redirect": "https://evil.test/v1/auth/token"},
        {"latency": 20.0},
    ]
    for effect in effects:
        fault = stage.emulator.fail("POST", "/auth/token", **effect, times=None)
        await stage.fails(stage.client().request("GET", "/entities", options=brief(0.5)))
        fault.remove()


@scenario
async def _revocation_fails(stage: Stage) -> None:
    effects: list[dict[str, Any]] = [
        *({"status": status, "body": BODY} for status in (400, 401, 404, 422, 429, 500)),
        {"drop": "before"},
        {"drop": "after"},
        {"truncate": 3},
    ]
    monite = stage.monite
    for effect in effects:
        await monite.token()
        stage.emulator.fail("POST", "/auth/revoke", **effect)
        await stage.fails(monite.revoke_token())
    held = stage.emulator.fail("POST", "/auth/revoke", hold=True)
    user = monite.as_user(stage.user_id)
    await user.token()
    await stage.fails(asyncio.wait_for(user.revoke_token(), 0.1))
    await monite.aclose()
    held.release()


@scenario
async def _provider_raises_with_the_secret(stage: Stage) -> None:
    async def raises() -> str:
        raise RuntimeError(f"vault said {SECRET}")

    async def wrong() -> Any:
        return [SECRET]

    async def hangs() -> str:
        secret = SECRET
        await asyncio.sleep(60)
        return secret

    for provider in (raises, wrong):
        monite = stage.client(client_secret=provider)
        await stage.fails(monite.request("GET", "/entities"))
        await stage.fails(monite.revoke_token())
    await stage.fails(stage.client(client_secret=hangs).request("GET", "/entities", options=brief(0.1)))
    for secret in (SECRET + "\n", SECRET * 400, f" {SECRET}", SECRET.encode()):
        await stage.fails(_made(stage, client_secret=secret, client_id="no uuid"))
    await stage.monite.token()


async def _made(stage: Stage, **options: Any) -> AsyncMonite:
    return stage.client(**options)


# -- calls


@scenario
async def _api_refuses(stage: Stage) -> None:
    monite = stage.monite
    stage.canaries.add(BODY)  # what was sent, and what a server that is no API says
    stage.things.append(await monite.token())
    for status in (300, 307, 400, 401, 403, 404, 405, 406, 409, 413, 416, 418, 422, 429, 500, 502, 503, 504):
        for body in (f"<p>{BODY}", {"error": {"message": "no"}}, {"detail": [{"loc": ["body", "x"], "msg": "no"}]}):
            fault = stage.emulator.fail(None, "/entities*", status=status, body=body, times=None)
            _age(stage)
            await stage.fails(monite.request("GET", "/entities", options=brief(3)))
            await stage.fails(monite.request("POST", "/entities", json={"a": BODY}, options=brief(3)))
            await stage.fails(monite.request("PUT", "/entities/x", multipart={"file": BODY.encode()}, options=brief(3)))
            fault.remove()
    await stage.fails(monite.request("POST", "/entities", json={"a": BODY}))


@scenario
async def _api_breaks(stage: Stage) -> None:
    effects: list[dict[str, Any]] = [
        {"drop": "refuse"},
        {"drop": "before"},
        {"drop": "after"},
        {"truncate": 5},
        {"latency": 20.0},
        {"stream": 100_000_000},
        {"redirect": "http://evil.test/v1/entities"},
        {"redirect": "http://127.0.0.1:1/v1/entities"},
        {"redirect": "http://user:pass@" + stage.base_url.removeprefix("http://")},
        {"status": 200, "body": BODY},
        {"status": 200, "body": f'{{"data": "{BODY}'},
        {"status": 200, "headers": {"content-encoding": "gzip"}, "body": BODY},
        {"status": 200, "headers": {"content-encoding": "br"}, "body": BODY},
    ]
    for effect in effects:
        fault = stage.emulator.fail("GET", "/entities", **effect, times=None)
        await stage.fails(stage.monite.entity(stage.entity_id).request("GET", "/entities", options=brief(0.4)))
        fault.remove()


@scenario
async def _answers_drift(stage: Stage) -> None:
    for kind in (int, list[int], dict[str, int], dict[str, UUID]):
        stage.emulator.fail("GET", "/entities/{entity_id}", set_fields={"id": [BODY]})
        path = f"/entities/{stage.entity_id}"
        error = await stage.fails(stage.monite.request("GET", path, cast_to=cast("Any", kind)))
        assert isinstance(error, MoniteError)
    for body in ([BODY], f'"{BODY}"', f'{{"id": "{BODY}"'):
        stage.emulator.fail("GET", "/entities/{entity_id}", status=200, body=body)
        error = await stage.fails(stage.monite.entities.get(stage.entity_id))
        assert isinstance(error, ResponseValidationError)
    stage.emulator.fail("GET", "/entities/{entity_id}", set_fields={"brand_new": 1, "status": "frozen"})
    stage.things.append((await stage.monite.entities.get(stage.entity_id)).request_id)


@scenario
async def _calls_are_cancelled(stage: Stage) -> None:
    user = stage.monite.entity(stage.entity_id).as_user(stage.user_id)
    await user.token()
    held = stage.emulator.fail("GET", "/entity_users/me", hold=True, times=None)
    for count in (1, 2, 5, 10, 20):
        task = asyncio.ensure_future(user.entity_users.get_me())
        await turns(count)
        task.cancel()
        await stage.fails(task)
    call = user.entity_users.get_me
    await stage.fails(asyncio.wait_for(call(), 0.1))
    await stage.fails(_within(0.1, call()))
    await stage.fails(_grouped(call(), held.holding()))
    held.release()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000
            await asyncio.sleep(0)

    await stage.fails(_within(0.2, user.request("POST", "/payables/upload_from_file", multipart={"file": endless()})))
    await stage.fails(_within(0.2, user.request("POST", "/payables/upload_from_file", json={"a": "b" * 10_000_000})))


async def _within(seconds: float, work: Awaitable[object]) -> object:
    async with asyncio.timeout(seconds):
        return await work


async def _grouped(work: Awaitable[object], until: Awaitable[None]) -> None:
    async def later() -> None:
        await until
        raise ValueError("enough")

    async with asyncio.TaskGroup() as group:
        group.create_task(_raw(work))
        group.create_task(later())


async def _raw(work: Awaitable[object]) -> None:
    try:
        await work
    except asyncio.CancelledError as exc:
        raise RuntimeError("cleaning up failed") from exc


@scenario
async def _token_waits_are_cancelled(stage: Stage) -> None:
    held = stage.emulator.fail("POST", "/auth/token", hold=True, times=None)
    for count in (1, 3, 10):
        monite = stage.client()
        task = asyncio.ensure_future(monite.request("GET", "/entities"))
        await turns(count)
        task.cancel()
        await stage.fails(task)
        await monite.aclose()
    monite = stage.client()
    task = asyncio.ensure_future(monite.request("GET", "/entities"))
    await held.holding()
    await monite.aclose()
    await stage.fails(task)
    held.release()
    await stage.monite.token()


@scenario
async def _tokens_are_refused(stage: Stage) -> None:
    monite = stage.monite
    stage.emulator.fail("GET", "/entities", status=401, body={"error": {"message": "expired"}}, times=None)
    for _ in range(3):
        await stage.fails(asyncio.gather(*(monite.request("GET", "/entities") for _ in range(20))))
        _age(stage)
    stage.emulator.token_endpoint_down()
    await stage.fails(monite.request("GET", "/entities"))
    stage.emulator.faults.clear()


@scenario
async def _the_client_closes(stage: Stage) -> None:
    held = stage.emulator.fail("GET", "/entities", hold=True, times=None)
    tasks = [asyncio.ensure_future(stage.monite.request("GET", "/entities")) for _ in range(5)]
    await held.holding(5)
    await stage.monite.aclose()
    for task in tasks:
        await stage.fails(task)
    for work in (_token(stage), stage.monite.revoke_token(), stage.monite.request("GET", "/entities")):
        await stage.fails(work)
    held.release()


@scenario
async def _the_pool_is_exhausted(stage: Stage) -> None:
    transport = PooledTransport(max_connections=1)
    monite = stage.client(transport=transport)
    await monite.token()
    held = stage.emulator.fail("GET", "/entities", hold=True)
    first = asyncio.ensure_future(monite.request("GET", "/entities", options=brief(5)))
    await held.holding()
    await stage.fails(monite.request("GET", "/entities", options=brief(0.1)))
    await stage.fails(_within(0.1, stage.client(transport=transport).token()))
    held.release()
    await first
    await transport.aclose()


@scenario
async def _tls_fails(stage: Stage) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cast("Any", trustme.CA().issue_cert("127.0.0.1")).configure_cert(context)
    async with staged(stage.canaries, settings=replace(stage.emulator.settings), tls=context) as secure:
        await secure.fails(secure.monite.request("GET", "/entities"))
        await secure.fails(secure.client(base_url="https://127.0.0.1:1/v1").token())
        stage.errors += secure.errors
        stage.canaries.check(secure.texts())
    await stage.fails(stage.client(base_url=stage.base_url.replace("http", "https")).token())


@scenario
async def _uploads_fail(stage: Stage) -> None:
    user = stage.monite.entity(stage.entity_id).as_user(stage.user_id)
    await user.token()

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise OSError("the disk is gone")

    async def wrong() -> AsyncIterator[Any]:
        yield "text"

    for part in (broken(), wrong(), Upload(b"x", "a\nb.pdf"), Upload(b"x", "b.pdf", "no type"), 7, "/nowhere/file.pdf"):
        await stage.fails(user.request("POST", "/payables/upload_from_file", multipart={"file": part, "x": BODY}))
    for effect in ({"drop": "before"}, {"status": 500}, {"status": 401}):
        stage.emulator.fail("POST", "/payables/upload_from_file", **cast("Any", effect), times=None)
        await stage.fails(user.payables.upload_from_file(file=Upload(b"%PDF-1.4 " + BODY.encode(), "bill.pdf")))
        stage.emulator.faults.clear()


@scenario
async def _another_http_client_fails(stage: Stage) -> None:
    auth = stage.monite.entity(stage.entity_id).httpx_auth()
    async with httpx.AsyncClient(auth=auth, trust_env=False) as other:
        await stage.fails(other.get("https://evil.test/v1/entities"))
        await other.get(f"{stage.base_url}/entities")
        stage.emulator.fail("GET", "/entities", status=401, body={"error": {"message": "expired"}}, times=None)
        _age(stage)
        assert (await other.get(f"{stage.base_url}/entities")).status_code == 401
        stage.emulator.fail("GET", "/roles", drop="before", times=None)
        await stage.fails(other.get(f"{stage.base_url}/roles"))
        await stage.fails(_within(0.1, other.get(f"{stage.base_url}/roles", timeout=0.01)))
        await stage.monite.tokens.invalidate()
        stage.emulator.token_endpoint_down()
        await stage.fails(other.get(f"{stage.base_url}/entities"))
    with httpx.Client(auth=auth, trust_env=False) as sync:
        try:
            sync.get(f"{stage.base_url}/entities")
        except MoniteError as exc:
            stage.errors.append(exc)


@scenario
async def _listeners_raise(stage: Stage) -> None:
    def listen(event: TokenEvent) -> None:
        raise RuntimeError(f"cannot bear {event}")

    stage.monite.tokens.listen(listen)
    stage.emulator.token_endpoint_down(times=1)
    await stage.monite.token()
    stage.emulator.fail("POST", "/auth/token", status=401, times=None)
    await stage.fails(stage.monite.as_user(stage.user_id).token())
    await stage.monite.revoke_token()


@scenario
async def _a_static_token_is_refused(stage: Stage) -> None:
    static = stage.canaries.add("canary-static-5f6e7d8c9b0a1f2e3d4c5b6a")
    await stage.monite.token()

    async def function() -> str:
        return static

    async def raises() -> str:
        raise RuntimeError(f"could not renew {static}")

    async def wrong() -> Any:
        return {"token": static}

    async def newline() -> str:
        return static + "\n"

    tokens: tuple[Any, ...] = (static, function, raises, wrong, newline)
    for token in tokens:
        monite = stage.client(token=token)
        await stage.fails(monite.request("GET", "/entities"))
        await stage.fails(_within(0.1, monite.entity("e").request("POST", "/roles", json={"a": BODY})))
        await stage.fails(monite.revoke_token())
    await stage.fails(_made(stage, token=static + "\n"))
    await stage.fails(_made(stage, token=static, token_store=MemoryTokenStore()))


@scenario
async def _arguments_are_wrong(stage: Stage) -> None:
    monite = stage.monite
    await monite.token()
    await stage.fails(monite.request("GET", "/entities/{id}", path_params={"id": ".."}))
    await stage.fails(monite.request("POST", "/entities", json={"a": {1, 2}}))
    await stage.fails(monite.request("GET", "/entities", query={"a": "x" * 70_000}))
    await stage.fails(monite.entities.create(type="organization", email=BODY, address=cast("Any", ADDRESS | {"x": 1})))
    await stage.fails(_viewed(monite))


async def _token(stage: Stage) -> object:
    return await stage.monite.token()


async def _viewed(monite: AsyncMonite) -> AsyncMonite:
    return monite.with_options(headers={"authorization": "mine"})


def test_the_canaries_sing() -> None:
    """The search itself finds a secret: as it is, by its end, and in base64 at any offset."""
    import base64

    watched = Canaries()
    watched.add(SECRET)
    songs = [
        f"x{SECRET}y",
        SECRET[-20:],
        *(base64.b64encode(b"a" * n + SECRET.encode() + b"bc").decode() for n in range(4)),
    ]
    for song in songs:
        with pytest.raises(AssertionError, match="sings"):
            watched.check([song])
    watched.check(["nothing", SECRET[:-1]])
