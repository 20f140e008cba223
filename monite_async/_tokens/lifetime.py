"""The windows of a token's life, as pure arithmetic in seconds.

::

    t0 ────────── soft ── hard ── true expiry        L = expires_in, measured from before the request was sent
       fresh       │ soft  │ mandatory │ dead
                   │       └ M: time for the request that carries the token to arrive
                   └ A: refreshed in the background while the old token is still served

Every window scales with L: a fixed window longer than the token's life would fetch on every call.
"""

from __future__ import annotations

import math

__all__ = ["DEFAULT_LIFETIME", "MAX_LIFETIME", "MIN_INTERVAL", "hard_margin", "parse_lifetime", "soft_lead"]

DEFAULT_LIFETIME = 60.0
"""Assumed when the server does not say how long its token lives, in seconds."""

MAX_LIFETIME = 7 * 86400.0
"""A longer life is not believed, in seconds."""

MIN_INTERVAL = 1.0
"""Least time between two flights of one key, in seconds: a tiny lifetime must not become a busy loop."""


def hard_margin(lifetime: float) -> float:
    """Return M, the seconds before true expiry from which a token is no longer handed out."""
    return min(max(0.02 * lifetime, 10.0), 60.0, lifetime / 4)


def soft_lead(lifetime: float, draw: float) -> float:
    """Return the seconds before the hard point at which a background refresh starts.

    Args:
        lifetime: L in seconds.
        draw: A random number from 0 to 1, drawn once per record and process: it spreads a fleet's refreshes.
    """
    ahead = min(0.2 * lifetime, 3600.0)
    return ahead - draw * ahead / 2


def parse_lifetime(raw: object) -> float:
    """Return ``expires_in`` as seconds.

    Missing (None) counts as a minute, a number in a string is read, more than a week is cut.

    Raises:
        ValueError: It is zero, negative or not a number.
    """
    if raw is None:
        return DEFAULT_LIFETIME
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError("expires_in is not a number")  # noqa: TRY004 - what is wrong is an answer, not the program
    try:
        seconds = float(raw)
    except (ValueError, OverflowError):
        seconds = MAX_LIFETIME if isinstance(raw, int) and raw > 0 else math.nan
    if math.isnan(seconds):
        raise ValueError("expires_in is not a number")
    if seconds <= 0:
        raise ValueError("expires_in is not positive")
    return min(seconds, MAX_LIFETIME)
