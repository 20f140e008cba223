"""Every event that Monite lists, of what the emulator does, arrives at a real server, in the class for its object."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from typing import cast

import httpx
import pytest

from monite_async.emulator import Emulator, EmulatorSettings
from monite_async.webhooks import EVENT_TYPES, Event, Receiver
from tests.emulator.drive import ADDRESS, Driver, Json, driving, ids, permissions
from tests.emulator.stock import make_counterpart, stocked
from tests.web.serving import serving

pytestmark = pytest.mark.checkout

SETTINGS = EmulatorSettings(webhook_http=True, partner_lifetime=604_800)
PDF = ("bill.pdf", b"%PDF-1.7", "application/pdf")
NOBODY = "00000000-0000-4000-8000-000000000000"
OF_THE_LIST_ALONE = {"counterpart_vat_id", "payable_line_item"}  # the contract has other names for these


class World:
    """An emulator with an entity, and a server that hears of everything that happens in it."""

    def __init__(self, emulator: Emulator, driver: Driver) -> None:
        self.emulator = emulator
        self.driver = driver
        self.receiver = Receiver(self._current)
        self._secrets: list[str] = []
        self._events: list[Event] = []
        self.receiver.on()(self._note)

    async def _current(self) -> list[str]:
        return self._secrets

    async def _note(self, event: Event) -> None:
        self._events.append(event)

    async def subscribe(self, url: str) -> None:
        """Subscribe to all types of objects."""
        for kind in EVENT_TYPES.keys() - OF_THE_LIST_ALONE:
            body = {"object_type": kind, "url": url}
            made = await self.driver.ask("POST", "/webhook_subscriptions", body, expect=201, entity=None)
            self._secrets.append(str(made["secret"]))

    async def post(self, path: str, body: object = None, expect: int = 200) -> str:
        """Post, and return the id of what was made."""
        return str((await self.driver.ask("POST", path, body, expect=expect)).get("id"))

    async def heard(self, *kinds: str) -> list[str]:
        """Return what has been heard of these types of objects since this was last asked, oldest first."""
        await self.emulator.webhooks_settled()
        events, self._events = self._events, []
        events.sort(key=lambda event: (event.created_at is None, event.created_at))
        for event in events:
            assert type(event) is EVENT_TYPES[event.object_type]
            assert event.entity_id
            assert event.object_id
        return [event.action for event in events if event.object_type in kinds]


@contextlib.asynccontextmanager
async def listening() -> AsyncGenerator[World, None]:
    """Give an emulator whose every event is delivered to a real server."""
    async with driving(SETTINGS) as (emulator, driver):
        world = World(emulator, driver)
        async with serving(world.receiver) as url:
            await world.subscribe(url)
            yield world


@pytest.mark.parametrize(
    ("path", "kind", "seconds"), [("receipts", "receipt", 6), ("payable_credit_notes", "payables_credit_note", 6)]
)
async def test_what_was_uploaded_tells_that_it_was_read(path: str, kind: str, seconds: float) -> None:
    """OCR of receipts and credit notes ends on the emulator's clock, is told once, and not at all when called off."""
    async with listening() as world:
        made = await world.driver.ask("POST", f"/{path}/upload_from_file", file=PDF, expect=201)
        assert await world.heard(kind) == [f"{kind}.created"]
        world.emulator.clock.advance(seconds)
        assert await world.heard(kind) == [f"{kind}.ocr_finished"]
        read = await world.driver.ask("GET", f"/{path}/{made['id']}")
        assert (read["ocr_status"], read["total_amount"]) == ("success", 11_900)
        await world.driver.ask("PATCH", f"/{path}/{made['id']}", {"document_id": "MINE-1"})
        await world.driver.ask("DELETE", f"/{path}/{made['id']}", expect=204)
        other = await world.driver.ask("POST", f"/{path}/upload_from_file", file=PDF, expect=201)
        await world.driver.ask("DELETE", f"/{path}/{other['id']}", expect=204)
        world.emulator.clock.advance(seconds)
        names = ("updated", "deleted", "created", "deleted")
        assert await world.heard(kind) == [f"{kind}.{name}" for name in names]
        assert world.emulator.webhooks_waiting() == {"due": 0, "later": 0}


