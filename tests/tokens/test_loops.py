"""One cache in several event loops and threads, one after another and at once, and after a fork (T11, T12)."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop

from monite_async._tokens.cache import TokenCache
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async_stores import MemoryTokenStore
from tests.tokens.world import PARTNER, SECRET

Loops = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, Loops] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Slow:
    """An issuer on real time, safe to use from several threads."""

    def __init__(self, latency: float = 0.1) -> None:
        self.latency = latency
        self.lock = threading.Lock()
        self.posts = 0

    async def secret(self, *, refresh: bool = False) -> bytes:
        return SECRET

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        with self.lock:
            self.posts += 1
            number = self.posts
        await asyncio.sleep(self.latency)
        return IssuedToken(f"Bearer token-{number:06d}-0123456789".encode(), 1800.0)

    async def revoke(self, token: str, *, timeout: float) -> None:
        await asyncio.sleep(self.latency)


async def crowd(cache: TokenCache, size: int) -> Counter[int]:
    """Ask `size` times at once; return how many got which generation."""
    return Counter(token.gen for token in await asyncio.gather(*(cache.get(PARTNER) for _ in range(size))))


def run_in(factory: Loops, main: Any) -> Any:
    """Run in a new loop of this kind, and fail on anything that it reports."""
    troubles: list[Any] = []

    def note(_: object, context: Any) -> None:
        troubles.append(context)

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(note)
        return await main

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(watched())
    gc.collect()
    assert not troubles, troubles
    return result


@pytest.mark.parametrize("kind", LOOPS)
def test_two_loops_one_after_another(kind: str) -> None:
    """A second ``asyncio.run`` uses the token of the first: no lock or future belongs to a dead loop."""
    issuer = Slow()
    cache = TokenCache(MemoryTokenStore(), issuer)
    first = run_in(LOOPS[kind], crowd(cache, 50))
    second = run_in(LOOPS[kind], crowd(cache, 50))
    assert first == second
    assert issuer.posts == 1


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("loops", [2, 4])
def test_several_live_loops_share_one_request(kind: str, loops: int) -> None:
    """Loops in different threads get one token between them."""
    issuer = Slow(0.2)
    cache = TokenCache(MemoryTokenStore(), issuer)
    barrier = threading.Barrier(loops)

    def work(_: int) -> Counter[int]:
        barrier.wait()
        gens: Counter[int] = run_in(LOOPS[kind], crowd(cache, 500))
        return gens

    with ThreadPoolExecutor(loops) as pool:
        results = list(pool.map(work, range(loops)))
    assert all(result == results[0] and sum(result.values()) == 500 for result in results)
    assert issuer.posts == 1


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_closed_under_its_flight_delays_others_by_a_lease_at_most(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The followers of a loop that died mid-flight take over when its lease ends: two requests, nobody hangs."""
    monkeypatch.setattr("monite_async._tokens.flight.LEASE_MS", 300)
    issuer = Slow(0.2)
    cache = TokenCache(MemoryTokenStore(), issuer)
    loop = LOOPS[kind]()
    task = loop.create_task(cache.get(PARTNER))
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    assert issuer.posts == 1
    assert not task.done()
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - this caller is the test's own and dies with its loop
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gens = run_in(LOOPS[kind], crowd(cache, 100))
        del task, loop
        gc.collect()
    assert sum(gens.values()) == 100
    assert issuer.posts == 2


def test_closing_while_another_loop_waits_ends_both() -> None:
    """``aclose`` in one loop cuts off the flights of all: nobody is left hanging."""
    issuer = Slow(30)
    cache = TokenCache(MemoryTokenStore(), issuer)
    started = threading.Event()
    outcome: list[BaseException] = []

    async def wait_there() -> None:
        caller = asyncio.create_task(cache.get(PARTNER))
        await asyncio.sleep(0.05)
        started.set()
        try:
            await caller
        except Exception as exc:
            outcome.append(exc)

    thread = threading.Thread(target=lambda: run_in(asyncio.new_event_loop, wait_there()))
    thread.start()
    started.wait(10)
    run_in(asyncio.new_event_loop, cache.aclose())
    thread.join(20)
    assert not thread.is_alive()
    assert [type(error).__name__ for error in outcome] == ["ClientClosedError"]


def test_a_cache_dropped_with_flights_in_the_air_is_collected_quietly() -> None:
    """Losing the last reference mid-flight reports nothing, and the cache is freed once the flight is over."""
    references: list[weakref.ref[TokenCache]] = []

    async def main() -> None:
        cache = TokenCache(MemoryTokenStore(), Slow(0.05))
        references.append(weakref.ref(cache))
        caller = asyncio.create_task(cache.get(PARTNER))
        await asyncio.sleep(0.01)
        caller.cancel()
        del cache
        await asyncio.gather(caller, return_exceptions=True)
        await asyncio.sleep(0.1)

    run_in(asyncio.new_event_loop, main())
    gc.collect()
    assert references[0]() is None


def _run_in_child(work: Callable[[], bytes]) -> Callable[[], bytes]:
    """Fork, run `work` in the child, and return what fetches its result; the child exits without any clean-up."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with threads is what is tested
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, work())
        finally:
            os._exit(0)
    os.close(writing)

    def fetch() -> bytes:
        with os.fdopen(reading, "rb") as pipe:
            result = pipe.read()
        os.waitpid(child, 0)
        return result

    return fetch


@pytest.mark.parametrize("warm", [True, False])
def test_a_forked_child_works_on_its_own(warm: bool) -> None:
    """T12: forked with a flight in the air, the child keeps the tokens, drops the flight, and has a name of its own."""
    cache = TokenCache(MemoryTokenStore(), Slow(0.2))
    fetches: list[Callable[[], bytes]] = []
    process = cache._process

    def child() -> bytes:
        assert cache._process != process
        # A new thread has no running loop: what a fresh worker of a pre-forking server looks like.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, cache.get(PARTNER)).result(20).value.encode()

    async def main() -> str:
        if warm:
            await cache.get(PARTNER)
        flight = asyncio.create_task(cache.get(PARTNER if not warm else TokenKey("", "", "entity_user", "x")))
        await asyncio.sleep(0.05)
        fetches.append(_run_in_child(child))
        await flight
        return (await cache.get(PARTNER)).value

    mine = asyncio.run(main())
    theirs = fetches[0]().decode()
    assert theirs
    # Both children count on from the one request that the parent had made when it forked.
    assert theirs == (mine if warm else "token-000002-0123456789")


@pytest.mark.parametrize("held", ["store", "table", "bells", "cache"])
def test_a_child_forked_while_a_lock_is_held_does_not_deadlock(held: str) -> None:
    """Locks held by other threads at the fork are made anew in the child."""
    store = MemoryTokenStore()
    cache = TokenCache(store, Slow(0.01))
    lock = {
        "store": store._lock,
        "table": cache._table._lock,
        "bells": cache.bells._lock,
        "cache": cache._lock,
    }[held]

    def child() -> bytes:
        return asyncio.run(asyncio.wait_for(cache.get(PARTNER), 10)).value.encode()

    with lock:
        fetch = _run_in_child(child)
    assert fetch() == b"token-000001-0123456789"
