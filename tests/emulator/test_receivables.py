"""Receivables: sums, numbers, the life cycles of quotes, invoices and credit notes, their mails and PDFs."""

from __future__ import annotations

from typing import cast

import pytest

from tests.emulator.drive import Json, driving, ids, locations, message, permissions
from tests.emulator.stock import stocked

RECIPIENTS = {"to": ["a@acme.test"]}
MAIL = {"subject_text": "Invoice {document_id}", "body_text": "Dear {counterpart_name}", "recipients": RECIPIENTS}


def first(value: object) -> Json:
    """Return the first of a list."""
    return cast("list[Json]", value)[0]


async def test_sums_follow_from_lines() -> None:
    """Lines, their discounts and VAT rates, the discount and the deductions of the document give its sums."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        plain = await stock.make()
        assert (plain["subtotal"], plain["total_vat_amount"], plain["total_amount"]) == (20_000, 3_800, 23_800)
        assert first(plain["total_vat_amounts"]) | {"id": None} == {
            "id": None,
            "components": None,
            "name": None,
            "value": 1900,
            "taxable_amount": 20_000,
            "amount": 3_800,
        }
        half = await stock.make(discount={"type": "percentage", "amount": 5_000})
        assert (half["discounted_subtotal"], half["total_amount"]) == (10_000, 11_900)
        less = stock.line(discount={"type": "amount", "amount": 5_000})
        cheap = await stock.make(line_items=[less, stock.line()], deductions=[{"amount": 100, "name": "x"}])
        assert (cheap["subtotal"], cheap["total_amount"], cheap["amount_due"]) == (35_000, 41_650, 41_550)
        inclusive = await stock.make(vat_mode="inclusive", withholding_tax_rate=1_000)
        assert (inclusive["subtotal"], inclusive["total_amount"]) == (16_807, 20_000)
        assert inclusive["total_withholding_tax"] == 1_681
        exempt = await stock.make(vat_exempt=True)
        assert (exempt["total_vat_amount"], exempt["total_amount"]) == (0, 20_000)


async def test_lines_show_their_product_and_rate() -> None:
    """A line shows the product that it names, or the one written into it, with price and VAT rate."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        unit = await driver.ask("POST", "/measure_units", {"name": "sheet"}, expect=201)
        price = {"currency": "EUR", "value": 50}
        body = {"name": "Ink", "price": price, "measure_unit_id": unit["id"]}
        product = await driver.ask("POST", "/products", body, expect=201)
        free = await driver.ask("POST", "/products", {"name": "Gift"}, expect=201)
        body = {"name": "Odd", "components": [{"name": "x", "value": 300}, {"name": "y", "value": 200}]}
        custom = await driver.ask("POST", "/custom_vat_rates", body, expect=201)
        inline = {"name": "Work", "price": price}
        lines = [
            {"quantity": 1, "product_id": product["id"], "custom_vat_rate_id": custom["id"]},
            {"quantity": 1.5, "product": inline, "tax_rate_value": 1_000, "tax_rate_name": "ten"},
            {"quantity": 1, "product": inline},
            {"quantity": 1, "product_id": free["id"]},
        ]
        made = await stock.make(line_items=lines)
        shown = [cast("Json", line["product"]) for line in cast("list[Json]", made["line_items"])]
        assert [(product["name"], product["is_inline"]) for product in shown] == [
            ("Ink", False),
            ("Work", True),
            ("Work", True),
            ("Gift", False),
        ]
        assert cast("Json", shown[0]["measure_unit"])["name"] == "sheet"
        rates = [cast("Json", product["vat_rate"])["value"] for product in shown]
        assert rates == [500, 1_000, 0, 0]
        replaced = await driver.ask("PUT", f"/receivables/{made['id']}/line_items", {"data": [stock.line(quantity=1)]})
        assert len(cast("list[Json]", replaced["data"])) == 1
        assert (await stock.get(made["id"]))["total_amount"] == 11_900


