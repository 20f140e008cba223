"""Crowds: many questions in one exchange, the urgent ones first, and nobody mistakes a queue for an outage."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from monite_async_stores import Committed, Granted, RecordName, RedisTokenStore, StoreBusyError, StoreError
from monite_async_stores._redis_turns import Turns
from monite_async_stores._redis_wire import Lines
from tests.stores.redis_proxy import Proxy
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import PATIENT, Ear, a_name, ask, grant, opened


class Desk:
    """Serves questions one exchange after the other, each when it is let."""

    def __init__(self) -> None:
        self.served: list[list[str]] = []
        self.open = asyncio.Event()

    async def serve(self, questions: Sequence[str]) -> list[str | StoreError]:
        """Answer in capitals, and refuse what begins with a dash."""
        self.served.append(list(questions))
        await self.open.wait()
        return [StoreError(one) if one.startswith("-") else one.upper() for one in questions]

    def turns(self, *, at_once: int = 1, batch: int = 2, patience: float = 60.0) -> Turns[str, str]:
        """Return the queue before this desk."""
        return Turns[str, str](self.serve, at_once=at_once, batch=batch, patience=patience)


async def queue_up(turns: Turns[str, str], *questions: str) -> list[asyncio.Task[str]]:
    """Ask, in this order; those that end in an exclamation mark are urgent."""
    tasks = [asyncio.create_task(turns.ask(one, urgent=one.endswith("!"))) for one in questions]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_urgent_questions_go_first_and_each_gets_its_own_answer() -> None:
    """What is urgent overtakes all that wait, otherwise first come, first served; an error reaches its asker only."""
    desk = Desk()
    turns = desk.turns()
    tasks = await queue_up(turns, "a", "b", "-c", "d", "e!", "f", "g!", "h!")
    desk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert desk.served == [["e!", "g!"], ["h!", "a"], ["b", "-c"], ["d", "f"]]
    assert [str(answer) for answer in answers] == ["A", "B", "-c", "D", "E!", "F", "G!", "H!"]
    assert isinstance(answers[2], StoreError)


async def test_so_many_exchanges_and_no_more_are_under_way() -> None:
    """Questions beyond what the exchanges under way take wait for the first of them to end."""
    desk = Desk()
    turns = desk.turns(at_once=2)
    tasks = await queue_up(turns, *"abcdefg")
    assert desk.served == [["a", "b"], ["c", "d"]]
    desk.open.set()
    await asyncio.gather(*tasks)
    assert desk.served[2:] == [["e", "f"], ["g"]]
    assert await turns.ask("later", urgent=False) == "LATER"


async def test_who_is_cancelled_takes_nothing_with_it() -> None:
    """Cancelled while waiting, a question is not asked; cancelled while it is asked, the others get their answers."""
    desk = Desk()
    turns = desk.turns()
    tasks = await queue_up(turns, *"abcd")
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.sleep(0)
    desk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert desk.served == [["a", "b"], ["d"]]
    assert [answers[1], answers[3]] == ["B", "D"]
    assert all(isinstance(answers[number], asyncio.CancelledError) for number in (0, 2))


async def test_who_waits_too_long_is_told_that_there_is_too_much_to_do() -> None:
    """Waiting in vain for a turn is ``StoreBusyError``: the store is there; whoever has its turn is not affected."""
    desk = Desk()
    turns = desk.turns(patience=0.05)
    tasks = await queue_up(turns, *"ab", *"cd", "e!")
    clock = asyncio.get_running_loop().time
    since = clock()
    while clock() < since + 0.06:
        await asyncio.sleep(0.01)
    desk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert desk.served == [["e!", "a"]]
    assert [answers[0], answers[4]] == ["A", "E!"]
    assert all(isinstance(answers[number], StoreBusyError) for number in (1, 2, 3))
    assert await turns.ask("next", urgent=False) == "NEXT"


async def test_closing_waits_for_the_exchanges_under_way() -> None:
    """Closed in the middle, whoever waits is still answered; closing what is idle is nothing."""
    desk = Desk()
    turns = desk.turns()
    await turns.aclose()
    tasks = await queue_up(turns, *"abc")
    closing = asyncio.create_task(turns.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    desk.open.set()
    await closing
    assert [await task for task in tasks] == ["A", "B", "C"]


async def test_nobody_waits_in_a_loop_that_ends() -> None:
    """When the exchange itself is cancelled, as at the end of a loop, everyone gets an error instead of no answer."""
    desk = Desk()
    turns = desk.turns()
    tasks = await queue_up(turns, "a", "b", "c", "d!")
    for task in turns._running:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, StoreError) and "loop ended" in str(answer) for answer in answers)
    desk.open.set()
    assert await turns.ask("again", urgent=False) == "AGAIN"


def test_a_crowd_is_no_outage(redis_server: RedisServer) -> None:
    """Three thousand at once on a Redis that takes a fifth of the limit to answer all get their answers."""

    async def main() -> None:
        with Proxy(redis_server.port, delay=lambda: 0.4) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0", timeout=2.0) as store:
                await ask(store, a_name())
                answers = await asyncio.gather(*(ask(store, a_name()) for _ in range(3000)), return_exceptions=True)
                assert [answer for answer in answers if not isinstance(answer, Granted)] == []

    asyncio.run(main())


def test_a_crowd_too_large_is_busy_and_opens_no_breaker(redis_server: RedisServer) -> None:
    """Those of a crowd for whom there is no turn in time are told so, and the next who asks is served."""

    async def main() -> None:
        with Proxy(redis_server.port, delay=lambda: 0.05) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as store:
                ear = Ear()
                store.watch(ear)
                await ask(store, a_name())
                store._here().turns._patience = 0.0
                asked = [asyncio.create_task(ask(store, a_name())) for _ in range(3000)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                assert any(isinstance(answer, StoreBusyError) for answer in answers)
                assert all(isinstance(answer, Granted | StoreBusyError) for answer in answers)
                store._here().turns._patience = PATIENT
                assert isinstance(await ask(store, a_name()), Granted)
                assert ear.count("recovered") == 0

    asyncio.run(main())


def test_a_commit_does_not_queue_behind_a_crowd(redis_server: RedisServer) -> None:
    """In a crowd of thousands a commit, a failure, an invalidation and a purge are done before half of it has asked."""

    async def main() -> None:
        async with opened(redis_server.url) as store:
            order: list[str] = []

            async def member() -> None:
                await ask(store, a_name())
                order.append("member")

            async def urgent(kind: str, name: RecordName, gen: int) -> None:
                if kind == "commit":
                    answer = await store.commit(name, "a", gen, b"v", lifetime_ms=9000, left_ms=9000)
                    assert answer == Committed()
                elif kind == "fail":
                    await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
                elif kind == "invalidate":
                    await store.invalidate(name, gen)
                else:
                    await store.purge(name)
                order.append(kind)

            kinds = ("commit", "fail", "invalidate", "purge")
            for crowd in (0, 3000):  # first alone, so that the server has the scripts
                order.clear()
                names = [a_name() for _ in kinds]
                gens = [await grant(store, name) for name in names]
                some = [urgent(*one) for one in zip(kinds, names, gens, strict=True)]
                await asyncio.gather(*(member() for _ in range(crowd)), *some)
            assert all(order.index(kind) < 1500 for kind in kinds)
            assert order[-1] == "member"

    asyncio.run(main())


def test_who_waits_for_a_connection_gets_the_next_that_is_free(redis_server: RedisServer) -> None:
    """Whoever comes back at once for another exchange leaves its connection to those who wait for one."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            slow = RedisTokenStore.from_url(f"redis://user:x@127.0.0.1:{silent.getsockname()[1]}/0")
            async with opened(redis_server.url) as store:
                lines = store._here().lines
                assert isinstance(lines, Lines)
                await lines.run_all([("k", ("PING",))], limit=PATIENT)
                lines._dialer.make = slow._here().lines.fresh
                done: list[str] = []

                async def ping(who: str, times: int) -> None:
                    for _ in range(times):
                        assert await lines.run_all([("k", ("PING",))], limit=PATIENT) == [b"PONG"]
                        done.append(who)

                busy = asyncio.create_task(ping("busy", 50))
                await asyncio.sleep(0)
                dialling = asyncio.create_task(ping("dialling", 1))
                await asyncio.sleep(0)
                gone = asyncio.create_task(ping("gone", 1))
                await asyncio.gather(busy, ping("waiting", 1), end_with(gone, done))
                assert done.index("waiting") < 10
                dialling.cancel()
                await asyncio.gather(dialling, gone, return_exceptions=True)
                assert "dialling" not in done

    async def end_with(task: asyncio.Task[None], done: list[str]) -> None:
        while not done:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
