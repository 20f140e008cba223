"""The pool: reuse, order, limits, expiry, and its accounts.

Both engines share the one class ``Pool``, which asks a framing nothing but whether another exchange may follow. So its
rules are proved on one of them, and on both (``every_engine``) what hangs on how bytes are read.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from monite_async._http.transport import PooledTransport, PoolStats, TransportClosedError, unsent
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


class Gate:
    """A server whose answers wait until the test lets them out; the answer tells which request it was."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.permits = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while True:
            head, _ = await read_request(reader)
            path = head.split(b" ")[1]
            self.order.append(path)
            while not self.permits:
                if reader.at_eof():
                    return
                await asyncio.sleep(0)
            self.permits -= 1
            writer.write(answer(path))


@pytest.mark.parametrize("limit", ["max_connections", "keepalive_expiry", "connect_timeout", "max_head_bytes"])
def test_limits_must_be_positive(limit: str) -> None:
    """A limit of zero is refused at once, where it was written."""
    limits: dict[str, Any] = {limit: 0}
    with pytest.raises(ValueError, match="positive"):
        PooledTransport(**limits)


@both_loops
async def test_the_last_used_connection_is_used_first() -> None:
    """After a burst, calls in sequence use one connection (LIFO), so that the others can grow old."""
    gate = Gate()
    async with Server(gate) as server, PooledTransport(keepalive_expiry=60) as transport:
        burst = [asyncio.create_task(call(transport, server.origin)) for _ in range(5)]
        await until(lambda: len(gate.order) == 5)
        gate.permits += 25
        await asyncio.gather(*burst)
        idle = next(iter(transport.native.pools.values()))._idle
        (connections,) = idle.values()
        before = {each: each.idle_since for each in connections}
        for _ in range(20):
            await call(transport, server.origin)
        assert [each.idle_since == before[each] for each in connections] == [True] * 4 + [False]
        assert transport.stats() == PoolStats(open=5, idle=5, waiting=0, opened=5)


@both_loops
async def test_who_waits_is_served_in_order() -> None:
    """At the limit, requests are served first come, first served, over the one connection there is."""
    gate = Gate()
    async with Server(gate) as server, PooledTransport(max_connections=1) as transport:
        calls: list[asyncio.Task[httpx.Response]] = []
        for number in range(10):
            calls.append(asyncio.create_task(call(transport, f"{server.origin}/{number}")))
            await asyncio.sleep(0)
        await until(lambda: transport.stats().waiting == 9)
        gate.permits += len(calls)
        answers = await asyncio.gather(*calls)
        assert [each.content for each in answers] == [b"/%d" % number for number in range(10)]
        assert gate.order == [b"/%d" % number for number in range(10)]
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=1)


@both_loops
async def test_a_newcomer_does_not_overtake() -> None:
    """A connection that becomes free goes straight to the first in line, not to who asks in that moment."""
    gate = Gate()
    async with Server(gate) as server, PooledTransport(max_connections=1) as transport:

        async def twice(name: str) -> None:
            await call(transport, f"{server.origin}/{name}1")
            await call(transport, f"{server.origin}/{name}2")

        tasks = [asyncio.create_task(twice("a"))]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(twice("b")))
        gate.permits += 4
        await asyncio.gather(*tasks)
        assert gate.order == [b"/a1", b"/b1", b"/a2", b"/b2"]


@both_loops
async def test_no_free_connection_in_time_is_a_pool_timeout() -> None:
    """Waiting in line ends after the pool limit; the request is unsent and the line is as it was."""
    gate = Gate()
    async with Server(gate) as server, PooledTransport(max_connections=1) as transport:
        first = asyncio.create_task(call(transport, server.origin))
        await until(lambda: len(gate.order) == 1)
        with pytest.raises(httpx.PoolTimeout, match=r"0\.01 s") as caught:
            await call(transport, server.origin, pool=0.01)
        assert unsent(caught.value)
        assert transport.stats() == PoolStats(open=1, idle=0, waiting=0, opened=1)
        gate.permits += 1
        await first