async def test_what_a_document_names_must_be_there() -> None:
    """An unknown counterpart, address, product or rate is a 404 that says which."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        other = "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"
        wrong: tuple[tuple[Json, str], ...] = (
            ({"counterpart_id": other}, "Counterpart"),
            ({"counterpart_billing_address_id": other}, "Address"),
            ({"line_items": [stock.line(product_id=other)]}, "Product"),
            ({"line_items": [stock.line(vat_rate_id=other)]}, "VAT rate"),
            ({"payment_terms_id": other}, "Payment term"),
            ({"attachments": [{"id": other}]}, "File"),
        )
        for fields, noun in wrong:
            response = await driver.send("POST", "/receivables", {**stock.body(), **fields})
            assert (response.status_code, message(response)) == (404, f"{noun} not found")


async def test_an_issued_invoice_has_number_dates_and_soon_a_pdf() -> None:
    """Issuing numbers a document by the entity's settings, dates it, sets its due date, and starts its PDF."""
    async with driving() as (emulator, driver):
        stock = await stocked(driver)
        terms = {"name": "net", "term_final": {"number_of_days": 30}}
        made = await driver.ask("POST", "/payment_terms", terms, expect=201)
        invoice = await stock.issued(payment_terms_id=made["id"])
        today = emulator.clock.now().date()
        assert (invoice["document_id"], invoice["status"]) == ("INV-00001", "issued")
        assert str(invoice["issue_date"])[:10] == today.isoformat()
        assert invoice["due_date"] is not None
        assert (await stock.issued())["document_id"] == "INV-00002"
        assert (await stock.issued(document_id="MINE-7"))["document_id"] == "MINE-7"
        assert (await stock.issued("quote"))["document_id"] == "Q-00001"
        link = f"/receivables/{invoice['id']}/pdf_link"
        assert await driver.ask("GET", link) == {"file_url": None, "original_file_url": None}
        emulator.clock.advance(3)
        url = str((await driver.ask("GET", link))["file_url"])
        assert (await driver.http.get(url)).content.startswith(b"%PDF")
        fixed = {"term_final": {"end_date": "2030-01-31"}}
        assert (await stock.issued(payment_terms=fixed))["due_date"] == "2030-01-31"


async def test_an_invoice_is_paid_in_parts() -> None:
    """Payments count up to the amount due, and never beyond; what is paid can be paid no more."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        invoice = (await stock.issued())["id"]
        part = await stock.act(invoice, "mark_as_partially_paid", {"amount_paid": 10_000})
        assert (part["status"], part["amount_paid"], part["amount_due"]) == ("partially_paid", 10_000, 13_800)
        await stock.act(invoice, "mark_as_partially_paid", {"amount_paid": 10_000}, expect=400)
        await stock.act(invoice, "mark_as_partially_paid", {"amount_paid": 23_800}, expect=400)
        paid = await stock.act(invoice, "mark_as_paid", {"comment": "cash"})
        assert (paid["status"], paid["amount_due"], paid["comment"]) == ("paid", 0, "cash")
        response = await driver.send("POST", f"/receivables/{invoice}/mark_as_paid", {})
        assert response.status_code == 409
        assert message(response) == "Action mark_as_paid is not allowed for a invoice in status paid"
        history = await driver.ask("GET", f"/receivables/{invoice}/history", query={"order": "asc"})
        entries = cast("list[Json]", history["data"])
        assert [entry["event_type"] for entry in entries] == [
            "receivable_created",
            "status_changed",
            "status_changed",
            "payment_received",
            "status_changed",
            "payment_received",
        ]
        assert entries[1]["event_data"] == {"old_status": "draft", "new_status": "issued"}
        one = await driver.ask("GET", f"/receivables/{invoice}/history/{entries[3]['id']}")
        assert cast("Json", one["event_data"])["amount_due"] == 13_800
        await driver.ask("GET", f"/receivables/{invoice}/history/{invoice}", expect=404)


@pytest.mark.parametrize(
    ("action", "expect", "status"), [("cancel", 204, "canceled"), ("mark_as_uncollectible", 200, "uncollectible")]
)
async def test_an_invoice_can_come_to_nothing(action: str, expect: int, status: str) -> None:
    """An issued invoice can be canceled or given up; a draft cannot."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        invoice = (await stock.make())["id"]
        await stock.act(invoice, action, expect=409)
        await stock.act(invoice, "issue")
        await stock.act(invoice, action, expect=expect)
        assert (await stock.get(invoice))["status"] == status


