"""Files of the API: streamed or written, whole or not at all, and never with the token to somebody else."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    RequestOptions,
    RequestTimeout,
    ResponseValidationError,
    RetryPolicy,
    TransportError,
)
from monite_async.emulator import Emulator
from tests.scripted import BASE_URL, Chunks, Scripted, client
from tests.virtual import run_virtual

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)
LINK = "https://files.monite.test/a/b.pdf?signature=canary-link"
PATH = "/document_templates/{id}/preview"
PDF = b"%PDF-1.7 " + bytes(range(256)) * 4000


def pdf(*chunks: bytes, **headers: str) -> httpx.Response:
    """Return an answer that is a file, in pieces."""
    named = {"content-type": "application/pdf", "x-request-id": "rq-5", **headers}
    return httpx.Response(200, headers=named, stream=Chunks(*(chunks or (PDF,))))


def over(*replies: Any, **options: Any) -> tuple[AsyncMonite, Scripted]:
    """Return a client over a script, and the script."""
    transport = Scripted(*replies, keep_streams=True)
    return client(transport, retry=FAST, **options), transport


async def read(monite: AsyncMonite, path: str = "/file", **call: Any) -> bytes:
    """Read a stream to its end."""
    async with monite.stream("GET", path, **call) as response:
        return b"".join([piece async for piece in response])


# -- streams -----------------------------------------------------------------------------------------------------


async def test_a_stream_gives_head_and_pieces() -> None:
    """Status, headers and length are there at once, the bytes as they come; the call is like any other."""
    monite, transport = over(pdf(b"", b"%PDF", b"", b"-1.7", **{"content-length": "8"}))
    acme = monite.entity("e-1")
    async with acme.stream("GET", PATH, path_params={"id": "a/b"}, query={"x": 1}) as response:
        assert (response.status, response.content_type, response.content_length) == (200, "application/pdf", 8)
        assert response.request_id == "rq-5"
        assert [piece async for piece in response] == [b"%PDF", b"-1.7"]
        assert [piece async for piece in response] == []
    call = transport.calls[0]
    assert (call.url.raw_path, call.headers["x-monite-entity-id"]) == (
        b"/v1/document_templates/a%2Fb/preview?x=1", "e-1"
    )  # fmt: skip
    assert (call.headers["accept"], call.headers["accept-encoding"]) == ("*/*", "identity")
    assert call.headers["authorization"].startswith("Bearer canary-token")


async def test_a_stream_may_be_the_answer_to_a_post() -> None:
    """A body can be sent with it."""
    monite, transport = over(pdf(b"x"))
    async with monite.stream("post", "/render", json={"a": 1}) as response:
        assert [piece async for piece in response] == [b"x"]
    assert transport.calls[0].method == "POST"


async def test_an_empty_file_is_no_pieces() -> None:
    """A body of nothing ends at once."""
    monite, _ = over(pdf(b""))
    assert await read(monite) == b""


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_compressed_stream_is_decompressed(size: int) -> None:
    """What a server compresses though it was not asked to is decompressed, in pieces of bounded size."""
    packed = gzip.compress(PDF + bytes(1_000_000))
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    monite, _ = over(pdf(*pieces, **{"content-encoding": "gzip"}))
    async with monite.stream("GET", "/file") as response:
        assert response.content_length is None
        got = [piece async for piece in response]
    assert b"".join(got) == PDF + bytes(1_000_000)
    assert max(map(len, got)) <= 64 * 1024


@pytest.mark.parametrize(
    ("coding", "body", "text"),
    [
        ("br", b"\x0b", "not asked for"),
        ("gzip", gzip.compress(PDF)[:-9], "does not end where it should"),
        ("gzip", b"no gzip at all", "is damaged"),
    ],
)
async def test_what_cannot_be_decompressed_is_an_error(coding: str, body: bytes, text: str) -> None:
    """An unknown or damaged content coding ends the stream with a typed error, and is not asked for again."""
    monite, transport = over(pdf(body, **{"content-encoding": coding}))
    with pytest.raises(ResponseValidationError, match=text):
        await read(monite)
    assert len(transport.calls) == 1


async def test_up_to_the_first_byte_it_is_tried_again() -> None:
    """A 503, a lost connection and a body that breaks before its first byte are repeated."""
    broken = httpx.Response(200, stream=Chunks(error=httpx.ReadError("reset")))
    monite, transport = over(httpx.Response(503), httpx.ConnectError("no"), broken, pdf(b"x"))
    options = RequestOptions(retry=RetryPolicy(3, 0.001, 0.001))
    assert await read(monite, options=options) == b"x"
    assert len(transport.calls) == 4


async def test_after_the_first_byte_a_failure_is_raised() -> None:
    """What was handed out cannot be taken back: the error says so, with the request id, and nothing is sent again."""
    body = Chunks(b"%PDF", error=httpx.ReadError("reset"))
    monite, transport = over(httpx.Response(200, headers={"x-request-id": "rq"}, stream=body))
    seen: list[bytes] = []
    async with monite.stream("GET", "/file") as response:
        with pytest.raises(TransportError, match="ReadError") as caught:
            seen.extend([piece async for piece in response])
        assert [piece async for piece in response] == []
    assert (caught.value.path, caught.value.request_id, caught.value.attempts) == ("/file", "rq", 1)
    assert len(transport.calls) == 1


async def test_an_error_status_is_raised_on_entering() -> None:
    """What is no success is the error that any call would raise."""
    monite, _ = over(httpx.Response(404, json={"error": {"message": "no such file"}}))
    with pytest.raises(NotFoundError, match="no such file"):
        await read(monite)


class Slow(httpx.AsyncByteStream):
    """Gives a byte, then waits for ever (or, where told, a moment between bytes)."""

    def __init__(self, pause: float | None = None) -> None:
        self.pause = pause
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"
            await (asyncio.Event().wait() if self.pause is None else asyncio.sleep(self.pause))

    async def aclose(self) -> None:
        self.closed = True


class Wire(httpx.AsyncBaseTransport):
    """Answers API calls with one stream, token requests as the script does."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self.stream = stream
        self.script = Scripted()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/auth/" in request.url.path:
            return await self.script.handle_async_request(request)
        return httpx.Response(200, stream=self.stream)


