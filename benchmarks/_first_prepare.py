"""Make an entity with a payable, and print where they are."""

import asyncio
import json

from monite_async import AsyncMonite


async def main() -> None:
    """Create both through the API."""
    async with AsyncMonite() as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Invalidenstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        acme = monite.entity(entity.id)
        payable = await acme.payables.create(
            currency="EUR", total_amount=125_000, document_id="INV-1", due_date="2027-01-31"
        )
        token = await monite.token()
        print(json.dumps({"ENTITY": entity.id, "PAYABLE": payable.id, "TOKEN": token.value}))


asyncio.run(main())