async def test_time_makes_overdue_and_expired() -> None:
    """An unpaid invoice is overdue after its due date, an unanswered quote expires; both can be filtered for."""
    async with driving() as (emulator, driver):
        stock = await stocked(driver)
        terms = {"term_final": {"number_of_days": 1}}
        invoice = (await stock.issued(payment_terms=terms))["id"]
        soon = emulator.clock.now().date().isoformat()
        quote = (await stock.issued("quote", expiry_date=soon))["id"]
        emulator.clock.advance(3 * 86_400)
        driver.forget()
        assert ids(await driver.ask("GET", "/receivables", query={"status": "overdue"})) == [invoice]
        assert (await stock.get(quote))["status"] == "expired"
        await stock.act(quote, "accept", expect=409)


async def test_a_quote_becomes_an_invoice_and_that_a_credit_note() -> None:
    """An accepted quote is the base of an invoice, an issued invoice that of a credit note, which lowers it."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        quote = (await stock.issued("quote"))["id"]
        assert await stock.act(quote, "accept") == {"success": True}
        based = {"type": "invoice", "based_on": quote}
        invoice = await driver.ask("POST", "/receivables", based, expect=201)
        assert (invoice["status"], invoice["total_amount"], invoice["based_on"]) == ("draft", 23_800, quote)
        await driver.ask("POST", "/receivables", {"type": "credit_note", "based_on": invoice["id"]}, expect=409)
        await stock.act(invoice["id"], "issue")
        based = {"type": "credit_note", "based_on": str(invoice["id"])}
        credit = await driver.ask("POST", "/receivables", based, expect=201)
        assert (await stock.act(credit["id"], "issue"))["document_id"] == "CN-00001"
        lowered = await stock.get(invoice["id"])
        assert (lowered["total_amount_with_credit_notes"], lowered["amount_due"]) == (0, 0)
        assert cast("Json", lowered["related_documents"])["credit_note_ids"] == [credit["id"]]
        await stock.act(credit["id"], "clone", expect=409)
        found = await driver.ask("GET", "/receivables", query={"type": "credit_note"})
        assert ids(found) == [credit["id"]]


async def test_a_quote_may_need_a_signature_and_be_declined() -> None:
    """A quote that asks for a signature is not accepted without one; a declined one keeps the reason."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        quote = (await stock.issued("quote", signature_required=True))["id"]
        await stock.act(quote, "accept", expect=400)
        await stock.act(quote, "decline", {"comment": "too dear"})
        shown = await stock.get(quote)
        assert (shown["status"], shown["comment"]) == ("declined", "too dear")


async def test_changes_depend_on_type_and_status() -> None:
    """A draft can be changed whole, an issued invoice in part, and each only under the name of its type."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        invoice = (await stock.make())["id"]
        path = f"/receivables/{invoice}"
        changed = await driver.ask(
            "PATCH", path, {"invoice": {"memo": "Hi", "discount": {"type": "amount", "amount": 1}}}
        )
        assert (changed["memo"], changed["discounted_subtotal"]) == ("Hi", 19_999)
        response = await driver.send("PATCH", path, {"quote": {"memo": "Hi"}})
        assert (response.status_code, locations(response)) == (422, [("body", "quote")])
        await driver.ask("PATCH", path, {"issued_invoice": {"memo": "Hi"}}, expect=409)
        await stock.act(invoice, "issue")
        await driver.ask("PATCH", path, {"invoice": {"memo": "Hi"}}, expect=409)
        assert (await driver.ask("PATCH", path, {"issued_invoice": {"memo": "Ho"}}))["memo"] == "Ho"
        await driver.ask("PUT", f"{path}/line_items", {"data": [stock.line()]}, expect=409)
        await driver.ask("DELETE", path, expect=409)
        draft = str((await stock.act(invoice, "clone", expect=201))["id"])
        await driver.ask("DELETE", f"/receivables/{draft}", expect=204)
        await driver.ask("GET", f"/receivables/{draft}", expect=404)
        credit = await driver.ask("POST", "/receivables", {"type": "credit_note", "based_on": invoice}, expect=201)
        body = {"credit_note": {"memo": "Sorry"}}
        assert (await driver.ask("PATCH", f"/receivables/{credit['id']}", body))["memo"] == "Sorry"
        path = f"/receivables/{credit['id']}"
        lines: Json = {"credit_note": {"line_items": {stock.product: {"quantity": 1}}}}
        assert (await driver.ask("PATCH", path, lines))["total_amount"] == 11_899
        await driver.ask("PATCH", path, {"credit_note": {"line_items": {invoice: {"quantity": 1}}}}, expect=404)
        lines = {"credit_note": {"line_items": {stock.product: {"quantity": 1, "price_diff": 5}}}}
        assert "patch_receivables_id" in message(await driver.send("PATCH", path, lines))


async def test_attachments_are_files_of_their_own() -> None:
    """A document shows the files that it names, with what the request says of each."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        headers = {"authorization": f"Bearer {await driver.token()}", "x-monite-version": "2024-05-25"}
        file = {"file": ("a.pdf", b"%PDF", "application/pdf")}
        sent = await driver.http.post("/files", files=file, data={"file_type": "attachments"}, headers=headers)
        wanted = {"id": sent.json()["id"], "include_in_email": True}
        shown = first((await stock.make(attachments=[wanted]))["attachments"])
        assert (shown["id"], shown["name"], shown["include_in_email"]) == (wanted["id"], "a.pdf", True)


