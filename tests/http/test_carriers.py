"""What every carrier does alike: the own connections on either engine, over httpx's interface, and httpx's own."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest
import trustme

from monite_async._errors import ConnectError, RequestTimeout, ResponseValidationError, TransportError
from monite_async._http.adapter import HttpxCarrier
from monite_async._http.body import EMPTY, Body, BytesBody
from monite_async._http.decode import Answer
from monite_async._http.exchange import Carrier, Fields, Head, Lost, Opened, Outgoing
from monite_async._http.framing_llhttp import LlhttpFraming
from monite_async._http.native import Native
from monite_async._http.place import Place
from monite_async._http.transport import PooledTransport
from tests.http._others import client_side, server_side
from tests.http._servers import Handler, Server, answer, both_loops, read_request

AUTHORITY = trustme.CA()
TRUST = client_side(AUTHORITY)
SERVER = server_side(AUTHORITY.issue_cert("127.0.0.1"))
LIMIT = 100_000
CARRIERS: dict[str, Callable[[], Carrier]] = {
    "h11": lambda: Native(ssl_context=TRUST),
    "fast": lambda: Native(ssl_context=TRUST, framing=LlhttpFraming),
    "adapted": lambda: HttpxCarrier(PooledTransport(ssl_context=TRUST)),
    "httpx": lambda: HttpxCarrier(httpx.AsyncHTTPTransport(verify=TRUST)),
}
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
every_carrier = pytest.mark.parametrize("carrier", list(CARRIERS))
plain_and_tls = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


class Token:
    """A token."""

    header = b"Bearer canary"


class Slow:
    """A body that is sent in pieces of unknown number."""

    fields: Fields = ((b"transfer-encoding", b"chunked"),)
    wire = b"transfer-encoding: chunked\r\n"
    content = b""
    length = None
    replayable = True

    def open(self) -> AsyncGenerator[bytes, None]:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for _ in range(10):
            yield b"x" * 1000
            await asyncio.sleep(0)


class Stage:
    """A carrier and a server that serves each request with a handler of the test's."""

    def __init__(self, carrier: str, *, tls: bool) -> None:
        self.carrier = CARRIERS[carrier]()
        self.tls = tls

    async def send(
        self, handler: Handler, *, method: str = "GET", body: Body = EMPTY, within: float = 20
    ) -> Answer | Lost:
        """Return what comes of one request."""
        async with Server(handler, tls=SERVER if self.tls else None) as server:
            until = asyncio.get_running_loop().time() + within
            return await self.carrier.exchange(_to(server, method, body), Token(), until=until, max_bytes=LIMIT)


def _to(server: Server, method: str = "GET", body: Body = EMPTY) -> Outgoing:
    place = Place.parse(server.origin)
    return Outgoing(method, place, b"/x?y=z", Head(((b"host", place.authority),)), body)


def _once(raw: bytes, *, close: bool = True) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        if close:
            writer.close()
        await reader.read()

    return handler


