"""The gateway's rate limit: a token bucket per client, on the emulator's clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monite_async.emulator._errors import gateway_refusal
from monite_async.emulator._settings import EmulatorSettings

__all__ = ["RateLimiter"]


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class RateLimiter:
    """Counts requests per client.

    A bucket holds one second's worth of requests and fills evenly; a clock moved back does not empty it.
    """

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def clear(self) -> None:
        """Forget all that was counted."""
        self._buckets.clear()

    def take(self, client: str, settings: EmulatorSettings, now: float) -> dict[str, str]:
        """Count a request and return the headers of its answer; raises the 429 when the bucket is empty.

        Args:
            client: Whose bucket.
            settings: The limit and the form of the headers.
            now: Seconds since 1970 on the emulator's clock.
        """
        limit = settings.rate_limit
        if limit is None:
            return {}
        bucket = self._buckets.setdefault(client, _Bucket(float(limit), now))
        bucket.left = min(float(limit), bucket.left + max(0.0, now - bucket.at) * limit)
        bucket.at = now
        if bucket.left < 1:
            wait = max(1, math.ceil((1 - bucket.left) / limit))
            headers = {**_headers(settings, limit, 0, now), "retry-after": str(wait)}
            raise gateway_refusal(429, "API rate limit exceeded", headers)
        bucket.left -= 1
        return _headers(settings, limit, int(bucket.left), now)


def _headers(settings: EmulatorSettings, limit: int, left: int, now: float) -> dict[str, str]:
    reset = "1" if settings.rate_limit_reset == "delta" else str(math.ceil(now + 1))
    return {
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(left),
        "ratelimit-reset": reset,
        "x-ratelimit-limit-second": str(limit),
        "x-ratelimit-remaining-second": str(left),
    }
