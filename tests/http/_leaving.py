"""A caller that is cancelled at the worst moment: with its turn in hand, before it knows."""

from __future__ import annotations

import asyncio

import pytest

from monite_async._http.limits import Limiter

__all__ = ["leave_with_turn"]


async def leave_with_turn(limits: Limiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in line, and be cancelled between the turn and the next step of the task."""
    move = Limiter._move

    def move_and_cancel(self: Limiter) -> None:
        move(self)
        if waiter is not None and waiter.future.done():
            task.cancel()

    waiter = None
    monkeypatch.setattr(Limiter, "_move", move_and_cancel)
    task = asyncio.ensure_future(limits.turn())
    await asyncio.sleep(0)
    waiter = limits._line[-1]
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not waiter.future.cancelled()
    monkeypatch.undo()
