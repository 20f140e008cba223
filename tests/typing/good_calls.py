"""Calls that type checkers accept: never run, read by mypy and pyright with the rest of the tests."""

from __future__ import annotations

import datetime as dt
from typing import assert_type

from monite_async import UNSET, AsyncMonite, EntityClient, EntityUserClient, RawResponse, RequestOptions
from monite_async.models import (
    AccessTokenResponse,
    BizObjectsSchema,
    CounterpartAddressResponseWithCounterpartID,
    CounterpartOrganizationRootResponse,
    EntityUserResponse,
    LineItemResponse,
    PayablePaginationResponse,
    PayableResponseSchema,
    ReceivablePaginationResponse,
    SettingsResponse,
)
from monite_async.types import CounterpartAddressInput, CounterpartOrganizationRootCreatePayloadInput


async def partner(monite: AsyncMonite) -> None:
    """What a partner does without naming an entity."""
    entity = await monite.entities.create(
        type="organization",
        email="ap@acme.test",
        address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
        organization={"legal_name": "Acme"},
    )
    assert_type(await monite.entities.get_settings("e"), SettingsResponse)
    await monite.webhook_subscriptions.create(object_type="payable", url="https://acme.test/hook", event_types=["paid"])
    await monite.payables.get_validations()
    await monite.entities.vat_ids.list("e")
    token = await monite.access_tokens.create(
        client_id="c", client_secret="s", grant_type="entity_user", entity_user_id="u"
    )
    assert_type(token, AccessTokenResponse)
    assert entity is not None


async def lists(acme: EntityClient, ann: EntityUserClient) -> None:
    """Pages, items, and what the two of them hold."""
    assert_type(await acme.payables.list(status="a new word", limit=5), PayablePaginationResponse)
    async for payable in ann.payables.list(created_at__gt=dt.datetime.now(dt.UTC), id__in=["a"], currency=UNSET):
        assert_type(payable, PayableResponseSchema)
    async for line in acme.payables.line_items.list("p", order="desc"):
        assert_type(line, LineItemResponse)
    assert_type(await acme.receivables.search(limit=10), ReceivablePaginationResponse)
    assert_type(await acme.payables.list().collect(limit=3), list[PayableResponseSchema])
    assert_type(await ann.entity_users.get_me(), EntityUserResponse)


async def counterparts(acme: EntityClient) -> None:
    """Objects told apart by a word, as literals, as typed dicts, and below one another."""
    address: CounterpartAddressInput = {"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"}
    vendor: CounterpartOrganizationRootCreatePayloadInput = {
        "type": "organization",
        "organization": {"legal_name": "Acme", "is_vendor": True, "is_customer": False, "address": address},
    }
    await acme.counterparts.create(body=vendor)
    await acme.counterparts.create(
        body={
            "type": "individual",
            "individual": {
                "first_name": "Ann",
                "last_name": "B",
                "is_vendor": True,
                "is_customer": False,
                "address": address,
            },
        }
    )
    found = await acme.counterparts.addresses.get("c", "a")
    assert_type(found, CounterpartAddressResponseWithCounterpartID)
    await acme.counterparts.addresses.update("c", "a", line2=None, options=RequestOptions(timeout=2))
    party = await acme.counterparts.get("c")
    if party.type == "organization":
        assert_type(party, CounterpartOrganizationRootResponse)
    await acme.counterparts.update_partner_metadata("c", metadata={"any": [1, {"thing": None}]})


async def documents(acme: EntityClient, role: BizObjectsSchema) -> None:
    """Bodies of one of several kinds, files, null, and models sent back."""
    await acme.receivables.create(
        body={
            "type": "invoice",
            "counterpart_id": "c",
            "counterpart_billing_address_id": "a",
            "currency": "EUR",
            "line_items": [{"quantity": 1, "product_id": "p", "vat_rate_id": "v"}],
        }
    )
    await acme.receivables.create(body={"type": "credit_note", "based_on": "invoice-id"})
    await acme.payables.update("p", due_date=dt.date(2030, 1, 2), tag_ids=("a", "b"), description=None)
    await acme.payables.upload_from_file(file=b"%PDF")
    await acme.files.create(file=b"%PDF", file_type="attachments")
    await acme.roles.update("r", permissions=role, name="payer")
    await acme.roles.create(
        name="payer",
        permissions={
            "objects": [
                {"object_type": "payable", "actions": [{"action_name": "pay", "permission": "allowed"}]},
                {"object_type": "tag", "actions": [{"action_name": "read", "permission": "allowed_for_own"}]},
            ]
        },
    )


async def raw(acme: EntityClient) -> None:
    """The same methods, with what HTTP said around the answer."""
    response = await acme.payables.with_raw_response.get("p")
    assert_type(response, RawResponse[PayableResponseSchema])
    below = await acme.counterparts.addresses.with_raw_response.get("c", address_id="a")
    assert_type(below, RawResponse[CounterpartAddressResponseWithCounterpartID])
    page = await acme.payables.with_raw_response.list(limit=1)
    assert_type(page, RawResponse[PayablePaginationResponse])
