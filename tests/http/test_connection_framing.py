"""Answers of every framing, whole and in pieces, good and bad."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import h11
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async._http.transport import PooledTransport, unsent
from tests.http._servers import (
    LOOPS,
    Chunks,
    Server,
    answer,
    both_loops,
    call,
    every_engine,
    pieces,
    read_request,
    replies,
    start,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """An answer, what it means, and whether its connection can carry another exchange."""

    raw: bytes
    body: bytes
    reused: bool = True
    status: int = 200
    method: str = "GET"
    close: bool = False


CASES = {
    "length": Case(answer(b"hello"), b"hello"),
    "length zero": Case(answer(b""), b""),
    "chunked": Case(CHUNKED + b"3\r\nabc\r\n2;note=x\r\nde\r\n0\r\n\r\n", b"abcde"),
    "chunked with trailers": Case(CHUNKED + b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n", b"a"),
    "no content": Case(b"HTTP/1.1 204 No Content\r\n\r\n", b"", status=204),
    "not modified": Case(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b"", status=304),
    "head": Case(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"", method="HEAD"),
    "until close": Case(b"HTTP/1.1 200 OK\r\n\r\nall of it", b"all of it", reused=False, close=True),
    "interim answers": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + answer(b"x"), b"x"
    ),
    "connection close": Case(answer(b"bye", "connection: close"), b"bye", reused=False),
    "old version": Case(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", reused=False),
    "bytes after the body": Case(answer(b"ok") + b"HTTP/1.1 200 OK\r\n", b"ok", reused=False),
}


@every_engine
@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
async def test_every_framing_is_read_and_reused_as_the_standard_says(case: Case) -> None:
    """RFC 9112: each framing gives its exact body, and a connection is kept only when both sides finished."""
    async with Server(replies(case.raw, close=case.close)) as server, PooledTransport() as transport:
        for _ in range(2):
            response = await call(transport, server.origin, case.method)
            assert (response.status_code, response.content) == (case.status, case.body)
        assert server.accepted == (1 if case.reused else 2)
        assert transport.stats().open == transport.stats().idle == (1 if case.reused else 0)


@both_loops
@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
async def test_an_answer_may_arrive_cut_at_any_byte(case: Case) -> None:
    """Where TCP cuts an answer says nothing: two pieces cut anywhere give the same answer as one."""
    async with PooledTransport() as transport:
        for cut in range(1, len(case.raw)):
            async with Server(pieces([case.raw[:cut], case.raw[cut:]], close=case.close)) as server:
                response = await call(transport, server.origin, case.method)
            assert (response.status_code, response.content) == (case.status, case.body)


@every_engine
@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
async def test_an_answer_may_arrive_byte_by_byte(case: Case) -> None:
    """The slowest of servers is understood like any other."""
    drops = [case.raw[at : at + 1] for at in range(len(case.raw))]
    async with Server(pieces(drops, close=case.close)) as server, PooledTransport() as transport:
        response = await call(transport, server.origin, case.method)
        assert (response.status_code, response.content) == (case.status, case.body)


CANARY = b"s3cr3t-canary"
BAD = {
    "garbage": (b"GARBAGE " + CANARY + b"\r\n\r\n", False, "not valid"),
    "bad header line": (b"HTTP/1.1 200 OK\r\n" + CANARY + b"\r\n\r\n", False, "not valid"),
    "lengths in conflict": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\nx: " + CANARY + b"\r\n\r\nab",
        False,
        "not valid",
    ),
    "bad chunk size": (CHUNKED + CANARY + b"\r\n", False, "not valid"),
    "protocol switched unasked": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", False, "not valid"),
    "no answer": (b"", True, "without an answer"),
    "head cut off": (b"HTTP/1.1 200 OK\r\ncontent-le", True, "before its answer was complete"),
    "length cut off": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" + CANARY[:4], True, "before its answer"),
    "chunk cut off": (CHUNKED + b"9\r\nabc", True, "before its answer was complete"),
    "last chunk missing": (CHUNKED + b"3\r\nabc\r\n", True, "before its answer was complete"),
    "head too large": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 5000, False, "too large"),
    "whole head too large": (answer(b"ok", "x: " + "y" * 5000), False, "too large"),
}


@every_engine
@pytest.mark.parametrize(("raw", "close", "text"), list(BAD.values()), ids=list(BAD))
async def test_a_broken_answer_is_an_error_that_quotes_nothing(raw: bytes, close: bool, text: str) -> None:
    """A broken answer is one clear error, not unsent, without a byte of the answer; its connection is gone."""
    async with Server(replies(raw, close=close)) as server, PooledTransport(max_head_bytes=4096) as transport:
        with pytest.raises(httpx.RemoteProtocolError, match=text) as caught:
            await call(transport, server.origin)
        assert not unsent(caught.value)
        assert caught.value.request.url == server.origin
        link: BaseException | None = caught.value
        while link is not None:
            assert CANARY.decode() not in f"{link!r} {link}"
            link = link.__cause__ or link.__context__
        assert transport.stats().open == 0


@every_engine
async def test_a_broken_body_read_later_is_the_same_error() -> None:
    """A body that breaks after its head was handed out raises from the stream, and the connection is gone."""
    parts = [CHUNKED + b"3\r\nabc\r\n", b"nonsense\r\n"]
    async with Server(pieces(parts)) as server, PooledTransport() as transport:
        response = await start(transport, server.origin)
        assert transport.stats().open == 1
        with pytest.raises(httpx.RemoteProtocolError, match="not valid") as caught:
            await response.aread()
        assert not unsent(caught.value)
        assert transport.stats().open == 0


@every_engine
async def test_a_switched_protocol_is_refused() -> None:
    """An answer that switches to another protocol, even an offered one, is an error: nothing here speaks it."""
    raw = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    async with Server(replies(raw)) as server, PooledTransport() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await call(transport, server.origin, headers={"upgrade": "x", "connection": "upgrade"})
        assert transport.stats().open == 0


@every_engine
async def test_the_answer_keeps_its_head() -> None:
    """Status, reason, version and headers, repeated ones included, reach the caller as they were sent."""
    raw = b"HTTP/1.1 418 Short and stout\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\ncontent-length: 0\r\n\r\n"
    async with Server(replies(raw)) as server, PooledTransport() as transport:
        response = await call(transport, server.origin)
    assert (response.status_code, response.reason_phrase, response.http_version) == (418, "Short and stout", "HTTP/1.1")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def _exchange(body: bytes, sizes: list[int], cuts: list[int], upload: list[bytes]) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = h11.Connection(h11.SERVER)
        while True:
            event = peer.next_event()
            if event is h11.NEED_DATA:
                peer.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Data):
                seen.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
        headers = [] if sizes else [("content-length", str(len(body)))]
        out = peer.send(h11.Response(status_code=200, headers=headers))
        at = 0
        for size in sizes:
            out += peer.send(h11.Data(data=body[at : at + size]))
            at += size
        out += peer.send(h11.Data(data=body[at:])) + peer.send(h11.EndOfMessage())
        last = 0
        for cut in [*sorted({cut % (len(out) + 1) for cut in cuts}), len(out)]:
            writer.write(out[last:cut])
            last = cut
            await asyncio.sleep(0)
        await reader.read()

    async with Server(handler) as server, PooledTransport() as transport:
        response = await call(transport, server.origin, "POST", content=Chunks(upload))
        assert response.content == body
        assert b"".join(seen) == b"".join(upload)
        assert transport.stats().idle == 1


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=400),
    sizes=st.lists(st.integers(1, 80), max_size=6),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    upload=st.lists(st.binary(max_size=50), max_size=5),
)
@pytest.mark.parametrize("loop", list(LOOPS))
def test_h11_as_the_server_agrees(
    loop: str, body: bytes, sizes: list[int], cuts: list[int], upload: list[bytes]
) -> None:
    """Whatever h11's server side sends and however it is cut, both sides read what the other wrote."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_exchange(body, sizes, cuts, upload))


@every_engine
async def test_requests_are_framed_by_length_or_in_chunks() -> None:
    """Bytes go out with their length, a stream in chunks, and the server reads exactly what was given."""
    seen: list[tuple[bytes, bytes]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(answer())

    large = bytes(range(256)) * 4096
    async with Server(handler) as server, PooledTransport() as transport:
        await call(transport, f"{server.origin}/a?b=c", "POST", content=b"body")
        await call(transport, server.origin, "POST", content=large)
        await call(transport, server.origin, "POST", content=Chunks([b"one", b"", b"two"]))
        assert server.accepted == 1
    assert [body for _, body in seen] == [b"body", large, b"onetwo"]
    assert seen[0][0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
