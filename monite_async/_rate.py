"""A rate limit that processes share, as an argument of the client."""

from __future__ import annotations

import math

from monite_async._errors import ConfigurationError

__all__ = ["SharedRate"]


class SharedRate:
    """A limit on the requests of all processes together that share a token store: ``AsyncMonite(rate_limit=...)``.

    The store must offer a budget (``monite_async_stores.RateBudget``), as ``RedisTokenStore`` does. 97 % of the limit
    are used, so that the clocks and the delays of a network make no 429s of the rest, and half a second's worth may go
    at once after a pause. While the store cannot be reached each process goes on at what it had of the limit, and
    learns from the answers.

    Args:
        limit: Requests per second; None for what the server tells (Monite's documented 30 until it has).

    Attributes:
        limit: As given.

    Raises:
        ConfigurationError: The limit is no positive number.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: float | None = None) -> None:
        if limit is not None and not is_rate(limit):
            raise ConfigurationError("SharedRate takes a positive number of requests per second, or None")
        self.limit: float | None = None if limit is None else float(limit)

    def __repr__(self) -> str:
        return f"SharedRate({'' if self.limit is None else f'{self.limit:g}'})"


def is_rate(value: object) -> bool:
    """Tell whether a value is a positive, finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
