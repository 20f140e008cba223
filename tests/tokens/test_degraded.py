"""A store that fails, hangs or comes back late is never a reason for a caller to fail (R23)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest

from monite_async._errors import AuthenticationError
from monite_async._tokens.lifetime import hard_margin
from monite_async._tokens.record import AccessToken
from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    MemoryTokenStore,
    Negative,
    RecordName,
    StoreBusyError,
    StoreError,
    StoreEvent,
)
from tests.tokens.world import PARTNER, Endpoint, World, user
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

T = TypeVar("T")


class Moody(MemoryTokenStore):
    """A memory store whose operations first await what the test says."""

    before: Callable[[str], Awaitable[None]] | None = None

    async def _mood(self, operation: str) -> None:
        if self.before is not None:
            await self.before(operation)

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        await self._mood("acquire")
        return await super().acquire(record, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        await self._mood("commit")
        answer = await super().commit(record, owner, gen, value, lifetime_ms=lifetime_ms, left_ms=left_ms)
        await self._mood("committed")
        return answer

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        await self._mood("fail")
        await super().fail(record, owner, kind, ttl_ms=ttl_ms)

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        await self._mood("invalidate")
        return await super().invalidate(record, gen)

    async def purge(self, record: RecordName) -> None:
        await self._mood("purge")
        await super().purge(record)


def moody() -> Moody:
    """Return such a store on the running virtual loop's time."""
    return Moody(clock=VirtualClock(cast("VirtualLoop", asyncio.get_running_loop())))


async def fails(operation: str) -> None:
    """Be away."""
    raise StoreError(f"{operation}: no route")


async def _crash(operation: str) -> None:
    raise OSError(f"{operation}: broken pipe")


async def _hang(operation: str) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("mood", [fails, _crash, _hang])
def test_a_dead_store_costs_one_request_per_process_and_no_error(mood: Callable[[str], Awaitable[None]]) -> None:
    """Without its store each process goes on alone, with one flight among its callers."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = mood
        other = world.another()
        tokens = await asyncio.gather(*(cache.get(PARTNER) for cache in (world.cache, other) for _ in range(100)))
        assert len({token.value for token in tokens}) == 2
        assert world.posts == 2
        events = world.cache.stats().events
        assert events["store_degraded"] == 1
        await world.cache.replace(PARTNER, tokens[0])
        await world.cache.revoke(PARTNER)
        assert world.endpoint.revoked == [tokens[0].value]

    run_virtual(main())


@pytest.mark.parametrize("stage", ["acquire", "commit", "committed", "fail", "invalidate", "purge"])
def test_a_store_that_fails_at_any_stage_fails_nobody(stage: str) -> None:
    """Whichever operation breaks, the callers get the fetched token, or the endpoint's own refusal."""

    async def main() -> None:
        store = moody()
        world = World(store=store)

        async def sometimes(operation: str) -> None:
            if operation == stage:
                raise StoreError("gone")

        store.before = sometimes
        first = await world.cache.get(PARTNER)
        await asyncio.sleep(10)
        second = await world.cache.replace(PARTNER, first)
        assert second is not None
        await world.cache.invalidate(PARTNER)
        assert (await world.cache.get(PARTNER)).is_fresh()
        world.endpoint.failure = AuthenticationError("no", status=401)
        with pytest.raises(AuthenticationError):
            await world.cache.get(user(1))

    run_virtual(main())


def test_a_token_fetched_alone_reaches_the_store_when_it_is_back() -> None:
    """After recovery the token of the lonely time is shared under its generation: nobody fetches again."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        token = await world.cache.get(PARTNER)
        store.before = None
        await world.cache.get(user(1))
        await asyncio.sleep(0.1)
        events = world.cache.stats().events
        assert events["store_degraded"] == events["store_recovered"] == 1
        other = world.another()
        assert (await other.get(PARTNER)).gen == token.gen
        assert world.endpoint.per_key["partner"] == 1

    run_virtual(main())


def test_a_store_that_breaks_again_keeps_the_lonely_token_for_later() -> None:
    """A store that answers once and breaks on the commit is tried again at the next chance."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        token = await world.cache.get(PARTNER)
        commits: list[str] = []

        async def once_more(operation: str) -> None:
            if operation == "commit":
                commits.append(operation)
                if len(commits) == 2:  # the first is the other user's, the second the lonely token's
                    raise StoreError("gone again")

        store.before = once_more
        await world.cache.get(user(1))
        await asyncio.sleep(0.1)
        assert len(commits) == 2
        store.before = None
        await world.cache.get(user(2))
        await asyncio.sleep(0.1)
        assert (await world.another().get(PARTNER)).gen == token.gen
        await world.cache.aclose()

    run_virtual(main())


