"""From nothing to a payable, with this library: a token of its own, one call."""

import asyncio
import os

from monite_async import AsyncMonite


async def main() -> None:
    """Read one payable."""
    async with AsyncMonite() as monite:
        payable = await monite.entity(os.environ["ENTITY"]).payables.get(os.environ["PAYABLE"])
        assert payable.id == os.environ["PAYABLE"]


asyncio.run(main())
