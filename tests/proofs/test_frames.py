"""What was passed to a call, or came back from it, is in no frame of the traceback of its failure."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from monite_async import (
    UNSET,
    AsyncMonite,
    ConfigurationError,
    EntityClient,
    MoniteError,
    RequestOptions,
    ResponseValidationError,
    UnauthorizedError,
    Upload,
)
from monite_async.models._base import Model
from monite_async.models.webhooks import WebhookSubscriptionResource
from tests.http._servers import Server, read_request, turns
from tests.proofs.canary import Canaries, told
from tests.proofs.stage import CLIENT_ID, ONCE, QUICK, Stage, cache_of, staged

SECRET = "whsec_canary0a1b2c3d4e5f60718293a4b5c6d7e8f9"
BODY = "canary-body-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
LINK = "https://127.0.0.1:1/file.pdf?signature=" + SECRET
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": SECRET, "grant_type": "client_credentials", "token": "x" * 40}
OPTIONS = RequestOptions(headers={"x-canary": SECRET}, timeout=5, retry=ONCE)

Way = Callable[[Stage], Awaitable[object]]


def _acme(stage: Stage) -> EntityClient:
    return stage.monite.entity(stage.entity_id)


def _payables(stage: Stage) -> Any:
    return _acme(stage).payables


async def _upload(stage: Stage, **fields: Any) -> object:
    file = Upload(BODY.encode(), "bill.pdf", **fields)
    return await _payables(stage).upload_from_file(file=file, options=OPTIONS)


async def _broken(stage: Stage) -> object:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY.encode()
        raise OSError("the disk is gone")

    return await _payables(stage).upload_from_file(file=pieces(), options=OPTIONS)


async def _wrong(stage: Stage) -> object:
    async def pieces() -> AsyncIterator[Any]:
        yield BODY

    return await _payables(stage).upload_from_file(file=pieces(), options=OPTIONS)


async def _closed(stage: Stage) -> object:
    monite = stage.client()
    await monite.aclose()
    return await monite.request("POST", "/payables", json={"document_id": BODY}, options=OPTIONS)


async def _streamed(stage: Stage, method: str, path: str, **given: Any) -> object:
    async with _acme(stage).stream(method, path, options=OPTIONS, **given) as response:
        return response


def _download(stage: Stage, source: str, **given: Any) -> Awaitable[object]:
    return _acme(stage).download(source, to=Path("never-made"), **given)


async def _made(make: Callable[[], object]) -> object:
    return make()


def _viewed(stage: Stage, **options: Any) -> Awaitable[object]:
    return _made(lambda: _acme(stage).with_options(**options))


class _Failing(io.BytesIO):
    """A file that fails at one call of one of its methods, with an error of its own kind."""

    def __init__(self, method: str, at: int) -> None:
        super().__init__(BODY.encode())
        self.method, self.at = method, at

    def tell(self) -> int:
        self._count("tell")
        return super().tell()

    def seek(self, at: int, whence: int = 0, /) -> int:
        self._count("seek")
        return super().seek(at, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        self._count("read")
        return super().read(size)

    def _count(self, method: str) -> None:
        self.at -= method == self.method
        if not self.at:
            raise LookupError("the storage lost it")


def _failing(method: str, at: int) -> Way:
    async def run(stage: Stage) -> object:
        form = {"note": BODY, "file": _Failing(method, at), "other": BODY}
        return await _acme(stage).request("POST", "/payables/upload_from_file", multipart=form)

    return run


FAILING: dict[str, Way] = {
    f"{method} {at}": _failing(method, at)
    for method, at in (("tell", 1), ("seek", 1), ("read", 1), ("seek", 4), ("read", 2))
}
"""Files that fail while they are measured, and while they are sent."""

WAYS: dict[str, Way] = {
    "method": lambda stage: _payables(stage).create(document_id=BODY, options=OPTIONS),
    "raw": lambda stage: _payables(stage).with_raw_response.create(document_id=BODY, options=OPTIONS),
    "pager": lambda stage: _payables(stage).list(document_id=BODY, options=OPTIONS),
    "upload": _upload,
    "bad upload": lambda stage: _upload(stage, content_type="no type"),
    "bad file": lambda stage: _payables(stage).upload_from_file(file=cast("Any", BODY), options=OPTIONS),
    "broken upload": _broken,
    "wrong upload": _wrong,
    "request": lambda stage: _acme(stage).request("POST", "/payables", json={"document_id": BODY}, options=OPTIONS),
    "both": lambda stage: _acme(stage).request("POST", "/payables", json=BODY, multipart={"a": BODY}),
    "no form": lambda stage: _acme(stage).request("POST", "/payables", json={"a": [BODY, object()]}),
    "no text": lambda stage: _acme(stage).request("POST", "/payables", json={"a": BODY + "\ud800"}),
    "no path": lambda stage: _acme(stage).request("GET", "/p/{id}", path_params={"id": "..", "b": BODY}),
    "no query": lambda stage: _acme(stage).request("GET", "/payables", query={"a": [BODY, None]}),
    "no type": lambda stage: _acme(stage).request("POST", "/payables", json=BODY, cast_to=cast("Any", 7)),
    "no header": lambda stage: _acme(stage).request(
        "POST", "/payables", json=BODY, options=RequestOptions(headers={"x-canary": SECRET + "\n"})
    ),
    "view": lambda stage: _viewed(stage, headers={"x-canary": SECRET + "\n"}),
    "view of nonsense": lambda stage: _viewed(stage, timeout=-1, headers={"x-canary": SECRET}),
    "reserved view": lambda stage: _viewed(stage, headers={"Authorization": SECRET}),
    "options": lambda stage: _made(lambda: RequestOptions(timeout=-1, headers={"x-canary": SECRET}, query={"a": BODY})),
    "options of lists": lambda stage: _made(lambda: RequestOptions(headers=cast("Any", [SECRET]))),
    "wrong options": lambda stage: _made(lambda: cast("Any", RequestOptions)(heders={"x-canary": SECRET})),
    "client": lambda stage: _made(lambda: stage.client(headers={"x-canary": SECRET + "\n"})),
    "address": lambda stage: _made(lambda: stage.client(base_url=f"https://me:{SECRET}@api.test")),
    "no options": lambda stage: _payables(stage).with_raw_response.create(document_id=BODY, options={"a": 1}),
    "closed": _closed,
    "stream": lambda stage: _streamed(stage, "POST", "/payables", json={"document_id": BODY}),
    "stream of nothing": lambda stage: _streamed(stage, "POST", "/payables", json={"a": object(), "b": BODY}),
    "link": lambda stage: _streamed(stage, "GET", LINK),
    "link with a body": lambda stage: _streamed(stage, "POST", LINK, json=BODY),
    "link of no kind": lambda stage: _streamed(stage, "GET", LINK.replace("https", "ftp")),
    "download": lambda stage: _download(stage, LINK, options=OPTIONS),
    "download of a path": lambda stage: _download(stage, "/payables", query={"document_id": BODY}),
    "download with a query": lambda stage: _download(stage, LINK, query={"document_id": BODY}),
    "token": lambda stage: stage.monite.access_tokens.create(
        client_id=CLIENT_ID, client_secret=SECRET, grant_type="client_credentials", options=OPTIONS
    ),
    "revocation": lambda stage: stage.monite.access_tokens.revoke(
        client_id=CLIENT_ID, client_secret=SECRET, token=BODY, options=OPTIONS
    ),
}


async def _search(ways: dict[str, Way], **effect: Any) -> list[BaseException]:
    canaries = Canaries()
    canaries.add(SECRET)
    canaries.add(BODY)
    async with staged(retry=QUICK) as stage:
        await stage.monite.token()
        if effect:
            for path in ("/payables*", "/auth/*"):
                stage.emulator.fail(None, path, **effect, times=None)
        for name, way in ways.items():
            await stage.fails(_named(name, way, stage))
        for error in stage.errors:
            canaries.check(told(error))
        return stage.errors


async def _named(name: str, way: Way, stage: Stage) -> object:
    try:
        return await way(stage)
    except BaseException as exc:
        exc.add_note(name)
        raise


@pytest.mark.parametrize(
    "effect",
    [{"status": 422, "body": {"error": {"message": "no"}}}, {"drop": "before"}, {"status": 200, "body": [BODY]}],
    ids=["refused", "lost", "drifted"],
)
async def test_no_frame_holds_what_was_passed_to_a_call(effect: dict[str, Any]) -> None:
    """However a call fails, its traceback with locals shows no body, header, query, signed link or secret."""
    ways = dict(WAYS)
    if effect.get("status") == 200:  # whoever asks for no model takes what comes
        ways = {name: way for name, way in WAYS.items() if name not in ("request", "stream", "download of a path")}
    errors = await _search(ways, **effect)
    assert all(isinstance(error, MoniteError | OSError | TypeError) for error in errors), errors
    kinds = {type(error).__name__ for error in errors}
    assert kinds >= {"ClientClosedError", "ConfigurationError"}


async def test_no_frame_of_a_cancelled_call_holds_its_body() -> None:
    """A call that its caller gives up shows nothing of what was passed to it either."""
    sent = ("method", "raw", "upload", "request", "stream", "token", "revocation")

    def within(way: Way) -> Way:
        async def run(stage: Stage) -> object:
            async with asyncio.timeout(0.05):
                return await way(stage)

        return run

    errors = await _search({name: within(WAYS[name]) for name in sent}, hold=True)
    assert all(isinstance(error, TimeoutError) for error in errors), errors


async def test_no_frame_holds_the_answer_that_does_not_fit() -> None:
    """An answer with a secret that is not what the contract says leaves nothing of itself in a traceback with locals."""
    canaries = Canaries()
    canaries.add(SECRET)
    async with staged() as stage:
        subscriptions = stage.monite.webhook_subscriptions
        for fields in ({"secret": SECRET, "status": 7}, {"secret": [SECRET]}):
            stage.emulator.fail("POST", "/webhook_subscriptions", set_fields=fields)
            error = await stage.fails(subscriptions.create(object_type="payable", url="https://partner.test/hook"))
            assert isinstance(error, ResponseValidationError)
        stage.emulator.fail("POST", "/webhook_subscriptions", status=200, body=f'{{"secret": "{SECRET}"')
        await stage.fails(subscriptions.create(object_type="payable", url="https://partner.test/hook"))
        for error in stage.errors:
            canaries.check(told(error))


async def test_options_show_the_names_of_headers_only() -> None:
    """The repr of options names headers and query parameters and tells no value of them."""
    assert repr(RequestOptions()) == "<RequestOptions as the client has them>"
    text = repr(OPTIONS)
    assert "x-canary" in text
    assert "timeout=5" in text
    assert SECRET not in text


def test_a_secret_that_the_contract_does_not_know_is_not_shown() -> None:
    """A field whose name says secret or token is left out of every repr, however deep; where a list goes on is not."""
    canaries = Canaries()
    canaries.add(SECRET)
    drift: dict[str, Any] = {
        "secret": SECRET,
        "signing_secret": SECRET,
        "refreshToken": SECRET,
        "webhook": {"id": "w", "secret": SECRET, "list": [{"access_token": SECRET}]},
        "next_pagination_token": "where-it-goes-on",
    }
    for model in (Model.model_validate(drift), WebhookSubscriptionResource.model_construct(**drift)):
        canaries.check([repr(model), str(model), f"{model}", f"{[model]}"])
        assert "where-it-goes-on" in repr(model)
        assert "'id': 'w'" in repr(model)
        assert cast("Any", model).signing_secret == SECRET


@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke"])
async def test_what_the_token_endpoints_refuse_is_not_the_scopes_token(path: str) -> None:
    """A 401 of the token endpoints is about the credentials in the body: the scope's own token stays, nothing repeats."""
    async with staged() as stage:
        before = await stage.monite.token()
        for record in cache_of(stage.monite)._records.values():
            record.soft_mono -= 60.0  # older than the brake on replacing tokens
        stage.emulator.fail(
            "POST", path, status=401, body={"error": {"message": "The token has been expired."}}, times=9
        )
        stage.emulator.log.clear()
        error = await stage.fails(stage.monite.request("POST", path, json=CREDENTIALS))
        assert isinstance(error, UnauthorizedError)
        assert len(list(stage.emulator.log)) == 1
        assert await stage.monite.token() == before


