"""Files, webhooks, mailboxes, OCR, approvals, templates, payments, onboarding, accounting, analytics."""

from __future__ import annotations

from typing import cast

import pytest

from tests.emulator.drive import Driver, Json, driving, ids, locations, message, permissions
from tests.emulator.stock import make_counterpart, stocked

PDF = ("bill.pdf", b"%PDF-1.4", "application/pdf")
TEXT = ("note.txt", b"hello", "text/plain")
NOBODY = "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"
COMMON = {"create": "allowed", "read": "allowed", "update": "allowed", "delete": "allowed"}


async def upload(driver: Driver, purpose: str | None = "attachments", size: int = 8) -> Json:
    """Upload a file of its own, and return the answer whatever it is."""
    headers = {"authorization": f"Bearer {await driver.token()}", "x-monite-version": "2024-05-25"}
    data = {} if purpose is None else {"file_type": purpose}
    response = await driver.http.post(
        "/files", files={"file": ("bill.pdf", PDF[1].ljust(size), PDF[2])}, data=data, headers=headers
    )
    return {"status": response.status_code, **cast("Json", response.json())}


async def test_files() -> None:
    """A file is stored with its digest, listed by type or ids only, served, and gone once deleted."""
    async with driving() as (emulator, driver):
        file = await upload(driver)
        emulator.configure({"max_body": 40 * 2**20})
        assert (file["status"], file["name"], file["size"]) == (201, "bill.pdf", 8)
        assert (await driver.http.get(str(file["url"]))).content == PDF[1]
        assert ids(await driver.ask("GET", "/files", query={"file_type": "attachments"})) == [file["id"]]
        assert ids(await driver.ask("GET", "/files", query={"id__in": [NOBODY]})) == []
        response = await driver.send("GET", "/files")
        assert (response.status_code, locations(response)) == (422, [("query", "file_type")])
        assert (await upload(driver, "payables"))["status"] == 422
        assert (await upload(driver, None))["status"] == 422
        assert (await upload(driver, size=16 * 2**20))["status"] == 413
        await driver.ask("DELETE", f"/files/{file['id']}", expect=204)
        await driver.ask("GET", f"/files/{file['id']}", expect=404)
        assert (await driver.http.get(str(file["url"]))).status_code == 404


async def test_webhook_subscriptions_and_their_secrets() -> None:
    """The secret is shown on creation and regeneration only; a subscription can be disabled and enabled."""
    async with driving() as (_, driver):
        body = {"object_type": "counterpart", "url": "https://acme.test/hook", "event_types": ["created"]}
        made = await driver.ask("POST", "/webhook_subscriptions", body, expect=201, entity=None)
        path = f"/webhook_subscriptions/{made['id']}"
        assert str(made["secret"]).startswith("whsec_")
        assert "secret" not in await driver.ask("GET", path, entity=None)
        renewed = await driver.ask("POST", f"{path}/regenerate_secret", entity=None)
        assert renewed["secret"] != made["secret"]
        listed = await driver.ask("GET", "/webhook_subscriptions", entity=None)
        assert "secret" not in cast("list[Json]", listed["data"])[0]
        assert (await driver.ask("POST", f"{path}/disable", entity=None))["status"] == "disabled"
        assert (await driver.ask("POST", f"{path}/enable", entity=None))["status"] == "enabled"
        response = await driver.send("POST", "/webhook_subscriptions", {**body, "url": "http://acme.test"}, entity=None)
        assert (response.status_code, locations(response)) == (422, [("body", "url")])


