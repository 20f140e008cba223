"""What nobody should send: it is answered with an error, shows nobody else's things, and hurts nobody who comes after."""

from __future__ import annotations

import asyncio
import logging
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import pytest

from monite_async.emulator import Emulator, _app
from monite_async.emulator._call import Call, Rule
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._server import listen
from tests.emulator.drive import Driver, Json, driving, ids, locations, message, permissions
from tests.emulator.stock import make_counterpart

NOBODY = "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"


def get(target: bytes = b"/v1/tags", version: bytes = b"2024-05-25", extra: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    fields = b"host: x\r\nconnection: close\r\nx-monite-version: " + version + b"\r\n" + extra
    return b"GET " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


CARD = {
    "type": "card",
    "details": {"brand": "visa", "card_type": "debit", "expiry_month": 1, "expiry_year": 2030, "last4": "1234"},
}
MOVE = b'{"advance": 1e3000}'
CASES = {
    "a version that is not ASCII": (get(version=b"\xc3\xa9"), 422),
    "a version as nobody writes it": (get(version=b"20240525"), 422),
    "an entity that is not ASCII": (get(extra=b"x-monite-entity-id: \xc3\xa9\r\n"), 401),
    "a target that is no address": (get(b"//[::1/v1/tags"), 400),
    "a redirect to where no header can lead": (get(b"/v1/tags/%0d%0a%e4%b8%ad/"), 307),
    "a clock beyond all times": (
        get(b"/_emulator/clock", extra=b"content-length: %d\r\n" % len(MOVE)).replace(b"GET", b"POST") + MOVE,
        422,
    ),
    "a control that is nested too deep": (
        get(b"/_emulator/clock", extra=b"content-length: 99999\r\n").replace(b"GET", b"POST") + b"[" * 99_999,
        422,
    ),
    "no HTTP": (b"\x16\x03\x01\x02\r\n\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), CASES.values(), ids=CASES)
async def test_whatever_comes_over_the_wire_is_answered(sent: bytes, status: int) -> None:
    """Bytes that no client of this project sends get an HTTP answer as well, and the next request a good one."""
    async with listen(Emulator()) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/tags", headers={"x-monite-version": "2024-05-25"})).status_code == 401


async def test_a_header_is_echoed_as_it_came() -> None:
    """The front end without a socket echoes what is not ASCII as well."""
    async with driving() as (_, driver):
        sent = [
            (b"authorization", f"Bearer {await driver.token()}".encode()),
            (b"x-monite-version", b"2024-05-25"),
            (b"x-monite-entity-id", b"\xe9"),
        ]
        response = await driver.http.get("/tags", headers=sent)
        assert response.status_code == 422
        assert (b"x-monite-entity-id", b"\xe9") in response.headers.raw


async def test_a_quoted_slash_is_part_of_its_segment() -> None:
    """An id with a slash in it is a bad id, and no other operation."""
    async with driving() as (_, driver):
        response = await driver.send("POST", f"/payables/{NOBODY}%2Fapprove_payment_operation")
        assert response.status_code == 405
        response = await driver.send("GET", f"/payables/{NOBODY}%2Fhistory")
        assert locations(response) == [("path", "payable_id")]


async def test_a_mistake_of_the_emulator_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs into one gets a 500 that says where it happened and repeats nothing that was sent."""

    def broken(_call: Call) -> Response:
        raise KeyError("canary")

    async with driving() as (_, driver):
        with patch.dict(_app.OPERATIONS, get_tags=Rule(broken)), caplog.at_level(logging.ERROR):
            response = await driver.send("GET", "/tags")
        assert response.status_code == 500
        assert "KeyError in test_hostile.py" in message(response)
        assert "canary" not in response.text + caplog.text
        await driver.ask("GET", "/tags")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_a_number_that_json_does_not_have_is_refused(number: str) -> None:
    """What could not be answered as JSON is not taken; a word or a large number that looks like it is."""
    async with driving() as (_, driver):
        path = f"/entities/{driver.entity_id}/partner_metadata"
        headers = {"authorization": f"Bearer {await driver.token()}", "x-monite-version": "2024-05-25"}
        for value, status in ((number, 422), ("1e100", 200), ('"NaN"', 200)):
            content = f'{{"metadata": {{"a": {value}}}}}'
            assert (await driver.http.put(path, content=content, headers=headers)).status_code == status


# -- lists


async def products(driver: Driver) -> list[str]:
    """Create three products, dearest first."""
    made: list[str] = []
    for value in (300, 200, 100):
        body: Json = {"name": f"p{value}", "price": {"currency": "EUR", "value": value}}
        made.append(str((await driver.ask("POST", "/products", body, expect=201))["id"]))
    return made


async def test_amounts_with_a_currency_can_be_compared() -> None:
    """The price of a product is an object; filters go by its value."""
    async with driving() as (_, driver):
        made = await products(driver)
        assert ids(await driver.ask("GET", "/products", query={"price__lte": 200})) == made[1:]
        assert ids(await driver.ask("GET", "/products", query={"price": 300})) == made[:1]


async def test_stored_times_can_be_compared() -> None:
    """A time that a request brought is compared as a time, with or without an offset."""
    async with driving() as (_, driver):
        facts = {"amount": 1, "currency": "EUR", "merchant_amount": 1, "merchant_currency": "EUR"}
        body = {
            **facts,
            "merchant_name": "m",
            "payment_method": CARD,
            "merchant_location": "x",
            "status": "succeeded",
            "type": "capture",
        }
        days = ("2026-03-01T12:00:00", "2026-03-01T12:00:00+02:00")
        for started in days:
            await driver.ask("POST", "/transactions", {**body, "started_at": started}, expect=201)
        later = await driver.ask("GET", "/transactions", query={"started_at__gt": "2026-03-01T11:00:00Z"})
        assert len(ids(later)) == 1
        assert len(ids(await driver.ask("GET", "/transactions", query={"started_at__gt": "2026-03-01T09:00:00Z"}))) == 2


# -- other people's things


async def test_what_belongs_to_another_entity_is_not_shown_by_its_id() -> None:
    """An object that names a tag of another entity does not show it; one that names its own does."""
    async with driving() as (_, driver):
        theirs = await driver.make_tag("theirs")
        other = await driver.make_entity()
        mine = str((await driver.ask("POST", "/tags", {"name": "mine"}, expect=201, entity=other))["id"])
        body = {"name": "P", "tag_ids": [theirs, mine]}
        project = await driver.ask("POST", "/projects", body, expect=201, entity=other)
        assert [as_object(tag)["id"] for tag in as_list(project["tags"])] == [mine]


async def test_what_is_in_no_entity_is_for_the_users_of_its_maker_s() -> None:
    """What is in no entity is still not for users of another entity than its maker's; the partner sees it all."""
    async with driving() as (_, driver):
        ann = await driver.make_user("ann")
        other = await driver.make_entity()
        bob = await driver.ask("POST", "/entity_users", {"login": "bob", "first_name": "Bob"}, entity=other)
        template = {
            "type": "receivables_quote",
            "name": "mine",
            "subject_template": "s",
            "body_template": "b",
            "language": "en",
        }
        made = await driver.ask("POST", "/mail_templates", template, user=ann)
        path = f"/mail_templates/{made['id']}"
        await driver.ask("GET", path, user=ann)
        for user, entity in ((str(bob["id"]), other), (str(bob["id"]), None)):
            await driver.ask("GET", path, user=user, entity=entity, expect=404)
            await driver.ask("DELETE", path, user=user, entity=entity, expect=404)
            assert made["id"] not in ids(await driver.ask("GET", "/mail_templates", user=user, entity=entity))
        await driver.ask("GET", path, entity=None)


@pytest.mark.parametrize("path", ["/cost_centers", "/ledger_accounts", "/accounting_tax_rates"])
async def test_roles_guard_what_was_added_to_them_last(path: str) -> None:
    """The types of object that the contract has got since are guarded as all others."""
    kind = path.strip("/").removesuffix("s")
    async with driving() as (_, driver):
        eve = await driver.make_user("eve", permissions(tag={"read": "allowed"}))
        ann = await driver.make_user("ann", permissions(**{kind: {"read": "allowed"}}))
        response = await driver.send("GET", path, user=eve)
        assert (response.status_code, message(response)) == (403, f"Action read for {kind} not allowed")
        await driver.ask("GET", path, user=ann)


async def test_children_of_an_owned_thing_are_found_by_their_id() -> None:
    """What is part of something of the entity is the entity's, however deep it lies."""
    async with driving() as (emulator, driver):
        counterpart = await make_counterpart(driver)
        address = emulator._world.state.find(str(counterpart["default_billing_address_id"]))
        assert address is not None
        assert emulator._world.state.owner(address) == driver.entity_id
