"""The windows of a token's life (R5-R8, proofs T2 and T3)."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monite_async._errors import MoniteError
from monite_async._tokens.lifetime import MAX_LIFETIME, hard_margin, parse_lifetime, soft_lead
from tests.tokens.world import PARTNER, Endpoint, World
from tests.virtual import run_virtual


@given(lifetime=st.floats(0.01, MAX_LIFETIME), draw=st.floats(0, 1))
def test_the_points_are_in_order(lifetime: float, draw: float) -> None:
    """Fresh comes before soft, soft before hard, hard before true expiry, for every lifetime."""
    hard = lifetime - hard_margin(lifetime)
    soft = hard - soft_lead(lifetime, draw)
    assert 0 < soft < hard < lifetime


@pytest.mark.parametrize(("lifetime", "margin"), [(1800, 36), (86400, 60), (20, 5), (4, 1), (600, 12)])
def test_the_margin_is_what_the_design_says(lifetime: float, margin: float) -> None:
    """M = min(max(2 % of L, 10 s), 60 s, L/4)."""
    assert hard_margin(lifetime) == margin


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (None, 60.0),
        (1800, 1800.0),
        ("1800", 1800.0),
        (1799.5, 1799.5),
        (10**12, MAX_LIFETIME),
        (10**400, MAX_LIFETIME),
        ("1e12", MAX_LIFETIME),
        (math.inf, MAX_LIFETIME),
    ],
)
def test_lifetimes_that_are_tolerated(raw: object, seconds: float) -> None:
    """A missing, textual or absurd ``expires_in`` is read as far as it makes sense."""
    assert parse_lifetime(raw) == seconds


@pytest.mark.parametrize("raw", [0, -1, "abc", "", True, [], {}, math.nan, "nan", -(10**400)])
def test_lifetimes_that_are_refused(raw: object) -> None:
    """An ``expires_in`` that is no positive number is an error that names it."""
    with pytest.raises(ValueError, match="expires_in is not"):
        parse_lifetime(raw)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 400),  # seconds until
        st.sampled_from(["call", "call", "call", "step", "suspend"]),
        st.floats(-86400, 86400),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lifetime=st.one_of(st.floats(1, 30), st.floats(30, 3600), st.floats(3600, 1e6)),
    latency=st.floats(0, 3.5),
    draw=st.floats(0, 1),
    steps=STEPS,
)
def test_no_dead_token_whatever_the_clocks_do(
    lifetime: float, latency: float, draw: float, steps: list[tuple[float, str, float]]
) -> None:
    """T2: with clocks stepped and the machine suspended at will, no token is handed out after its true expiry."""

    async def main() -> None:
        world = World(Endpoint(latency=latency, lifetime=lifetime), draw=draw)
        slept = 0.0  # what really passed beside the monotonic clock
        born: dict[str, float] = {}
        started: list[tuple[float, float]] = []

        async def note_birth() -> None:
            real = world.clock.monotonic() + slept
            born[f"token-{world.posts:06d}-0123456789"] = real
            started.append((real, world.clock.monotonic()))

        world.endpoint.on_issue = note_birth
        steps_of_clock = 0
        met: set[str] = set()
        for wait, kind, amount in steps:
            await asyncio.sleep(min(wait, lifetime))
            met.add(kind)
            if kind == "step":
                world.clock.step_wall(amount)
                steps_of_clock += 1
            elif kind == "suspend":
                world.clock.suspend(abs(amount))
                slept += abs(amount)
                steps_of_clock += 1
            else:
                try:
                    token = await world.cache.get(PARTNER)
                except MoniteError:
                    assert latency > 0  # only a token that dies under way may fail here
                else:
                    now = world.clock.monotonic() + slept
                    assert now - born[token.value] < min(lifetime, MAX_LIFETIME) or met >= {"step", "suspend"}
                    assert token.left() > 0
        elapsed = world.clock.monotonic() - 1000
        life = min(lifetime, MAX_LIFETIME)
        assert world.posts <= 3 * (2 + steps_of_clock + elapsed / max(1.0, life * 0.5))

    run_virtual(main())


def test_a_wall_clock_set_back_does_not_prolong_a_life() -> None:
    """R7: the monotonic clock ends a token's life when the wall clock is set back."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        world.clock.step_wall(-86400)
        await asyncio.sleep(1801)
        assert (await world.cache.get(PARTNER)).gen > old.gen

    run_virtual(main())


def test_a_suspended_machine_wakes_up_without_its_old_tokens() -> None:
    """R7: the wall clock ends a token's life when the monotonic one stood still, at the price of one request."""

    async def main() -> None:
        world = World()
        old = await world.cache.get(PARTNER)
        world.clock.suspend(3600)
        assert world.cache.peek(PARTNER) is None
        await asyncio.sleep(2)
        fresh = [await world.cache.get(PARTNER) for _ in range(20)]
        assert {token.gen for token in fresh} != {old.gen}
        assert world.posts == 2

    run_virtual(main())


def test_a_fleet_without_a_shared_store_spreads_its_refreshes() -> None:
    """T3: the soft points of 50 processes are uniform over their window (Kolmogorov-Smirnov, 1 % level)."""

    async def main() -> list[float]:
        draws = random.Random(20240525)
        points: list[float] = []
        for _ in range(50):
            world = World(draw=draws.random())
            token = await world.cache.get(PARTNER)
            asked = world.clock.monotonic() - token.age()
            points.append(token.soft_mono - asked)
        return points

    points = sorted(run_virtual(main()))
    hard, ahead = 1800 - 36.0, 360.0
    spread = [(point - (hard - ahead)) / (ahead / 2) for point in points]
    assert all(-1e-6 <= share <= 1 + 1e-6 for share in spread)
    size = len(spread)
    distance = max(max((n + 1) / size - share, share - n / size) for n, share in enumerate(spread))
    assert distance < 1.63 / math.sqrt(size)


def test_two_caches_with_the_same_draw_still_share_one_refresh_over_a_store() -> None:
    """With a shared store the first process past its soft point refreshes for all."""

    async def main() -> None:
        world = World()
        caches = [world.cache, *(world.another() for _ in range(7))]
        await asyncio.gather(*(cache.get(PARTNER) for cache in caches))
        await asyncio.sleep(1800 - 36 - 100)
        await asyncio.gather(*(cache.get(PARTNER) for cache in caches))
        await asyncio.sleep(1)
        assert world.posts == 2
        gens: set[Any] = {(await cache.get(PARTNER)).gen for cache in caches}
        assert len(gens) == 1

    run_virtual(main())
