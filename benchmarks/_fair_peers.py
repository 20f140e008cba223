"""The official client, without a limiter and behind aiolimiter, each behind the same two functions."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter
from monite.client import AsyncMonite as OfficialMonite

from benchmarks._fair_systems import PATIENCE, Place

__all__ = ["Official", "OfficialDivided", "OfficialEach"]

_VERSION = "2024-05-25"
_AT_ONCE = 50
"""Calls of one process under way: with hundreds, httpx's pool takes minutes of CPU."""


class Official:
    """The official client, which has no limiter and by default repeats nothing."""

    def __init__(self, place: Place) -> None:
        self._client = OfficialMonite(
            base_url=place.base_url,
            monite_version=_VERSION,
            monite_entity_id=place.entity_id,
            token=place.token,
            timeout=PATIENCE,
        )

        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def call(self) -> object:
        async with self._at_once:
            return await self._client.payables.get(limit=1)

    async def aclose(self) -> None:
        """Its connections end with the process."""


class OfficialEach(Official):
    """The official client behind aiolimiter, each process with the whole limit: what one writes first."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._limiter = AsyncLimiter(self._share(place), 1.0)

    def _share(self, place: Place) -> float:
        return place.limit

    async def call(self) -> object:
        async with self._limiter:
            return await super().call()


class OfficialDivided(OfficialEach):
    """The official client behind aiolimiter, the limit divided by hand among processes whose number is known."""

    def _share(self, place: Place) -> float:
        return place.limit / place.processes
