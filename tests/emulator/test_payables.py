"""Payables: statuses, files, OCR, history, line items, validation rules."""

from __future__ import annotations

import base64
from typing import cast

import pytest

from monite_async.emulator import EmulatorSettings
from monite_async.emulator._payable_actions import TRANSITIONS
from tests.emulator.drive import Driver, Json, driving, ids, locations, message, permissions
from tests.emulator.stock import make_counterpart, stocked

PDF = ("bill.pdf", b"%PDF-1.7 \r\n--x\r\n\x00\xff", "application/pdf")
ROUTES_TO: dict[str, tuple[tuple[str, object], ...]] = {
    "new": (),
    "approve_in_progress": (("submit_for_approval", None),),
    "waiting_to_be_paid": (("approve_payment_operation", None),),
    "partially_paid": (("approve_payment_operation", None), ("mark_as_partially_paid", {"amount_paid": 1})),
    "paid": (("approve_payment_operation", None), ("mark_as_paid", None)),
    "rejected": (("submit_for_approval", None), ("reject", None)),
    "canceled": (("cancel", None),),
}
BODIES: dict[str, object] = {"mark_as_partially_paid": {"amount_paid": 50}, "mark_as_paid": {"comment": "cash"}}


async def brought_to(driver: Driver, status: str) -> str:
    """Create a payable and bring it to a status."""
    payable = await driver.make_payable()
    for action, body in ROUTES_TO[status]:
        await driver.ask("POST", f"/payables/{payable}/{action}", body)
    assert (await driver.ask("GET", f"/payables/{payable}"))["status"] == status
    return payable


@pytest.mark.parametrize("action", sorted(TRANSITIONS))
async def test_every_action_works_from_its_statuses_only(action: str) -> None:
    """Each action leads from each of its statuses to its target; from any other it is refused and changes nothing."""
    starts, target, _ = TRANSITIONS[action]
    async with driving() as (_, driver):
        for status in ROUTES_TO:
            payable = await brought_to(driver, status)
            response = await driver.send("POST", f"/payables/{payable}/{action}", BODIES.get(action))
            after = (await driver.ask("GET", f"/payables/{payable}"))["status"]
            if status in starts:
                assert (response.status_code, after) == (200, target)
            else:
                assert (response.status_code, after) == (409, status)


async def test_each_action_needs_its_own_permission() -> None:
    """submit, approve, cancel, pay and reopen are permissions of their own."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        for number, (action, (_, _, needed)) in enumerate(sorted(TRANSITIONS.items())):
            user = await driver.make_user(f"user{number}", permissions(payable={"read": "allowed"}))
            response = await driver.send("POST", f"/payables/{payable}/{action}", BODIES.get(action), user=user)
            assert message(response) == f"Action {needed} for payable not allowed"


async def test_paying_sets_amounts_and_who_paid() -> None:
    """A part payment lowers what is due; amounts out of range are refused; full payment records user and comment."""
    async with driving() as (_, driver):
        user = await driver.make_user("ann", permissions(payable={"pay": "allowed"}))
        payable = await brought_to(driver, "waiting_to_be_paid")
        path = f"/payables/{payable}"
        part = await driver.ask("POST", f"{path}/mark_as_partially_paid", {"amount_paid": 4000})
        assert (part["amount_paid"], part["amount_due"], part["amount_to_pay"]) == (4000, 6000, 6000)
        for wrong in (0, 4000, 10_000):
            refused = await driver.send("POST", f"{path}/mark_as_partially_paid", {"amount_paid": wrong})
            assert refused.status_code == 400
        assert (await driver.send("POST", f"{path}/mark_as_partially_paid", {"amount_paid": -1})).status_code == 422
        paid = await driver.ask("POST", f"{path}/mark_as_paid", {"comment": "cash"}, user=user)
        assert (paid["amount_due"], paid["marked_as_paid_with_comment"]) == (0, "cash")
        assert paid["marked_as_paid_by_entity_user_id"] == user
        assert isinstance(paid["paid_at"], str)


async def test_the_wrong_state_status_is_a_setting() -> None:
    """What a forbidden transition answers is not documented."""
    async with driving(EmulatorSettings(wrong_state_status=400)) as (_, driver):
        payable = await driver.make_payable()
        assert (await driver.send("POST", f"/payables/{payable}/reopen")).status_code == 400


async def test_an_entity_can_skip_approval() -> None:
    """With ``payables_skip_approval_flow`` submitting leads straight to payment."""
    async with driving() as (_, driver):
        await driver.ask("PATCH", f"/entities/{driver.entity_id}/settings", {"payables_skip_approval_flow": True})
        payable = await driver.make_payable()
        submitted = await driver.ask("POST", f"/payables/{payable}/submit_for_approval")
        assert submitted["status"] == "waiting_to_be_paid"


async def test_changing_and_deleting_depend_on_the_status() -> None:
    """A patch changes what it names, until the payable is final; paid ones stay, deleted ones are 404."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        path = f"/payables/{payable}"
        tag = await driver.make_tag()
        changed = await driver.ask("PATCH", path, {"total_amount": 500, "tag_ids": [tag], "description": None})
        assert (changed["amount_due"], [entry["name"] for entry in cast("list[Json]", changed["tags"])]) == (
            500,
            ["urgent"],
        )
        await driver.ask("PATCH", path, {"tag_ids": [payable]}, expect=404)
        await driver.ask("DELETE", path, expect=204)
        assert (await driver.send("GET", path)).status_code == 404
        assert ids(await driver.ask("GET", "/payables")) == []
        paid = await brought_to(driver, "paid")
        assert (await driver.send("PATCH", f"/payables/{paid}", {})).status_code == 409
        assert (await driver.send("DELETE", f"/payables/{paid}")).status_code == 409


