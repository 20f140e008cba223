"""Flow control both ways, early answers, time limits, and bodies that are given up."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from monite_async._http.connection import HIGH_WATER
from monite_async._http.transport import PooledTransport, unsent
from tests.http._servers import (
    Chunks,
    Server,
    answer,
    both_loops,
    call,
    every_engine,
    read_request,
    replies,
    start,
    turns,
    until,
)

MIB = 1024 * 1024


async def _never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


class Source:
    """A server that sends a body of a given size, and counts what it got rid of."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        writer.transport.set_write_buffer_limits(high=0)
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % self.size)
        block = b"x" * 65536
        while self.sent < self.size:
            writer.write(block[: self.size - self.sent])
            await writer.drain()
            self.sent += len(block)
        await reader.read()


@every_engine
async def test_a_slow_consumer_stops_the_server() -> None:
    """A body nobody reads is not read from the socket either: 1 GiB is on offer, a few MiB at most leave the server."""
    source = Source(1024 * MIB)
    async with Server(source) as server, PooledTransport() as transport:
        response = await start(transport, server.origin)
        before = -1
        while before != source.sent:
            before = source.sent
            await turns(200)
        assert source.sent < 16 * MIB
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        largest = taken = 0
        async for chunk in stream:
            largest, taken = max(largest, len(chunk)), taken + len(chunk)
            if taken > 32 * MIB:
                break
        assert largest <= HIGH_WATER + 256 * 1024
        await response.aclose()
        assert transport.stats().open == 0


@every_engine
async def test_a_paused_body_is_read_to_its_end() -> None:
    """Pausing and resuming loses nothing, and the connection is used again afterwards."""
    source = Source(5 * MIB + 7)
    async with Server(source) as server, PooledTransport() as transport:
        response = await start(transport, server.origin)
        await turns(50)
        assert len(await response.aread()) == 5 * MIB + 7
        assert transport.stats().idle == 1


class Endless(httpx.AsyncByteStream):
    """A request body without end."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 65536
            yield b"z" * 65536


@every_engine
async def test_an_answer_before_the_body_was_sent_ends_the_sending() -> None:
    """A server that refuses an upload half-way is heard, though it reads no more; its connection is not kept."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(100_000)
        writer.write(answer(b"too much", status="413 Too Large"))
        await _never(reader, writer)

    async with Server(handler, limit=65536) as server, PooledTransport() as transport:
        response = await call(transport, server.origin, "POST", content=Endless())
        assert (response.status_code, response.content) == (413, b"too much")
        assert transport.stats().open == 0


@every_engine
async def test_nonsense_before_the_body_was_sent_ends_the_sending() -> None:
    """What is no answer, said while the body is under way, is an error at once, and costs the connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SPEAK FRIEND\r\n\r\n")
        await _never(reader, writer)

    async with Server(handler) as server, PooledTransport() as transport:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await call(transport, server.origin, "POST", content=Endless())
        assert not unsent(caught.value)
        assert transport.stats().open == 0


class Ending(httpx.AsyncByteStream):
    """A request body of one piece, which the server answers as it ends: only the kernel knows of the answer yet."""

    def __init__(self) -> None:
        self.peer: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"all"
        with await self.peer as peer:
            peer.setblocking(False)
            peer.send(answer(b"enough"))


@every_engine
async def test_an_answer_just_before_the_end_of_the_body_counts() -> None:
    """An answer that is there when the body ends is taken without sending the end."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"all\r\n")
        body.peer.set_result(socket.socket(fileno=writer.transport.get_extra_info("socket").dup().detach()))
        assert await reader.read() == b""

    body = Ending()
    async with Server(handler) as server, PooledTransport() as transport:
        assert (await call(transport, server.origin, "POST", content=body)).content == b"enough"
        assert transport.stats().open == 0


class Stalled(httpx.AsyncByteStream):
    """A request body of which no more than the beginning ever comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"beginning"
        await asyncio.get_running_loop().create_future()


@every_engine
@pytest.mark.parametrize("how", ["answer", "nonsense", "close", "abort"])
async def test_a_body_that_stalls_keeps_nothing_from_being_heard(how: str) -> None:
    """While the source of an upload gives nothing, an interim answer is passed over; an answer, or the end, is heard."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"beginning\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await turns(20)
        if how == "abort":
            writer.transport.abort()
        elif how != "close":
            writer.write(answer(b"too much", status="413 Too Large") if how == "answer" else b"SPEAK FRIEND\r\n\r\n")
            await _never(reader, writer)

    async with Server(handler) as server, PooledTransport() as transport:
        if how == "answer":
            response = await call(transport, server.origin, "POST", content=Stalled())
            assert (response.status_code, response.content) == (413, b"too much")
        else:
            with pytest.raises(httpx.TransportError) as caught:
                await call(transport, server.origin, "POST", content=Stalled())
            assert not unsent(caught.value)
        assert transport.stats().open == 0


