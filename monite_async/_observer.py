"""What may watch calls, token flights and store operations while they go on; see ``monite_async.otel``.

Nothing here costs anything while nobody watches: the places that know an observer ask first whether it is None.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from monite_async._http.decode import Answer
    from monite_async._http.exchange import Lost, Opened, Outgoing
    from monite_async._http.operation import Operation
    from monite_async._tokens.flight import Flight

__all__ = ["CallWatch", "Observer"]

T = TypeVar("T")


class CallWatch(Protocol):
    """Watches one call, in its own task; none of this may raise or block."""

    def waits(self, what: Literal["token", "turn"], /) -> None:
        """Note that it waits from now on, for a token or until the rate limit lets it go."""
        ...

    def sends(self, outgoing: Outgoing, /) -> None:
        """Note that a try is handed to the transport now."""
        ...

    def heard(self, outcome: Answer | Opened | Lost, /) -> None:
        """Note what came of the try."""
        ...

    def replaced(self) -> None:
        """Note that a refused token was replaced."""
        ...

    def repeats(self, wait: float, /) -> None:
        """Note that the next try starts in so many seconds."""
        ...

    def ends(self, error: BaseException | None, /) -> None:
        """Note that the call is over, and how."""
        ...


class Observer(Protocol):
    """Watches one client."""

    def call(self, operation: Operation[Any], /) -> CallWatch:
        """Return what watches a call that begins now."""
        ...

    def flight(
        self, fly: Callable[[Flight], Coroutine[Any, Any, None]], /
    ) -> Callable[[Flight], Coroutine[Any, Any, None]]:
        """Return what flies in the place of ``fly``; called by whoever starts the flight, run in the flight's task."""
        ...

    def turn(self, seconds: float, /) -> None:
        """Note that a flight waited so long until the rate limit let its request go; called in the flight's task."""
        ...

    def closes(self) -> None:
        """Note that the client was closed: there is nothing to watch any more."""
        ...

    async def store(self, operation: Awaitable[T], name: str, /) -> T:
        """Await one operation of the shared store; ``name`` is what its coroutine function is called."""
        ...