@pytest.mark.parametrize("nothing", [None, "UNSET"])
async def test_a_body_that_is_required_cannot_be_left_out(nothing: object) -> None:
    """None or UNSET for a body that the API cannot do without is refused before anything is sent."""
    async with staged() as stage:
        stage.emulator.log.clear()
        acme: Any = stage.monite.entity(stage.entity_id)
        error = await stage.fails(acme.receivables.create(body=None if nothing is None else UNSET))
        assert isinstance(error, ConfigurationError)
        assert error.path == "/receivables"
        assert "body is required" in str(error)
        assert not list(stage.emulator.log)


@pytest.mark.parametrize("seed", range(3))
def test_threads_meet_the_library_at_once(seed: int) -> None:
    """Eight threads that import, call and read for the first time, all at once, neither fail nor wait for each other."""
    program = Path(__file__).with_name("first_use.py")
    ran = subprocess.run([sys.executable, str(program), str(seed)], capture_output=True, timeout=100, check=False)
    assert ran.stdout == b"done\n", ran.stderr.decode()


@pytest.mark.parametrize("own", [True, False], ids=["native", "httpx"])
async def test_no_frame_of_a_cancelled_call_holds_the_beginning_of_its_answer(own: bool) -> None:
    """Whoever is cancelled while an answer comes sees nothing of it in the traceback with locals."""
    there = asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + BODY.encode() * 1000)
        await writer.drain()
        there.set()
        await reader.read()

    canaries = Canaries()
    canaries.add(BODY)
    async with (
        Server(half) as server,
        AsyncMonite(
            token="t" * 40,
            base_url=f"{server.origin}/v1",
            transport=None if own else httpx.AsyncHTTPTransport(),
        ) as monite,
    ):
        task = asyncio.ensure_future(monite.request("GET", "/payables"))
        await there.wait()
        await turns(50)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        canaries.check(told(caught.value))


