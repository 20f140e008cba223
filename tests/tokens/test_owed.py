"""What a store missed, or forgot, is made up for; and nothing that was revoked comes back (R22, R23, R31)."""

from __future__ import annotations

import pytest

from monite_async._tokens.record import AccessToken
from monite_async_stores import Granted, Hit, StoreEvent
from tests.tokens.test_degraded import fails, moody
from tests.tokens.world import PARTNER, SECRET, World, user
from tests.virtual import run_virtual

NAME = PARTNER.record_name(SECRET)
BACK = StoreEvent("recovered", "", 0)


async def stored(world: World) -> Hit | None:
    """Return what the store has of the partner."""
    answer = await world.store.acquire(NAME, "looker", lease_ms=1, bad_gen=0, min_left_ms=0)
    if isinstance(answer, Granted):
        await world.store.fail(NAME, "looker", "", ttl_ms=0)
    return answer if isinstance(answer, Hit) else None


@pytest.mark.parametrize("revoke", [True, False], ids=["revoked", "invalidated"])
def test_what_was_dropped_while_the_store_was_away_is_never_taken_from_it(revoke: bool) -> None:
    """R31: the store still has the token, and answers again a moment later: nobody here gets it any more."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        old = await world.cache.get(PARTNER)
        other = world.another()
        assert (await other.get(PARTNER)).gen == old.gen
        store.before = fails
        await (world.cache.revoke(PARTNER) if revoke else world.cache.invalidate(PARTNER))
        assert other.peek(PARTNER) is not None
        store.before = None
        new = await world.cache.get(PARTNER)
        assert new.value != old.value
        assert world.posts == 2
        assert other.peek(PARTNER) is None  # the purge was made up for, and everyone heard of it
        assert (await other.get(PARTNER)).value == new.value

    run_virtual(main())


def test_while_a_purge_is_owed_a_flight_goes_alone() -> None:
    """R31: a store that fails the purge but would answer the rest is not asked for what was revoked."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        old = await world.cache.get(PARTNER)

        async def no_purge(operation: str) -> None:
            if operation == "purge":
                await fails(operation)

        store.before = no_purge
        await world.cache.revoke(PARTNER)
        new = await world.cache.get(PARTNER)
        assert new.value != old.value
        found = await stored(world)
        assert found is not None
        assert found.gen == old.gen
        store.before = None
        world.cache.on_event(BACK)
        await world.cache.get(user(1))
        assert world.cache.owed.purges == {}
        assert await stored(world) is None  # and the token fetched meanwhile is older than the purge
        assert world.cache.peek(PARTNER) is None
        assert world.posts == 3

    run_virtual(main())


def test_a_token_that_was_purged_elsewhere_while_the_store_was_away_is_dropped() -> None:
    """R15: what was fetched alone before somebody else's purge is refused by the store, and no longer served here."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        await world.cache.get(PARTNER)
        store.before = None
        ears = store._watchers
        store._watchers = ()
        await store.purge(NAME)
        store._watchers = ears
        world.cache.on_event(BACK)
        await world.cache.get(user(1))
        assert world.cache.peek(PARTNER) is None

    run_virtual(main())


def test_a_token_that_gave_way_to_a_newer_one_is_dropped() -> None:
    """R15: when somebody else stored a newer token meanwhile, the one fetched alone is replaced by it."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        old = await world.cache.get(PARTNER)
        store.before = None
        ears = store._watchers
        store._watchers = ()
        await store.commit(NAME, "", old.gen + 5, b"Bearer newer-0123456789", lifetime_ms=900_000, left_ms=900_000)
        store._watchers = ears
        world.cache.on_event(BACK)
        await world.cache.get(user(1))
        assert (await world.cache.get(PARTNER)).gen == old.gen + 5

    run_virtual(main())


@pytest.mark.parametrize("gen", [0, 1], ids=["emptied", "fallen back"])
def test_a_store_that_was_emptied_gets_its_tokens_again(gen: int) -> None:
    """R23: valid tokens survive a flush, a restart, a failover to a server that lags: no request, the same generation."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        world.store = moody()
        world.cache.owed._store = world.store  # as if it had been emptied
        world.cache.on_event(StoreEvent("seen", NAME.name, gen))
        await world.cache.get(user(1))
        assert world.cache.peek(PARTNER) is token
        found = await stored(world)
        assert found is not None
        assert found.gen == token.gen
        assert world.posts == 2

    run_virtual(main())


def test_a_newer_generation_that_nobody_told_of_drops_the_token() -> None:
    """R22: with all messages lost, a token that was revoked and replaced looks like one that was due: it is dropped."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        world.cache.on_event(StoreEvent("seen", NAME.name, token.gen))
        assert world.cache.peek(PARTNER) is token
        world.cache.on_event(StoreEvent("seen", NAME.name, token.gen + 1))
        world.cache.on_event(StoreEvent("seen", "unknown", 1))
        assert world.cache.peek(PARTNER) is None

    run_virtual(main())


def test_records_in_use_take_turns() -> None:
    """R22: of more records than are re-read at once, each has its turn, however often all of them are used."""

    async def main() -> None:
        world = World()
        keys = [user(number) for number in range(1200)]
        await world.cache.warm(keys)
        seen: set[str] = set()
        for _ in range(3):
            for key in keys:
                assert world.cache.peek(key)
            names = world.cache.in_use()
            assert len(names) == 500
            seen.update(name.name for name in names)
        assert len(seen) == 1200
        table = world.cache._table
        for key in keys[:1000]:
            table.pop(key.id)
        world.cache.in_use()
        assert world.cache.peek(keys[1100])
        assert [name.name for name in world.cache.in_use()] == [keys[1100].record_name(SECRET).name]

    run_virtual(main())


def test_paying_goes_on_where_it_was_left() -> None:
    """R23: a store that breaks again in between gets the rest the next time; a dead token, or a dropped one, is not owed."""

    async def main() -> None:
        store = moody()
        world = World(store=store)
        store.before = fails
        tokens: list[AccessToken] = [await world.cache.get(user(number)) for number in range(3)]
        await world.cache.invalidate(user(0))
        await world.cache.invalidate(user(1))
        await world.cache.owed.pay()
        assert len(world.cache.owed.purges) == 2
        store.before = None
        world.cache.owed.add(user(0).id, tokens[0])
        await world.cache.owed.pay()
        assert len(world.cache.owed) == len(world.cache.owed.purges) == 0
        assert not world.cache.owed
        assert "records=1 " in repr(store)

    run_virtual(main())
