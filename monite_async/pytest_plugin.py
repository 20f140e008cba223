"""Fixtures for code that uses the client: a fresh emulator, and a client on it.

Both come by themselves once the package is installed::

    async def test_pays(monite_client: AsyncMonite, monite_emulator: Emulator) -> None:
        await pay_everything(monite_client)
        assert monite_emulator.log.count("POST", "/payables/{payable_id}/mark_as_paid") == 3

``monite_client`` needs ``pytest-asyncio`` (in any mode).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from monite_async import AsyncMonite
    from monite_async.emulator import Emulator

__all__ = ["monite_client", "monite_emulator"]


@pytest.fixture
def monite_emulator() -> Iterator[Emulator]:
    """A fresh emulator, in process."""
    from monite_async.emulator import Emulator

    emulator = Emulator()
    yield emulator
    emulator.faults.clear()


if find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def monite_client(monite_emulator: Emulator) -> AsyncIterator[AsyncMonite]:
        """A client on the emulator of the same test, closed afterwards."""
        from monite_async import AsyncMonite

        async with AsyncMonite(**monite_emulator.client_options()) as client:
            yield client