async def test_what_is_deleted_is_gone_with_its_parts() -> None:
    """Of a deleted payable or counterpart nothing stays in memory: an emulator may run for days."""
    async with driving() as (emulator, driver):
        counterpart = await make_counterpart(driver)
        payable = await driver.make_payable()
        await driver.ask(
            "POST", f"/payables/{payable}/line_items", {"name": "Paper", "quantity": 1, "unit_price": 100}, expect=201
        )
        state = emulator._world.state
        assert state.find(payable) is not None
        await driver.ask("DELETE", f"/payables/{payable}", expect=204)
        await driver.ask("DELETE", f"/counterparts/{counterpart['id']}", expect=204)
        kept = [state.payables, state.line_items, state.events]
        kept += [table for path, table in state.others.items() if path.startswith("/counterparts")]
        assert [table.groups() for table in kept] == [()] * len(kept)


async def test_the_name_of_the_counterpart_is_found() -> None:
    """Payables are filtered and searched by the name of the counterpart that they were assigned to."""
    async with driving() as (_, driver):
        counterpart = await make_counterpart(driver)
        payable = await driver.make_payable(counterpart_id=counterpart["id"])
        await driver.make_payable()
        for query in (
            {"counterpart_name": "Paper Ltd"},
            {"counterpart_name__icontains": "paper"},
            {"search_text": "LTD"},
        ):
            assert ids(await driver.ask("GET", "/payables", query=query)) == [payable]


async def test_a_payable_belongs_to_its_entity() -> None:
    """Another entity neither sees nor finds it."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        other = await driver.make_entity()
        assert ids(await driver.ask("GET", "/payables", entity=other)) == []
        assert (await driver.send("GET", f"/payables/{payable}", entity=other)).status_code == 404


async def test_an_incomplete_payable_is_a_draft_until_its_required_fields_are_there() -> None:
    """Which fields are required is the partner's choice; a draft cannot be submitted and becomes new when complete."""
    async with driving() as (_, driver):
        rules = "/payables/validations"
        default = await driver.ask("GET", rules)
        wanted = {"required_fields": ["currency", "line_items", "line_items.name"]}
        assert await driver.ask("PUT", rules, wanted) == wanted
        draft = await driver.ask("POST", "/payables", {"total_amount": 5})
        path = f"/payables/{draft['id']}"
        assert draft["status"] == "draft"
        assert (await driver.send("POST", f"{path}/submit_for_approval")).status_code == 409
        errors = (await driver.ask("POST", f"{path}/validate"))["validation_errors"]
        assert [entry["loc"] for entry in cast("list[Json]", errors)] == [["currency"], ["line_items"]]
        await driver.ask("POST", f"{path}/line_items", {"quantity": 1}, expect=201)
        assert (await driver.ask("PATCH", path, {"currency": "EUR"}))["status"] == "draft"
        assert await driver.ask("POST", f"{rules}/reset") == default
        assert (await driver.ask("POST", f"{path}/validate"))["validation_errors"] == []
        assert (await driver.ask("GET", path))["status"] == "new"
        again = await driver.ask("POST", "/payables", {"total_amount": 5})
        assert (await driver.ask("PATCH", f"/payables/{again['id']}", {"currency": "EUR"}))["status"] == "new"