async def test_events_and_deliveries() -> None:
    """What happens can be read as events, newest or oldest first; an enabled subscription has a delivery for each."""
    async with driving() as (_, driver):
        body = {"object_type": "counterpart", "url": "https://acme.test/hook", "event_types": ["created"]}
        await driver.ask("POST", "/webhook_subscriptions", body, expect=201, entity=None)
        counterpart = (await make_counterpart(driver))["id"]
        await driver.ask("PATCH", f"/counterparts/{counterpart}", {"organization": {"phone": "1"}})
        await driver.ask("DELETE", f"/counterparts/{counterpart}", expect=204)
        events = await driver.ask("GET", "/events", query={"object_type": "counterpart"})
        rows = cast("list[Json]", events["data"])
        assert [row["action"] for row in rows] == [
            "counterpart.created",
            "counterpart.updated",
            "counterpart.updated",
            "counterpart.deleted",
        ]
        assert cast("Json", rows[0]["object"])["id"] == counterpart
        payable = await driver.make_payable()
        await driver.ask("POST", f"/payables/{payable}/submit_for_approval")
        await driver.ask("DELETE", f"/payables/{payable}", expect=204)
        bills = cast("list[Json]", (await driver.ask("GET", "/events", query={"object_type": "payable"}))["data"])
        assert [row["action"] for row in bills] == [
            "payable.created",
            "payable.submitted_for_approval",
            "payable.deleted",
        ]
        one = await driver.ask("GET", f"/events/{rows[0]['id']}", entity=None)
        assert one == rows[0]
        await driver.ask("GET", f"/events/{NOBODY}", entity=None, expect=404)
        deliveries = await driver.ask("GET", "/webhook_deliveries")
        delivery = cast("list[Json]", deliveries["data"])
        assert [(row["event_id"], row["requests_made_count"]) for row in delivery] == [(rows[0]["id"], 0)]
        query = {"object_type": "counterpart", "event_action": "counterpart.created"}
        assert len(ids(await driver.ask("GET", "/webhook_deliveries", query=query))) == 1


async def test_mailboxes() -> None:
    """A mailbox is on a domain that is there, unique, and found by its entity."""
    async with driving() as (_, driver):
        domain = await driver.ask("POST", "/mailbox_domains", {"domain": "acme.test"}, expect=201, entity=None)
        await driver.ask("POST", "/mailbox_domains", {"domain": "acme.test"}, expect=409, entity=None)
        verified = await driver.ask("POST", f"/mailbox_domains/{domain['id']}/verify", entity=None)
        assert (domain["status"], verified["status"]) == ("unverified", "verified")
        body = {"mailbox_domain_id": domain["id"], "mailbox_name": "bills", "related_object_type": "payable"}
        box = await driver.ask("POST", "/mailboxes", body, expect=201)
        assert box["mailbox_full_address"] == "bills@acme.test"
        await driver.ask("POST", "/mailboxes", body, expect=409)
        await driver.ask("POST", "/mailboxes", {**body, "mailbox_domain_id": NOBODY}, expect=404)
        other = await driver.make_entity()
        wanted = {"entity_ids": [other, driver.entity_id]}
        assert ids(await driver.ask("POST", "/mailboxes/search", wanted)) == [box["id"]]
        ann = await driver.make_user("ann", permissions(mailbox=COMMON))
        assert ids(await driver.ask("POST", "/mailboxes/search", {"entity_ids": [other]}, user=ann)) == []


async def test_ocr_tasks() -> None:
    """A task answers 202 and has its result later; what is no document is a 415."""
    async with driving() as (emulator, driver):
        task = await driver.ask("POST", "/ocr_tasks/upload_from_file", file=PDF, expect=202)
        url = {"file_url": "https://acme.test/r.pdf", "document_type": "receipt"}
        receipt = await driver.ask("POST", "/ocr_tasks", url, expect=202)
        await driver.ask("POST", "/ocr_tasks/upload_from_file", file=TEXT, expect=415)
        large = ("large.pdf", bytes(21 * 2**20), "application/pdf")
        await driver.ask("POST", "/ocr_tasks/upload_from_file", file=large, expect=413)
        assert (task["status"], task["recognized_data"]) == ("processing", None)
        emulator.clock.advance(6)
        page = await driver.ask("GET", "/ocr_tasks", query={"status": "success"})
        assert ids(page) == [task["id"], receipt["id"]]
        done = await driver.ask("GET", f"/ocr_tasks/{receipt['id']}")
        assert cast("Json", done["recognized_data"])["type"] == "receipt"


