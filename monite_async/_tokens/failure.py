"""Failed flights: what every waiter is told, and when the next try may start."""

from __future__ import annotations

from collections.abc import Callable

from monite_async._errors import (
    AuthenticationError,
    ConnectError,
    MoniteError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    TransportError,
)
from monite_async._tokens.lifetime import MIN_INTERVAL
from monite_async_stores._value import frozen

__all__ = ["Failure", "Trouble", "failure_of", "from_kind"]

_RETRY_AFTER_CAP = 60.0
"""Most seconds of a ``Retry-After`` that are heeded."""
_CAP_WITH_TOKEN = 30.0
"""Most seconds between two flights while there is a token that opens the door."""
_CAP_WITHOUT = 5.0
"""Most seconds between them while there is none, and callers fail."""
_KINDS: dict[str, type[MoniteError]] = {
    "auth": AuthenticationError,
    "connect": ConnectError,
    "rate": RateLimitError,
    "server": ServerError,
    "timeout": RequestTimeout,
    "transport": TransportError,
}


@frozen
class Failure:
    """Why a flight brought no token.

    Attributes:
        error: The original; every waiter gets a copy of it with the original as its cause.
        transient: Whether another try may succeed without anyone changing anything.
    """

    error: MoniteError
    transient: bool

    def again(self, retry_after: float) -> MoniteError:
        """Return an error of its own for one more caller."""
        error = self.error.again()
        error.retry_after = max(0.0, retry_after)
        error.__cause__ = self.error
        return error

    @property
    def is_repeatable(self) -> bool:
        """Whether the same flight may try again: connect errors, timeouts, 5xx and 429."""
        return self.transient and not isinstance(self.error, AuthenticationError)

    @property
    def kind(self) -> str:
        """A short text for a store, from which another process can make the same failure."""
        name = next(name for name in _KINDS if isinstance(self.error, _KINDS[name]))
        return f"{'transient' if self.transient else 'terminal'}:{name}:{self.error.status or 0}"


def failure_of(error: BaseException) -> Failure:
    """Return the failure for whatever a flight ran into, stripped of frames that may hold secrets."""
    if isinstance(error, TimeoutError):
        error = RequestTimeout("no token: the token endpoint did not answer in time", method="POST", attempts=1)
    elif not isinstance(error, AuthenticationError | RateLimitError | ServerError | TransportError):
        # A plugged-in issuer may raise anything, with anything in its text.
        error = AuthenticationError(f"the token issuer raised {type(error).__name__}")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    refused = isinstance(error, AuthenticationError) and error.status is not None and error.status >= 300
    return Failure(error, transient=not refused)


def from_kind(kind: str) -> Failure:
    """Return the failure that another process described."""
    certainty, _, rest = kind.partition(":")
    name, _, status = rest.partition(":")
    error = _KINDS.get(name, AuthenticationError)(
        "no token: another process was just refused one"
        if certainty == "terminal"
        else "no token: another process just failed to get one",
        status=int(status) if status.isdigit() and int(status) else None,
    )
    return Failure(error, transient=certainty != "terminal")


class Trouble:
    """What went wrong with one key of late; forgotten as soon as a token arrives.

    Attributes:
        failures: Failed flights in a row.
        failure: The last one.
        retry_at: Monotonic time before which no flight starts.
        refused_at: Monotonic time at which a token was last replaced because the API refused it.
    """

    __slots__ = ("failure", "failures", "refused_at", "retry_at")

    def __init__(self) -> None:
        self.failures: int = 0
        self.failure: Failure | None = None
        self.retry_at: float = float("-inf")
        self.refused_at: float = float("-inf")

    def note(
        self, failure: Failure, now: float, started: float, *, has_token: bool, random: Callable[[], float]
    ) -> None:
        """Take note of one more failed flight, and how long to stay away after it."""
        self.failures += 1
        self.failure = failure
        if failure.transient:
            cap = _CAP_WITH_TOKEN if has_token else _CAP_WITHOUT
            wait = min(cap, 0.5 * 2.0 ** min(self.failures, 10)) * (0.5 + random() / 2)
        else:
            wait = 1.0 + 4.0 * random()
        asked = failure.error.retry_after
        if asked is not None:
            wait = max(wait, min(asked, _RETRY_AFTER_CAP))
        self.retry_at = max(now + wait, started + MIN_INTERVAL)

    def block(self, failure: Failure, until: float) -> None:
        """Take over a failure of another process."""
        self.failure = failure
        self.retry_at = until

    def clear(self) -> None:
        """Forget the failures: a token arrived."""
        self.failures = 0
        self.failure = None
        self.retry_at = float("-inf")