def test_news_that_the_store_is_back_shares_lonely_tokens_at_once() -> None:
    """R23: no flight is needed for it; news from a thread without a loop is left to the next flight."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        token = await world.cache.get(PARTNER)
        store.before = None
        back = StoreEvent("recovered", "", 0)
        thread = threading.Thread(target=world.cache.on_event, args=(back,))
        thread.start()
        thread.join()
        assert world.cache.stats().events.get("store_recovered", 0) == 0
        world.cache.on_event(back)
        world.cache.on_event(back)
        await asyncio.sleep(0.1)
        assert world.cache.stats().events["store_recovered"] == 1
        assert (await world.another().get(PARTNER)).gen == token.gen
        assert world.posts == 1

    run_virtual(main())


@pytest.mark.parametrize(("draw", "waits"), [(0.0, 0.0), (0.5, 1.0), (1.0, 2.0)])
def test_a_fleet_without_its_store_refreshes_spread_over_two_seconds(draw: float, waits: float) -> None:
    """R23: a flight for a token that is still served first waits U(0, 2) s; its callers wait for nothing."""

    async def main() -> None:
        store = moody()
        world = World(store=store, draw=draw)
        first = await world.cache.get(PARTNER)
        store.before = fails
        await asyncio.sleep(first.left() - hard_margin(first.lifetime) - 10)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        assert await world.cache.get(PARTNER) is first
        assert loop.time() == begin
        await asyncio.sleep(3)
        assert world.endpoint.posts[1:] == [pytest.approx(begin + waits)]
        assert (await world.cache.get(PARTNER)).gen > first.gen

    run_virtual(main())


def test_a_token_that_is_merely_outdated_is_kept_while_the_store_is_away() -> None:
    """R23: a newer one that cannot be had is no reason for a request of one's own; a refusal by the API is."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        first = await world.cache.get(PARTNER)
        await asyncio.sleep(10)
        store.before = fails
        for _ in range(20):
            world.cache.on_event(StoreEvent("commit", first.name.name, first.gen + 1))
            assert await world.cache.get(PARTNER) == first
            await asyncio.sleep(1)
        assert world.posts == 1
        assert world.cache.stats().events["flight_started"] <= 21
        assert await world.cache.replace(PARTNER, await world.cache.get(PARTNER)) != first
        assert world.posts == 2

    run_virtual(main())


def test_a_store_that_is_back_after_the_wait_is_asked_again() -> None:
    """R23: what another process fetched while this one waited for its turn to go alone is taken from the store."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        first = await world.cache.get(PARTNER)
        await asyncio.sleep(first.left() - hard_margin(first.lifetime) - 10)
        store.before = fails
        assert await world.cache.get(PARTNER) is first
        await asyncio.sleep(0.5)
        store.before = None
        newer = b"Bearer newer-0123456789"
        await store.commit(first.name, "", first.gen + 1, newer, lifetime_ms=1_800_000, left_ms=1_800_000)
        await asyncio.sleep(1)
        assert (await world.cache.get(PARTNER)).gen == first.gen + 1
        assert world.posts == 1

    run_virtual(main())


@pytest.mark.parametrize(("busy_for", "alone"), [(20.0, False), (40.0, True)])
def test_a_busy_store_is_waited_for_and_not_reported(busy_for: float, alone: bool) -> None:
    """A store that has too much to do is asked again, for half a minute, before this process goes on alone."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        until = world.clock.monotonic() + busy_for

        async def busy(operation: str) -> None:
            if world.clock.monotonic() < until:
                raise StoreBusyError(operation)

        store.before = busy
        token = await world.cache.get(PARTNER)
        assert abs(world.clock.monotonic() - until) < 11
        assert world.posts == 1
        store.before = None
        answer = await store.acquire(token.name, "looker", lease_ms=1, bad_gen=0, min_left_ms=0)
        assert isinstance(answer, Hit) != alone
        assert "store_degraded" not in world.cache.stats().events

    run_virtual(main())


@pytest.mark.usefixtures("unmeasured")
def test_many_flights_that_wait_ask_less_often() -> None:
    """However many records others are fetching, a process asks the store about 500 times a second, and no faster."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        asked: list[float] = []

        async def count(operation: str) -> None:
            asked.append(world.clock.monotonic())

        for number in range(3000):
            name = user(number).record_name(await world.endpoint.secret())
            await store.acquire(name, "dead", lease_ms=5000, bad_gen=0, min_left_ms=0)
        store.before = count
        begin = world.clock.monotonic()
        tokens = await asyncio.gather(*(world.cache.get(user(number)) for number in range(3000)))
        assert len(tokens) == world.posts == 3000
        assert len([at for at in asked if begin + 0.01 < at < begin + 4]) < 4 * 600

    run_virtual(main())


def test_a_token_that_came_faster_seems_to_live_longer() -> None:
    """The same token from a slower answer counts as older than it is; the better knowledge is kept, either way round."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        for delay, better in ((5.0, False), (-5.0, True)):
            other = AccessToken(
                token.header,
                token.gen,
                token.lifetime,
                name=token.name,
                clock=world.clock,
                started_mono=world.clock.monotonic() - 0.05 - delay,
                started_wall=world.clock.wall() - 0.05 - delay,
                draw=0.5,
            )
            assert (world.cache.keep(PARTNER, other, shared=True) is other) == better

    run_virtual(main())


