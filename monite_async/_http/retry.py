"""Whether a call is sent again, and when: pure decisions over plain values."""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monite_async._options import RetryPolicy

__all__ = ["Outcome", "Retry", "Stop", "decide", "parse_retry_after", "rate_limit", "retry_after"]

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_EPOCH = 1e9
"""From here on a ``RateLimit-Reset`` is a time of day, below it a number of seconds."""
_LONGEST = 1e9
_LEAST: Final = 0.2
"""The lowest limit that is believed, in requests per second: under one that allows nothing for hours, no further answer
would come to correct it."""
_PATIENCE: Final = 4
"""How many times as often a 429 is repeated as other failures: nothing was done, and the next try is paced."""


# -- what the server asks for ------------------------------------------------------------------------------------


def parse_retry_after(raw: str | None, *, now: float | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, section 10.2.3).

    Args:
        raw: Its value: whole or fractional seconds, or an HTTP date.
        now: The time of day that a date is held against, as seconds since the epoch; the machine's by default.

    Returns:
        Seconds, 0 for a date that has passed; None when the header is absent or means nothing.
    """
    if raw is None:
        return None
    text = raw.strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), _LONGEST)
    date = _http_date(text)
    if date is None:
        return None
    return min(max(0.0, date - (time.time() if now is None else now)), _LONGEST)


def _http_date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def retry_after(status: int, headers: Mapping[str, str], *, wall: float) -> float | None:
    """Return the seconds for which an answer asks its sender to stay away, or None.

    ``retry-after-ms`` is the most precise and wins, then ``Retry-After``; on a 429 without either the
    ``RateLimit-Reset`` counts, which Monite's documentation calls a timestamp and its gateway sends as seconds.

    Args:
        status: The status of the answer.
        headers: Its headers, looked up without regard to case.
        wall: The local time of day; used only when the answer does not tell the server's own (``Date``).
    """
    millis = (headers.get("retry-after-ms") or "").strip()
    if _NUMBER.fullmatch(millis):
        return min(float(millis) / 1000, _LONGEST)
    asked = headers.get("retry-after")
    # A date of the server is held against the clock of the server, so that a wrong clock here cannot stretch it.
    now = _http_date(headers.get("date") or "")
    now = wall if now is None else now
    seconds = parse_retry_after(asked, now=now)
    if seconds is None and status == 429:
        reset = (headers.get("ratelimit-reset") or "").strip()
        if _NUMBER.fullmatch(reset):
            value = min(float(reset), 1e12)
            seconds = max(0.0, value - now) if value > _EPOCH else value
    return seconds


def rate_limit(headers: Mapping[str, str]) -> float | None:
    """Return the limit in requests per second that an answer tells, 0.2 at least, or None.

    ``X-RateLimit-Limit-Second`` says what it counts by; ``RateLimit-Limit`` is its alias at Monite ("Rate limiting").

    Args:
        headers: Its headers, looked up without regard to case.
    """
    for name in ("x-ratelimit-limit-second", "ratelimit-limit"):
        text = (headers.get(name) or "").strip()
        if _NUMBER.fullmatch(text) and float(text) > 0:
            return min(max(float(text), _LEAST), _LONGEST)
    return None


# -- the decision ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try.

    Attributes:
        method: HTTP method, upper case.
        retries: How often the call was repeated so far.
        status: The answer's status, or None when no complete answer arrived.
        unsent: No byte of the request left this process.
        retry_after: Seconds the server asks to stay away, or None.
        remaining: Seconds left until the deadline of the call; infinite without one.
        replayable: The body can be produced once more.
        budget: The client-wide retry budget has something left.
        draw: A number from 0 to 1, drawn evenly.
        idempotent: Whether the operation bears to be done twice; None goes by the method.
    """

    method: str
    retries: int
    status: int | None = None
    unsent: bool = False
    retry_after: float | None = None
    remaining: float = math.inf
    replayable: bool = True
    budget: bool = True
    draw: float = 0.5
    idempotent: bool | None = None

    @property
    def harmless(self) -> bool:
        """Whether the request may be repeated though nobody knows what became of it."""
        return self.method in _IDEMPOTENT if self.idempotent is None else self.idempotent


@dataclass(frozen=True, slots=True)
class Retry:
    """Send it again.

    Attributes:
        wait: After so many seconds.
        charged: The repeat counts against the budget; one that the server itself scheduled does not.
    """

    wait: float
    charged: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the failure stand.

    Attributes:
        why: In a few words, for the log.
    """

    why: str


def decide(policy: RetryPolicy, outcome: Outcome) -> Retry | Stop:
    """Decide whether a failed try is repeated.

    GET, HEAD, PUT and DELETE (and a POST that only reads) are repeated after 408, 429, 5xx and transport errors; POST
    and PATCH only when nothing was sent, on 429, or on 503 with ``Retry-After``: Monite has no idempotency keys, and a
    blind repeat pays twice. A 429 is repeated four times as often as ``max_retries`` says: while processes that share a
    limit find out how much of it is theirs, one call may be refused several times, and fails only at its deadline.
    """
    if not _may_repeat(outcome):
        return Stop("not safe to repeat, or nothing that a repeat would cure")
    if outcome.retries >= policy.max_retries * (_PATIENCE if outcome.status == 429 else 1):
        return Stop("no retries left")
    if not outcome.replayable:
        return Stop("the body cannot be produced again")
    scheduled = outcome.retry_after is not None and outcome.status in {429, 503}
    if not scheduled and not outcome.budget:
        return Stop("the client's retry budget is used up")
    asked = outcome.retry_after or 0.0
    if asked > policy.max_retry_after:
        return Stop("the server asks for a longer wait than max_retry_after")
    # "Full jitter": an even draw from 0 to the bound spreads the callers of one failure best (AWS, 2015).
    wait = max(asked, outcome.draw * min(policy.max_wait, policy.base_wait * 2.0**outcome.retries))
    if wait >= outcome.remaining:
        return Stop("the deadline leaves no time for it")
    return Retry(wait, charged=not scheduled)


def _may_repeat(outcome: Outcome) -> bool:
    status = outcome.status
    if status is None:
        return outcome.unsent or outcome.harmless
    if status == 429:
        return True
    if outcome.harmless:
        return status == 408 or status >= 500
    return status == 503 and outcome.retry_after is not None
