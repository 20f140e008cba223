"""Redis refused, frozen, slow, killed, read-only, full, or without the right password; and back again."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator

import pytest

from monite_async_stores import Committed, Granted, Hit, RecordName, RedisTokenStore, StoreError, _breaker
from monite_async_stores._redis_wire import Lines, Wire
from tests.stores.redis_proxy import Proxy
from tests.stores.redis_server import RedisServer, ServerError, free_port
from tests.stores.redis_tools import PATIENT, Ear, a_name, ask, grant, opened, put

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

BRIEF = 0.05
SECRET = "pa/ss:w@rd"


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def brief_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the breaker stay open for a moment only."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (BRIEF, BRIEF))


async def fails(store: RedisTokenStore, name: RecordName) -> str:
    """Assert that an operation raises ``StoreError`` with nothing of a secret, and return its text."""
    with pytest.raises(StoreError) as caught:
        await ask(store, name)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET not in shown
    assert "client secret" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


async def is_back(store: RedisTokenStore, name: RecordName) -> None:
    """Wait until operations answer again."""
    for _ in range(2000):
        try:
            await ask(store, name, lease_ms=1)
        except StoreError:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("it does not come back")


def test_a_refused_connection_fails_at_once_and_opens_the_breaker() -> None:
    """With nobody listening, two operations fail, and the next are turned away without a connection."""

    async def main() -> None:
        async with opened(f"redis://:{'x' * 30}@127.0.0.1:{free_port()}/0") as store:
            texts = [await fails(store, a_name()) for _ in range(4)]
        text = "ConnectionError: nothing answers there: check host and port"
        assert texts[:2] == [f"redis did not answer as it should: {text}"] * 2
        assert texts[2:] == [f"redis is left alone for a moment, because it did not answer: {text}"] * 2

    asyncio.run(main())


def test_a_burst_against_a_dead_server_makes_few_connections(own_server: RedisServer) -> None:
    """A hundred operations at once on a server that hangs up cost a handful of connections, then none."""

    async def main() -> None:
        with Proxy(own_server.port) as proxy:
            proxy.refuse()
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                ears = Ear()
                store.watch(ears)
                answers = await asyncio.gather(*(ask(store, a_name()) for _ in range(100)), return_exceptions=True)
                assert all(isinstance(answer, StoreError) for answer in answers)
                assert proxy.accepted <= 20

    asyncio.run(main())


@pytest.mark.usefixtures("brief_pause")
def test_a_frozen_server_costs_the_limit_twice(own_server: RedisServer) -> None:
    """A server that accepts and says nothing is waited for within the limit; then it is left alone; then it is back."""

    async def main() -> None:
        async with opened(own_server.url, timeout=0.1) as store:
            name = a_name()
            ear = Ear(name)
            store.watch(ear)
            gen = await put(store, name)
            own_server.freeze()
            try:
                texts = [await fails(store, name) for _ in range(3)]
            finally:
                own_server.thaw()
            assert all("TimeoutError: no answer in time" in text for text in texts[:2])
            assert "left alone" in texts[2]
            await is_back(store, name)
            answer = await ask(store, name)
            assert isinstance(answer, Hit)
            assert answer.gen == gen
            assert ear.count("recovered") == 1

    asyncio.run(main())


@pytest.mark.usefixtures("brief_pause")
def test_a_killed_server_comes_back_empty(own_server: RedisServer) -> None:
    """Killed with an operation under way and started anew, it serves again, and generations go on growing."""

    async def main() -> None:
        async with opened(own_server.url) as store:
            name = a_name()
            gen = await put(store, name)
            own_server.freeze()
            under_way = asyncio.ensure_future(ask(store, name))
            await asyncio.sleep(0)
            await asyncio.to_thread(own_server.kill)
            with pytest.raises(StoreError):
                await under_way
            await asyncio.to_thread(own_server.restart)
            await is_back(store, name)
            assert await grant(store, a_name()) > gen
            # What was kept meanwhile goes back under the generation that it has.
            await store.commit(name, "", gen, b"kept", lifetime_ms=60_000, left_ms=50_000)
            answer = await ask(store, name, "b")
            assert isinstance(answer, Hit)
            assert answer.gen == gen

    asyncio.run(main())


def test_a_restart_between_two_operations_goes_unnoticed(own_server: RedisServer) -> None:
    """Connections that died while they lay idle are replaced within the operation that finds them dead."""

    async def main() -> None:
        async with opened(own_server.url) as store:
            for _ in range(3):
                names = [a_name() for _ in range(20)]
                assert all(isinstance(one, Granted) for one in await asyncio.gather(*(ask(store, n) for n in names)))
                await asyncio.to_thread(own_server.restart)
            assert isinstance(await ask(store, a_name()), Granted)

    asyncio.run(main())


def test_a_slow_server_is_given_up_within_the_limit(own_server: RedisServer) -> None:
    """An answer that takes a second is not waited for when the limit is shorter, and no later one is mistaken for it."""

    async def main() -> None:
        with Proxy(own_server.port, delay=lambda: 1.0) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.1) as store:
                assert "TimeoutError" in await fails(store, a_name())
                assert "TimeoutError" in await fails(store, a_name())
                assert "left alone" in await fails(store, a_name())

    asyncio.run(main())


def takes_scripts(server: RedisServer) -> bool:
    """Tell whether a server takes what a script writes."""
    try:
        server.admin("EVAL", "return redis.call('SET', 'probe', '1')", 0)
    except ServerError:
        return False
    return True


@pytest.mark.usefixtures("brief_pause")
@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ],
    ids=["read-only", "full", "no replicas"],
)
def test_a_server_that_takes_no_writes_is_down(
    break_it: tuple[str, ...], mend_it: tuple[str, ...], own_server: RedisServer
) -> None:
    """A replica, a full server and one that waits for replicas raise ``StoreError``; when it is over, all is well."""

    async def main() -> None:
        async with opened(own_server.url) as store:
            await grant(store, a_name())
            own_server.admin(*break_it)
            for _ in range(3):
                if takes_scripts(own_server):
                    await put(store, a_name())  # Redis 6.2.5 asks for replicas, but not when it is a script that writes
                else:
                    await fails(store, a_name())
            own_server.admin(*mend_it)
            await is_back(store, a_name())
            name = a_name()
            await put(store, name)
            assert isinstance(await ask(store, name), Hit)

    asyncio.run(main())


@pytest.mark.usefixtures("brief_pause")
def test_a_lost_password_is_an_outage_and_is_not_shown(own_server: RedisServer) -> None:
    """When the user is gone, operations raise ``StoreError`` without the password; when it is back, they work."""

    async def main() -> None:
        rights = ("on", f">{SECRET}", "~*", "&*", "+@all")
        own_server.admin("ACL", "SETUSER", "tokens", *rights)
        async with opened(f"redis://tokens:pa%2Fss%3Aw%40rd@127.0.0.1:{own_server.port}/0") as store:
            await put(store, a_name())
            own_server.admin("ACL", "DELUSER", "tokens")
            texts = [await fails(store, a_name()) for _ in range(2)]
            text = "redis did not answer as it should: AuthenticationError: check the user and the password"
            assert texts == [text] * 2
            own_server.admin("ACL", "SETUSER", "tokens", *rights)
            await is_back(store, a_name())

    asyncio.run(main())


def test_a_value_kept_meanwhile_lowers_no_generation(own_server: RedisServer) -> None:
    """What was fetched during an outage is given back later, and gives way to anything newer."""

    async def main() -> None:
        async with opened(own_server.url) as store:
            name = a_name()
            old = await grant(store, name)
            await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
            new = await put(store, name, b"newer")
            answer = await store.commit(name, "", old, b"older", lifetime_ms=60_000, left_ms=60_000)
            assert isinstance(answer, Hit)
            assert (answer.gen, answer.value) == (new, b"newer")

    asyncio.run(main())


def test_a_commit_that_was_sent_twice_is_a_commit(own_server: RedisServer) -> None:
    """When a connection dies after the commit and before its answer, the second attempt finds its own value: committed."""

    async def main() -> None:
        with Proxy(own_server.port) as proxy:
            async with opened(own_server.url) as other, opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                name = a_name()
                ear = Ear()
                store.watch(ear)
                gen = await grant(store, name)
                await put(other, a_name())  # so that the server has the script
                cut = proxy.cut_now_and_then(1.0)

                def cut_once() -> float:
                    proxy.delay = None
                    return cut()

                proxy.delay = cut_once
                committed = await store.commit(name, "a", gen, b"v", lifetime_ms=60_000, left_ms=60_000)
                assert committed == Committed()
                assert proxy.delay is None
                told = [event for event in ear.heard if (event.kind, event.name) == ("commit", name.name)]
                assert len(told) == 1
                answer = await ask(store, name)
                assert isinstance(answer, Hit)
                assert (answer.gen, answer.value) == (gen, b"v")

    asyncio.run(main())


def test_a_connection_that_cannot_be_made_keeps_nobody_waiting(own_server: RedisServer) -> None:
    """When making a connection fails before it begins, each operation is told so, and the next one tries again."""

    def failing() -> Wire:
        raise TypeError("no such option")

    async def main() -> None:
        async with opened(own_server.url) as store:
            lines = store._here().lines
            assert isinstance(lines, Lines)
            make, lines._dialer.make = lines._dialer.make, failing
            answers = await asyncio.gather(*(ask(store, a_name()) for _ in range(3)), return_exceptions=True)
            assert all(isinstance(answer, StoreError) for answer in answers)
            lines._dialer.make = make
            assert isinstance(await ask(store, a_name()), Granted)

    asyncio.run(main())


def test_answers_of_another_make_are_an_error(own_server: RedisServer) -> None:
    """An answer that the scripts do not give, as from something that only looks like Redis, raises ``StoreError``."""

    async def main() -> None:
        for answer in (b"+OK\r\n", b":1\r\n", b"*0\r\n", b"*2\r\n$3\r\nhit\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n",
                       b"*2\r\n$7\r\ngranted\r\n$1\r\nx\r\n", b"*1\r\n$7\r\ngranted\r\n", b"*1\r\n$5\r\nhello\r\n", b"*1\r\n$9\r\ncommitted\r\n",
                       b"*3\r\n$8\r\nnegative\r\n:1\r\n:1\r\n"):  # fmt: skip
            server = await asyncio.start_server(answering(answer), "127.0.0.1", 0)
            async with server, opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0") as store:
                with pytest.raises(StoreError, match="answer that no script"):
                    await ask(store, a_name())

    def answering(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(65536):
                writer.write(answer)
            writer.close()

        return serve

    asyncio.run(main())


def test_a_burst_shares_few_connections(own_server: RedisServer) -> None:
    """A thousand operations at once all get their answers, over at most sixteen connections."""

    async def main() -> None:
        async with opened(own_server.url, timeout=PATIENT) as store:
            answers = await asyncio.gather(*(ask(store, a_name()) for _ in range(1000)))
            assert all(isinstance(answer, Granted) for answer in answers)
            clients = own_server.admin.text("CLIENT", "LIST").splitlines()
            assert len(clients) <= 17

    asyncio.run(main())
