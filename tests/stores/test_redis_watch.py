"""Hearing of what others did: messages, what is re-read without them, and where the one subscription lives."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from monite_async_stores import Granted, RecordName, RedisTokenStore, StoreEvent, _breaker, _redis_watch
from monite_async_stores._redis_watch import event_of
from tests.stores.redis_proxy import Proxy
from tests.stores.redis_server import RedisServer, until
from tests.stores.redis_tools import PATIENT, Ear, a_name, ask, eventually, grant, opened, put


@pytest.fixture
def namespace() -> str:
    """A namespace, and so a channel, that no other test uses."""
    return f"watch-{a_name().name}"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Re-read and reconnect after fractions of a second."""
    monkeypatch.setattr(_redis_watch, "_REREAD_SECONDS", 0.1)
    monkeypatch.setattr(_redis_watch, "_BACKOFF_SECONDS", (0.01, 0.02))


def listeners(server: RedisServer, namespace: str) -> int:
    """Return how many connections listen to the channel of a namespace."""
    _, count = server.admin.items("PUBSUB", "NUMSUB", f"{namespace}:events")
    assert isinstance(count, int)
    return count


def test_an_invalidation_reaches_other_processes(redis_server: RedisServer, namespace: str) -> None:
    """What one process invalidates, revokes, commits or fails to make, another hears of, once."""

    async def main() -> None:
        async with (
            opened(redis_server.url, namespace=namespace) as one,
            opened(redis_server.url, namespace=namespace) as other,
        ):
            name = a_name()
            ear, own_ear = Ear(), Ear()
            other.watch(ear)
            one.watch(own_ear)
            await ask(other, a_name())
            await ask(one, a_name())
            await eventually(lambda: listeners(redis_server, namespace) == 2, "two subscriptions")
            gen = await put(one, name)
            await one.invalidate(name, gen)
            failing = await grant(one, name)
            await one.fail(name, "a", "transient:server:503", ttl_ms=0)
            await one.purge(name)
            await eventually(lambda: ear.has("purge", name), "the last event")
            kinds = [(event.kind, event.gen) for event in ear.heard if event.name == name.name]
            assert kinds[:3] == [("commit", gen), ("invalid", gen), ("fail", 0)]
            assert kinds[3][0] == "purge"
            assert kinds[3][1] >= failing
            own = [(event.kind, event.gen) for event in own_ear.heard if event.name == name.name]
            assert own == kinds, "its own process hears the same, once each"

    asyncio.run(main())


@pytest.mark.usefixtures("hasty")
def test_what_was_missed_is_re_read_after_a_reconnection(redis_server: RedisServer, namespace: str) -> None:
    """A process that was cut off while others invalidated and renewed learns of it as soon as it is back."""

    async def main() -> None:
        kept, gone, renewed = a_name(), a_name(), a_name()
        with Proxy(redis_server.port) as proxy:
            async with (
                opened(redis_server.url, namespace=namespace) as one,
                opened(f"redis://127.0.0.1:{proxy.port}/0", namespace=namespace) as cut_off,
            ):
                gens = {name: await put(one, name) for name in (kept, gone, renewed)}
                ear = Ear(kept, gone, renewed)
                cut_off.watch(ear)
                await ask(cut_off, a_name())
                await eventually(lambda: ear.has("seen", gone, gens[gone]), "the first look")
                proxy.refuse()
                await eventually(lambda: listeners(redis_server, namespace) == 0, "the cut")
                ear.heard.clear()
                await one.invalidate(gone, gens[gone])
                newer = await put(one, renewed, bad_gen=gens[renewed])
                proxy.accept()
                await eventually(lambda: ear.has("invalid", gone, gens[gone]), "the invalidation")
                await eventually(lambda: ear.has("seen", renewed, newer), "the renewal")
                await eventually(lambda: ear.has("seen", kept, gens[kept]), "what did not change")
                assert not ear.has("seen", gone)

    asyncio.run(main())


