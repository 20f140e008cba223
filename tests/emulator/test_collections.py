"""What every collection can do: isolation, parents, filters, order, pages, changes with null, roles."""

from __future__ import annotations

from typing import cast

import pytest

from monite_async.emulator import EmulatorSettings
from tests.emulator.drive import ADDRESS, Driver, Json, driving, ids, locations, message, permissions
from tests.emulator.stock import make_counterpart, stocked

NOBODY = "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"


async def tags(driver: Driver, *names: str) -> list[str]:
    """Create tags and return their ids."""
    return [str((await driver.ask("POST", "/tags", {"name": name}, expect=201))["id"]) for name in names]


async def test_things_of_one_entity_are_not_another_s() -> None:
    """What belongs to an entity is neither listed nor found for another one."""
    async with driving() as (_, driver):
        mine = (await tags(driver, "a"))[0]
        other = await driver.make_entity()
        assert ids(await driver.ask("GET", "/tags", entity=other)) == []
        await driver.ask("GET", f"/tags/{mine}", entity=other, expect=404)
        await driver.ask("PATCH", f"/tags/{mine}", {"name": "b"}, entity=other, expect=404)
        await driver.ask("DELETE", f"/tags/{mine}", entity=other, expect=404)
        assert ids(await driver.ask("GET", "/tags")) == [mine]


async def test_children_live_below_their_parent() -> None:
    """A child is found below its own parent only, a parent that is not there is a 404, and takes its children along."""
    async with driving() as (_, driver):
        one, two = [str((await make_counterpart(driver))["id"]) for _ in range(2)]
        body = {"value": "DE123456789", "type": "eu_vat", "country": "DE"}
        made = await driver.ask("POST", f"/counterparts/{one}/vat_ids", body, expect=201)
        assert made["counterpart_id"] == one
        path = f"vat_ids/{made['id']}"
        assert await driver.ask("GET", f"/counterparts/{one}/{path}") == made
        await driver.ask("GET", f"/counterparts/{two}/{path}", expect=404)
        response = await driver.send("GET", f"/counterparts/{NOBODY}/vat_ids")
        assert (response.status_code, message(response)) == (404, "Counterpart not found")
        assert ids(await driver.ask("GET", f"/counterparts/{two}/vat_ids")) == []
        await driver.ask("DELETE", f"/counterparts/{one}", expect=204)
        await driver.ask("GET", f"/counterparts/{one}/{path}", expect=404)


async def test_things_of_an_entity_in_the_path() -> None:
    """Below ``/entities`` the entity must be there, and for a user be its own."""
    async with driving() as (_, driver):
        body = {"value": "DE123456789", "type": "eu_vat", "country": "DE"}
        made = await driver.ask("POST", f"/entities/{driver.entity_id}/vat_ids", body, expect=201)
        assert made["entity_id"] == driver.entity_id
        await driver.ask("GET", f"/entities/{NOBODY}/vat_ids", expect=404)
        other = await driver.make_entity()
        ann = await driver.make_user("ann", permissions(entity_vat_ids={"read": "allowed"}))
        listed = await driver.ask("GET", f"/entities/{driver.entity_id}/vat_ids", user=ann)
        assert ids(listed) == [made["id"]]
        await driver.ask("GET", f"/entities/{other}/vat_ids", user=ann, entity=None, expect=403)


