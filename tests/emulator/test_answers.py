"""Every emulated answer is complete: the client's generated models read it without a complaint."""

from __future__ import annotations

import importlib
from typing import cast

import httpx

from monite_async._http.operation import Operation
from monite_async.emulator import Emulator
from monite_async.emulator._contract.routes import ROUTES
from monite_async.models._base import Model, decode
from tests.emulator.drive import Driver, driving, ids, permissions

PDF = ("bill.pdf", b"%PDF", "application/pdf")
PNG = ("logo.png", b"\x89PNG", "image/png")
TAGS = ("Entities", "Entity users", "Payables", "Roles")
RESOURCES = ("entities", "entity_users", "payables", "roles")
PERSON = {"first_name": "Ann", "last_name": "Lee", "date_of_birth": "1990-01-01"}


def expected() -> dict[tuple[str, str], object]:
    """Return what the client reads the answer of each operation as, by method and path."""
    kinds: dict[tuple[str, str], object] = {}
    for resource in RESOURCES:
        for value in vars(importlib.import_module(f"monite_async.api.{resource}")).values():
            if isinstance(value, Operation):
                operation = cast("Operation[object]", value)
                if isinstance(operation.result, str):
                    module, _, name = operation.result.partition(":")
                    kind: object = getattr(importlib.import_module(f"monite_async.models.{module}"), name)
                    kinds[operation.method, operation.path] = kind
    return kinds


async def entity_tour(driver: Driver) -> None:
    """Use every operation on entities."""
    path = f"/entities/{driver.entity_id}"
    await driver.make_entity(type="individual", individual=PERSON, organization=None)
    await driver.ask("PUT", f"{path}/logo", file=PNG)
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"phone": "1"}),
        ("POST", "/deactivate", None),
        ("POST", "/activate", None),
        ("PUT", "/partner_metadata", {"metadata": {"a": [1, None]}}),
        ("GET", "/partner_metadata", None),
        ("PATCH", "/settings", {"currency": {"default": "EUR"}, "reminder": {"enabled": False}}),
        ("GET", "/settings", None),
        ("GET", "/settings/next_document_numbers", None),
    ):
        await driver.ask(method, path + tail, body)
    await driver.ask("GET", "/entities")
    await driver.ask("DELETE", f"{path}/logo", expect=204)


async def people_tour(driver: Driver) -> None:
    """Use every operation on roles and entity users."""
    granted = permissions(entity={"read": "allowed", "update": "allowed"}, payable={"pay": "allowed_for_own"})
    user = await driver.make_user("ann", granted)
    role = str((await driver.ask("GET", f"/entity_users/{user}"))["role_id"])
    await driver.ask("GET", "/roles")
    await driver.ask("GET", f"/roles/{role}")
    await driver.ask("PATCH", f"/roles/{role}", {"name": "boss"})
    await driver.ask("GET", "/entity_users")
    await driver.ask("PATCH", f"/entity_users/{user}", {"email": "ann@acme.test"})
    for path in ("/entity_users/me", "/entity_users/my_entity", "/entities/me"):
        await driver.ask("GET", path, user=user)
        await driver.ask("PATCH", path, {"phone": "2"}, user=user)
    await driver.ask("GET", "/entity_users/my_role", user=user)
    await driver.ask("DELETE", f"/entity_users/{user}", expect=204)
    await driver.ask("DELETE", f"/roles/{role}", expect=204)


async def payable_tour(driver: Driver) -> None:
    """Use every operation on payables."""
    uploaded = await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
    await driver.ask("POST", f"/payables/{uploaded['id']}/cancel_ocr")
    read = await driver.ask("POST", "/payables/upload_from_file", file=PDF, expect=201)
    await driver.ask("PATCH", "/settings", {"website": "https://acme.test"})
    await driver.ask("GET", f"/payables/{read['id']}")
    rules = await driver.ask("GET", "/payables/validations")
    await driver.ask("PUT", "/payables/validations", {"required_fields": rules["required_fields"]})
    await driver.ask("POST", "/payables/validations/reset")
    payable = await driver.make_payable(
        tag_ids=[await driver.make_tag()],
        payment_terms={"name": "net", "term_final": {"number_of_days": 30}},
        suggested_payment_term={"date": "2026-01-01"},
    )
    path = f"/payables/{payable}"
    await driver.ask("PATCH", path, {"due_date": "2026-02-02", "counterpart_raw_data": {"name": "Acme"}})
    await driver.ask("POST", f"{path}/attach_file", file=PDF)
    await driver.ask("POST", f"{path}/validate")
    for action in ("submit_for_approval", "reject", "reopen", "approve_payment_operation"):
        await driver.ask("POST", f"{path}/{action}")
    await driver.ask("POST", f"{path}/mark_as_partially_paid", {"amount_paid": 5})
    await driver.ask("POST", f"{path}/mark_as_paid", {"comment": "done"})
    canceled = f"/payables/{await driver.make_payable()}"
    await driver.ask("POST", f"{canceled}/cancel")
    await driver.ask("DELETE", canceled, expect=204)
    for tail in ("", "/analytics", "/variables"):
        await driver.ask("GET", f"/payables{tail}")
    await driver.ask("GET", f"{path}/history")


async def suggestion_tour(emulator: Emulator, driver: Driver) -> None:
    """Use the suggestions, which OCR makes."""
    emulator.clock.advance(60)
    for payable in ids(await driver.ask("GET", "/payables", query={"ocr_status": "success"})):
        await driver.ask("GET", f"/payables/{payable}/suggestions")
        await driver.ask("DELETE", f"/payables/{payable}/suggestions")


async def test_every_answer_is_what_the_contract_says() -> None:
    """Each operation of the four resources is emulated, and answers with every required field well typed."""
    kinds = expected()
    answers: dict[str, list[bytes]] = {}
    async with driving() as (emulator, driver):

        async def keep(response: httpx.Response) -> None:
            operation = emulator.log[-1].operation
            if response.is_success and operation is not None:
                answers.setdefault(operation, []).append(await response.aread())

        driver.http.event_hooks = {"response": [keep]}
        await entity_tour(driver)
        await people_tour(driver)
        await payable_tour(driver)
        await suggestion_tour(emulator, driver)
    routes = {route.operation_id: route for route in ROUTES}
    wanted = {name for name, route in routes.items() if route.tag in TAGS}
    assert wanted <= set(answers)
    read = 0
    for operation, bodies in answers.items():
        kind = kinds.get((routes[operation].method, routes[operation].path))
        for body in bodies if kind is not None else ():
            parsed: object = decode(kind, body)
            assert isinstance(parsed, Model)
            assert parsed.drift == (), operation
            read += 1
    assert read >= len(wanted) - 10
