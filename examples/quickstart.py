"""Five minutes: the partner creates an entity, its role and its user; then that user works.

    python examples/quickstart.py

Without credentials it runs against the emulator, in this process. With ``MONITE_CLIENT_ID`` and
``MONITE_CLIENT_SECRET`` in the environment it runs against Monite's sandbox, where it leaves an entity behind.
"""

from __future__ import annotations

import asyncio
import os

from monite_async import AsyncMonite
from monite_async.emulator import Emulator


def connect() -> AsyncMonite:
    """Return a client of the sandbox, or of an emulator when there are no credentials."""
    if "MONITE_CLIENT_ID" in os.environ:
        return AsyncMonite.from_env()
    return AsyncMonite(**Emulator().client_options())


async def main() -> None:
    """Create what is needed, and pay attention to who does what."""
    async with connect() as monite:
        # As the partner: your own token, no entity.
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        print("entity ", entity.id)

        # As the entity: the same token, and the entity's id on every call.
        acme = monite.entity(entity.id)
        role = await acme.roles.create(
            name="payer",
            permissions={
                "objects": [
                    {
                        "object_type": "payable",
                        "actions": [
                            {"action_name": "create", "permission": "allowed"},
                            {"action_name": "read", "permission": "allowed_for_own"},
                        ],
                    }
                ]
            },
        )
        user = await acme.entity_users.create(login="ann", first_name="Ann", role_id=role.id)
        print("user   ", user.id)

        # As the user: a token of her own, which allows what her role allows.
        ann = acme.as_user(user.id)
        for number in range(1, 4):
            await ann.payables.create(currency="EUR", total_amount=number * 100_00, document_id=f"INV-{number}")
        async for payable in ann.payables.list(limit=2):  # every page
            print("payable", payable.document_id, payable.total_amount, payable.status)


if __name__ == "__main__":
    asyncio.run(main())