def test_a_wait_without_the_store_ends_before_anyone_has_to() -> None:
    """R23: close to its hard point a token is refreshed before it, however long the draw would wait."""

    async def main() -> None:
        store = moody()
        world = World(store=store, draw=1.0)
        first = await world.cache.get(PARTNER)
        store.before = fails
        await asyncio.sleep(first.left() - hard_margin(first.lifetime) - 0.5)
        begin = asyncio.get_running_loop().time()
        assert await world.cache.get(PARTNER) is first
        await asyncio.sleep(3)
        assert world.endpoint.posts[1:] == [pytest.approx(begin + 0.5)]

    run_virtual(main())


def test_a_lonely_token_that_was_dropped_or_died_is_not_shared() -> None:
    """What was invalidated, or expired before the store came back, stays out of it."""

    async def main() -> None:
        store = moody()
        world = World(Endpoint(lifetime=30), store=store)
        store.before = fails
        await world.cache.get(PARTNER)
        await world.cache.get(user(1))
        await asyncio.sleep(40)
        store.before = None
        await world.cache.get(user(2))
        await asyncio.sleep(0.1)
        assert "records=1 " in repr(store)

    run_virtual(main())


def test_a_flight_waits_for_a_holder_that_never_finishes_and_then_says_so() -> None:
    """A lease that is renewed for ever by somebody else ends in a timeout after ten seconds, not in a hang."""

    async def main() -> None:
        world = World()
        name = PARTNER.record_name(await world.endpoint.secret())

        async def squat() -> None:
            while True:
                await world.store.acquire(name, "squatter", lease_ms=5000, bad_gen=0, min_left_ms=0)
                await asyncio.sleep(1)

        squatter = asyncio.create_task(squat())
        await asyncio.sleep(0)
        before = world.clock.monotonic()
        with pytest.raises(Exception, match="holds the lease"):
            await world.cache.get(PARTNER)
        assert 10 <= world.clock.monotonic() - before <= 11
        squatter.cancel()
        assert world.cache.stats().events["lease_waited"] == 1

    run_virtual(main())


def test_time_in_which_this_process_stood_still_is_not_held_against_the_holder() -> None:
    """A flight that waits for another process counts its waits, not what a busy event loop makes of them."""

    async def main() -> None:
        world = World()
        name = PARTNER.record_name(await world.endpoint.secret())
        await world.store.acquire(name, "busy", lease_ms=60_000, bad_gen=0, min_left_ms=0)
        loop = asyncio.get_running_loop()
        caller = asyncio.create_task(world.cache.get(PARTNER))
        for _ in range(20):
            await asyncio.sleep(0.1)
            cast("VirtualLoop", loop).now += 1.0  # everything stood still
        assert not caller.done()
        await world.store.fail(name, "busy", "", ttl_ms=0)
        assert (await caller).is_fresh()

    run_virtual(main())


def test_the_lease_of_a_dead_process_is_taken_over() -> None:
    """R18: a holder that died delays others until its lease ends, and no longer."""

    async def main() -> None:
        world = World()
        name = PARTNER.record_name(await world.endpoint.secret())
        await world.store.acquire(name, "dead", lease_ms=5000, bad_gen=0, min_left_ms=0)
        before = world.clock.monotonic()
        await world.cache.get(PARTNER)
        assert 5 <= world.clock.monotonic() - before <= 5.5
        assert world.cache.stats().events["lease_taken_over"] == 1

    run_virtual(main())


@pytest.mark.parametrize("failing", [False, True])
def test_every_await_point_of_a_flight_can_be_cut(failing: bool) -> None:
    """Cut off at each of its suspensions in turn, a flight gives its lease back and the next brings the token."""
    cuts = 0
    for point in range(1, 60):

        async def main(point: int = point) -> bool:
            store = moody()

            async def breathe(operation: str) -> None:
                await asyncio.sleep(0)

            store.before = breathe
            world = World(store=store)
            if failing:
                world.endpoint.plan = [AuthenticationError("no", status=401)]
            caller = asyncio.create_task(world.cache.get(PARTNER))
            await asyncio.sleep(0)
            flights = [task for task in world.cache._tasks if not task.done()]
            for _ in range(point):
                if flights[0].done():
                    break
                await asyncio.sleep(0.05 if world.posts == 1 and point % 2 else 0)
            was_cut = not flights[0].done()
            flights[0].cancel()
            before = world.clock.monotonic()
            results = await asyncio.gather(caller, return_exceptions=True)
            if isinstance(results[0], AuthenticationError):
                await asyncio.sleep(6)
                await world.cache.get(PARTNER)
            else:
                assert not isinstance(results[0], BaseException), results
                assert world.clock.monotonic() - before < 1
            assert world.cache.peek(PARTNER) is not None
            assert store._leases == {}
            return was_cut

        cuts += run_virtual(main())
    assert cuts >= 4