@pytest.mark.parametrize("path", ["/receipts", "/payable_credit_notes"])
async def test_uploads_are_read(path: str) -> None:
    """An uploaded receipt or credit note is filled in by OCR, which does not touch what was set meanwhile."""
    async with driving() as (emulator, driver):
        made = await driver.ask("POST", f"{path}/upload_from_file", file=PDF, expect=201)
        assert (made["ocr_status"], made["document_id"]) == ("processing", None)
        await driver.ask("PATCH", f"{path}/{made['id']}", {"document_id": "MINE-1"})
        emulator.clock.advance(6)
        read = await driver.ask("GET", f"{path}/{made['id']}")
        assert (read["ocr_status"], read["document_id"], read["total_amount"]) == ("success", "MINE-1", 11_900)


async def test_receipts_get_one_file() -> None:
    """A receipt made by hand takes one file and no second."""
    async with driving() as (_, driver):
        receipt = await driver.ask("POST", "/receipts", {"merchant_name": "Shop"}, expect=201)
        path = f"/receipts/{receipt['id']}/attach_file"
        assert (await driver.ask("POST", path, file=PDF))["file_id"] is not None
        await driver.ask("POST", path, file=PDF, expect=409)


async def test_credit_notes_of_vendors() -> None:
    """Lines are priced, replaced and removed; OCR can be called off; the required fields are the partner's."""
    async with driving() as (_, driver):
        body = {"document_id": "C-1", "issued_at": "2026-01-31"}
        note = await driver.ask("POST", "/payable_credit_notes", body, expect=201)
        path = f"/payable_credit_notes/{note['id']}"
        line = await driver.ask(
            "POST", f"{path}/line_items", {"name": "x", "quantity": 2, "unit_price": 50, "tax": 1900}, expect=201
        )
        assert (line["subtotal"], line["tax_amount"], line["total"]) == (100, 19, 119)
        one = f"{path}/line_items/{line['id']}"
        assert (await driver.ask("PATCH", one, {"quantity": 1}))["total"] == 60
        assert ids(await driver.ask("DELETE", one)) == []
        await driver.ask("PATCH", one, {"quantity": 1}, expect=404)
        replaced = await driver.ask("PUT", f"{path}/line_items", {"data": [{"name": "y"}, {"name": "z"}]})
        assert len(ids(replaced)) == 2
        assert len(ids(await driver.ask("PUT", f"{path}/line_items", {"data": []}))) == 0
        assert (await driver.ask("GET", f"{path}/validate"))["validation_errors"] == []
        await driver.ask("PUT", "/payable_credit_notes/validations", {"required_fields": ["counterpart_id"]})
        errors = cast("list[Json]", (await driver.ask("GET", f"{path}/validate"))["validation_errors"])
        assert [error["loc"] for error in errors] == [["counterpart_id"]]
        await driver.ask("POST", "/payable_credit_notes/validations/reset")
        await driver.ask("POST", f"{path}/cancel_ocr", expect=409)
        uploaded = await driver.ask("POST", "/payable_credit_notes/upload_from_file", file=PDF, expect=201)
        called_off = await driver.ask("POST", f"/payable_credit_notes/{uploaded['id']}/cancel_ocr")
        assert called_off["ocr_status"] == "canceled"
        await driver.ask("POST", f"{path}/reject", expect=409)
        await driver.ask("POST", f"{path}/submit_for_approval")
        assert (await driver.ask("POST", f"{path}/approve"))["status"] == "approved"
        await driver.ask("POST", f"{path}/line_items", {"name": "x"}, expect=409)
        await driver.ask("PATCH", f"/payable_credit_notes/{NOBODY}", {"description": "x"}, expect=404)