async def test_filters_and_order() -> None:
    """Filters by field, operator, dotted name and list of ids combine; the order is by any sortable field."""
    async with driving() as (_, driver):
        price = {"currency": "EUR", "value": 5}
        for name, kind in (("Ink", "product"), ("Paper", "product"), ("Advice", "service")):
            await driver.ask("POST", "/products", {"name": name, "type": kind, "price": price}, expect=201)

        async def names(**query: str) -> list[object]:
            page = await driver.ask("GET", "/products", query=query)
            return [product["name"] for product in cast("list[Json]", page["data"])]

        assert await names(type="product") == ["Ink", "Paper"]
        assert await names(name__icontains="P", type="product") == ["Paper"]
        assert await names(sort="name", order="desc") == ["Paper", "Ink", "Advice"]
        await make_counterpart(driver, legal_name="Zed")
        await make_counterpart(driver, legal_name="Abe", is_vendor=True)
        found = await driver.ask("GET", "/counterparts", query={"is_vendor": "true"})
        assert len(ids(found)) == 1
        found = await driver.ask("GET", "/counterparts", query={"address.city": "Berlin", "sort": "counterpart_name"})
        legal = [cast("Json", entry["organization"])["legal_name"] for entry in cast("list[Json]", found["data"])]
        assert legal == ["Abe", "Zed"]
        assert ids(await driver.ask("GET", "/counterparts", query={"address.city": "Rome"})) == []
        tag = (await tags(driver, "vip"))[0]
        await make_counterpart(driver, tag_ids=[tag])
        assert len(ids(await driver.ask("GET", "/counterparts", query={"tag_ids__in": [tag]}))) == 1
        assert len(ids(await driver.ask("GET", "/counterparts", query={"counterpart_name__icontains": "ab"}))) == 1