PACKED = gzip.compress(b"packed" * 1000)
ANSWERS: dict[str, tuple[bytes, str, int, bytes]] = {
    "length": (answer(b"hello"), "GET", 200, b"hello"),
    "chunks": (CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "GET", 200, b"abcde"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nall of it", "GET", 200, b"all of it"),
    "head": (b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", "HEAD", 200, b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", 204, b""),
    "packed": (answer(PACKED, "content-encoding: gzip"), "GET", 200, b"packed" * 1000),
    "error": (answer(b'{"error": 1}', status="422 Unprocessable"), "GET", 422, b'{"error": 1}'),
    "large": (answer(b"x" * LIMIT), "GET", 200, b"x" * LIMIT),
}


@both_loops
@every_carrier
@plain_and_tls
async def test_answers_are_read_alike(carrier: str, tls: bool) -> None:
    """Every framing and coding gives the same status and body, with headers found whatever their case."""
    stage = Stage(carrier, tls=tls)
    for raw, method, status, content in ANSWERS.values():
        outcome = await stage.send(_once(raw), method=method)
        assert isinstance(outcome, Answer), (outcome, raw[:50])
        assert (outcome.status, outcome.content) == (status, content)
        assert outcome.headers.get("Content-Length") == outcome.headers.get("content-length")
    await stage.carrier.aclose()


LOST: dict[str, tuple[bytes, type[Exception]]] = {
    "too long": (answer(b"x" * (LIMIT + 1)), ResponseValidationError),
    "too long, in chunks": (CHUNKED + b"1ffff\r\n" + b"x" * 0x1FFFF + b"\r\n0\r\n\r\n", ResponseValidationError),
    "too long when unpacked": (
        answer(gzip.compress(bytes(LIMIT + 1)), "content-encoding: gzip"),
        ResponseValidationError,
    ),
    "too long when unpacked, in large pieces": (
        answer(gzip.compress(os.urandom(300_000)), "content-encoding: gzip"),
        ResponseValidationError,
    ),
    "damaged": (answer(PACKED[:50] + b"canary", "content-encoding: gzip"), ResponseValidationError),
    "unasked coding": (answer(b"x", "content-encoding: br"), ResponseValidationError),
    "nothing": (b"", TransportError),
    "garbage": (b"canary\r\n\r\n", TransportError),
    "cut": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", TransportError),
}


@both_loops
@every_carrier
async def test_failures_are_told_alike(carrier: str) -> None:
    """Whatever is no answer is lost, sent, and described without a byte of it or of the request."""
    stage = Stage(carrier, tls=False)
    for name, (raw, kind) in LOST.items():
        outcome = await stage.send(_once(raw))
        assert isinstance(outcome, Lost), name
        assert (outcome.error, outcome.unsent) == (kind, False), name
        assert "canary" not in f"{outcome!r}{outcome.text}"
    await stage.carrier.aclose()


@both_loops
@every_carrier
async def test_an_error_too_long_keeps_its_status(carrier: str) -> None:
    """Of an error answer that is too long, or cannot be unpacked, the status is left."""
    stage = Stage(carrier, tls=False)
    for raw in (
        answer(b"x" * (LIMIT + 1), status="400 Bad Request"),
        answer(b"x", "content-encoding: br", status="400 Bad Request"),
    ):
        outcome = await stage.send(_once(raw))
        assert isinstance(outcome, Answer)
        assert (outcome.status, outcome.content) == (400, b"")
    await stage.carrier.aclose()


@both_loops
@every_carrier
@plain_and_tls
async def test_bodies_arrive_whole(carrier: str, tls: bool) -> None:
    """A short body, a long one and one in chunks reach the server byte for byte, with the token in the head."""
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        heads.append(head)
        writer.write(answer(b"%d" % len(body)))
        await reader.read()

    stage = Stage(carrier, tls=tls)
    for body, size in (
        (BytesBody(b"abc", b"text/plain"), 3),
        (BytesBody(b"x" * 1_000_000), 1_000_000),
        (Slow(), 10_000),
    ):
        outcome = await stage.send(handler, method="POST", body=body)
        assert isinstance(outcome, Answer)
        assert outcome.content == b"%d" % size
    assert all(head.startswith(b"POST /x?y=z HTTP/1.1\r\n") for head in heads)
    assert all(b"authorization: bearer canary\r\n" in head.lower() for head in heads)
    await stage.carrier.aclose()


@both_loops
@every_carrier
async def test_time_is_bounded(carrier: str) -> None:
    """A server that never answers, or stops half-way, costs what was allowed and no more."""
    stage = Stage(carrier, tls=False)
    for raw in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"):
        outcome = await stage.send(_once(raw, close=False), within=0.05)
        assert isinstance(outcome, Lost)
        assert outcome.error is RequestTimeout
    await stage.carrier.aclose()


@both_loops
@every_carrier
async def test_nobody_there_is_unsent(carrier: str) -> None:
    """A connection that cannot be made is a connect error, and the request was not sent."""
    stage = Stage(carrier, tls=False)
    async with Server(_once(b"")) as server:
        outgoing = _to(server)
    until = asyncio.get_running_loop().time() + 20
    for work in (stage.carrier.exchange, stage.carrier.open):
        outcome = await work(outgoing, None, until=until, max_bytes=LIMIT)
        assert isinstance(outcome, Lost)
        assert (outcome.error, outcome.unsent) == (ConnectError, True)
    await stage.carrier.aclose()


async def _read(opened: Opened) -> bytes | Lost:
    content = b""
    try:
        while piece := await opened.read(asyncio.get_running_loop().time() + 0.2):
            if isinstance(piece, Lost):
                return piece
            content += piece
    finally:
        await opened.aclose()
    return content


STREAMS: dict[str, tuple[bytes, bool, bytes | type[Exception]]] = {
    "length": (answer(b"hello" * 100_000), True, b"hello" * 100_000),
    "empty": (answer(b""), True, b""),
    "packed": (answer(PACKED, "content-encoding: gzip"), True, b"packed" * 1000),
    "cut": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", True, TransportError),
    "stopped": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", False, RequestTimeout),
    "packed and stopped": (
        answer(b"x" * 500, "content-encoding: gzip").partition(b"xx")[0] + PACKED[:20], False, RequestTimeout
    ),
    "packed and cut": (
        answer(PACKED[:40], "content-encoding: gzip"), True, ResponseValidationError
    ),
}  # fmt: skip


@both_loops
@every_carrier
async def test_opened_answers_are_read_alike(carrier: str) -> None:
    """An answer that is read while it comes gives its whole body, or what went wrong with it."""
    stage = Stage(carrier, tls=False)
    for name, (raw, close, result) in STREAMS.items():
        async with Server(_once(raw, close=close)) as server:
            until = asyncio.get_running_loop().time() + 20
            opened = await stage.carrier.open(_to(server), Token(), until=until, max_bytes=LIMIT)
            assert isinstance(opened, Opened), name
            content = await _read(opened)
            assert (content.error if isinstance(content, Lost) else content) == result, name
    await stage.carrier.aclose()


@both_loops
@every_carrier
async def test_an_answer_that_cannot_be_opened(carrier: str) -> None:
    """An error answer is read whole, and a coding that nobody asked for is refused before the first byte."""
    stage = Stage(carrier, tls=False)
    until = asyncio.get_running_loop().time() + 20
    async with Server(_once(answer(b"no", status="404 Not Found"))) as server:
        refused = await stage.carrier.open(_to(server), Token(), until=until, max_bytes=LIMIT)
    assert isinstance(refused, Answer)
    assert (refused.status, refused.content) == (404, b"no")
    async with Server(_once(answer(b"x", "content-encoding: br"))) as server:
        lost = await stage.carrier.open(_to(server), Token(), until=until, max_bytes=LIMIT)
    assert isinstance(lost, Lost)
    assert lost.error is ResponseValidationError
    await stage.carrier.aclose()


@both_loops
@every_carrier
async def test_an_opened_answer_that_does_not_begin_is_lost_in_time(carrier: str) -> None:
    """Whoever waits for the beginning of an answer gets a value that says so when its time is over."""
    stage = Stage(carrier, tls=False)
    async with Server(_once(b"", close=False)) as server:
        until = asyncio.get_running_loop().time() + 0.05
        lost = await stage.carrier.open(_to(server), Token(), until=until, max_bytes=LIMIT)
        assert isinstance(lost, Lost)
        assert lost.error is RequestTimeout
    await stage.carrier.aclose()
