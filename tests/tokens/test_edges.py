"""Rare turns of the token engine, each with the rule that it must keep."""

from __future__ import annotations

import asyncio

import pytest

from monite_async._errors import AuthenticationError, RequestTimeout, ServerError
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.issuer import MoniteIssuer, PostResult, Wire
from monite_async._tokens.l1 import RecordTable
from monite_async._tokens.record import AccessToken
from monite_async_stores import Committed, Granted, MemoryTokenStore, RecordName, StoreEvent
from monite_async_stores import _fork as fork
from tests.tokens.world import PARTNER, SECRET, Endpoint, World, user
from tests.virtual import run_virtual


def test_what_a_forked_child_does_first_leaves_everything_usable() -> None:
    """R13: the child keeps tokens, and has new locks, a new name and no flights of its parent's."""

    async def main() -> None:
        world = World(Endpoint(latency=1.0))
        await world.cache.get(PARTNER)
        flying = asyncio.create_task(world.cache.get(user(1)))
        await asyncio.sleep(0.1)
        name, locks = world.cache._process, (world.cache._lock, world.cache._table._lock, world.cache.bells._lock)
        fork._in_child()
        assert world.cache._process != name
        assert locks[0] is not world.cache._lock
        assert locks[1] is not world.cache._table._lock
        assert locks[2] is not world.cache.bells._lock
        assert world.cache.peek(PARTNER) is not None
        assert (await world.cache.get(user(1))).is_fresh()
        assert world.endpoint.per_key[user(1).id] == 2
        assert (await flying).is_fresh()

    run_virtual(main())


def test_a_stored_token_with_hardly_any_life_is_not_adopted_while_a_better_can_be_had() -> None:
    """R14: a cold process that finds a token past its hard point fetches, and falls back on it if that fails."""

    async def main() -> None:
        for failing in (False, True):
            world = World()
            old = await world.cache.get(PARTNER)
            await asyncio.sleep(1800 - 20)
            cold = world.another()
            if failing:
                world.endpoint.failure = ServerError("down", status=503)
            token = await cold.get(PARTNER)
            assert (token.gen == old.gen) == failing
            assert token.is_alive()

    run_virtual(main())


def test_a_token_revoked_before_it_arrives_again_and_again_ends_in_an_error() -> None:
    """A flight whose every token is fenced off by purges gives up after ten requests."""

    async def main() -> None:
        world = World()
        name = PARTNER.record_name(SECRET)

        async def purge() -> None:
            await world.store.purge(name)

        world.endpoint.on_issue = purge
        with pytest.raises(RequestTimeout, match="revoked before it arrived"):
            await world.cache.get(PARTNER)
        assert world.posts == 10

    run_virtual(main())


def test_tokens_dropped_as_they_arrive_end_in_an_error_not_in_a_loop() -> None:
    """A caller whose flights are cut off over and over is told so after a bounded number of rounds."""

    async def main() -> None:
        world = World(Endpoint(latency=1.0))
        caller = asyncio.create_task(world.cache.get(PARTNER))
        for _ in range(200):
            await asyncio.sleep(0)
            for task in list(world.cache._tasks):
                task.cancel()
        with pytest.raises(RequestTimeout, match="dropped or expired"):
            await caller

    run_virtual(main())


def test_a_provider_of_secrets_that_fails_is_the_failure_of_the_flight() -> None:
    """R32: without a secret there is no name to ask the store for; callers get the provider's failure."""

    async def broken() -> str:
        raise OSError("vault sealed")

    async def no_post(path: str, body: bytes, **_: object) -> PostResult:
        raise AssertionError("nothing may be sent")

    async def main() -> None:
        world = World()
        world.cache.issuer = MoniteIssuer(
            post=no_post, credentials=ClientCredentials("id", broken), api_version="2024-05-25", wire=Wire()
        )
        with pytest.raises(AuthenticationError, match="raised OSError"):
            await world.cache.get(PARTNER)

    run_virtual(main())


