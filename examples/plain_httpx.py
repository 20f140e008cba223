"""The tokens of this library under any other httpx client, and so under any library that lets you pass one in.

python examples/plain_httpx.py
"""

from __future__ import annotations

import asyncio

import httpx

from monite_async import AsyncMonite
from monite_async.emulator import Emulator


async def main() -> None:
    """Call with plain ``httpx.AsyncClient``: living tokens, the version header, one replacement after a 401."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        async with httpx.AsyncClient(
            auth=monite.entity(entity.id).httpx_auth(),  # of any scope; this one brings the entity header too
            base_url=emulator.base_url,  # in earnest: https://api.sandbox.monite.com/v1
            transport=emulator.transport,  # in earnest: left out
        ) as http:
            answers = await asyncio.gather(*(http.get("/payables") for _ in range(100)))
            print(f"{sum(answer.is_success for answer in answers)} answers, tokens issued: {emulator.issued}")


if __name__ == "__main__":
    asyncio.run(main())
