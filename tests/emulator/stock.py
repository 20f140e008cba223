"""What several tests of sales documents need: a counterpart with its address, a product, a VAT rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from tests.emulator.drive import ADDRESS, Driver, Json

__all__ = ["Stock", "make_counterpart", "stocked"]


@dataclass(frozen=True, slots=True)
class Stock:
    """Ids of what sales documents are made of.

    Attributes:
        driver: The driver that made it all.
        counterpart: The customer.
        address: His only address.
        product: A product of 100.00 EUR.
        rate: The VAT rate of 19 %.
    """

    driver: Driver
    counterpart: str
    address: str
    product: str
    rate: str

    def line(self, **fields: object) -> Json:
        """Return a line of two products at 19 %."""
        return {"quantity": 2, "product_id": self.product, "vat_rate_id": self.rate, **fields}

    def body(self, kind: str = "invoice", **fields: object) -> Json:
        """Return what creates a document."""
        return {
            "type": kind,
            "counterpart_id": self.counterpart,
            "counterpart_billing_address_id": self.address,
            "currency": "EUR",
            "line_items": [self.line()],
            **fields,
        }

    async def make(self, kind: str = "invoice", **fields: object) -> Json:
        """Create a document."""
        return await self.driver.ask("POST", "/receivables", self.body(kind, **fields), expect=201)

    async def issued(self, kind: str = "invoice", **fields: object) -> Json:
        """Create a document and issue it."""
        return await self.act(str((await self.make(kind, **fields))["id"]), "issue")

    async def act(self, receivable: object, action: str, body: object = None, *, expect: int = 200) -> Json:
        """Do something to a document."""
        return await self.driver.ask("POST", f"/receivables/{receivable}/{action}", body, expect=expect)

    async def get(self, receivable: object) -> Json:
        """Read a document."""
        return await self.driver.ask("GET", f"/receivables/{receivable}")


async def make_counterpart(driver: Driver, **fields: object) -> Json:
    """Create a customer."""
    organization = {
        "legal_name": "Paper Ltd",
        "is_customer": True,
        "is_vendor": False,
        "address": ADDRESS,
        "email": "paper@acme.test",
        **fields,
    }
    body = {"type": "organization", "organization": organization}
    return await driver.ask("POST", "/counterparts", body, expect=201)


async def stocked(driver: Driver) -> Stock:
    """Create a customer and a product."""
    counterpart = await make_counterpart(driver)
    price = {"currency": "EUR", "value": 10_000}
    product = await driver.ask("POST", "/products", {"name": "Paper", "price": price}, expect=201)
    rates = cast("list[Json]", (await driver.ask("GET", "/vat_rates"))["data"])
    return Stock(
        driver,
        str(counterpart["id"]),
        str(counterpart["default_billing_address_id"]),
        str(product["id"]),
        str(next(rate["id"] for rate in rates if rate["value"] == 1900)),
    )
