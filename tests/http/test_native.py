"""What the own connections do that no other carrier can be asked about: pools, leftovers, and what they show."""

from __future__ import annotations

import asyncio
import gzip
import socket

from monite_async._errors import PoolTimeout, RequestTimeout, TransportError
from monite_async._http.adapter import HttpxCarrier
from monite_async._http.body import EMPTY
from monite_async._http.decode import Answer
from monite_async._http.exchange import Head, Lost, Opened, Outgoing
from monite_async._http.native import Native
from monite_async._http.place import Place
from monite_async._http.reply import ReplyHeaders
from monite_async._http.transport import PooledTransport
from tests.http._servers import Server, answer, every_engine, read_request, turns, until

LIMIT = 10_000_000


def outgoing(server: Server) -> Outgoing:
    """Return a request to a server on loopback."""
    place = Place.parse(server.origin)
    return Outgoing("GET", place, b"/", Head(((b"host", place.authority),)), EMPTY)


async def exchange(native: Native, server: Server, within: float = 20) -> Answer | Lost:
    """Return what comes of one request."""
    later = asyncio.get_running_loop().time() + within
    return await native.exchange(outgoing(server), None, until=later, max_bytes=LIMIT)


async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a body that comes in several reads."""
    while True:
        await read_request(reader)
        whole = answer(b"x" * 1_000_000)
        for at in range(0, len(whole), 50_000):
            writer.write(whole[at : at + 50_000])
            await turns(3)


@every_engine
async def test_a_body_in_pieces_is_waited_for_as_a_whole() -> None:
    """A body that comes in many reads is whole in the end, and its connection is used again."""
    native = Native()
    async with Server(in_pieces) as server:
        for _ in range(3):
            outcome = await exchange(native, server)
            assert isinstance(outcome, Answer)
            assert outcome.content == b"x" * 1_000_000
        assert native.stats().opened == native.stats().idle == 1
        await native.aclose()


@every_engine
async def test_a_connection_that_only_the_kernel_knows_closed_is_not_written_into() -> None:
    """The request goes out on a new connection, and only there."""
    seen = 0
    writers: list[asyncio.StreamWriter] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        writers.append(writer)
        while True:
            await read_request(reader)
            seen += 1
            writer.write(answer())

    native = Native()
    async with Server(handler) as server:
        assert isinstance(await exchange(native, server), Answer)
        duplicate = socket.socket(fileno=writers[0].transport.get_extra_info("socket").dup().detach())
        duplicate.shutdown(socket.SHUT_RDWR)  # at once, in this turn of the loop
        duplicate.close()
        assert isinstance(await exchange(native, server), Answer)
        assert (seen, server.accepted) == (2, 2)
        await native.aclose()


@every_engine
async def test_a_line_that_does_not_move_is_a_pool_timeout() -> None:
    """A call that waits in line for too long is lost, and was not sent."""

    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await reader.read()

    native = Native(max_connections=1)
    async with Server(mute) as server:
        first = asyncio.create_task(exchange(native, server))
        await until(lambda: native.stats().opened == 1)
        outcome = await exchange(native, server, within=0.05)
        assert isinstance(outcome, Lost)
        assert (outcome.error, outcome.unsent) == (PoolTimeout, True)
        await native.aclose()
        broken = await first
        assert isinstance(broken, Lost)
        assert (broken.error, broken.unsent) == (TransportError, False)


@every_engine
async def test_an_answer_that_never_stops_coming_ends_with_its_try() -> None:
    """A body without end that decompresses to nothing is lost at the end of the try: news all the time is no excuse."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10])
        while True:
            writer.write(b"\0\0\0\xff\xff" * 1000)  # blocks of deflate that hold nothing
            await writer.drain()
            await asyncio.sleep(0)

    native = Native()
    async with Server(endless) as server:
        outcome = await exchange(native, server, within=0.05)
        assert isinstance(outcome, Lost)
        assert (outcome.error, outcome.unsent) == (RequestTimeout, False)
        assert native.stats().open == 0
        await native.aclose()


@every_engine
async def test_an_answer_may_be_closed_and_its_reader_cancelled_at_once() -> None:
    """Whoever reads an answer that another closes, and is cancelled in that moment, frees nothing twice."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await reader.read()

    native = Native()
    async with Server(half) as server:
        later = asyncio.get_running_loop().time() + 20
        opened = await native.open(outgoing(server), None, until=later, max_bytes=LIMIT)
        assert isinstance(opened, Opened)
        assert await opened.read(later) == b"ab"
        reader = asyncio.create_task(opened.read(later))
        await turns(3)
        await opened.aclose()
        reader.cancel()
        await asyncio.wait([reader])
        assert reader.cancelled()
        assert native.stats().open == 0
        await native.aclose()


def test_headers_are_found_whatever_their_case() -> None:
    """Fields of one name are joined, values are text in any encoding, and nothing but names is shown."""
    fields = [(b"set-cookie", b"canary=1"), (b"x-name", "ü".encode()), (b"set-cookie", b"b"), (b"x-old", b"\xfc")]
    headers = ReplyHeaders(fields)
    assert (headers["X-Name"], headers["x-old"], headers["Set-Cookie"]) == ("ü", "ü", "canary=1, b")
    assert headers.get_list("SET-COOKIE") == ["canary=1", "b"]
    assert (headers.get("x-none"), headers.get("x-none", "-"), headers.get("ü")) == (None, "-", None)
    assert "X-NAME" in headers
    number: object = 3
    assert number not in headers
    assert (list(headers), len(headers)) == (["set-cookie", "x-name", "x-old"], 3)
    assert (repr(headers), repr(ReplyHeaders([]))) == ("<headers set-cookie, x-name, x-old>", "<headers none>")


def test_nothing_shows_more_than_it_should() -> None:
    """Requests and carriers show what they are, and no header, body or token."""
    place = Place.parse("https://api.monite.test:8443/v1/")
    request = Outgoing("GET", place, b"/canary", Head(((b"x-canary", b"canary"),)), EMPTY)
    parts = [request, request.head, Native(), HttpxCarrier(PooledTransport())]
    assert "canary" not in repr(parts)
    assert repr(place) == "<Place https://api.monite.test:8443/v1>"