async def test_approval_requests_end_in_a_status() -> None:
    """Enough approvals approve, one rejection rejects, and only those who are asked may answer."""
    async with driving() as (_, driver):
        granted = permissions(approval_request=COMMON)
        ann, bob, eve = [await driver.make_user(name, granted) for name in ("ann", "bob", "eve")]
        payable = await driver.make_payable()
        body = {
            "object_id": payable,
            "object_type": "payable",
            "required_approval_count": 2,
            "user_ids": [ann, bob],
        }
        request = await driver.ask("POST", "/approval_requests", body, expect=201)
        path = f"/approval_requests/{request['id']}"
        await driver.ask("POST", f"{path}/approve", user=eve, expect=403)
        once = await driver.ask("POST", f"{path}/approve", user=ann)
        assert (once["status"], once["approved_by"]) == ("waiting", [ann])
        assert (await driver.ask("POST", f"{path}/approve", user=ann))["approved_by"] == [ann]
        assert (await driver.ask("POST", f"{path}/approve", user=bob))["status"] == "approved"
        await driver.ask("POST", f"{path}/reject", user=ann, expect=409)
        other = await driver.ask("POST", "/approval_requests", body, expect=201)
        rejected = await driver.ask("POST", f"/approval_requests/{other['id']}/reject", user=bob)
        assert (rejected["status"], rejected["rejected_by"]) == ("rejected", bob)
        assert ids(await driver.ask("GET", "/approval_requests", query={"status": "rejected"})) == [other["id"]]
        await driver.ask("POST", "/approval_requests", {**body, "object_id": NOBODY}, expect=404)


def policy(trigger: object, users: list[str]) -> Json:
    """Return a policy that asks some users once its trigger is met."""
    call = "ApprovalRequests.request_approval_by_users"
    script = [{"call": call, "params": {"user_ids": users, "required_approval_count": 1}}]
    return {"name": "big", "script": script, "trigger": trigger}


BIG = {
    "all": [
        "{event_name == 'submitted_for_approval'}",
        {"operator": ">", "left_operand": {"name": "invoice.amount"}, "right_operand": 1000},
    ]
}


async def test_policies_send_payables_to_their_approvers() -> None:
    """A submitted payable that meets a policy waits for the users that it names; their answer is its fate."""
    async with driving() as (_, driver):
        ann = await driver.make_user("ann", permissions(approval_request=COMMON, payable={"read": "allowed"}))
        made = await driver.ask("POST", "/approval_policies", policy(BIG, [ann]), expect=201)
        fates: list[object] = []
        for answer in ("approve", "reject"):
            payable = await driver.make_payable()
            shown = await driver.ask("POST", f"/payables/{payable}/submit_for_approval")
            assert (shown["status"], shown["approval_policy_id"]) == ("approve_in_progress", made["id"])
            query = {"object_id": payable, "status": "waiting"}
            request = ids(await driver.ask("GET", "/approval_requests", query=query, user=ann))[0]
            await driver.ask("POST", f"/approval_requests/{request}/{answer}", user=ann)
            fates.append((await driver.ask("GET", f"/payables/{payable}"))["status"])
        assert fates == ["waiting_to_be_paid", "rejected"]
        small = await driver.make_payable(total_amount=10)
        shown = await driver.ask("POST", f"/payables/{small}/submit_for_approval")
        assert shown["approval_policy_id"] is None
        payable = await driver.make_payable()
        await driver.ask("POST", f"/payables/{payable}/submit_for_approval")
        path = f"/approval_policies/{made['id']}/processes"
        process = cast("list[Json]", (await driver.ask("GET", path))["data"])[-1]
        assert process["status"] == "running"
        by_process = await driver.ask("GET", "/approval_policies", query={"process_id": str(process["id"])})
        assert ids(by_process) == [made["id"]]
        steps = cast("list[Json]", (await driver.ask("GET", f"{path}/{process['id']}/steps"))["data"])
        assert [(step["status"], step["user_ids"]) for step in steps] == [("waiting", [ann])]
        canceled = await driver.ask("POST", f"{path}/{process['id']}/cancel")
        assert canceled["status"] == "canceled"
        await driver.ask("POST", f"{path}/{process['id']}/cancel", expect=409)
        await driver.ask("POST", "/approval_policies", {**policy(None, [ann]), "script": []}, expect=400)
        changed = await driver.ask("PATCH", f"/approval_policies/{made['id']}", {"name": "huge"}, expect=200)
        assert changed["name"] == "huge"


