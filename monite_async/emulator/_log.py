"""The log of requests: what was asked by whom, never a token, a secret or a body."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["Entry", "RequestLog"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One request.

    Attributes:
        method: HTTP method.
        path: Path template below ``/v1`` (``/payables/{payable_id}``), or the whole path when the contract has none.
        operation: The contract's name of the operation, None when it has none.
        entity_id: The entity header.
        token: Kind of the token: ``client_credentials``, ``entity_user`` or ``none``.
        user_id: The entity user of the token.
        fingerprint: 12 hex digits that stand for the token; empty without one.
        status: Status of the answer; 0 when the connection was dropped.
        time: Seconds since 1970 on the emulator's clock.
        fault: Id of the fault that struck, None without one.
    """

    method: str
    path: str
    operation: str | None
    entity_id: str | None
    token: str
    user_id: str | None
    fingerprint: str
    status: int
    time: float
    fault: int | None = None

    def matches(self, method: str | None, path: str | None, facts: dict[str, object]) -> bool:
        """Tell whether this is a request of that method, path (template or pattern) and further facts."""
        if method is not None and method.upper() != self.method:
            return False
        if path is not None and path != self.path and not fnmatchcase(self.path, path):
            return False
        return all(getattr(self, name) == value for name, value in facts.items())


class RequestLog:
    """Requests in order of arrival, readable like a list; the oldest go when it is full."""

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def add(self, entry: Entry) -> None:
        """Add a request."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()

    def filter(self, method: str | None = None, path: str | None = None, **facts: object) -> list[Entry]:
        """Return the requests of a method, path and further facts.

        Args:
            method: HTTP method.
            path: Path template, or a pattern with ``*``.
            facts: Any attribute of ``Entry`` with the value it must have (``status=200``, ``user_id=...``).

        Raises:
            TypeError: A fact that no entry has.
        """
        unknown = set(facts) - set(Entry.__slots__)
        if unknown:
            raise TypeError(f"no such attribute of a log entry: {', '.join(sorted(unknown))}")
        return [entry for entry in self if entry.matches(method, path, facts)]

    def count(self, method: str | None = None, path: str | None = None, **facts: object) -> int:
        """Return how many requests there were of a method, path and further facts; see ``filter``."""
        return len(self.filter(method, path, **facts))

    def statuses(self) -> dict[int, int]:
        """Return how often each status was answered."""
        return dict(Counter(entry.status for entry in self))
