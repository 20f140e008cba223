"""Time limits that an event loop cannot run out of by being busy itself.

Limits tell how long another side may take to answer. While a loop is kept busy, as by the first calls of a thousand
coroutines, or by other processes on the same cores, answers lie in the socket unread: on the clock of the machine the
other side would then be given up for what this side did.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

__all__ = ["within"]

_STEPS = 25


@contextlib.asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None, None]:
    """Limit what is awaited inside to so many seconds in which this event loop was free to look for an answer.

    Counted in 25 steps, of which each counts as what it should have taken, however late the loop got to it.

    Raises:
        TimeoutError: The time was up.
    """
    loop = asyncio.get_running_loop()
    step, left = seconds / _STEPS, _STEPS
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def count() -> None:
            nonlocal left, timer
            left -= 1
            if left:
                timer = loop.call_later(step, count)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(step, count)
        try:
            yield
        finally:
            timer.cancel()