@pytest.mark.usefixtures("hasty")
def test_who_may_not_listen_re_reads_all_the_same(
    redis_server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A user without the right to subscribe gets one warning, and hears of changes by looking."""

    async def main() -> None:
        redis_server.admin("ACL", "SETUSER", "deaf", "on", ">x", "~*", "resetchannels", "+@all")
        async with opened(f"redis://deaf:x@127.0.0.1:{redis_server.port}/0", namespace=namespace) as store:
            name = a_name()
            ear = Ear(name)
            store.watch(ear)
            gen = await put(store, name)
            await eventually(lambda: ear.has("seen", name, gen), "a look")
            ear.heard.clear()
            await eventually(lambda: ear.count("seen") >= 3, "more looks")

    with caplog.at_level(logging.WARNING, logger="monite_async_stores"):
        asyncio.run(main())
    redis_server.admin("ACL", "LOG", "RESET")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot hear of what other processes do to tokens: NoPermissionError: the user lacks a right: check its ACL"
    ]


def has_more(proxy: Proxy, before: int) -> bool:
    """Return whether connections were made to a proxy since."""
    return proxy.accepted > before


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("steady", "warnings"), [(60.0, 1), (0.0, 0)])
def test_a_subscription_that_does_not_last_is_a_failure(
    steady: float,
    warnings: int,
    redis_server: RedisServer,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off again and again soon after it began, it is tried ever more rarely, and one warning says so."""
    monkeypatch.setattr(_redis_watch, "_STEADY_SECONDS", steady)

    async def main() -> None:
        with Proxy(redis_server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0", namespace=namespace) as store:
                store.watch(Ear())
                await ask(store, a_name())
                for _ in range(4):
                    before = proxy.accepted
                    await eventually(lambda: listeners(redis_server, namespace) == 1, "a subscription")
                    await asyncio.sleep(0.02)
                    proxy.cut()
                    await eventually(functools.partial(has_more, proxy, before), "another connection")

    with caplog.at_level(logging.WARNING, logger="monite_async_stores"):
        asyncio.run(main())
    assert len(caplog.records) == warnings


@pytest.mark.usefixtures("hasty")
def test_names_are_kept_while_they_cannot_be_read(
    redis_server: RedisServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records used before an outage are looked at after it, though the watcher names them only once."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.02, 0.02))

    class Once(Ear):
        def in_use(self) -> list[RecordName]:
            names, self.names = self.names, []
            return names

    async def main() -> None:
        with Proxy(redis_server.port) as proxy:
            async with (
                opened(redis_server.url, namespace=namespace) as one,
                opened(f"redis://127.0.0.1:{proxy.port}/0", namespace=namespace, timeout=0.5) as store,
            ):
                name = a_name()
                gen = await put(one, name)
                ear = Once()
                store.watch(ear)
                await ask(store, a_name())
                await eventually(lambda: listeners(redis_server, namespace) == 1, "the subscription")
                proxy.refuse()
                ear.names.append(name)
                await eventually(lambda: not ear.names, "a look in vain")
                proxy.accept()
                await eventually(lambda: ear.has("seen", name, gen), "a look")

    asyncio.run(main())


def test_a_silent_subscription_is_replaced(
    redis_server: RedisServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription whose pings are not answered is given up for a new one; one that answers is kept."""
    monkeypatch.setattr(_redis_watch, "_PING_SECONDS", 0.01)
    monkeypatch.setattr(_redis_watch, "_PONG_SECONDS", 0.2)

    async def main() -> None:
        with Proxy(redis_server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0", namespace=namespace, timeout=0.2) as store:
                store.watch(Ear())
                await ask(store, a_name())
                await eventually(lambda: listeners(redis_server, namespace) == 1, "a subscription")
                before, pings = proxy.accepted, pings_of(redis_server)
                await eventually(lambda: pings_of(redis_server) > pings + 3, "a while of pings")
                assert proxy.accepted == before == 2, "one connection for operations, one for messages"
                proxy.freeze()
                await eventually(lambda: proxy.accepted > before, "another subscription")
                proxy.thaw()
                await eventually(lambda: listeners(redis_server, namespace) == 1, "a subscription that works")

    asyncio.run(main())


def pings_of(server: RedisServer) -> int:
    """Return how many pings a server has answered."""
    for line in server.admin.text("INFO", "commandstats").splitlines():
        if line.startswith("cmdstat_ping:calls="):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


@pytest.mark.usefixtures("hasty")
def test_a_look_is_bounded(redis_server: RedisServer, namespace: str) -> None:
    """However many records are in use, two thousand at most are looked at in one go."""

    async def main() -> None:
        async with opened(redis_server.url, namespace=namespace) as store:
            ear = Ear(*(RecordName(f"{number:032x}") for number in range(2100)))
            store.watch(ear)
            await ask(store, a_name())
            await eventually(lambda: ear.count("seen") >= 2000, "a look")
            assert len({event.name for event in ear.heard if event.kind == "seen"}) == 2000

    asyncio.run(main())


class Announced:
    """A lock that is about to be waited for, and says so."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = threading.Event()

    def __enter__(self) -> None:
        self.wanted.set()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_two_threads_that_begin_at_once_listen_once(redis_server: RedisServer, namespace: str) -> None:
    """A thread that was about to listen while another one began leaves it to that one."""
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    store.watch(Ear())
    lock = Announced()
    store._subscriber._lock = cast("threading.Lock", lock)

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(3600))

    async def use() -> None:
        await ask(store, a_name())
        assert store._subscriber._task is first
        await store.aclose()

    async def finish() -> None:
        first.cancel()
        await asyncio.wait([first])

    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    first = asyncio.run_coroutine_threadsafe(begin(), other).result()
    with ThreadPoolExecutor(1) as pool:
        with lock.lock:
            done = pool.submit(asyncio.run, use())
            lock.wanted.wait()
            store._subscriber._task = first
        done.result()
    asyncio.run_coroutine_threadsafe(finish(), other).result()
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_are_gone_are_forgotten(redis_server: RedisServer, namespace: str) -> None:
    """Without a watcher and without ``aclose``, what belonged to a closed loop is let go at the next use."""
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    for _ in range(3):
        assert isinstance(asyncio.run(ask(store, a_name())), Granted)
        assert len(store._heres) == 1
    store._heres.clear()
    gc.collect()


def test_two_loops_share_one_subscription(redis_server: RedisServer, namespace: str) -> None:
    """However many event loops a process runs, it listens once; when that loop ends, another one takes over."""
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    ear = Ear()
    store.watch(ear)
    ready, end = threading.Barrier(3), [threading.Event(), threading.Event()]

    async def use(number: int) -> None:
        await ask(store, a_name())
        await asyncio.to_thread(ready.wait)
        while not end[number].is_set():
            await ask(store, a_name())
            await asyncio.sleep(0.01)
        await store.aclose()

    threads = [threading.Thread(target=asyncio.run, args=(use(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    until(lambda: listeners(redis_server, namespace) == 1, "one subscription")
    task = store._subscriber._task
    assert task is not None
    for number in range(2):
        end[number].set()
        threads[number].join()
        if number == 0:
            until(lambda: listeners(redis_server, namespace) == 1, "the other loop to listen")
    until(lambda: listeners(redis_server, namespace) == 0, "the end")


def test_a_second_run_hears_though_the_first_was_not_closed(redis_server: RedisServer, namespace: str) -> None:
    """A store used in one ``asyncio.run`` after another, without ``aclose``, leaves no connection and hears in each."""
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    ear = Ear()
    store.watch(ear)

    async def use() -> None:
        ear.heard.clear()
        name = a_name()
        await ask(store, name)
        await eventually(lambda: listeners(redis_server, namespace) == 1, "a subscription")
        async with opened(redis_server.url, namespace=namespace) as other:
            await other.purge(name)
        await eventually(lambda: ear.has("purge", name), "news from elsewhere")

    for _ in range(3):
        asyncio.run(use())
        until(lambda: listeners(redis_server, namespace) == 0, "the subscription to end with its loop")
        assert not store._heres
    gc.collect()


def test_a_loop_left_standing_is_not_relied_on(
    redis_server: RedisServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that nobody runs any more does not hear: the next loop listens itself, and the first one gives way."""
    monkeypatch.setattr(_redis_watch, "_PING_SECONDS", 0.05)
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    ear = Ear()
    store.watch(ear)
    first = asyncio.new_event_loop()
    first.run_until_complete(ask(store, a_name()))
    left = store._subscriber._task
    assert left is not None

    async def use() -> None:
        name = a_name()
        await ask(store, name)
        await eventually(lambda: listeners(redis_server, namespace) >= 1, "a subscription")
        async with opened(redis_server.url, namespace=namespace) as other:
            await other.purge(name)
        await eventually(lambda: ear.has("purge", name), "news from elsewhere")
        await store.aclose()

    asyncio.run(use())

    async def wind_up() -> None:
        await asyncio.wait([left])
        await store.aclose()

    first.run_until_complete(wind_up())
    first.close()
    until(lambda: listeners(redis_server, namespace) == 0, "the end")


def test_it_stops_listening_when_nobody_wants_to_know(redis_server: RedisServer, namespace: str) -> None:
    """With the last watcher gone the subscription ends; with a new one, the next operation begins another."""

    async def main() -> None:
        async with opened(redis_server.url, namespace=namespace) as store:
            store.watch(Ear())()
            await ask(store, a_name())
            assert listeners(redis_server, namespace) == 0
            for _ in range(2):
                ends = [store.watch(Ear()), store.watch(Ear())]
                await ask(store, a_name())
                await eventually(lambda: listeners(redis_server, namespace) == 1, "a subscription")
                ends[0]()
                await ask(store, a_name())
                assert listeners(redis_server, namespace) == 1
                ends[1]()
                ends[1]()
                await eventually(lambda: listeners(redis_server, namespace) == 0, "its end")
            assert isinstance(await ask(store, a_name()), Granted)

    asyncio.run(main())


def test_watching_can_end_after_its_loop(redis_server: RedisServer, namespace: str) -> None:
    """Ending a watch from outside, when the loop that listened is long closed, raises nothing."""
    store = RedisTokenStore.from_url(redis_server.url, namespace=namespace, timeout=PATIENT)
    loop = asyncio.new_event_loop()
    end = store.watch(Ear())
    loop.run_until_complete(ask(store, a_name()))
    loop.run_until_complete(store.aclose())
    store._subscriber._task = loop.create_task(asyncio.sleep(0))
    loop.run_until_complete(store._subscriber._task)
    loop.close()
    end()
    assert store._subscriber._task is None


def test_a_failing_watcher_keeps_no_news_from_the_others(
    redis_server: RedisServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in one watcher is logged by its name, the others are told, and the operation succeeds."""

    class Broken(Ear):
        def on_event(self, event: StoreEvent) -> None:
            raise LookupError("with a secret in it")

    async def main() -> None:
        async with opened(redis_server.url, namespace=namespace) as store:
            ear = Ear()
            store.watch(Broken())
            store.watch(ear)
            name = a_name()
            gen = await put(store, name)
            assert ear.has("commit", name, gen)

    asyncio.run(main())
    assert "LookupError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        None,
        b"message",
        [b"message", b"c"],
        [b"pong", b"", b""],
        [b"subscribe", b"c", 1],
        [b"message", b"c", "text"],
        [b"message", b"c", b""],
        [b"message", b"c", b"name 1 purge"],
        [b"message", b"c", b"name 1 purge me"],
        [b"message", b"c", b"name 1 purge other key"],
        [b"message", b"c", b"name 1 commit"],
        [b"message", b"c", b"name 1 commit other"],
        [b"message", b"c", b"name 1 commit me key"],
        [b"message", b"c", b"name 1 seen other"],
        [b"message", b"c", b"name -1 purge other"],
        [b"message", b"c", b"name 1.5 purge other"],
        [b"message", b"c", "name ² purge other".encode()],
        [b"message", b"c", b"name 9999999999999999 purge other"],
        [b"message", b"c", b"\xff\xfe 1 commit other key extra"],
    ],
    ids=repr,
)
def test_other_messages_are_ignored(message: object) -> None:
    """Answers, one's own news, and whatever else anybody publishes there say nothing."""
    assert event_of(message, "me", lambda name, key: True) is None


def test_a_message_is_an_event() -> None:
    """A message of another process is told with its name, generation and kind; news of a value, if it can be opened."""
    for kind in ("invalid", "purge", "fail"):
        message = [b"message", b"c", b"name 17 %s other" % kind.encode()]
        event = event_of(message, "me", lambda name, key: False)
        assert event is not None
        assert (event.kind, event.name, event.gen) == (kind, "name", 17)
    committed = [b"message", b"c", b"name 17 commit other 0a1b2c3d"]
    assert event_of(committed, "me", lambda name, key: (name, key) == ("name", "0a1b2c3d")) == StoreEvent(
        "commit", "name", 17
    )
    assert event_of(committed, "me", lambda name, key: False) is None


@pytest.fixture(autouse=True)
def no_loop_is_left() -> Iterator[None]:
    """Collect what a test left behind, so that a connection left open fails this test and not a later one."""
    yield
    gc.collect()