@both_loops
async def test_another_origins_idle_connection_makes_room() -> None:
    """The limit is one for all origins: an idle connection elsewhere is closed for a request that needs its slot."""
    async with (
        Server(replies(answer(b"a"))) as one,
        Server(replies(answer(b"b"))) as two,
        PooledTransport(max_connections=1) as transport,
    ):
        for _ in range(3):
            assert (await call(transport, one.origin)).content == b"a"
            assert (await call(transport, two.origin)).content == b"b"
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=6)


@both_loops
async def test_a_freed_connection_gives_its_slot_to_a_waiter_for_elsewhere() -> None:
    """The first in line is served first even when the connection that became free is not of use to it."""
    gate = Gate()
    async with (
        Server(gate) as one,
        Server(replies(answer(b"b"))) as two,
        PooledTransport(max_connections=1) as transport,
    ):
        first = asyncio.create_task(call(transport, one.origin))
        await until(lambda: len(gate.order) == 1)
        second = asyncio.create_task(call(transport, two.origin))
        await until(lambda: transport.stats().waiting == 1)
        gate.permits += 1
        assert (await second).content == b"b"
        await first
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=2)


@both_loops
async def test_idle_connections_are_closed_after_their_time() -> None:
    """One timer closes what is idle for too long, stays while anything is idle, and is gone afterwards."""
    async with Server(replies(answer())) as server, PooledTransport(keepalive_expiry=0.05) as transport:
        await asyncio.gather(*[call(transport, server.origin) for _ in range(3)])
        (pool,) = transport.native.pools.values()
        (idle,) = pool._idle.values()
        next(reversed(idle)).idle_since += 0.03
        await until(lambda: transport.stats().open == 1)
        assert pool._reaper is not None
        await until(lambda: transport.stats().open == 0)
        assert pool._reaper is None
        await until(lambda: server.open == 0)


@both_loops
async def test_the_timer_waits_for_the_oldest_of_all_origins() -> None:
    """With several origins the timer comes back for the one that expires first."""
    async with (
        Server(replies(answer())) as one,
        Server(replies(answer())) as two,
        PooledTransport(keepalive_expiry=60) as transport,
    ):
        await call(transport, one.origin)
        await call(transport, two.origin)
        (pool,) = transport.native.pools.values()
        assert pool._reaper is not None
        pool._reaper.cancel()
        pool._reap()
        oldest = min(each.idle_since for idle in pool._idle.values() for each in idle)
        assert abs(pool._reaper.when() - (oldest + 60)) < 0.01
        assert transport.stats().idle == 2


@both_loops
async def test_a_connection_past_its_time_is_not_used() -> None:
    """Where the loop was held up past the expiry, an old connection is replaced, not used."""
    async with Server(replies(answer())) as server, PooledTransport(keepalive_expiry=60) as transport:
        await call(transport, server.origin)
        (pool,) = transport.native.pools.values()
        (connection,) = pool._all
        connection.idle_since -= 61
        await call(transport, server.origin)
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=2)


@every_engine
async def test_a_connection_closed_while_idle_leaves_the_pool() -> None:
    """A server that closes an idle connection, or speaks unasked, takes it out of the pool by itself."""
    writers: list[asyncio.StreamWriter] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await replies(answer())(reader, writer)

    async with Server(handler) as server, PooledTransport() as transport:
        for farewell in (b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
            await call(transport, server.origin)
            assert transport.stats().idle == 1
            writer = writers[-1]
            if farewell:
                writer.write(farewell)
            else:
                writer.close()
            await until(lambda: transport.stats().open == 0)


@every_engine
async def test_a_server_that_closes_after_the_request_is_not_unsent() -> None:
    """Once a request was written, a close without an answer is an error that does not claim to be unsent."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        await read_request(reader)
        writer.close()

    async with Server(handler) as server, PooledTransport() as transport:
        await call(transport, server.origin)
        with pytest.raises(httpx.RemoteProtocolError, match="without an answer") as caught:
            await call(transport, server.origin)
        assert not unsent(caught.value)
        assert server.accepted == 1


@both_loops
async def test_a_thousand_waiters_need_no_thousand_connections() -> None:
    """A burst far above the limit is served over the limit's connections, with nothing left over."""
    async with Server(replies(answer())) as server, PooledTransport(max_connections=7) as transport:
        await asyncio.gather(*[call(transport, server.origin) for _ in range(300)])
        assert transport.stats() == PoolStats(open=7, idle=7, waiting=0, opened=7)
        assert server.accepted == 7


@both_loops
async def test_closing_fails_everyone_and_leaves_nothing() -> None:
    """``aclose`` ends waiters and exchanges at once, may be repeated, and nothing can be sent afterwards."""
    gate = Gate()
    async with Server(gate) as server:
        transport = PooledTransport(max_connections=1)
        first = asyncio.create_task(call(transport, server.origin))
        await until(lambda: len(gate.order) == 1)
        second = asyncio.create_task(call(transport, server.origin))
        third = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 2)
        third.cancel()
        await transport.aclose()
        broken, refused, _ = await asyncio.gather(first, second, third, return_exceptions=True)
        assert isinstance(broken, httpx.ReadError)
        assert not unsent(broken)
        assert isinstance(refused, TransportClosedError)
        assert unsent(refused)
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed") as caught:
            await call(transport, server.origin)
        assert unsent(caught.value)
        assert transport.stats() == PoolStats(0, 0, 0, 0)
        await until(lambda: server.open == 0)