def test_a_piece_that_does_not_come_is_a_timeout() -> None:
    """The timeout of the call bounds the wait for each piece, not for all of them."""
    options = RequestOptions(timeout=7)
    assert run_virtual(read(client(Wire(Slow(6))), options=options)) == b"xxxxx"
    with pytest.raises(RequestTimeout, match="the rest of the answer did not come in time: the timeout of 7 s"):
        run_virtual(read(client(Wire(Slow(8))), options=options))


def test_which_deadline_bounds_a_file() -> None:
    """A deadline of the call bounds the file to its last byte; that of the client ends with the first byte."""
    assert run_virtual(read(client(Wire(Slow(20)), deadline=30))) == b"xxxxx"
    with pytest.raises(RequestTimeout, match="the deadline of 30 s"):
        run_virtual(read(client(Wire(Slow(20))), options=RequestOptions(deadline=30)))


async def test_cancelling_closes_the_connection() -> None:
    """Whoever is cancelled while it waits for a piece leaves a closed answer behind."""
    body = Slow()
    monite = client(Wire(body))
    begun = asyncio.Event()

    async def work() -> None:
        async with monite.stream("GET", "/file") as response:
            async for _ in response:
                begun.set()

    task = asyncio.ensure_future(work())
    await begun.wait()
    assert not body.closed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed


async def test_breaking_off_closes_the_connection() -> None:
    """Leaving the block early closes the answer; the stream is over then, and cannot be entered again."""
    body = Slow()
    stream = client(Wire(body)).stream("GET", "/file")
    async with stream as response:
        assert await anext(response) == b"x"
    assert body.closed
    assert [piece async for piece in stream] == []
    await stream.aclose()
    with pytest.raises(ConfigurationError, match="entered once"):
        async with stream:
            pass


