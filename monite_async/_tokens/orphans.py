"""Tokens that were fetched while the store was away: it gets them, under the generations they have, when it is back."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async._tokens.guard import StoreGuard
from monite_async._tokens.record import AccessToken
from monite_async_stores import StoreError, TokenStore

__all__ = ["Orphans"]


class Orphans:
    """The tokens of a cache that its store does not have.

    Args:
        store: What is to get them.
        guard: What bounds its operations.
        records: The tokens in memory, by key; one that is no longer there is not given to the store either.
    """

    __slots__ = ("_guard", "_records", "_store", "_waiting")

    def __init__(self, store: TokenStore, guard: StoreGuard, records: Mapping[str, AccessToken]) -> None:
        self._store = store
        self._guard = guard
        self._records = records
        self._waiting: dict[str, AccessToken] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._waiting

    def add(self, key_id: str, record: AccessToken) -> None:
        """Remember a token; those for which memory had no room are let go of now and then."""
        self._waiting[key_id] = record
        if len(self._waiting) > 2 * len(self._records):
            for other, kept in list(self._waiting.items()):
                if self._records.get(other) is not kept:
                    self._waiting.pop(other, None)

    def discard(self, key_id: str) -> None:
        """Forget the token of a key."""
        self._waiting.pop(key_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    async def give_back(self) -> None:
        """Give the store all that are still alive and in use; when it fails again, the rest waits for the next time."""
        for key_id, record in list(self._waiting.items()):
            self._waiting.pop(key_id, None)
            left_ms = int(record.left() * 1000)
            if left_ms > 0 and self._records.get(key_id) is record:
                commit = self._store.commit(
                    record.name, "", record.gen, record.header, lifetime_ms=int(record.lifetime * 1000), left_ms=left_ms
                )
                try:
                    await self._guard.run(commit)
                except StoreError:
                    self._waiting[key_id] = record
                    return