async def test_ocr_that_was_called_off_has_no_end() -> None:
    """A credit note whose OCR was canceled changes then, and no more."""
    async with listening() as world:
        made = await world.driver.ask("POST", "/payable_credit_notes/upload_from_file", file=PDF, expect=201)
        await world.post(f"/payable_credit_notes/{made['id']}/cancel_ocr")
        world.emulator.clock.advance(60)
        names = ["payables_credit_note.created", "payables_credit_note.updated"]
        assert await world.heard("payables_credit_note") == names


async def test_tasks_and_exports_tell_of_their_end() -> None:
    """Nobody looks at them: the emulator's clock alone brings them to their ends."""
    async with listening() as world:
        await world.driver.ask("POST", "/ocr_tasks/upload_from_file", file=PDF, expect=202)
        objects = [{"name": "payable", "statuses": ["new"]}]
        export = {"date_from": "2026-01-01", "date_to": "2026-12-31", "format": "csv", "objects": objects}
        await world.post("/data_exports", export)
        assert await world.heard("ocr_task", "export") == ["export.created"]
        world.emulator.clock.advance(6)
        assert sorted(await world.heard("ocr_task", "export")) == ["export.updated", "ocr_task.finished"]


async def test_batches_of_payments_and_their_intents_tell_of_each_status() -> None:
    """A batch is processed and succeeds, and its intent with it, whether or not anybody looks in between."""
    async with listening() as world:
        payable = await world.driver.make_payable()
        account = {"country": "DE", "currency": "EUR", "iban": "DE89370400440532013000"}
        payer = await world.post("/bank_accounts", account, 201)
        recipient = {"id": NOBODY, "type": "counterpart"}
        intent = {"object": {"id": payable, "type": "payable"}, "recipient": recipient}
        body = {"payer_bank_account_id": payer, "payment_intents": [intent], "payment_method": "us_ach"}
        batch = await world.driver.ask("POST", "/batch_payments", body)
        kinds = ("batch_payment", "payment_intent")
        assert await world.heard(*kinds) == []
        world.emulator.clock.advance(3)
        assert sorted(await world.heard(*kinds)) == [f"{kind}.status_updated" for kind in kinds]
        world.emulator.clock.advance(3)
        assert sorted(await world.heard(*kinds)) == [f"{kind}.status_updated" for kind in kinds]
        paid = await world.driver.ask("GET", f"/batch_payments/{batch['id']}")
        (shown,) = cast("list[Json]", paid["payment_intents"])
        assert (paid["status"], shown["status"]) == ("succeeded", "succeeded")
        history = (await world.driver.ask("GET", f"/payment_intents/{shown['id']}/history"))["data"]
        assert [one["status"] for one in cast("list[Json]", history)] == ["created", "processing", "succeeded"]
        assert await world.heard(*kinds) == []


async def test_payment_links_tell_of_their_creation_and_end() -> None:
    """The intent behind a link is changed without a word: its status stays."""
    async with listening() as world:
        recipient = {"id": world.driver.entity_id, "type": "entity"}
        body = {"amount": 5, "currency": "EUR", "payment_methods": ["sepa_credit"], "recipient": recipient}
        link = await world.driver.ask("POST", "/payment_links", {**body, "payment_reference": "x"}, expect=201)
        await world.driver.ask("PATCH", f"/payment_intents/{link['payment_intent_id']}", {"amount": 6})
        await world.post(f"/payment_links/{link['id']}/expire")
        heard = await world.heard("payment_link", "payment_intent")
        assert heard == ["payment_link.created", "payment_link.status_updated"]


async def test_accounting_connections_tell_how_they_stand() -> None:
    """They are connected and disconnected; a synchronization is no event of theirs."""
    async with listening() as world:
        connection = await world.post("/accounting_connections", None, 201)
        await world.post(f"/accounting_connections/{connection}/sync", None, 202)
        await world.post(f"/accounting_connections/{connection}/disconnect")
        names = ["accounting_connection.connected", "accounting_connection.disconnected"]
        assert await world.heard("accounting_connection") == names


