"""What the API of 2021 answers with."""

from __future__ import annotations

import datetime as dt
from urllib.parse import parse_qs, urlsplit

from monite_async.models._base import Model, Moment

__all__ = ["BillFile", "BillPage", "Entity", "EntityPage", "IncomingBill", "Page"]


class Entity(Model):
    """A customer of the partner."""

    id: str
    name: str
    type: str
    country_code: str
    internal_id: str | None = None
    status: str
    created_at: Moment
    updated_at: Moment


class BillFile(Model):
    """The file of a bill; ``download()`` gets what is at its ``url``."""

    id: str | None = None
    url: str
    size: int
    mimetype: str


class IncomingBill(Model):
    """A bill to pay, with what was read from its file; amounts are in minor units of the currency."""

    id: str | None = None
    created_at: Moment
    updated_at: Moment
    entity_id: str
    status: str | None = None
    source_of_bill_data: str
    currency: str | None = None
    amount: int | None = None
    description: str | None = None
    due_date: dt.date | None = None
    issued_at: dt.date | None = None
    counterpart_bank_id: str | None = None
    counterpart_account_id: str | None = None
    counterpart_name: str | None = None
    bill_origin: str
    file: BillFile


class Page(Model):
    """A page whose neighbours are named by ready-made queries."""

    next_page: str | None = None

    @property
    def next_pagination_token(self) -> str | None:
        """The token in the query of the next page; None on the last one."""
        tokens = parse_qs(urlsplit(self.next_page or "").query).get("pagination_token")
        return tokens[0] if tokens else None


class EntityPage(Page):
    """Some entities."""

    data: list[Entity]


class BillPage(Page):
    """Some bills."""

    data: list[IncomingBill]
    total: int | None = None