def test_a_refusal_stands_when_the_secret_cannot_be_read_again() -> None:
    """R32: a provider that fails on the second reading changes nothing about the refusal."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = AuthenticationError("no", status=401)
        reads: list[bool] = []

        async def secret(*, refresh: bool = False) -> bytes:
            reads.append(refresh)
            if refresh:
                raise OSError("vault sealed")
            return SECRET

        setattr(world.endpoint, "secret", secret)  # noqa: B010 - replacing a method is what a test may do
        with pytest.raises(AuthenticationError) as caught:
            await world.cache.get(PARTNER)
        assert caught.value.status == 401
        assert reads == [False, True]

    run_virtual(main())


def test_an_attempt_that_hangs_is_cut_and_repeated() -> None:
    """R10: four seconds per attempt, ten in all, whatever the endpoint does."""

    async def main() -> None:
        world = World(Endpoint(latency=60))
        before = world.clock.monotonic()
        with pytest.raises(RequestTimeout, match="did not answer in time"):
            await world.cache.get(PARTNER)
        assert world.clock.monotonic() - before <= 10.0
        assert world.posts in (2, 3)

    run_virtual(main())


def test_a_fenced_leader_adopts_what_is_newer() -> None:
    """R15: a leader that comes too late hands out the newer token, not its own."""

    async def main() -> None:
        world = World(Endpoint(latency=1.0))
        name = PARTNER.record_name(SECRET)
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0.5)
        newer = await world.store.acquire(name, "thief", lease_ms=1, bad_gen=10**15, min_left_ms=0)
        assert not isinstance(newer, Granted)
        await world.store.commit(
            name, "thief", 10**15, b"Bearer newer-token-0123456789", lifetime_ms=900_000, left_ms=900_000
        )
        assert (await caller).value == "newer-token-0123456789"
        assert world.cache.stats().events["commit_fenced"] == 1

    run_virtual(main())


def test_the_table_keeps_the_newest_and_drops_by_generation() -> None:
    """R2: a record is only replaced by a newer one, and dropped only up to the generation that was named."""

    async def main() -> None:
        world = World()
        table = RecordTable(10)

        def record(gen: int, name: str = "ab" * 16) -> AccessToken:
            return AccessToken(
                b"Bearer x",
                gen,
                1800.0,
                name=RecordName(name),
                clock=world.clock,
                started_mono=world.clock.monotonic(),
                started_wall=world.clock.wall(),
                draw=0.5,
            )

        newer = record(2)
        assert table.put("k", newer) is newer
        assert table.put("k", record(1)) is newer
        assert table.put("k", record(2)) is newer
        assert not table.drop("k", 1)
        table.drop_name("ab" * 16, 1)
        table.drop_name("unknown", 9)
        table.outdate_name("unknown", 9)
        table.outdate_name("ab" * 16, 2)
        assert table.records["k"] is newer
        table.outdate_name("ab" * 16, 3)
        assert not table.records["k"].is_fresh()
        assert table.records["k"].is_usable()
        newest = record(5)
        assert table.put("k", newest) is newest
        table.drop_name("ab" * 16, 5)
        assert table.records == {}
        assert not table.drop("k", 9)

    run_virtual(main())


@pytest.mark.parametrize(
    ("event", "fresh"), [(StoreEvent("seen", "", 0), True), (StoreEvent("recovered", "", 0), True)]
)
def test_events_about_nothing_change_nothing(event: StoreEvent, fresh: bool) -> None:
    """An event without a name or a generation drops no token."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        world.cache.on_event(event)
        assert (world.cache.peek(PARTNER) is not None) == fresh

    run_virtual(main())


def test_a_commit_elsewhere_makes_the_next_use_look_at_the_store() -> None:
    """R22: a newer token of another process is adopted on the next use, which is served at once with the old one."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        name = PARTNER.record_name(SECRET)
        answer = await world.store.acquire(name, "other", lease_ms=5000, bad_gen=old.gen, min_left_ms=0)
        assert isinstance(answer, Granted)
        value = b"Bearer other-token-0123456789"
        stored = await world.store.commit(name, "other", answer.gen, value, lifetime_ms=1_800_000, left_ms=1_800_000)
        assert stored == Committed()
        await asyncio.sleep(2)
        assert (await world.cache.get(PARTNER)).gen == old.gen
        await asyncio.sleep(0.1)
        assert (await world.cache.get(PARTNER)).gen == answer.gen
        assert world.posts == 1

    run_virtual(main())


def test_a_token_that_arrives_while_closing_is_not_kept() -> None:
    """R13: after ``aclose`` nothing stays in memory, whatever was still in the air."""

    async def main() -> None:
        world = World(Endpoint(latency=0.3))
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0.1)
        await world.cache.aclose()
        assert (await caller).is_alive()
        assert world.cache.stats().cached == 0

    run_virtual(main())


def test_a_store_that_the_cache_owns_is_closed_with_it() -> None:
    """A store made by the client for itself is let go of; one that was passed in is not touched."""
    closed: list[str] = []

    class Watched(MemoryTokenStore):
        async def aclose(self) -> None:
            closed.append("closed")

    async def main() -> None:
        from monite_async._tokens.cache import TokenCache

        for owned in (False, True):
            await TokenCache(Watched(), Endpoint(), owns_store=owned).aclose()

    run_virtual(main())
    assert closed == ["closed"]


def test_warming_up_raises_the_first_failure_and_keeps_the_rest() -> None:
    """One user who is refused does not keep the others from being ready."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0))
        world.endpoint.plan = [None, AuthenticationError("no", status=401)]
        with pytest.raises(AuthenticationError):
            await world.cache.warm([PARTNER, user(1)])
        assert world.cache.stats().cached == 1

    run_virtual(main())


def test_eager_tasks_change_nothing() -> None:
    """With a task factory that runs tasks at once, as Python 3.12 offers, flights still serve all who wait."""
    eager = getattr(asyncio, "eager_task_factory", None)

    async def main() -> None:
        if eager is not None:
            asyncio.get_running_loop().set_task_factory(eager)
        world = World(Endpoint(latency=0.0))
        tokens = await asyncio.gather(*(world.cache.get(PARTNER) for _ in range(20)))
        assert len({token.gen for token in tokens}) == 1
        assert world.posts == 1

    run_virtual(main())