async def test_approvals_tell_of_policies_processes_and_answers() -> None:
    """Of two policies that match one is taken; requests are told as they are answered, and not as they change else."""
    async with listening() as world:
        call = {"call": "ApprovalRequests.request_approval_by_users"}
        script = [{**call, "params": {"user_ids": [NOBODY], "required_approval_count": 1}}]
        policies = [
            await world.post("/approval_policies", {"name": name, "script": script, "trigger": None}, 201)
            for name in ("one", "two")
        ]
        answers = ("approve", "reject", "cancel")
        for answer in answers:
            payable = await world.driver.make_payable()
            await world.post(f"/payables/{payable}/submit_for_approval")
            query = {"object_id": payable, "status": "waiting"}
            (request,) = ids(await world.driver.ask("GET", "/approval_requests", query=query))
            await world.post(f"/approval_requests/{request}/{answer}")
        await world.post(f"/payables/{await world.driver.make_payable()}/submit_for_approval")
        processes = [ids(await world.driver.ask("GET", f"/approval_policies/{one}/processes")) for one in policies]
        (policy, process), *_ = [(one, rows[-1]) for one, rows in zip(policies, processes, strict=True) if rows]
        await world.post(f"/approval_policies/{policy}/processes/{process}/cancel")
        await world.driver.ask("PATCH", f"/approval_policies/{policy}", {"name": "huge"})
        await world.driver.ask("DELETE", f"/approval_policies/{policy}", expect=204)
        heard = Counter(await world.heard("approval_policy", "approval_policy_process", "approval_request", "payable"))
    assert heard == {
        "approval_policy.created": 2,
        "approval_policy.deleted": 1,
        "approval_policy.process_canceled": 1,
        "approval_policy.updated": 1,
        "approval_policy_process.created": 4,
        "approval_request.approved": 1,
        "approval_request.canceled": 2,
        "approval_request.created": 4,
        "approval_request.rejected": 1,
        "payable.approved": 1,
        "payable.created": 4,
        "payable.multiple_approval_policies_matched": 4,
        "payable.rejected": 1,
        "payable.submitted_for_approval": 4,
    }


async def test_counterparts_and_their_parts_are_told_by_the_names_of_the_list() -> None:
    """The list calls a change of a part ``update`` and its end ``delete``; metadata and defaults have names of their own."""
    async with listening() as world:
        path = f"/counterparts/{(await make_counterpart(world.driver))['id']}"
        await world.driver.ask("PUT", f"{path}/partner_metadata", {"metadata": {"a": 1}})
        contacts = [
            await world.post(f"{path}/contacts", {"first_name": name, "last_name": "x", "address": ADDRESS})
            for name in ("ann", "bob")
        ]
        await world.post(f"{path}/contacts/{contacts[1]}/make_default")
        await world.driver.ask("DELETE", f"{path}/contacts/{contacts[0]}", expect=204)
        vat = await world.post(f"{path}/vat_ids", {"value": "DE123456789", "type": "eu_vat", "country": "DE"}, 201)
        await world.driver.ask("PATCH", f"{path}/vat_ids/{vat}", {"value": "DE987654321"})
        await world.driver.ask("DELETE", f"{path}/vat_ids/{vat}", expect=204)
        await world.driver.ask("DELETE", path, expect=204)
        kinds = ("counterpart", "counterpart_address", "counterpart_contact_person", "counterpart_tax_id")
        heard = Counter(await world.heard(*kinds))
    assert heard == {
        "counterpart.created": 1,
        "counterpart.delete": 1,
        "counterpart.metadata_update": 1,
        "counterpart.updated": 1,
        "counterpart_address.created": 1,
        "counterpart_contact_person.created": 2,
        "counterpart_contact_person.delete": 1,
        "counterpart_contact_person.make_default": 2,
        "counterpart_contact_person.update": 1,
        "counterpart_tax_id.created": 1,
        "counterpart_tax_id.delete": 1,
        "counterpart_tax_id.update": 1,
    }


