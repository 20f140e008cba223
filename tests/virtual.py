"""Virtual time: an event loop that never waits, and two clocks that tests move apart."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class _InstantSelector(selectors.SelectSelector):
    """Polls; where a real selector would sleep, it moves the loop's clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits for something that will never happen")
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where everyone sleeps."""

    def __init__(self) -> None:
        selector = _InstantSelector()
        super().__init__(selector)
        selector.loop = self
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class VirtualClock:
    """Both clocks of a machine, on a virtual loop.

    Attributes:
        wall_offset: What the wall clock is ahead of the monotonic one.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.wall_offset = 1_700_000_000.0

    def monotonic(self) -> float:
        return self._loop.now

    def wall(self) -> float:
        return self._loop.now + self.wall_offset

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock: the monotonic one knows nothing of it."""
        self.wall_offset += seconds

    suspend = step_wall  # a suspended machine's monotonic clock stands still while the world goes on


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, and fail on any trouble that the loop was told of."""
    troubles: list[Mapping[str, object]] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: troubles.append(context))
        result = runner.run(main)
    assert not troubles, troubles
    return result
