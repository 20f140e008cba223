"""What the token cache reports: events for listeners, counters for metrics. No secrets in either."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from monite_async_stores._value import frozen

if TYPE_CHECKING:
    from monite_async._observer import Observer

__all__ = ["EventKind", "Events", "TokenEvent", "TokenStats"]

_log = logging.getLogger("monite_async.tokens")
# Whoever configures no logging hears nothing of a library, warnings included (Python's logging HOWTO).
logging.getLogger("monite_async").addHandler(logging.NullHandler())

EventKind = Literal[
    "flight_started",
    "flight_joined",
    "flight_succeeded",
    "flight_failed",
    "token_fetched",
    "adopted",
    "lease_waited",
    "lease_taken_over",
    "commit_fenced",
    "store_degraded",
    "store_recovered",
    "token_refused",
    "refusal_braked",
    "token_revoked",
]

_WARNINGS = frozenset({"flight_failed", "store_degraded", "refusal_braked"})


@frozen
class TokenEvent:
    """One thing that happened to the tokens of one key.

    Attributes:
        kind: What happened.
        key: A fingerprint of the key, the same in every process with the same credentials; empty for a whole store.
        seconds: How long it took, where that makes sense.
        detail: A status, an error class, a generation, or what a store complains of; never a secret.
    """

    kind: EventKind
    key: str
    seconds: float = 0.0
    detail: str = ""


@frozen
class TokenStats:
    """Counters of one client since it was made.

    Attributes:
        hits: Calls served by a fresh token at once.
        cached: Tokens in memory now.
        events: How often each kind of event happened; ``flight_joined`` counts the callers who shared a flight that
            somebody else had started (it is counted only, not reported one by one).
    """

    hits: int
    cached: int
    events: Mapping[str, int] = field(default_factory=dict[str, int])


class Events:
    """Counts events, logs them and tells listeners.

    Attributes:
        observer: What watches flights and store operations while they go on, if anything does.
    """

    __slots__ = ("_counts", "_listeners", "observer")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._listeners: tuple[Callable[[TokenEvent], None], ...] = ()
        self.observer: Observer | None = None

    def listen(self, listener: Callable[[TokenEvent], None]) -> Callable[[], None]:
        """Call ``listener`` for every event, in whichever thread it happens; returns what ends it."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return end

    def count(self, kind: EventKind, times: int = 1) -> bool:
        """Count an event; tell whether anyone wants to hear more of it."""
        self._counts[kind] += times
        return bool(self._listeners) or _log.isEnabledFor(_level(kind))

    def emit(self, kind: EventKind, key: str = "", *, seconds: float = 0.0, detail: str = "") -> None:
        """Log one event and tell the listeners; one that raises is logged and does no harm."""
        facts = {"monite_event": kind, "monite_key": key, "monite_seconds": seconds, "monite_detail": detail}
        _log.log(_level(kind), "%s key=%s seconds=%.3f %s", kind, key, seconds, detail, extra=facts)
        for listener in self._listeners:
            try:
                listener(TokenEvent(kind, key, seconds, detail))
            except Exception:  # noqa: BLE001 - a listener is the user's; its failure is not the token's
                _log.exception("a listener of token events failed")

    def counts(self) -> dict[str, int]:
        """Return how often each kind of event happened."""
        return dict(self._counts)


def _level(kind: EventKind) -> int:
    return logging.WARNING if kind in _WARNINGS else logging.DEBUG
