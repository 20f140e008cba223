"""From nothing to a payable, with the official client, which is given its token: it has no way to get one."""

import asyncio
import os

import httpx
from monite.client import AsyncMonite


async def main() -> None:
    """Read one payable."""
    async with httpx.AsyncClient() as client:
        monite = AsyncMonite(
            base_url=os.environ["MONITE_BASE_URL"],
            monite_version="2024-05-25",
            monite_entity_id=os.environ["ENTITY"],
            token=os.environ["TOKEN"],
            httpx_client=client,
        )
        payable = await monite.payables.get_by_id(payable_id=os.environ["PAYABLE"])
        assert payable.id == os.environ["PAYABLE"]


asyncio.run(main())
