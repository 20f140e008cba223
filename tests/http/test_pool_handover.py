"""A connection that changes hands: who gets it when callers give up in that moment, and what it must not bring along."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import trustme

from monite_async._http import pool as pool_module
from monite_async._http.transport import PooledTransport, PoolStats
from tests.http._others import client_side, server_side
from tests.http._servers import (
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


class Half:
    """A server that sends one half of its first answer, and the other when told; later answers are whole."""

    def __init__(self) -> None:
        self.rest = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await self.rest.wait()
        writer.write(b"cd")
        await replies(answer(b"whole"))(reader, writer)

    async def begin(self, transport: PooledTransport, url: str, *, finish: bool) -> httpx.Response:
        """Return an unread answer: closing it gives its connection on (finish) or just its slot, in the same turn."""
        self.rest.clear()
        response = await start(transport, url)
        if finish:
            self.rest.set()
            await turns(20)
        return response


KEEP = pytest.mark.parametrize("keep", [True, False], ids=["connection", "slot"])


@both_loops
@KEEP
async def test_a_waiter_cancelled_as_it_is_served_passes_it_on(keep: bool) -> None:
    """A connection, or a slot, handed to a request that is cancelled in that very moment goes to the next in line."""
    half = Half()
    async with Server(half) as server, PooledTransport(max_connections=1) as transport:
        response = await half.begin(transport, server.origin, finish=keep)
        second, third = [asyncio.create_task(call(transport, server.origin)) for _ in range(2)]
        await until(lambda: transport.stats().waiting == 2)
        await response.aclose()
        assert transport.stats().waiting == 1
        second.cancel()
        half.rest.set()
        assert (await third).status_code == 200
        assert second.cancelled()
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=1 if keep else 2)


@pytest.mark.parametrize("gap", [0, 1])  # the loops read at different moments of a turn
@every_engine
async def test_bytes_that_arrive_while_a_connection_is_handed_on_are_no_answer(gap: int) -> None:
    """What follows an answer late, as its connection goes to the next in line, is never taken for that one's answer."""
    half, writers = Half(), list[asyncio.StreamWriter]()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await half(reader, writer)

    async with Server(handler) as server, PooledTransport(max_connections=1) as transport:
        response = await start(transport, server.origin)
        server.handler = replies(answer(b"honest"))
        second = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 1)
        half.rest.set()
        await turns(20)
        writers[0].write(answer(b"forged"))
        await turns(gap)
        await response.aclose()
        assert (await second).content == b"honest"


@every_engine
async def test_bytes_that_tls_holds_back_are_no_answer_either() -> None:
    """What follows a large answer while nobody reads it is not delivered to the next request once somebody does."""
    authority = trustme.CA()
    writers = list[asyncio.StreamWriter]()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n")
        for size in (60_000, 10_000):
            writer.write(b"x" * size)
            await turns(50)
        await replies(answer(b"honest"))(reader, writer)

    tls = server_side(authority.issue_cert("127.0.0.1"))
    async with Server(handler, tls=tls) as server, PooledTransport(ssl_context=client_side(authority)) as transport:
        response = await start(transport, server.origin)
        (connection,) = next(iter(transport.native.pools.values()))._all
        await until(lambda: connection.framing.complete)
        server.handler = replies(answer(b"honest"))
        writers[0].write(answer(b"forged"))
        await turns(50)
        await response.aclose()
        assert (await call(transport, server.origin)).content == b"honest"


@both_loops
@KEEP
async def test_the_last_waiter_cancelled_as_it_is_served_leaves_the_pool_clean(keep: bool) -> None:
    """With nobody behind it, the connection that a cancelled waiter was given is kept idle, and a slot lapses."""
    half = Half()
    async with Server(half) as server, PooledTransport(max_connections=1) as transport:
        response = await half.begin(transport, server.origin, finish=keep)
        second = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 1)
        await response.aclose()
        second.cancel()
        await asyncio.wait([second])
        assert second.cancelled()
        assert transport.stats().open == transport.stats().idle == int(keep)


@both_loops
async def test_a_waiter_cancelled_as_the_pool_closes_gives_nothing_back() -> None:
    """A connection handed over in the moment in which the pool closes is not offered to anyone."""
    half = Half()
    async with Server(half) as server:
        transport = PooledTransport(max_connections=1)
        response = await half.begin(transport, server.origin, finish=True)
        second = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 1)
        (pool,) = transport.native.pools.values()
        await response.aclose()
        pool.close()
        second.cancel()
        await asyncio.wait([second])
        assert second.cancelled()
        assert pool.stats() == PoolStats(open=0, idle=0, waiting=0, opened=1)
        await transport.aclose()


@both_loops
async def test_a_limit_that_passes_as_the_waiter_is_served_changes_nothing() -> None:
    """A pool limit that runs out in the moment in which a connection is handed over takes nothing back."""
    half = Half()
    async with Server(half) as server, PooledTransport(max_connections=1) as transport:
        response = await half.begin(transport, server.origin, finish=True)
        second = asyncio.create_task(call(transport, server.origin, pool=30))
        await until(lambda: transport.stats().waiting == 1)
        (pool,) = transport.native.pools.values()
        (waiter,) = pool._waiters
        await response.aclose()
        pool_module._expire(waiter, 30)
        assert (await second).content == b"whole"


@both_loops
@KEEP
async def test_waiters_that_gave_up_are_passed_over(keep: bool) -> None:
    """Waiters cancelled but still in line swallow neither a connection nor a slot."""
    half = Half()
    async with Server(half) as server, PooledTransport(max_connections=1) as transport:
        response = await half.begin(transport, server.origin, finish=keep)
        quitters = [asyncio.create_task(call(transport, server.origin)) for _ in range(3)]
        last = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 4)
        for each in quitters:
            each.cancel()
        await response.aclose()
        assert transport.stats().waiting == 0
        half.rest.set()
        assert (await last).status_code == 200
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=1 if keep else 2)


@both_loops
@KEEP
async def test_a_line_of_only_quitters_ends_in_a_clean_pool(keep: bool) -> None:
    """When everyone in line gave up, a connection goes idle and a slot lapses."""
    half = Half()
    async with Server(half) as server, PooledTransport(max_connections=1) as transport:
        response = await half.begin(transport, server.origin, finish=keep)
        quitter = asyncio.create_task(call(transport, server.origin))
        await until(lambda: transport.stats().waiting == 1)
        quitter.cancel()
        await response.aclose()
        assert transport.stats().open == transport.stats().idle == int(keep)
        await asyncio.wait([quitter])