async def test_a_stream_is_used_inside_its_block() -> None:
    """Outside of ``async with`` nothing was sent, so there is nothing to read."""
    monite, transport = over(pdf())
    stream = monite.stream("GET", "/file")
    assert repr(stream) == "<StreamedResponse>"
    with pytest.raises(ConfigurationError, match="inside of 'async with'"):
        await anext(stream)
    with pytest.raises(ConfigurationError, match="inside of 'async with'"):
        _ = stream.status
    await stream.aclose()
    assert transport.calls == []


async def test_a_transport_that_cannot_stream_is_told() -> None:
    """An answer with a synchronous stream is refused as any other call refuses it."""

    class Sync(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"x"

    class Bare(Wire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if "/auth/" not in request.url.path:
                answer.stream = Sync()
            return answer

    with pytest.raises(TransportError, match="cannot be read asynchronously"):
        await read(client(Bare(Slow())))


@pytest.mark.parametrize("call", [("TRACE", "/file"), ("GET", "file"), ("GET", "/a?b=c"), ("GET", 5)])
async def test_a_stream_of_nonsense_is_refused(call: tuple[Any, Any]) -> None:
    """A wrong method or path is a mistake of the caller, and nothing is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError):
        monite.stream(*call)
    assert transport.calls == []


async def test_wrong_values_are_refused_on_entering() -> None:
    """What only the request shows to be wrong is placed like the errors of any call."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match="path parameter id") as caught:
        await read(monite, PATH)
    assert caught.value.path == PATH
    assert transport.calls == []


# -- links -------------------------------------------------------------------------------------------------------


async def test_a_link_gets_no_token_and_no_header_of_the_client() -> None:
    """A link is asked for as anybody would: nothing of the client goes along but its name and the call's own headers."""
    monite, transport = over(pdf(b"x"), headers={"x-own": "canary-header"})
    acme = monite.entity("e-1")
    assert await read(cast("AsyncMonite", acme), LINK, options=RequestOptions(headers={"range": "bytes=0-"})) == b"x"
    (call,) = transport.calls
    assert str(call.url) == LINK
    assert sorted(call.headers) == ["accept", "accept-encoding", "host", "range", "user-agent"]
    assert call.headers["host"] == "files.monite.test"
    assert transport.posts == []


async def test_even_a_link_to_the_api_gets_no_token() -> None:
    """Whether a link is trusted does not hang on its host."""
    monite, transport = over(pdf(b"x"))
    assert await read(monite, f"{BASE_URL}/files/1") == b"x"
    assert "authorization" not in transport.calls[0].headers


async def test_a_link_may_move_to_another_host() -> None:
    """Redirects of a link are followed wherever they lead over https, each with the right host; never to plain http."""
    moved = httpx.Response(302, headers={"location": "https://cdn.test/x"})
    monite, transport = over(moved, pdf(b"x"))
    assert await read(monite, LINK) == b"x"
    assert [call.headers["host"] for call in transport.calls] == ["files.monite.test", "cdn.test"]
    for bad in (
        "http://cdn.test/x", "https://u:p@cdn.test/x", "ftp://cdn.test/x", "https://cdn.test:99999/x", "https://xn--/x",
    ):  # fmt: skip
        monite, transport = over(httpx.Response(302, headers={"location": bad}), pdf(b"x"))
        with pytest.raises(Exception, match="redirect that is not followed"):
            await read(monite, LINK)
        assert len(transport.calls) == 1


@pytest.mark.parametrize(
    ("target", "stays"),
    [
        ("/other", True), ("https://FILES.monite.test:443/other", True), ("https://files.monite.test:8443/other", False),
        ("https://cdn.test/other", False), ("//cdn.test/other", False),
    ],
)  # fmt: skip
async def test_headers_of_a_call_stay_with_the_host_that_it_named(target: str, stays: bool) -> None:
    """What a caller sends to the host of a link does not follow a redirect to another one; what says what is wanted does."""
    monite, transport = over(httpx.Response(307, headers={"location": target}), pdf(b"x"))
    options = RequestOptions(headers={"X-Api-Key": "canary", "cookie": "canary", "range": "bytes=0-"})
    assert await read(monite, LINK, options=options) == b"x"
    first, second = transport.calls
    assert first.headers["x-api-key"] == first.headers["cookie"] == "canary"
    assert ("canary" in str(second.headers.raw)) is stays
    assert second.headers["range"] == "bytes=0-"
    assert second.headers["host"] == second.url.netloc.decode()


async def test_a_link_moves_three_times_at_most_and_never_nowhere() -> None:
    """A circle ends, and a redirect that says nothing of its target is an error."""
    around = httpx.Response(302, headers={"location": LINK})
    for answers, sent in (([around] * 4, 4), ([httpx.Response(302)], 1), ([httpx.Response(304)], 1)):
        monite, transport = over(*answers, pdf(b"x"))
        with pytest.raises(Exception, match="redirect that is not followed"):
            await read(monite, LINK)
        assert len(transport.calls) == sent


async def test_a_path_does_not_move_to_another_host() -> None:
    """A call with a token stays where its token may go."""
    monite, transport = over(httpx.Response(302, headers={"location": "https://cdn.test/x"}), pdf(b"x"))
    with pytest.raises(Exception, match="redirect that is not followed"):
        await read(monite, "/file")
    assert len(transport.calls) == 1


async def test_errors_do_not_show_the_link() -> None:
    """A signed link is a secret: the error of a dead one names neither it nor what the host said; nor is a token at stake."""
    monite, transport = over(httpx.Response(403, text="<Error>canary-body</Error>"))
    with pytest.raises(ForbiddenError) as caught:
        await read(monite, LINK)
    assert "canary" not in f"{caught.value!r}{caught.value.__dict__}"
    assert caught.value.path == "the link"
    assert len(transport.calls) == 1
    assert transport.posts == []


async def test_a_link_is_tried_again_without_slowing_the_api() -> None:
    """429 of another host is waited out, and no news for the client's own rate limit."""
    monite, transport = over(httpx.Response(429, headers={"retry-after": "0.1"}), httpx.Response(503), pdf(b"x"))
    limiter = monite._core.engine.limiter
    rate = limiter._supply.rate
    assert await read(monite, LINK) == b"x"
    assert len(transport.calls) == 3
    assert limiter._supply.rate == rate
    assert limiter._gate < 0


@pytest.mark.parametrize(
    "link",
    [
        "http://files.test/x",
        "ftp://files.test/x",
        "https://u:p@files.test/x",
        "https://",
        "a://[x",
        "https://files.test:port/x",
        "https://files.test:0/x",
        "https://127.0.0.1:65536/x",
        "https://127.0.0.1:-1/x",
        "https://xn--/x",
    ],
)
async def test_a_link_that_is_none_is_refused(link: str) -> None:
    """Plain http to another machine, other schemes, passwords and nonsense are refused before anything is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match="must begin with https://"):
        await read(monite, link)
    assert transport.calls == []


@pytest.mark.parametrize("extra", [{"path_params": {"a": 1}}, {"query": {"a": 1}}, {"json": {}}])
async def test_a_link_is_complete(extra: dict[str, Any]) -> None:
    """Nothing can be added to a link, whose signature covers it."""
    monite, _ = over(pdf())
    with pytest.raises(ConfigurationError, match="a link is complete"):
        monite.stream("GET", LINK, **extra)
    with pytest.raises(ConfigurationError, match="a link is complete"):
        monite.stream("POST", LINK)


# -- downloads ---------------------------------------------------------------------------------------------------


async def test_a_file_of_the_emulator_is_downloaded(tmp_path: Path) -> None:
    """What was uploaded comes back by the link in the answer, byte for byte."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"city": "Berlin", "country": "DE", "line1": "Torstr. 1", "postal_code": "10119"},
            organization={"legal_name": "Acme"},
        )
        acme = monite.entity(entity.id)
        payable = await acme.payables.upload_from_file(file=PDF)
        assert payable.file is not None
        assert payable.file.url is not None
        got = await acme.download(payable.file.url, to=tmp_path / "bill.pdf")
    assert (tmp_path / "bill.pdf").read_bytes() == PDF
    assert (got.size, got.content_type) == (len(PDF), "application/pdf")


async def test_a_file_appears_whole_in_place_of_another(tmp_path: Path) -> None:
    """Until the last byte is there the old file stands, and no piece of the new one stays beside it."""
    target = tmp_path / "x.pdf"
    target.write_bytes(b"old")
    monite, _ = over(pdf(*(PDF[at : at + 50_000] for at in range(0, len(PDF), 50_000))))
    got = await monite.download("/file", to=target)
    assert (got.size, got.request_id) == (len(PDF), "rq-5")
    assert target.read_bytes() == PDF
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdf"]


async def test_a_failed_download_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """After a failure in the middle the old file stands and nothing else does."""
    target = tmp_path / "x.pdf"
    target.write_bytes(b"old")
    monite, _ = over(httpx.Response(200, stream=Chunks(PDF, error=httpx.ReadError("reset"))))
    with pytest.raises(TransportError):
        await monite.download("/file", to=target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


async def test_a_cancelled_download_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Cancelling closes the answer and removes what was written so far."""
    body = Slow()
    monite = client(Wire(body))
    task = asyncio.ensure_future(monite.download("/file", to=tmp_path / "x.pdf"))
    while not await asyncio.to_thread(lambda: list(tmp_path.iterdir())):
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_a_file_object_is_written_and_left_open() -> None:
    """An open file takes the bytes where it stands, however few it takes at a time, and stays open."""

    class Small(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return super().write(data[:100_000])

    class Quiet(io.BytesIO):
        def write(self, data: Any, /) -> int:
            super().write(data)
            return cast("int", None)

    for file in (io.BytesIO(b"head:"), Small(b"head:"), Quiet(b"head:")):
        file.seek(5)
        monite, _ = over(pdf())
        assert (await monite.download("/file", to=file)).size == len(PDF)
        assert file.getvalue() == b"head:" + PDF
        assert not file.closed


async def test_a_file_that_takes_no_more_is_an_error() -> None:
    """A file that cannot be written to ends the download instead of holding it up for ever."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return 0

    monite, _ = over(pdf())
    with pytest.raises(BlockingIOError):
        await monite.download("/file", to=Full())


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_long_is_refused(tmp_path: Path, announced: bool) -> None:
    """``max_bytes`` holds whether or not the server tells the length; what was written is removed."""
    headers = {"content-length": str(len(PDF))} if announced else {}
    monite, _ = over(pdf(**headers))
    with pytest.raises(ResponseValidationError, match="longer than max_bytes") as caught:
        await monite.download("/file", to=tmp_path / "x", max_bytes=100)
    assert (caught.value.path, caught.value.request_id) == ("/file", "rq-5")
    assert list(tmp_path.iterdir()) == []
    monite, _ = over(pdf(**headers))
    assert (await monite.download("/file", to=tmp_path / "x", max_bytes=len(PDF))).size == len(PDF)


async def _coroutine(data: bytes) -> int:
    return len(data)


class _AsyncFile:
    write = staticmethod(_coroutine)


@pytest.mark.parametrize("to", ["x.pdf", None, io.StringIO(), _AsyncFile()], ids=lambda to: type(to).__name__)
async def test_a_target_that_is_none_is_refused(to: Any) -> None:
    """A ``str``, a text file and an asynchronous file are no targets; nothing is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match=r"to must be a pathlib\.Path"):
        await monite.download("/file", to=to)
    assert transport.calls == []


async def test_a_target_that_cannot_be_written_costs_no_request(tmp_path: Path) -> None:
    """A folder as the target, or one that is not there, is found out before anything is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match="is a folder"):
        await monite.download("/file", to=tmp_path)
    with pytest.raises(FileNotFoundError):
        await monite.download("/file", to=tmp_path / "no" / "x.pdf")
    assert transport.calls == []


async def test_an_answer_on_its_way_does_not_show_itself() -> None:
    """The text of an answer is its status."""
    monite, _ = over(pdf(b"canary"))
    async with monite.stream("GET", "/file") as response:
        assert repr(response._answer) == "<Opened 200>"