@pytest.mark.parametrize(
    ("trigger", "met"),
    [
        (None, True),
        (True, True),
        (False, False),
        ("{something else}", False),
        (
            {
                "any": [
                    False,
                    {"operator": "in", "left_operand": {"name": "invoice.currency"}, "right_operand": ["EUR"]},
                ]
            },
            True,
        ),
        ({"not": {"operator": "==", "left_operand": {"name": "event_name"}, "right_operand": "x"}}, True),
        ({"operator": ">", "left_operand": {"name": "invoice.due_date"}, "right_operand": 5}, False),
        ({"operator": "~", "left_operand": 1, "right_operand": 1}, False),
    ],
)
async def test_triggers(trigger: object, met: bool) -> None:
    """Comparisons and their combinations are understood; what is not understood is never met."""
    async with driving() as (_, driver):
        await driver.ask("POST", "/approval_policies", policy(trigger, [NOBODY]), expect=201)
        payable = await driver.make_payable()
        shown = await driver.ask("POST", f"/payables/{payable}/submit_for_approval")
        assert (shown["approval_policy_id"] is not None) is met


async def test_purchase_orders_and_delivery_notes() -> None:
    """Both show their counterpart, are numbered, printed a little later, and fixed once out of the first status."""
    async with driving() as (emulator, driver):
        stock = await stocked(driver)
        item = {"name": "x", "price": 5, "quantity": 1, "unit": "h", "vat_rate": 0, "currency": "EUR"}
        body = {
            "counterpart_id": stock.counterpart,
            "counterpart_address_id": stock.address,
            "currency": "EUR",
            "items": [item],
            "message": "Hi",
            "valid_for_days": 5,
        }
        order = await driver.ask("POST", "/payable_purchase_orders", body, expect=201)
        path = f"/payable_purchase_orders/{order['id']}"
        assert (order["document_id"], order["file_url"]) == ("PO-00001", None)
        assert cast("Json", order["counterpart"])["id"] == stock.counterpart
        emulator.clock.advance(3)
        assert (await driver.ask("PATCH", path, {"message": "Ho"}))["message"] == "Ho"
        assert (await driver.ask("GET", path))["file_url"] is not None
        await driver.ask("POST", f"{path}/send", {"body_text": "a", "subject_text": "b"})
        await driver.ask("PATCH", path, {"message": "Hu"}, expect=409)
        await driver.ask("GET", "/payable_purchase_orders/variables")
        body = {
            "counterpart_id": stock.counterpart,
            "counterpart_address_id": stock.address,
            "line_items": [{"product_id": stock.product, "quantity": 1}],
        }
        note = await driver.ask("POST", "/delivery_notes", body, expect=201)
        path = f"/delivery_notes/{note['id']}"
        line = {"product": {"name": "Odd", "measure_unit": {"name": "kg"}}, "quantity": 3}
        changed = await driver.ask("PATCH", path, {"line_items": [line]})
        assert cast("list[Json]", changed["line_items"])[0]["quantity"] == 3
        assert (await driver.ask("POST", f"{path}/mark_as_delivered"))["status"] == "delivered"
        await driver.ask("PATCH", path, {"memo": "x"}, expect=409)
        based = await driver.ask("POST", "/delivery_notes", {"based_on": (await stock.issued())["id"]}, expect=201)
        assert (based["document_id"], based["based_on_document_id"]) == ("DN-00002", "INV-00001")