async def test_no_frame_of_a_wait_or_a_download_that_fails_holds_what_came(tmp_path: Path) -> None:
    """Work that ends badly, a file that is too long and one that breaks off leave nothing of themselves behind."""
    canaries = Canaries()
    canaries.add(BODY)
    async with staged() as stage:
        acme = _acme(stage)
        payable = await acme.payables.create(description=BODY, currency="EUR", total_amount=1)
        path = f"/payables/{payable.id}"
        for state, again in (("error", None), ("processing", 500)):
            stage.emulator.fail("GET", path, set_fields={"ocr_status": state})
            if again is not None:
                stage.emulator.fail("GET", path, status=again, times=None)
            await stage.fails(acme.payables.wait_for_ocr(payable.id, timeout=20, options=OPTIONS))
        stage.emulator.faults.clear()
        await stage.fails(acme.download(path, to=tmp_path / "x", max_bytes=10))
        stage.emulator.fail("GET", path, truncate=400)
        await stage.fails(acme.download(path, to=tmp_path / "x"))
        for error in stage.errors:
            canaries.check(told(error))


async def test_no_frame_of_an_upload_that_is_cancelled_early_holds_its_form() -> None:
    """A call that is given up while its file is only looked at shows neither the file nor the other fields."""
    started, go = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def tell(self) -> int:
            started.set()
            assert go.wait(30)
            return super().tell()

    canaries = Canaries()
    canaries.add(BODY)
    async with staged() as stage:
        form = {"note": BODY, "file": Slow(BODY.encode())}
        task = asyncio.ensure_future(_acme(stage).request("POST", "/payables/upload_from_file", multipart=form))
        assert await asyncio.to_thread(started.wait, 30)
        task.cancel()
        go.set()
        error = await stage.fails(task)
        assert isinstance(error, asyncio.CancelledError)
        canaries.check(told(error))


async def test_no_frame_of_a_file_that_fails_holds_the_rest_of_its_form() -> None:
    """An error of the caller's own file object comes out as it is, and shows where in that object it arose."""
    errors = await _search(FAILING)
    assert [type(error) for error in errors] == [LookupError] * len(FAILING)
    for name, error in zip(FAILING, errors, strict=True):
        last = traceback.extract_tb(error.__traceback__)[-2:]
        assert [frame.name for frame in last] == [name.split()[0], "_count"]
