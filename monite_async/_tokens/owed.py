"""What a store has yet to be told, because it was away: purges, and tokens that it does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monite_async._tokens.guard import StoreGuard
from monite_async._tokens.record import AccessToken
from monite_async_stores import Committed, Hit, RecordName, StoreError, TokenStore

__all__ = ["Owed"]


class Owed:
    """The purges and tokens that a cache owes its store.

    Args:
        store: What is to get them.
        guard: What bounds its operations.
        records: The tokens in memory, by key; one that is no longer there is not given to the store either.
        drop: Drops the token of a key, up to a generation: the store has something newer, or will have none of it.
    """

    __slots__ = ("_drop", "_guard", "_is_paying", "_records", "_store", "_tokens", "purges")

    def __init__(
        self,
        store: TokenStore,
        guard: StoreGuard,
        records: Mapping[str, AccessToken],
        drop: Callable[[str, int], object],
    ) -> None:
        self._store = store
        self._guard = guard
        self._records = records
        self._drop = drop
        self._tokens: dict[str, AccessToken] = {}
        self.purges: dict[str, RecordName] = {}
        self._is_paying = False

    def __bool__(self) -> bool:
        return bool(self._tokens or self.purges) and not self._is_paying

    def __len__(self) -> int:
        return len(self._tokens)

    def after_fork_in_child(self) -> None:
        """Take note that nobody pays here: the parent does that for itself."""
        self._is_paying = False

    def add(self, key_id: str, record: AccessToken) -> None:
        """Remember a token; those for which memory had no room are let go of now and then."""
        self._tokens[key_id] = record
        if len(self._tokens) > 2 * len(self._records):
            for other, kept in list(self._tokens.items()):
                if self._records.get(other) is not kept:
                    self._tokens.pop(other, None)

    def discard(self, key_id: str) -> None:
        """Forget the token of a key."""
        self._tokens.pop(key_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._tokens.clear()
        self.purges.clear()

    async def purge(self, key_id: str, name: RecordName) -> bool:
        """Purge a record now, or when the store is back; return whether it is done.

        Until then nothing of that record may be taken from the store: see ``Fetch``.
        """
        self.purges[key_id] = name
        try:
            await self._guard.run(self._store.purge(name))
        except StoreError:
            return False
        if self.purges.get(key_id) is name:
            self.purges.pop(key_id, None)  # a thread that purges the same may have done so meanwhile
        return True

    async def pay(self) -> None:
        """Purge what was to be purged, then give the store all tokens that are alive and in use.

        When it fails again, the rest waits for the next time.
        """
        self._is_paying = True
        try:
            for key_id, name in list(self.purges.items()):
                if not await self.purge(key_id, name):
                    return
            for key_id, record in list(self._tokens.items()):
                self._tokens.pop(key_id, None)
                if self._records.get(key_id) is record and record.is_alive() and not await self._give(key_id, record):
                    self._tokens[key_id] = record
                    return
        finally:
            self._is_paying = False

    async def _give(self, key_id: str, record: AccessToken) -> bool:
        commit = self._store.commit(
            record.name,
            "",
            record.gen,
            record.header,
            lifetime_ms=int(record.lifetime * 1000),
            left_ms=int(record.left() * 1000),
        )
        try:
            answer = await self._guard.run(commit)
        except StoreError:
            return False
        # Refused as purged, or there is a newer one: whoever asks next gets that.
        if not isinstance(answer, Committed) and not (isinstance(answer, Hit) and answer.gen <= record.gen):
            self._drop(key_id, record.gen)
        return True