async def test_new_payables_can_start_as_drafts() -> None:
    """The partner's ``default_state`` and the emulator's setting decide the first status of a complete payable."""
    async with driving(EmulatorSettings(payable_status="draft")) as (_, driver):
        payable = await driver.make_payable()
        assert (await driver.ask("GET", f"/payables/{payable}"))["status"] == "draft"
        settings = {"approve_page_url": "https://acme.test/approve", "default_state": "new"}
        await driver.ask("PATCH", "/settings", {"payable": settings})
        payable = await driver.make_payable()
        assert (await driver.ask("GET", f"/payables/{payable}"))["status"] == "new"


async def test_an_uploaded_file_goes_through_ocr_on_the_emulators_clock() -> None:
    """An upload is a draft in OCR; when its time has passed the fields are filled, a counterpart is suggested."""
    async with driving() as (emulator, driver):
        emulator.clock.freeze()
        payable = await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
        path = f"/payables/{payable['id']}"
        assert (payable["status"], payable["ocr_status"], payable["source_of_payable_data"]) == (
            "draft",
            "processing",
            "ocr",
        )
        assert (await driver.send("GET", f"{path}/suggestions")).status_code == 404
        file = cast("Json", payable["file"])
        assert (await driver.http.get(str(file["url"]))).content == PDF[1]
        emulator.clock.advance(5)
        done = await driver.ask("GET", path)
        assert (done["status"], done["ocr_status"], done["total_amount"]) == ("new", "success", 11_900)
        assert "suggested_counterpart" in await driver.ask("GET", f"{path}/suggestions")
        assert (await driver.send("DELETE", f"{path}/suggestions")).status_code == 200
        assert (await driver.send("GET", f"{path}/suggestions")).status_code == 404
        assert (await driver.send("POST", f"{path}/cancel_ocr")).status_code == 409


async def test_ocr_can_be_canceled() -> None:
    """Canceled OCR never fills anything in."""
    async with driving() as (emulator, driver):
        payable = await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
        path = f"/payables/{payable['id']}"
        assert (await driver.ask("POST", f"{path}/cancel_ocr"))["ocr_status"] == "canceled"
        emulator.clock.advance(60)
        assert (await driver.ask("GET", path))["total_amount"] is None


async def test_ocr_that_finds_too_little_leaves_a_draft() -> None:
    """When the partner requires more than OCR finds, the payable stays a draft."""
    async with driving(EmulatorSettings(ocr_seconds=0)) as (_, driver):
        await driver.ask("PUT", "/payables/validations", {"required_fields": ["due_date"]})
        payable = await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
        assert (payable["status"], payable["ocr_status"]) == ("draft", "success")