async def test_delivery_notes_tell_what_became_of_them() -> None:
    """Delivered, canceled, deleted; and that their PDF is there, which nobody asked for."""
    async with listening() as world:
        stock = await stocked(world.driver)
        body = {
            "counterpart_id": stock.counterpart,
            "counterpart_address_id": stock.address,
            "line_items": [{"product_id": stock.product, "quantity": 1}],
        }
        notes = [await world.post("/delivery_notes", body, 201) for _ in range(2)]
        world.emulator.clock.advance(3)
        await world.post(f"/delivery_notes/{notes[0]}/mark_as_delivered")
        await world.post(f"/delivery_notes/{notes[1]}/cancel")
        await world.driver.ask("DELETE", f"/delivery_notes/{notes[1]}", expect=204)
        heard = Counter(name.rpartition(".")[2] for name in await world.heard("delivery_note"))
    assert heard == {"created": 2, "updated": 2, "delivered": 1, "canceled": 1, "deleted": 1}


async def test_entities_users_and_roles_are_told_of() -> None:
    """Settings and payment methods of an entity too, each once as it changes; a role made by need belongs to it as well."""
    async with listening() as world:
        driver = world.driver
        path = f"/entities/{driver.entity_id}"
        for methods in (["us_ach"], ["us_ach"], ["card"]):
            await driver.ask("PUT", f"{path}/payment_methods", {"payment_methods_receive": methods})
        await driver.ask("PATCH", f"{path}/settings", {"language": "de"})
        user = await driver.make_user("ann", permissions(payable={"read": "allowed"}))
        role = str((await driver.ask("GET", f"/entity_users/{user}"))["role_id"])
        await driver.ask("PATCH", f"/roles/{role}", {"name": "reader"})
        await driver.ask("PATCH", f"/entity_users/{user}", {"first_name": "Anna"})
        await driver.ask("DELETE", f"/entity_users/{user}", expect=204)
        await driver.ask("DELETE", f"/roles/{role}", expect=204)
        await driver.ask(
            "PATCH", "/settings", {"default_role": {"name": "all", "permissions": permissions()}}, entity=None
        )
        await driver.make_entity()
        heard = Counter(await world.heard("entity", "entity_settings", "entity_user", "role"))
    assert heard == {
        "entity.created": 1,
        "entity.payment_method.us_ach.activated": 1,
        "entity.payment_method.us_ach.deactivated": 1,
        "entity_settings.updated": 1,
        "entity_user.created": 1,
        "entity_user.deleted": 1,
        "entity_user.updated": 1,
        "role.created": 2,
        "role.deleted": 1,
        "role.updated": 1,
    }


async def test_what_goes_on_by_itself_is_nobodys_doing() -> None:
    """Whoever happens to look first is not its author, and it is told once, by the looking or by the clock."""
    async with listening() as world:
        granted = permissions(receipt={"read": "allowed"})
        ann = await world.driver.make_user("ann", granted)
        made = await world.driver.ask("POST", "/receipts/upload_from_file", file=PDF, expect=201)
        world.emulator.clock.freeze()
        world.emulator.clock.advance(6)
        await world.driver.ask("GET", f"/receipts/{made['id']}", user=ann, version="2024-01-31")
        await world.heard()
        events = await world.driver.ask("GET", "/events", query={"object_type": "receipt"})
        finished = [one for one in cast("list[Json]", events["data"]) if one["action"] == "receipt.ocr_finished"]
        assert [one["api_version"] for one in finished] == [SETTINGS.versions[-1]]


async def test_events_are_listed_as_they_are_due_though_nobody_is_told() -> None:
    """Whoever asks for the events of an emulator that delivers nothing finds what has gone on by itself among them."""
    emulator = Emulator()
    options = emulator.client_options()
    async with httpx.AsyncClient(transport=emulator.transport, base_url=options["base_url"]) as http:
        driver = Driver(http, options["client_id"], options["client_secret"])
        await driver.make_entity()
        await driver.ask("POST", "/receipts/upload_from_file", file=PDF, expect=201)
        await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
        emulator.clock.advance(6)
        events = cast("list[Json]", (await driver.ask("GET", "/events"))["data"])
    ended = {"receipt.ocr_finished", "payable.ocr_finished"}
    assert ended <= {str(event["action"]) for event in events}
