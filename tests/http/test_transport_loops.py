"""One transport over several loops, threads and processes.

On one engine: loops, threads and forks are the business of ``Native`` and ``Pool``, which both engines share; a framing
belongs to one connection of one loop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from monite_async._http import limits, native, tls
from monite_async._http import pool as pools
from monite_async._http.transport import PooledTransport, PoolStats, TransportClosedError
from tests.http._servers import (
    LOOPS,
    Factory,
    Server,
    answer,
    both_loops,
    call,
    replies,
    server_thread,
    sockets,
    start,
    until,
)

on_both_loops = pytest.mark.parametrize("factory", list(LOOPS.values()), ids=list(LOOPS))


@on_both_loops
def test_one_transport_outlives_its_loops(factory: Factory) -> None:
    """Run after run works with one transport that nobody closes: no warning, no socket left when a loop ends."""
    before = sockets()
    transport = PooledTransport()

    async def some(origin: str) -> PoolStats:
        await asyncio.gather(*[call(transport, origin) for _ in range(5)])
        return transport.stats()

    with server_thread() as (server, _):
        for _ in range(3):
            with asyncio.Runner(loop_factory=factory) as runner:
                stats = runner.run(some(server.origin))
            assert stats.open == stats.idle == stats.opened == 5
            gc.collect()
    assert sockets() <= before
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(_stats(transport)) == PoolStats(0, 0, 0, 0)


async def _stats(transport: PooledTransport) -> PoolStats:
    return transport.stats()


@on_both_loops
def test_a_loop_that_ends_with_calls_under_way_leaves_nothing(factory: Factory) -> None:
    """A run that ends in the middle of calls and unread answers closes their connections too."""
    before = sockets()
    transport = PooledTransport()

    async def leave(origin: str) -> None:
        tasks = [asyncio.create_task(call(transport, origin)) for _ in range(5)]
        await until(lambda: transport.stats().opened > 0)
        assert tasks

    with server_thread() as (server, _), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(leave(server.origin))
    gc.collect()
    assert sockets() <= before


@on_both_loops
def test_four_live_loops_share_a_transport(factory: Factory) -> None:
    """Four threads with a loop each use one transport at once; each loop has connections of its own."""
    transport = PooledTransport(max_connections=3)
    together = threading.Barrier(4)

    async def work(origin: str) -> PoolStats:
        for _ in range(10):
            await asyncio.gather(*[call(transport, origin) for _ in range(8)])
        together.wait()
        return transport.stats()

    def run(origin: str) -> PoolStats:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work(origin))

    with server_thread() as (server, _), ThreadPoolExecutor(4) as threads:
        found = list(threads.map(run, [server.origin] * 4))
        assert found == [PoolStats(open=3, idle=3, waiting=0, opened=3)] * 4
        assert server.accepted == 12


@on_both_loops
def test_closing_reaches_the_connections_of_other_loops(factory: Factory) -> None:
    """``aclose`` in one loop closes the connections of the others, where their calls then fail cleanly."""
    transport = PooledTransport()
    connected, closed = threading.Event(), threading.Event()
    stats: list[PoolStats] = []

    async def other(origin: str) -> None:
        await call(transport, origin)
        (pool,) = transport.native.pools.values()
        connected.set()
        await until(closed.is_set)
        await until(lambda: pool.closed)
        stats.append(pool.stats())
        with pytest.raises(TransportClosedError):
            await call(transport, origin)

    with server_thread() as (server, _):
        thread = threading.Thread(target=asyncio.run, args=(other(server.origin),))
        thread.start()
        connected.wait()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(transport.aclose())
        closed.set()
        thread.join()
    assert stats == [PoolStats(open=0, idle=0, waiting=0, opened=1)]


def _abrupt(factory: Factory, transport: PooledTransport, origin: str) -> None:
    """Use a loop and close it without the farewell that ``asyncio.run`` gives its generators."""
    loop = factory()
    loop.run_until_complete(call(transport, origin))
    loop.close()


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")
@on_both_loops
@pytest.mark.parametrize("how", ["next use", "aclose"])
def test_a_loop_closed_without_farewell_costs_no_socket(factory: Factory, how: str) -> None:
    """The sockets of a loop that was just closed are closed at the transport's next use, or with it."""
    before = sockets()
    transport = PooledTransport()
    with server_thread() as (server, _):
        _abrupt(factory, transport, server.origin)
        with asyncio.Runner(loop_factory=factory) as runner:
            if how == "next use":
                runner.run(call(transport, server.origin))
                assert len(transport.native.pools) == 1
            runner.run(transport.aclose())
        gc.collect()
    assert sockets() <= before


@both_loops
async def test_a_call_made_while_the_loop_ends_works_and_leaves_nothing() -> None:
    """Once a loop has told its generators to finish, calls still work, on connections that nobody keeps."""
    async with Server(replies(answer())) as server:
        transport = PooledTransport()
        await call(transport, server.origin)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await until(lambda: server.open == 0)
        for _ in range(2):
            assert (await start(transport, server.origin)).status_code == 200  # httpx would read it with a generator
        assert transport.stats() == PoolStats(open=0, idle=0, waiting=0, opened=2)
        await transport.aclose()
        await until(lambda: server.open == 0)