async def test_filters_by_what_is_held_otherwise() -> None:
    """Names of filters that no answer has are understood: ``has_...``, objects, authors, children, nested names."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        ann = await driver.make_user("ann", permissions(payables_purchase_order={"create": "allowed"}))

        async def count(path: str, **query: object) -> int:
            texts = {name.replace("counterpart_dot_", "counterpart."): str(value) for name, value in query.items()}
            return len(ids(await driver.ask("GET", path, query=texts)))

        bank = {"country": "DE", "currency": "EUR", "iban": "DE89370400440532013000"}
        await driver.ask("POST", f"/counterparts/{stock.counterpart}/bank_accounts", bank)
        vat = {"value": "DE123456789", "type": "eu_vat", "country": "DE"}
        await driver.ask("POST", f"/counterparts/{stock.counterpart}/vat_ids", vat, expect=201)
        assert [await count("/counterparts", iban=bank["iban"]), await count("/counterparts", iban="x")] == [1, 0]
        assert [await count("/counterparts", vat_id=vat["value"]), await count("/counterparts", vat_id="x")] == [1, 0]
        assert [await count("/products", currency="EUR"), await count("/products", currency="GBP")] == [1, 0]
        receipt = {"merchant_name": "Shop", "transaction_id": NOBODY}
        await driver.ask("POST", "/receipts", receipt, expect=201)
        assert [await count("/receipts", has_file="true"), await count("/receipts", has_transaction="true")] == [0, 1]
        await stock.issued()
        quote = (await stock.make("quote"))["id"]
        assert await count("/receivables", has_due_date="false") == 2
        payment = {"amount": 5, "currency": "EUR", "object": {"id": quote, "type": "receivable"}}
        await driver.ask("POST", "/payment_records", payment, expect=201)
        assert [await count("/payment_records", object_id=one) for one in (quote, NOBODY)] == [1, 0]
        item = {"name": "x", "price": 5, "quantity": 1, "unit": "h", "vat_rate": 0, "currency": "EUR"}
        order = {
            "counterpart_id": stock.counterpart,
            "currency": "EUR",
            "items": [item],
            "message": "",
            "valid_for_days": 5,
        }
        await driver.ask("POST", "/payable_purchase_orders", order, expect=201, user=ann)
        assert await count("/payable_purchase_orders", created_by=ann) == 1
        assert await count("/payable_purchase_orders", counterpart_dot_name="Paper Ltd") == 1


async def test_pages_of_a_generic_list() -> None:
    """Page tokens lead through a list without gaps, and back."""
    async with driving() as (_, driver):
        made = await tags(driver, *"abcde")
        first = await driver.ask("GET", "/tags", query={"limit": 2})
        second = await driver.ask("GET", "/tags", query={"pagination_token": str(first["next_pagination_token"])})
        assert (ids(first), ids(second)) == (made[:2], made[2:4])
        back = await driver.ask("GET", "/tags", query={"pagination_token": str(second["prev_pagination_token"])})
        assert ids(back) == made[:2]


@pytest.mark.parametrize("path", ["/ledger_accounts", "/accounting_tax_rates"])
async def test_some_lists_forget_the_limit(path: str) -> None:
    """On five operations ``limit`` is not remembered: without it the next page has the default size."""
    async with driving() as (_, driver):
        for number in range(4):
            await driver.ask("POST", path, {"name": f"n{number}"}, expect=201)
        first = await driver.ask("GET", path, query={"limit": 1})
        token = str(first["next_pagination_token"])
        again = await driver.ask("GET", path, query={"limit": 1, "pagination_token": token})
        rest = await driver.ask("GET", path, query={"pagination_token": token})
        assert (len(ids(again)), len(ids(rest))) == (1, 3)


async def test_offset_paging() -> None:
    """The two accounting lists page by ``offset`` and ``limit``."""
    async with driving() as (_, driver):
        payables = [await driver.make_payable() for _ in range(3)]
        connection = await driver.ask("POST", "/accounting_connections", expect=201)
        await driver.ask("POST", f"/accounting_connections/{connection['id']}/sync", expect=202)

        async def page(**query: int) -> int:
            return len(ids(await driver.ask("GET", "/accounting/payables", query=query)))

        assert [await page(), await page(limit=2), await page(offset=2), await page(offset=1, limit=1)] == [3, 2, 1, 1]
        records = await driver.ask("GET", "/accounting_synced_records", query={"object_type": "bill"})
        assert {entry["object_id"] for entry in cast("list[Json]", records["data"])} == set(payables)


async def test_null_clears_what_may_be_null() -> None:
    """A PATCH with null clears an optional field and leaves a required one alone; other fields stay."""
    async with driving() as (_, driver):
        body = {"name": "Road", "description": "long", "code": "R1", "color": "#ffffff"}
        made = await driver.ask("POST", "/projects", body, expect=201)
        path = f"/projects/{made['id']}"
        changed = await driver.ask("PATCH", path, {"description": None})
        assert (changed["description"], changed["name"], changed["code"]) == (None, "Road", "R1")
        changed = await driver.ask("PATCH", path, {"name": None})
        assert changed["name"] == "Road"


async def test_roles_guard_every_collection() -> None:
    """An entity user needs the permission of the object type and action; what no role speaks of is open."""
    async with driving() as (_, driver):
        ann = await driver.make_user("ann", permissions(tag={"read": "allowed", "create": "allowed_for_own"}))
        tag = (await driver.ask("POST", "/tags", {"name": "mine"}, expect=201, user=ann))["id"]
        response = await driver.send("PATCH", f"/tags/{tag}", {"name": "x"}, user=ann)
        assert (response.status_code, message(response)) == (403, "Action update for tag not allowed")
        response = await driver.send("GET", "/products", user=ann)
        assert message(response) == "Action read for product not allowed"
        bob = await driver.make_user("bob", permissions(counterpart={"read": "allowed", "update": "allowed"}))
        counterpart = (await make_counterpart(driver))["id"]
        path = f"/counterparts/{counterpart}/addresses"
        await driver.ask("POST", path, ADDRESS, user=bob, expect=201)
        response = await driver.send("GET", f"/counterparts/{counterpart}/vat_ids", user=bob)
        assert message(response) == "Action read for counterpart_vat_id not allowed"
        await driver.ask("GET", "/payment_terms", user=bob)
        await driver.ask("GET", "/webhook_subscriptions", user=bob, expect=403)


async def test_a_comment_knows_who_wrote_it() -> None:
    """Fields that tell who did something hold the entity user, or the partner where the contract demands somebody."""
    async with driving() as (emulator, driver):
        ann = await driver.make_user("ann", permissions(comment={"create": "allowed"}))
        body = {"object_id": NOBODY, "object_type": "payable", "text": "Why?"}
        assert (await driver.ask("POST", "/comments", body, expect=201, user=ann))["created_by_entity_user_id"] == ann
        made = await driver.ask("POST", "/comments", body, expect=201)
        assert made["created_by_entity_user_id"] == emulator.settings.client_id


async def test_requests_of_every_tag_are_checked() -> None:
    """A body that the contract does not allow is a 422 that says where, for every operation."""
    async with driving() as (_, driver):
        response = await driver.send("POST", "/tags", {"name": "a", "colour": "red"})
        assert (response.status_code, locations(response)) == (422, [("body", "colour")])
        response = await driver.send("POST", "/products", {"name": "a", "price": {"currency": "XXX", "value": "1"}})
        assert set(locations(response)) == {("body", "price", "currency"), ("body", "price", "value")}


async def test_what_is_refused_says_why() -> None:
    """What nobody can answer honestly here is a 501 with the operation's id and the reason."""
    async with driving() as (_, driver):
        response = await driver.send("GET", "/financing_offers")
        assert response.status_code == 501
        assert "get_financing_offers" in message(response)
        assert "lender" in message(response)