async def test_files_are_attached_once_and_checked() -> None:
    """A payable takes one file: PDF, PNG or JPEG, up to 20 MB, as multipart or as base64."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        path = f"/payables/{payable}/attach_file"
        text, big = ("a.txt", b"x", "text/plain"), ("a.pdf", b"x" * (20 * 2**20 + 1), "application/pdf")
        for bad in (text, big):
            assert (await driver.send("POST", path, file=bad)).status_code == 400
        attached = await driver.ask("POST", path, file=("noname.PDF", b"%PDF", "application/octet-stream"))
        assert cast("Json", attached["file"])["mimetype"] == "application/pdf"
        assert (await driver.send("POST", path, file=PDF)).status_code == 409
        encoded = {"base64_encoded_file": base64.b64encode(PDF[1]).decode(), "file_name": "bill.pdf"}
        created = await driver.ask("POST", "/payables", encoded)
        assert cast("Json", created["file"])["size"] == len(PDF[1])
        bad_text = await driver.send("POST", "/payables", {"base64_encoded_file": "no!"})
        assert locations(bad_text) == [("body", "base64_encoded_file")]


@pytest.mark.parametrize(
    ("content_type", "body", "place"),
    [
        ("application/json", b"{}", ("body",)),
        ("multipart/form-data", b"--x--", ("body",)),
        ("multipart/form-data; boundary=x", b"--x\r\n", ("body",)),
        ("multipart/form-data; boundary=x", b"--x\r\nno end of headers\r\n--x--", ("body",)),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense\r\n\r\nx\r\n--x--", ("body",)),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--x--',
            ("body", "file"),
        ),
    ],
)
async def test_a_bad_form_is_a_422(content_type: str, body: bytes, place: tuple[str, ...]) -> None:
    """A body that is no complete form, or has no file, is named as FastAPI names it."""
    async with driving() as (_, driver):
        headers = {
            "authorization": f"Bearer {await driver.token()}",
            "x-monite-version": "2024-05-25",
            "x-monite-entity-id": driver.entity_id,
            "content-type": content_type,
        }
        response = await driver.http.post("/payables/upload_from_file", content=body, headers=headers)
        assert (response.status_code, locations(response)) == (422, [place])


async def test_the_history_tells_what_happened() -> None:
    """Creation, changes, files and statuses are in the history with who did it, filtered and paged like any list."""
    async with driving() as (_, driver):
        user = await driver.make_user("ann", permissions(payable={"submit": "allowed"}))
        payable = await driver.make_payable()
        path = f"/payables/{payable}"
        await driver.ask("PATCH", path, {"description": "x"})
        await driver.ask("POST", f"{path}/attach_file", file=PDF)
        await driver.ask("POST", f"{path}/submit_for_approval", user=user)
        events = cast("list[Json]", (await driver.ask("GET", f"{path}/history"))["data"])
        kinds = [event["event_type"] for event in events]
        assert kinds == ["payable_created", "payable_updated", "file_attached", "status_changed"]
        assert events[-1]["event_data"] == {"old_status": "new", "new_status": "approve_in_progress"}
        by_user = await driver.ask("GET", f"{path}/history", query={"entity_user_id__in": [user]})
        assert ids(by_user) == [str(events[-1]["id"])]
        query: dict[str, str | int | list[str]] = {
            "event_type__in": ["file_attached"],
            "timestamp__gt": "2020-01-01T00:00",
        }
        assert ids(await driver.ask("GET", f"{path}/history", query=query)) == [str(events[2]["id"])]


async def test_line_items_are_priced_replaced_and_removed() -> None:
    """Subtotal, tax and total follow from quantity, price and rate; a paid payable's lines are fixed."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        path = f"/payables/{payable}/line_items"
        line = await driver.ask("POST", path, {"quantity": 2.5, "unit_price": 1000, "tax": 1900}, expect=201)
        assert (line["subtotal"], line["tax_amount"], line["total"]) == (2500, 475, 2975)
        changed = await driver.ask("PATCH", f"{path}/{line['id']}", {"quantity": 1})
        assert changed == await driver.ask("GET", f"{path}/{line['id']}")
        assert changed["total"] == 1190
        replaced = await driver.ask("PUT", path, {"data": [{"name": "a"}, {"name": "b"}]})
        assert ids(await driver.ask("GET", path)) == ids(replaced)
        assert (await driver.send("GET", f"{path}/{line['id']}")).status_code == 404
        await driver.ask("DELETE", f"{path}/{ids(replaced)[0]}", expect=204)
        assert ids(await driver.ask("GET", path)) == ids(replaced)[1:]
        paid = await brought_to(driver, "paid")
        assert (await driver.send("POST", f"/payables/{paid}/line_items", {})).status_code == 409


async def test_analytics_count_and_sum_by_status() -> None:
    """Every status is listed with count and sum, over the payables that pass the filters."""
    async with driving() as (_, driver):
        await driver.make_payable(total_amount=100)
        await driver.make_payable(total_amount=200)
        await brought_to(driver, "paid")
        result = await driver.ask("GET", "/payables/analytics", query={"total_amount__lt": 10_000})
        assert (result["count"], result["sum_total_amount"], len(cast("list[Json]", result["data"]))) == (2, 300, 8)
        new = [entry for entry in cast("list[Json]", result["data"]) if entry["status"] == "new"]
        assert new == [{"count": 2, "status": "new", "sum_total_amount": 300}]
        assert len(cast("list[Json]", (await driver.ask("GET", "/payables/variables"))["data"])) == 2


async def test_the_counterpart_of_a_payable_must_be_there() -> None:
    """A payable cannot be created for, or moved to, a counterpart that the entity does not have: 404."""
    async with driving() as (_, driver):
        payable = await driver.make_payable()
        unknown = {"counterpart_id": "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"}
        for verb, path in (("POST", "/payables"), ("PATCH", f"/payables/{payable}")):
            response = await driver.send(verb, path, unknown)
            assert (response.status_code, message(response)) == (404, "Counterpart not found")
        stock = await stocked(driver)
        known = await driver.ask("POST", "/payables", {"counterpart_id": stock.counterpart})
        assert known["counterpart_id"] == stock.counterpart