# Python 3.12 warns of forks beside threads; the child here does little, and that is what users do, too.
FORK = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@FORK
@on_both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_a_forked_child_leaves_the_parents_connections_alone(factory: Factory, tls: bool) -> None:
    """After a fork both go on: the child on new connections, the parent on its old one, over TCP and TLS alike."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cast("Any", certificate).configure_cert(server_side)
    client_side = ssl.create_default_context()
    cast("Any", authority).configure_trust(client_side)
    transport = PooledTransport(ssl_context=client_side)

    async def get(origin: str) -> bytes:
        return (await call(transport, origin)).content

    with server_thread(server_side if tls else None) as (server, _), asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(get(server.origin)) == b"1"
        child = os.fork()
        if child == 0:
            os._exit(_in_child(factory, transport, server.origin))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(get(server.origin)) == b"3"
        assert server.accepted == 2
        runner.run(transport.aclose())


def _in_child(factory: Factory, transport: PooledTransport, origin: str) -> int:
    """Use the transport in the child; the exit status tells what went wrong."""
    try:
        orphans = len(pools._ORPHANS)
        asyncio._set_running_loop(None)
        with asyncio.Runner(loop_factory=factory) as runner:
            content = runner.run(call(transport, origin)).content
        gc.collect()
        return 0 if (content, orphans) == (b"2", 1) else 2
    except BaseException:
        return 3


@FORK
def test_locks_that_other_threads_held_do_not_stop_a_forked_child() -> None:
    """Where a thread makes a TLS context or a client as another forks, the child makes its own all the same."""
    with tls._lock, limits._learning._lock:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)  # a child that waits for a lock waits for ever
            os._exit(_makes_its_own())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_contexts_are_forgotten_after_a_fork_but_not_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child does about contexts: it keeps the old ones, which may be in use, and uses them no more."""
    context = ssl.create_default_context()
    monkeypatch.setattr(tls, "_lock", tls._lock)
    monkeypatch.setattr(tls, "_contexts", {(True, False): context})
    monkeypatch.setattr(tls, "_ORPHANS", [])
    tls._forked()  # in this very process, which plays the child
    assert (tls._contexts, tls._ORPHANS) == ({}, [{(True, False): context}])


def _makes_its_own() -> int:
    """Make what every process makes once; the exit status tells what went wrong."""
    try:
        before = dict(tls._contexts)
        asyncio._set_running_loop(None)
        with asyncio.Runner() as runner:
            context = runner.run(tls.default_context())
        limits.learning_limiter(("https://api.monite.test", "child"))
        return 2 if before or context.verify_mode != ssl.CERT_REQUIRED else 0
    except BaseException:
        return 3


@FORK
def test_a_forked_child_holds_no_descriptor_of_the_parents_connections() -> None:
    """The child's copies of the parent's sockets are closed, so that the server sees the parent's close at once."""
    transport = PooledTransport()
    with server_thread() as (server, loop), asyncio.Runner() as runner:
        runner.run(call(transport, server.origin))
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # lives until the parent lets go
            os._exit(0)
        os.close(reader)
        runner.run(transport.aclose())
        closed = asyncio.run_coroutine_threadsafe(until(lambda: server.open == 0), loop)
        closed.result(timeout=30)
        os.close(writer)
        os.waitpid(child, 0)


def test_a_program_that_never_closes_its_transport_ends_in_silence() -> None:
    """With every warning an error, ``asyncio.run`` around an unclosed transport ends at once and says nothing."""
    program = (
        "import asyncio, gc, sys, httpx\n"
        "from monite_async._http.transport import PooledTransport\n"
        "async def main():\n"
        "    asyncio.get_running_loop().slow_callback_duration = 60\n"  # -X dev tells of the machine, too
        "    transport = PooledTransport()\n"
        "    client = httpx.AsyncClient(transport=transport)\n"
        "    await asyncio.gather(*[client.get(sys.argv[1]) for _ in range(3)])\n"
        "asyncio.run(main())\n"
        "gc.collect()\n"
    )
    with server_thread() as (server, _):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", program, server.origin],
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")


def test_letting_go_after_a_fork_shuts_nothing_down() -> None:
    """What a child does to its copies cannot be seen at the other end: the parent's session stays open."""
    transport = PooledTransport()
    with server_thread() as (server, _), asyncio.Runner() as runner:
        runner.run(call(transport, server.origin))
        (pool,) = transport.native.pools.values()
        (connection,) = pool._all
        number = connection.sock.fileno()
        with connection.sock.dup() as parents:
            native._forked()  # in this very process, which plays the child
            assert Path(f"/proc/self/fd/{number}").readlink() == Path(os.devnull)
            parents.setblocking(True)
            parents.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert parents.recv(100).startswith(b"HTTP/1.1 200")
            assert pools._ORPHANS[-1] is connection
        assert runner.run(call(transport, server.origin)).content == b"3"
        runner.run(transport.aclose())