@both_loops
async def test_closing_while_a_connection_is_made_closes_that_too() -> None:
    """A connection that is finished after ``aclose`` is closed, and its request was not sent."""
    async with Server(replies(answer())) as server:
        for ticks in range(6):
            transport = PooledTransport()
            task = asyncio.create_task(call(transport, server.origin))
            await turns(ticks)
            await transport.aclose()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, httpx.TransportError)
        await until(lambda: server.open == 0)


@both_loops
async def test_an_answer_read_after_closing_is_an_error_and_releases_nothing() -> None:
    """A body still streaming when the transport closes breaks; one already complete stays readable."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await reader.read()

    async with Server(handler) as server, Server(replies(answer(b"whole"))) as other:
        transport = PooledTransport()
        broken, whole = await start(transport, server.origin), await start(transport, other.origin)
        await transport.aclose()
        with pytest.raises(httpx.ReadError):
            await broken.aread()
        assert await whole.aread() == b"whole"
        assert transport.stats().open == 0


@both_loops
async def test_bad_requests_never_reach_the_pool() -> None:
    """An unknown scheme, a missing host, an illegal header and a synchronous body fail before anything is opened."""
    async with PooledTransport() as transport:
        for url in ("ftp://example.com/", "/relative", "http:///nowhere"):
            with pytest.raises(httpx.UnsupportedProtocol) as caught:
                await call(transport, url)
            assert unsent(caught.value)
        with pytest.raises(httpx.LocalProtocolError, match="does not allow") as illegal:
            await call(transport, "http://127.0.0.1:9/", headers={"authorization": "Bearer s3cr3t\n"})
        assert unsent(illegal.value)
        assert illegal.value.__context__ is None
        assert "s3cr3t" not in repr(illegal.value)
        request = httpx.Request("POST", "http://127.0.0.1:9/", content=iter([b"x"]))
        with pytest.raises(TypeError, match="synchronous"):
            await transport.handle_async_request(request)
        assert transport.stats() == PoolStats(0, 0, 0, 0)


@both_loops
async def test_it_serves_an_httpx_client() -> None:
    """It stands behind ``httpx.AsyncClient`` like httpx's own transport: redirects, streams and uploads work."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            if head.startswith(b"GET /old"):
                writer.write(answer(b"", "location: /new", status="302 Found"))
            else:
                writer.write(answer(head.split(b" ")[1] + body))

    async with Server(handler) as server, httpx.AsyncClient(transport=PooledTransport()) as client:
        assert (await client.get(f"{server.origin}/old", follow_redirects=True)).content == b"/new"
        assert (await client.post(f"{server.origin}/up", json={"a": 1})).content == b'/up{"a":1}'
        async with client.stream("GET", f"{server.origin}/s") as response:
            assert [part async for part in response.aiter_bytes()] == [b"/s"]
        assert (await client.put(server.origin, content=Chunks([b"x"] * 3))).content == b"/xxx"
        assert server.accepted == 1