async def test_one_default_among_its_kind() -> None:
    """The first of a kind is the default; making another one it takes the mark from the first."""
    async with driving() as (_, driver):
        made: list[str] = []
        for currency in ("EUR", "EUR", "GBP"):
            body = {"country": "DE", "currency": currency, "iban": "DE89370400440532013000"}
            if currency == "GBP":
                body = {"country": "GB", "currency": "GBP", "account_number": "31926819", "sort_code": "601613"}
                body["account_holder_name"] = "Acme"
            made.append(str((await driver.ask("POST", "/bank_accounts", body, expect=201))["id"]))

        async def marks() -> list[object]:
            page = await driver.ask("GET", "/bank_accounts")
            return [entry["is_default_for_currency"] for entry in cast("list[Json]", page["data"])]

        assert await marks() == [True, False, True]
        await driver.ask("POST", f"/bank_accounts/{made[1]}/make_default")
        assert await marks() == [False, True, True]
        mail = {"body_template": "a", "subject_template": "b", "type": "receivables_invoice"}
        first, second = [
            str((await driver.ask("POST", "/mail_templates", {**mail, "name": name}))["id"]) for name in "ab"
        ]
        assert (await driver.ask("POST", f"/mail_templates/{second}/make_default"))["is_default"] is True
        assert (await driver.ask("GET", f"/mail_templates/{first}"))["is_default"] is False


async def test_a_counterpart_keeps_its_type_and_its_default_address() -> None:
    """A counterpart is changed under its own type only, and its default address cannot be deleted."""
    async with driving() as (_, driver):
        counterpart = await make_counterpart(driver)
        path = f"/counterparts/{counterpart['id']}"
        response = await driver.send("PATCH", path, {"individual": {"first_name": "A"}})
        assert (response.status_code, locations(response)) == (422, [("body", "individual")])
        address = f"{path}/addresses/{counterpart['default_billing_address_id']}"
        await driver.ask("DELETE", address, expect=409)
        other = await driver.ask("POST", f"{path}/addresses", ADDRESS, expect=201)
        await driver.ask("DELETE", f"{path}/addresses/{other['id']}", expect=204)
        people = {"first_name": "Ann", "last_name": "Lee", "is_customer": True, "is_vendor": False, "address": ADDRESS}
        body = {"type": "individual", "individual": people}
        made = await driver.ask("POST", "/counterparts", body, expect=201)
        found = await driver.ask("GET", "/counterparts", query={"counterpart_name": "Ann Lee"})
        assert ids(found) == [made["id"]]


async def test_snapshots_hold_every_collection() -> None:
    """After restore every collection is as it was, and what was still to come comes again."""
    async with driving() as (emulator, driver):
        stock = await stocked(driver)
        invoice = (await stock.issued())["id"]
        snapshot = emulator.snapshot()
        for _ in range(2):
            await driver.make_tag()
            emulator.clock.advance(3)
            assert (await driver.ask("GET", f"/receivables/{invoice}/pdf_link"))["file_url"] is not None
            emulator.restore(snapshot)
            assert ids(await driver.ask("GET", "/tags")) == []
            assert (await driver.ask("GET", f"/receivables/{invoice}/pdf_link"))["file_url"] is None


async def test_settings_of_durations_are_checked() -> None:
    """A duration below nought is refused with its name."""
    with pytest.raises(ValueError, match="pdf_seconds must not be negative"):
        EmulatorSettings(pdf_seconds=-1)