@both_loops
async def test_closing_ends_a_body_that_stalls() -> None:
    """``aclose`` fails an upload whose source gives nothing, too."""
    async with Server(_never) as server:
        transport = PooledTransport()
        task = asyncio.create_task(call(transport, server.origin, "POST", content=Stalled()))
        await until(lambda: server.open == 1)
        await turns(10)
        await transport.aclose()
        with pytest.raises(httpx.WriteError):
            await task


@both_loops
async def test_a_time_limit_of_the_source_passes_through() -> None:
    """A ``TimeoutError`` that the caller's body raises is the caller's own, not the end of the sending."""

    class Late(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"
            raise TimeoutError("mine")

    async with Server(replies(answer())) as server, PooledTransport() as transport:
        with pytest.raises(TimeoutError, match="mine"):
            await call(transport, server.origin, "POST", content=Late())
        assert transport.stats().open == 0


@every_engine
async def test_an_answer_is_heard_though_the_server_closed_behind_it() -> None:
    """An early answer followed by a close is still the answer, not a broken pipe."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"no", "connection: close", status="401 Unauthorized"))
        writer.close()

    async with Server(handler) as server, PooledTransport() as transport:
        for _ in range(20):
            response = await call(transport, server.origin, "POST", content=Chunks([b"a" * 100] * 50))
            assert response.status_code == 401


@every_engine
async def test_an_interim_answer_does_not_end_the_sending() -> None:
    """100 Continue while the body is under way changes nothing."""
    bodies: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append((await read_request(reader))[1])
        writer.write(answer())
        await reader.read()

    async with Server(handler) as server, PooledTransport() as transport:
        response = await call(transport, server.origin, "POST", content=Chunks([b"ab"] * 30))
        assert response.content == b"ok"
        assert bodies == [b"ab" * 30]


@every_engine
async def test_a_server_that_takes_nothing_is_a_write_timeout() -> None:
    """An upload that the server does not take ends after the write limit, and the body is not all read into memory."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _never(reader, writer)

    body = Endless()
    async with Server(handler, limit=1024) as server, PooledTransport() as transport:
        with pytest.raises(httpx.WriteTimeout, match=r"0\.05 s") as caught:
            await call(transport, server.origin, "POST", content=body, write=0.05)
        assert not unsent(caught.value)
        assert body.sent < 64 * MIB
        assert transport.stats().open == 0


@every_engine
async def test_a_slow_server_gets_the_whole_body() -> None:
    """Writing pauses while the server's window is full and goes on when it reads again."""
    go = asyncio.Event()
    got: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        got.append(len((await read_request(reader))[1]))
        writer.write(answer())
        await reader.read()

    async with Server(handler, limit=1024) as server, PooledTransport() as transport:
        task = asyncio.create_task(call(transport, server.origin, "POST", content=b"x" * (16 * MIB), write=60))
        await turns(300)
        go.set()
        assert (await task).content == b"ok"
        assert got == [16 * MIB]
        assert transport.stats().idle == 1


@every_engine
async def test_an_answer_is_heard_while_writing_is_paused() -> None:
    """A server that answers instead of reading is heard although the upload is stuck."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await turns(500)
        writer.write(answer(b"stop", status="413 Too Large"))
        await _never(reader, writer)

    async with Server(handler, limit=1024) as server, PooledTransport() as transport:
        response = await call(transport, server.origin, "POST", content=b"x" * (16 * MIB))
        assert response.status_code == 413
        assert transport.stats().open == 0


@every_engine
async def test_a_connection_that_breaks_under_an_upload_is_an_error() -> None:
    """A reset in the middle of an upload is a transport error that does not claim to be unsent."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(200_000)
        writer.transport.abort()

    async with Server(handler) as server, PooledTransport() as transport:
        for body in (Endless(), b"x" * (16 * MIB)):
            with pytest.raises(httpx.TransportError) as caught:
                await call(transport, server.origin, "POST", content=body)
            assert isinstance(caught.value, httpx.WriteError | httpx.ReadError | httpx.RemoteProtocolError)
            assert not unsent(caught.value)
            assert transport.stats().open == 0


@every_engine
async def test_a_reset_instead_of_an_answer_is_a_read_error() -> None:
    """A connection that is reset while the answer is awaited is a ReadError with the operating system's cause."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with Server(handler) as server, PooledTransport() as transport:
        with pytest.raises(httpx.ReadError, match="broke") as caught:
            await call(transport, server.origin)
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert not unsent(caught.value)


@every_engine
async def test_silence_is_a_read_timeout() -> None:
    """A server that says nothing, before its answer or within it, ends the exchange after the read limit."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
        await _never(reader, writer)

    async with Server(_never) as mute, Server(handler) as slow, PooledTransport() as transport:
        with pytest.raises(httpx.ReadTimeout, match=r"0\.02 s") as caught:
            await call(transport, mute.origin, read=0.02)
        assert not unsent(caught.value)
        with pytest.raises(httpx.ReadTimeout):
            await call(transport, slow.origin, read=0.02)
        assert transport.stats().open == 0


@every_engine
@pytest.mark.parametrize("body", [b"four", Chunks([b"toolong"])], ids=["short", "long"])
async def test_a_body_of_another_length_is_refused(body: bytes | Chunks) -> None:
    """A body that is not as long as its head says is the caller's error, and the connection is gone."""

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with Server(handler) as server, PooledTransport() as transport:
        request = httpx.Request("POST", server.origin, headers={"content-length": "5"})
        request.stream = httpx.ByteStream(body) if isinstance(body, bytes) else body
        with pytest.raises(httpx.LocalProtocolError, match="length") as caught:
            await transport.handle_async_request(request)
        assert unsent(caught.value) is isinstance(body, bytes)
        assert caught.value.__context__ is None
        assert transport.stats().open == 0


@every_engine
async def test_the_callers_own_failure_passes_through() -> None:
    """What the caller's body iterator raises reaches the caller as it is, and the connection is gone."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"
            raise KeyError("mine")

    async with Server(replies(answer())) as server, PooledTransport() as transport:
        with pytest.raises(KeyError, match="mine") as caught:
            await call(transport, server.origin, "POST", content=Broken())
        assert not unsent(caught.value)
        assert transport.stats().open == 0


@every_engine
async def test_a_body_closed_early_costs_its_connection_unless_the_rest_is_here() -> None:
    """A half-read body is aborted; one whose rest has already arrived, or was read, gives its connection back."""
    rest = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
            await rest.wait()
            writer.write(b"cd")

    async with Server(handler) as server, PooledTransport() as transport:
        await (await start(transport, server.origin)).aclose()
        assert transport.stats().open == 0
        response = await start(transport, server.origin)
        rest.set()
        await turns(10)
        await response.aclose()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        await response.stream.aclose()
        assert transport.stats().idle == 1


@every_engine
async def test_a_broken_rest_of_a_closed_body_does_not_matter() -> None:
    """Closing a body early raises nothing, not even when its rest is nonsense."""
    rest = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await rest.wait()
        writer.write(b"nonsense\r\n")
        await reader.read()

    async with Server(handler) as server, PooledTransport() as transport:
        response = await start(transport, server.origin)
        rest.set()
        await turns(10)
        await response.aclose()
        assert transport.stats().open == 0


@every_engine
async def test_a_closed_answer_never_looks_complete() -> None:
    """Closing an answer that is being read, or was read in part, makes reading on an error, not a shorter body."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await reader.read()

    async with Server(handler) as server, PooledTransport() as transport:
        stream = (await start(transport, server.origin)).stream
        assert isinstance(stream, httpx.AsyncByteStream)
        chunks = aiter(stream)
        assert await anext(chunks) == b"ab"
        reader = asyncio.ensure_future(anext(chunks))
        await turns(3)
        await stream.aclose()
        with pytest.raises(httpx.ReadError, match="closed before"):
            await reader
        with pytest.raises(httpx.ReadError, match="closed before"):
            await anext(chunks)
        assert transport.stats().open == 0


@every_engine
async def test_a_whole_answer_may_be_closed_and_ends_properly() -> None:
    """A streamed body that was read to its end ends once and for all, closed or not."""
    async with Server(Source(MIB)) as server, PooledTransport() as transport:
        stream = (await start(transport, server.origin)).stream
        assert isinstance(stream, httpx.AsyncByteStream)
        assert sum([len(chunk) async for chunk in stream]) == MIB
        await stream.aclose()
        assert [chunk async for chunk in stream] == []
        assert transport.stats().idle == 1


@every_engine
async def test_an_answer_that_nobody_closes_gives_its_slot_back() -> None:
    """A streaming answer that is dropped without being closed does not cost a slot for ever."""
    async with Server(Source(8 * MIB)) as server, PooledTransport(max_connections=1) as transport:
        response: httpx.Response | None = await start(transport, server.origin)
        assert response is not None
        assert transport.stats().open == 1
        response = None
        gc.collect()
        await until(lambda: transport.stats().open == 0)


def test_an_answer_that_outlives_its_loop_is_dropped_quietly() -> None:
    """Collecting an unread answer after its loop was closed does nothing, and says nothing."""

    async def leave_one() -> httpx.Response:
        async with Server(Source(8 * MIB)) as server, PooledTransport() as transport:
            return await start(transport, server.origin)

    with asyncio.Runner() as runner:
        response: httpx.Response | None = runner.run(leave_one())
    assert response is not None
    response = None
    gc.collect()
