"""Time limits that do not run while the event loop is busy."""

from __future__ import annotations

import asyncio

import pytest

from monite_async_stores._loop_time import within

LIMIT = 0.05


def keep_busy(turns: int, then: asyncio.Future[None]) -> None:
    """Stop the loop for half the limit in each of so many turns, and bring the answer at the end of them."""
    loop = asyncio.get_running_loop()

    def turn(left: int) -> None:
        deadline = loop.time() + LIMIT / 2
        while loop.time() < deadline:
            pass
        if left:
            loop.call_soon(turn, left - 1)
        elif not then.done():
            then.set_result(None)

    loop.call_soon(turn, turns)


async def test_a_busy_loop_is_not_held_against_the_other_side() -> None:
    """An answer that comes after ten times the limit still counts if the loop was busy all the while."""
    arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    keep_busy(20, arrived)
    async with within(LIMIT):
        await arrived
    assert arrived.done()


async def test_a_silent_other_side_is_given_up() -> None:
    """What never answers ends in ``TimeoutError``, in an idle loop and in one that is busy at first."""
    for turns in (0, 20):
        busy: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keep_busy(turns, busy)
        with pytest.raises(TimeoutError):
            async with within(LIMIT):
                await asyncio.get_running_loop().create_future()
        await busy


async def test_a_limit_ends_with_its_block() -> None:
    """After the block, and after an error or a cancellation in it, no timer is left and nothing is cancelled."""
    loop = asyncio.get_running_loop()
    async with within(LIMIT):
        pass
    with pytest.raises(KeyError):
        async with within(LIMIT):
            raise KeyError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), within(LIMIT):
            await loop.create_future()
    busy: asyncio.Future[None] = loop.create_future()
    keep_busy(30, busy)
    await busy
    await asyncio.sleep(LIMIT)