async def test_payment_links_and_intents() -> None:
    """A link takes the amount from what is to be paid, and has an intent with a history."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        invoice = (await stock.issued())["id"]
        base = {"payment_methods": ["sepa_credit"], "recipient": {"id": driver.entity_id, "type": "entity"}}
        link = await driver.ask(
            "POST", "/payment_links", {**base, "object": {"id": invoice, "type": "receivable"}}, expect=201
        )
        assert (link["amount"], link["currency"], link["status"]) == (23_800, "EUR", "created")
        await driver.ask("POST", "/payment_links", base, expect=400)
        await driver.ask("POST", "/payment_links", {**base, "object": {"id": NOBODY, "type": "payable"}}, expect=404)
        intent = f"/payment_intents/{link['payment_intent_id']}"
        assert (await driver.ask("PATCH", intent, {"amount": 5}))["amount"] == 5
        assert len(ids(await driver.ask("GET", f"{intent}/history"))) == 2
        assert (await driver.ask("POST", f"/payment_links/{link['id']}/expire"))["status"] == "expired"


async def test_batches_are_paid_after_a_while() -> None:
    """A batch of payments is created, processed, and done on the emulator's clock."""
    async with driving() as (emulator, driver):
        payable = await driver.make_payable()
        account = {"country": "DE", "currency": "EUR", "iban": "DE89370400440532013000"}
        payer = (await driver.ask("POST", "/bank_accounts", account, expect=201))["id"]
        recipient = {"id": NOBODY, "type": "counterpart"}
        intent = {"object": {"id": payable, "type": "payable"}, "recipient": recipient}
        body = {"payer_bank_account_id": payer, "payment_intents": [intent], "payment_method": "us_ach"}
        batch = await driver.ask("POST", "/batch_payments", body)
        states: list[object] = [batch["status"]]
        for _ in range(2):
            emulator.clock.advance(3)
            states.append((await driver.ask("GET", f"/batch_payments/{batch['id']}"))["status"])
        assert (states, batch["total_amount"]) == (["created", "processing", "succeeded"], 10_000)


