"""Tokens that the API refuses, and the failures of the token endpoint (R12, R29-R32, proofs T7 and T8)."""

from __future__ import annotations

import asyncio

import pytest

from monite_async._errors import AuthenticationError, ConnectError, MoniteError, RateLimitError, ServerError
from tests.tokens.world import PARTNER, Endpoint, World, user
from tests.virtual import run_virtual


def test_a_hundred_staggered_refusals_cost_one_request() -> None:
    """T8: compare-and-invalidate; whoever holds the old token just gets the new one."""

    async def main() -> None:
        world = World(Endpoint(latency=0.3))
        old = await world.cache.get(PARTNER)
        await asyncio.sleep(60)

        async def refused(after: float) -> int:
            await asyncio.sleep(after)
            token = await world.cache.replace(PARTNER, old)
            assert token is not None
            return token.gen

        gens = await asyncio.gather(*(refused(0.02 * n) for n in range(100)))
        assert len(set(gens)) == 1
        assert gens[0] > old.gen
        assert world.posts == 2

    run_virtual(main())


def test_a_young_token_is_not_replaced() -> None:
    """T8: a token asked for less than 5 s ago is not what is wrong: no request, the refusal stands."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        await asyncio.sleep(1)
        assert await world.cache.replace(PARTNER, token) is None
        assert world.posts == 1
        assert world.cache.peek(PARTNER) is token

    run_virtual(main())


def test_a_storm_of_refusals_is_bounded() -> None:
    """R30: with an API that refuses everything for a minute, at most 12 requests a minute are made for one key."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        await asyncio.sleep(60)
        posts, until = world.posts, world.clock.monotonic() + 60
        while world.clock.monotonic() < until:
            token = await world.cache.get(PARTNER)
            await world.cache.replace(PARTNER, token)
            await asyncio.sleep(0.05)
        assert world.posts - posts <= 12

    run_virtual(main())


def test_an_old_refusal_after_a_refresh_costs_nothing() -> None:
    """R29: a refusal of a generation that was replaced meanwhile makes no request."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        await asyncio.sleep(1700)
        new = await world.cache.get(PARTNER)
        await asyncio.sleep(1)
        new = await world.cache.get(PARTNER)
        posts = world.posts
        assert await world.cache.replace(PARTNER, old) == new
        assert world.posts == posts

    run_virtual(main())


def test_a_refusal_while_the_endpoint_is_blocked_raises_that_failure() -> None:
    """A refused token that cannot be replaced now ends in the token endpoint's failure, without a request."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        await asyncio.sleep(1500)
        world.endpoint.failure = AuthenticationError("no", status=401)
        await world.cache.get(PARTNER)
        await asyncio.sleep(0.1)
        posts = world.posts
        assert posts == 2
        with pytest.raises(AuthenticationError):
            await world.cache.replace(PARTNER, old)
        assert world.posts == posts

    run_virtual(main())


def test_a_refusal_in_another_process_is_settled_by_the_store() -> None:
    """A process that still holds a replaced token adopts the stored one instead of fetching."""

    async def main() -> None:
        world = World()
        other = world.another()
        old = await world.cache.get(PARTNER)
        assert (await other.get(PARTNER)).gen == old.gen
        await asyncio.sleep(60)
        new = await world.cache.replace(PARTNER, old)
        assert new is not None
        seen = await other.replace(PARTNER, old)
        assert seen is not None
        assert seen.gen == new.gen
        assert world.posts == 2

    run_virtual(main())


def test_revoking_drops_the_token_everywhere_and_tells_the_api() -> None:
    """R31: no new call picks up a revoked token, in this process or in another that shares the store."""

    async def main() -> None:
        world = World()
        other = world.another()
        token = await world.cache.get(user(1))
        await other.get(user(1))
        await world.cache.revoke(user(1))
        assert world.endpoint.revoked == [token.value]
        assert world.cache.peek(user(1)) is None
        assert other.peek(user(1)) is None
        assert (await other.get(user(1))).gen > token.gen
        assert (await world.cache.get(user(1))).gen > token.gen
        assert world.posts == 2

    run_virtual(main())


def test_revoking_finds_a_token_that_only_the_store_has() -> None:
    """A process that never used the user's token can still revoke it; with none anywhere nothing is sent."""

    async def main() -> None:
        world = World()
        other = world.another()
        token = await world.cache.get(user(1))
        await other.revoke(user(1))
        assert world.endpoint.revoked == [token.value]
        assert world.cache.peek(user(1)) is None
        await other.revoke(user(2))
        assert world.endpoint.revoked == [token.value]
        assert (await other.get(user(2))).is_fresh()

    run_virtual(main())


def test_a_flight_that_began_before_a_revocation_does_not_bring_its_token() -> None:
    """A token asked for before ``revoke`` is fenced off by the store, and the callers get one asked for after it."""

    async def main() -> None:
        world = World(Endpoint(latency=0.5))
        caller = asyncio.create_task(world.cache.get(PARTNER))
        await asyncio.sleep(0.1)
        await world.cache.invalidate(PARTNER)
        invalidated = world.clock.monotonic()
        token = await caller
        assert world.clock.monotonic() - token.age() >= invalidated
        assert world.posts == 2
        assert world.cache.stats().events["commit_fenced"] == 1

    run_virtual(main())