async def test_mails_are_kept_and_sending_issues() -> None:
    """Sending a draft issues it; the mail can be read, and goes to the counterpart unless told otherwise."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        invoice = (await stock.make())["id"]
        mail = str((await stock.act(invoice, "send", MAIL))["mail_id"])
        assert (await stock.get(invoice))["status"] == "issued"
        shown = await driver.ask("GET", f"/receivables/{invoice}/mails/{mail}")
        assert first(cast("Json", shown["recipients"])["to"])["email"] == "a@acme.test"
        plain = {name: text for name, text in MAIL.items() if name != "recipients"}
        await stock.act(invoice, "send", plain)
        listed = await driver.ask("GET", f"/receivables/{invoice}/mails")
        assert len(ids(listed)) == 2
        reminder = await stock.act(invoice, "send_test_reminder", {"reminder_type": "overdue"})
        assert len(cast("list[str]", reminder["mail_ids"])) == 1
        await driver.ask("PATCH", f"/counterparts/{stock.counterpart}", {"organization": {"email": None}})
        await stock.act(invoice, "send", plain, expect=400)
        preview = await stock.act(invoice, "preview", plain, expect=201)
        assert preview == {"subject_preview": "Invoice INV-00001", "body_preview": "Dear Paper Ltd"}


async def test_search_is_a_list_with_a_body() -> None:
    """A search takes the filters of the list as a body, dates included, and its own page tokens."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        made = [(await stock.make())["id"] for _ in range(3)]
        page = await driver.ask("POST", "/receivables/search", {"limit": 2, "created_at__gt": "2020-01-01T00:00:00"})
        assert ids(page) == made[:2]
        rest = await driver.ask(
            "POST", "/receivables/search", {"limit": 2, "pagination_token": page["next_pagination_token"]}
        )
        assert ids(rest) == made[2:]
        none = await driver.ask("POST", "/receivables/search", {"created_at__lt": "2020-01-01T00:00:00"})
        assert ids(none) == []
        by_product = await driver.ask("POST", "/receivables/search", {"product_ids": [stock.product]})
        assert len(ids(by_product)) == 3


async def test_a_role_may_see_own_documents_only() -> None:
    """``allowed_for_own`` hides the documents of others in lists and denies them by id."""
    async with driving() as (_, driver):
        stock = await stocked(driver)
        theirs = (await stock.make())["id"]
        granted = permissions(receivable={"read": "allowed_for_own", "create": "allowed"})
        ann = await driver.make_user("ann", granted)
        mine = (await driver.ask("POST", "/receivables", stock.body(), expect=201, user=ann))["id"]
        assert ids(await driver.ask("GET", "/receivables", user=ann)) == [mine]
        response = await driver.send("GET", f"/receivables/{theirs}", user=ann)
        assert (response.status_code, message(response)) == (403, "Action read for receivable not allowed")
        await driver.ask("POST", f"/receivables/{mine}/issue", user=ann, expect=403)