async def test_recurrences() -> None:
    """Only an invoice recurs; a recurrence can be paused, resumed and canceled for good."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        quote, invoice = (await stock.make("quote"))["id"], (await stock.make())["id"]
        await driver.ask("POST", "/recurrences", {"invoice_id": quote}, expect=400)
        made = await driver.ask("POST", "/recurrences", {"invoice_id": invoice, "start_date": "2030-02-01"})
        assert (made["start_month"], made["start_year"], made["status"]) == (2, 2030, "active")
        path = f"/recurrences/{made['id']}"
        await driver.ask("POST", f"{path}/resume", expect=409)
        for action, status, expect in (
            ("pause", "paused", 200),
            ("resume", "active", 200),
            ("cancel", "canceled", 204),
        ):
            await driver.ask("POST", f"{path}/{action}", expect=expect)
            assert (await driver.ask("GET", path))["status"] == status
        await driver.ask("POST", f"{path}/pause", expect=409)


async def test_onboarding_and_payment_methods() -> None:
    """Onboarding data is put, patched and got; payment methods are those that were chosen, by direction."""
    async with driving() as (_, driver):
        path = f"/entities/{driver.entity_id}/onboarding_data"
        await driver.ask("PUT", path, {"business_profile": {"mcc": "1234", "url": "https://acme.test"}})
        await driver.ask("PATCH", path, {"business_profile": {"mcc": "4321"}})
        profile = cast("Json", (await driver.ask("GET", path))["business_profile"])
        assert (profile["mcc"], profile["url"]) == ("4321", "https://acme.test")
        path = f"/entities/{driver.entity_id}/payment_methods"
        await driver.ask("PUT", path, {"payment_methods_receive": ["card"], "payment_methods_send": ["us_ach"]})
        rows = cast("list[Json]", (await driver.ask("GET", path))["data"])
        assert [(row["direction"], row["type"]) for row in rows] == [("receive", "card"), ("send", "us_ach")]
        await driver.ask("GET", f"/entities/{NOBODY}/onboarding_data", expect=404)
        other = await driver.make_entity()
        ann = await driver.make_user("ann", permissions(onboarding=COMMON))
        await driver.ask("GET", f"/entities/{other}/onboarding_data", user=ann, entity=None, expect=403)


async def test_accounting_mirrors_the_entity() -> None:
    """One connection per entity; synchronizing twice changes records instead of doubling them; a push takes a while."""
    async with driving() as (emulator, driver):
        await driver.make_payable()
        connection = await driver.ask("POST", "/accounting_connections", expect=201)
        await driver.ask("POST", "/accounting_connections", expect=409)
        path = f"/accounting_connections/{connection['id']}"
        for _ in range(2):
            await driver.ask("POST", f"{path}/sync", expect=202)
        record = ids(await driver.ask("GET", "/accounting_synced_records", query={"object_type": "bill"}))
        assert len(record) == 1
        pushed = await driver.ask("POST", f"/accounting_synced_records/{record[0]}/push")
        emulator.clock.advance(3)
        later = await driver.ask("GET", f"/accounting_synced_records/{record[0]}")
        assert (pushed["sync_status"], later["sync_status"]) == ("pending", "done")
        await driver.ask("POST", f"{path}/disconnect")
        await driver.ask("POST", f"{path}/sync", expect=409)


async def test_analytics_count_and_sum() -> None:
    """Analytics combine a metric by a dimension, dates by day, week, month, quarter or year."""
    async with driving() as (_, driver):
        for amount, day in ((100, "2026-02-03"), (300, "2026-03-05"), (50, "2026-06-01")):
            await driver.make_payable(total_amount=amount, due_date=day)

        async def rows(**query: str) -> list[tuple[object, object]]:
            base = {"metric": "total_amount", "aggregation_function": "summary"}
            data = (await driver.ask("GET", "/analytics/payables", query={**base, **query}))["data"]
            return [(row["dimension_value"], row["metric_value"]) for row in cast("list[Json]", data)]

        assert await rows() == [(None, 450)]
        assert await rows(dimension="currency", aggregation_function="count", metric="id") == [("EUR", 3)]
        for width, days in (
            ("quarterly", ["2026-01-01", "2026-04-01"]),
            ("monthly", ["2026-02-01", "2026-03-01", "2026-06-01"]),
            ("weekly", ["2026-02-02", "2026-03-02", "2026-06-01"]),
            ("yearly", ["2026-01-01"]),
            ("daily", ["2026-02-03", "2026-03-05", "2026-06-01"]),
        ):
            found = await rows(dimension="due_date", date_dimension_breakdown=width)
            assert [day for day, _ in found] == days
        assert await rows(aggregation_function="average") == [(None, 150)]
        assert await rows(aggregation_function="min", limit="1") == [(None, 50)]
        assert await rows(aggregation_function="max", total_amount__lt="300") == [(None, 100)]
        assert await rows(dimension="project_id") == [(None, 450)]


async def test_templates_tags_and_einvoicing() -> None:
    """Built-in templates are there, tags are unique, and a search finds the credentials of this emulator's entities."""
    async with driving() as (_, driver):
        listed = await driver.ask("GET", "/document_templates")
        second = ids(listed)[1]
        await driver.ask("POST", f"/document_templates/{second}/make_default")
        marks = [
            row["is_default"] for row in cast("list[Json]", (await driver.ask("GET", "/document_templates"))["data"])
        ]
        assert marks == [False, True]
        preview = await driver.send("GET", f"/document_templates/{second}/preview")
        assert preview.headers["content-type"] == "application/pdf"
        await driver.ask("POST", "/tags", {"name": "a"}, expect=201)
        response = await driver.send("POST", "/tags", {"name": "a"})
        assert (response.status_code, message(response)) == (409, "A tag with this name exists already")
        address = {"address_line1": "x", "city": "Berlin", "country": "DE", "postal_code": "10119"}
        connection = await driver.ask("POST", "/einvoicing_connections", {"address": address}, expect=201)
        body = {"network_credentials_identifier": "DE1", "network_credentials_schema": "DE:VAT"}
        path = f"/einvoicing_connections/{connection['id']}/network_credentials"
        await driver.ask("POST", path, body, expect=201)
        query = {"network_schema": "DE:VAT", "network_identifier": "DE1"}
        assert await driver.ask("GET", "/einvoice_search", query=query) == {"exists": True}
        query["network_identifier"] = "DE2"
        assert await driver.ask("GET", "/einvoice_search", query=query) == {"exists": False}
