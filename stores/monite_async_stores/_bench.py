"""What the suite for stores asks of whoever uses it; public as ``monite_async_stores.testing.Bench``."""

from __future__ import annotations

import asyncio

from monite_async_stores._protocol import TokenStore

__all__ = ["Bench"]


class Bench:
    """What the suite needs of a store under test; subclass it and make one per rule, on empty storage."""

    def __init__(self) -> None:
        self._opened: list[TokenStore] = []

    async def open(self) -> TokenStore:
        """Return a handle on the storage under test; two handles stand for two processes."""
        raise TypeError(f"{type(self).__name__} must override open()")

    async def pass_time(self, seconds: float) -> None:
        """Let this much time pass for the store; override it where time is virtual."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close what ``open`` opened."""
        for store in self._opened:
            await store.aclose()

    async def store(self) -> TokenStore:
        """Return a new handle that ``close`` will close."""
        store = await self.open()
        self._opened.append(store)
        return store