@pytest.mark.parametrize(
    ("asked", "at_least", "at_most"), [(0.0, 0.0, 5.0), (7.0, 7.0, 7.5), (3600.0, 60.0, 60.5), (None, 0.0, 5.0)]
)
def test_what_a_throttled_endpoint_asks_for_is_kept(asked: float | None, at_least: float, at_most: float) -> None:
    """T7: 429 with ``Retry-After`` keeps everyone away that long, at most a minute."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = RateLimitError("slow down", status=429, retry_after=asked)
        with pytest.raises(RateLimitError) as caught:
            await world.cache.get(PARTNER)
        wait = caught.value.retry_after
        assert wait is not None
        assert at_least - 0.01 <= wait <= at_most
        posts = world.posts
        with pytest.raises(RateLimitError):
            await world.cache.get(PARTNER)
        assert world.posts == posts <= 3

    run_virtual(main())


def test_a_short_throttle_is_waited_out_inside_the_flight() -> None:
    """A ``Retry-After`` that fits the flight's budget costs the callers the wait and no error (R10)."""

    async def main() -> None:
        world = World()
        world.endpoint.plan = [RateLimitError("slow down", status=429, retry_after=3.0)]
        await world.cache.get(PARTNER)
        assert world.posts == 2
        assert world.endpoint.posts[1] - world.endpoint.posts[0] >= 3.0

    run_virtual(main())


def test_a_dead_endpoint_gets_few_requests() -> None:
    """T7: 200 calls a second for a minute against a dead endpoint cost what the backoff allows."""

    async def main() -> None:
        world = World(Endpoint(latency=0.0), draw=0.0)
        world.endpoint.failure = ConnectError("refused")
        until = world.clock.monotonic() + 60
        while world.clock.monotonic() < until:
            with pytest.raises(MoniteError):
                await world.cache.get(PARTNER)
            await asyncio.sleep(0.005)
        flights = world.cache.stats().events["flight_started"]
        assert flights <= 60 / 2.5 + 6
        assert world.posts <= 3 * flights

    run_virtual(main())


def test_after_a_refusal_the_credentials_are_read_once_more() -> None:
    """R32: a rotated secret is picked up within the flight; with the same secret the refusal stands after one read."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = AuthenticationError("no", status=401)
        with pytest.raises(AuthenticationError):
            await world.cache.get(PARTNER)
        assert world.endpoint.secret_reads == 1
        assert world.posts == 1

        rotated = World()
        rotated.endpoint.secrets = [b"old", b"new"]
        rotated.endpoint.plan = [AuthenticationError("no", status=401)]
        token = await rotated.cache.get(PARTNER)
        assert rotated.endpoint.secret_reads == 1
        assert rotated.posts == 2
        assert token.name == PARTNER.record_name(b"new")

    run_virtual(main())


def test_a_failure_is_shared_by_the_fleet() -> None:
    """R12: a process that did not fail itself gets the failure of the one that did, without a request."""

    async def main() -> None:
        world = World()
        world.endpoint.failure = ServerError("down", status=503)
        with pytest.raises(ServerError):
            await world.cache.get(PARTNER)
        posts = world.posts
        with pytest.raises(ServerError, match="another process") as caught:
            await world.another().get(PARTNER)
        assert caught.value.status == 503
        assert world.posts == posts

    run_virtual(main())


def test_an_issuer_that_raises_anything_else_is_reported_by_class_only() -> None:
    """R33: the text of a foreign exception may hold a secret and is not repeated."""

    async def main() -> None:
        world = World()

        async def explode() -> None:
            raise ValueError("client_secret=hunter2")

        world.endpoint.on_issue = explode
        with pytest.raises(AuthenticationError, match="raised ValueError") as caught:
            await world.cache.get(PARTNER)
        assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)

    run_virtual(main())


def test_a_call_in_flight_survives_the_revocation_of_its_young_token() -> None:
    """R31: a token that was dropped on purpose is replaced for the calls that still carried it, however young."""

    async def main() -> None:
        world = World()
        other = world.another()
        token = await world.cache.get(user(1))
        await other.get(user(1))
        await asyncio.sleep(1)
        await world.cache.revoke(user(1))
        for cache in (world.cache, other):
            replaced = await cache.replace(user(1), token)
            assert replaced is not None
            assert replaced.gen > token.gen
        assert world.posts == 2

    run_virtual(main())


def test_waiting_for_the_rate_limit_costs_a_flight_none_of_its_time() -> None:
    """R10: 200 cold users at 10 requests a second take 20 s and no failure, though a flight has only ten of its own."""

    async def main() -> None:
        world = World(rate_limit=10)
        before = world.clock.monotonic()
        tokens = await asyncio.gather(*(world.cache.get(user(number)) for number in range(200)))
        assert len({token.value for token in tokens}) == 200
        assert world.posts == 200
        assert 19.5 <= world.clock.monotonic() - before <= 21
        gaps = [b - a for a, b in zip(world.endpoint.posts, world.endpoint.posts[10:], strict=False)]
        assert min(gaps) >= 0.9  # ten requests never take less than their second

    run_virtual(main())


def test_a_turn_that_is_too_far_away_fails_the_flight() -> None:
    """A rate limit that would keep a token waiting for more than a minute is told to the callers with the time."""

    async def main() -> None:
        world = World(rate_limit=1)
        results = await asyncio.gather(*(world.cache.get(user(n)) for n in range(80)), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        assert 0 < len(failed) < 25
        assert world.posts == 80 - len(failed)

    run_virtual(main())
