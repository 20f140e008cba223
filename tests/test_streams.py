"""Streams: answers of the API that are read while they come."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import pytest

from monite_async import (
    ConfigurationError,
    NotFoundError,
    RequestOptions,
    RequestTimeout,
    ResponseValidationError,
    RetryPolicy,
    TransportError,
)
from tests.downloading import PATH, PDF, Slow, Wire, over, pdf, read
from tests.scripted import Chunks, client
from tests.virtual import run_virtual

pytestmark = pytest.mark.usefixtures("no_blocking_calls")


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


async def test_an_answer_on_its_way_does_not_show_itself() -> None:
    """The text of an answer is its status."""
    monite, _ = over(pdf(b"canary"))
    async with monite.stream("GET", "/file") as response:
        assert repr(response._answer) == "<Opened 200>"
