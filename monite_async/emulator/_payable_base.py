"""What all operations on payables share: the object itself, its history, its OCR, its validation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._events import emit, record_event
from monite_async.emulator._message import as_list, as_object
from monite_async.emulator._permissions import check_own
from monite_async.emulator._state import Record, World

__all__ = [
    "ALL_FIELDS",
    "REQUIRED_BY_DEFAULT",
    "find_payable",
    "missing_fields",
    "move",
    "new_payable",
    "note",
    "recount",
    "seed",
    "settle",
    "start_ocr",
    "wrong_state",
]

ALL_FIELDS = (
    "amount_due",
    "amount_paid",
    "amount_to_pay",
    "approval_policy_id",
    "counterpart",
    "counterpart_address_id",
    "counterpart_bank_account_id",
    "counterpart_id",
    "counterpart_raw_data",
    "counterpart_vat_id_id",
    "created_by_role_id",
    "currency",
    "currency_exchange",
    "description",
    "discount",
    "document_id",
    "due_date",
    "file",
    "file_id",
    "issued_at",
    "marked_as_paid_by_entity_user_id",
    "marked_as_paid_with_comment",
    "ocr_request_id",
    "ocr_status",
    "other_extracted_data",
    "paid_at",
    "partner_metadata",
    "payment_terms",
    "project_id",
    "purchase_order_id",
    "sender",
    "subtotal",
    "suggested_payment_term",
    "tax",
    "tax_amount",
    "total_amount",
    "total_amount_with_credit_notes",
    "was_created_by_user_id",
)
"""The fields of a payable that may be null: answers hold every one of them, as the older services do."""

REQUIRED_BY_DEFAULT = ("currency", "total_amount")
"""Fields without which a payable stays a draft, until the partner says otherwise (guess)."""

_EVENTS: Mapping[str, str] = {
    "approve_in_progress": "submitted_for_approval",
    "canceled": "canceled",
    "paid": "paid",
    "partially_paid": "partially_paid",
    "rejected": "rejected",
    "waiting_to_be_paid": "approved",
}
"""What the event is called that tells of a status."""
_OCR_TEXT: Mapping[str, object] = {
    "type": "invoice",
    "counterpart_name": "Acme Paper Ltd",
    "counterpart_email": "billing@acme-paper.test",
    "currency": "EUR",
    "document_id": "OCR-0001",
    "total_raw": 119.0,
    "total_excl_vat_raw": 100.0,
    "total_vat_amount_raw": 19.0,
    "total_vat_rate_raw": 19.0,
    "line_items_raw": [],
    "payment_terms_raw": [],
}
_OCR_FIELDS: Mapping[str, object] = {
    "currency": "EUR",
    "document_id": "OCR-0001",
    "subtotal": 10_000,
    "tax": 1900,
    "tax_amount": 1900,
    "total_amount": 11_900,
    "counterpart_raw_data": {"name": "Acme Paper Ltd", "email": "billing@acme-paper.test"},
}


def wrong_state(call: Call, payable: Record, action: str) -> Exception:
    """Return the error for an action that the status of the payable forbids."""
    message = f"Action {action} is not allowed for a payable in status {payable.data['status']}"
    return refusal(call.world.settings.wrong_state_status, message)


def find_payable(call: Call, action: str) -> Record:
    """Return the payable of the path; raises 404, or the denial when the role allows own ones only."""
    payable = call.world.state.payables.get(call.params["payable_id"].lower(), call.entity_id)
    if payable is None:
        raise refusal(404, "Payable not found")
    check_own(call, payable, ("payable", action))
    settle(call.world, payable)
    return payable


def new_payable(call: Call, fields: Mapping[str, object], *, source: str) -> Record:
    """Return a payable with these fields, stored and noted in its history; its status is still to be decided."""
    user = call.actor.user
    data: dict[str, object] = {name: None for name in ALL_FIELDS}  # noqa: C420 - the type would be too narrow
    data.update(copy.deepcopy(dict(fields)))
    data.update(
        credit_notes=[],
        entity_id=call.entity_id,
        payable_origin="upload",
        source_of_payable_data=source,
        status="draft",
        tags=[],
        was_created_by_user_id=call.actor.user_id,
        created_by_role_id=None if user is None else user.data["role_id"],
    )
    payable = call.world.record(call.entity_id, data, created_by=call.actor.user_id)
    recount(payable)
    call.world.state.payables.add(payable)
    emit(call, "/payables", "created", payable)
    note(call.world, payable, "payable_created", {"payable_source": "upload"}, call.actor.user_id)
    return payable


def seed(world: World, entity_id: str, count: int, fields: Mapping[str, object]) -> list[str]:
    """Store many payables at once, as if they had been there for long: no events, no history; return their ids."""
    plain: dict[str, object] = {name: None for name in ALL_FIELDS}  # noqa: C420 - the type would be too narrow
    plain.update(entity_id=entity_id, payable_origin="upload", source_of_payable_data="user_specified", status="new")
    plain.update(currency="EUR", total_amount=100_00)
    plain.update(fields)
    ids: list[str] = []
    for number in range(count):
        own: dict[str, object] = {"document_id": f"SEED-{number + 1}", "credit_notes": [], "tags": []}
        payable = world.record(entity_id, {**plain, **own})
        recount(payable)
        ids.append(world.state.payables.add(payable).id)
    return ids


def recount(payable: Record) -> None:
    """Work out the amounts that follow from others; an unknown total leaves them null."""
    total = payable.data["total_amount"]
    paid = payable.number("amount_paid")
    known = isinstance(total, int)
    due = max(0, payable.number("total_amount") - paid) if known else None
    payable.change(
        None,
        amount_paid=paid,
        amount_due=due,
        amount_to_pay=due,
        total_amount_with_credit_notes=total if known else None,
    )


def note(world: World, payable: Record, event: str, data: Mapping[str, object], user_id: str | None) -> None:
    """Add an entry to the history of a payable."""
    now = world.clock.now()
    entry = world.record(payable.id, {}, created_by=user_id, stamps=())
    entry.data = {
        "entity_user_id": user_id,
        "event_data": dict(data),
        "event_type": event,
        "payable_id": payable.id,
        "timestamp": now.isoformat(timespec="microseconds"),
    }
    world.state.events.add(entry)


def move(call: Call, payable: Record, status: str, *, event: str | None = None, **fields: object) -> None:
    """Change the status of a payable and note it; ``event`` names what happened where the status alone does not."""
    old = payable.data["status"]
    payable.change(call.now, status=status, **fields)
    note(call.world, payable, "status_changed", {"old_status": old, "new_status": status}, call.actor.user_id)
    emit(call, "/payables", event or _EVENTS.get(status, "updated"), payable)


def start_ocr(world: World, payable: Record) -> None:
    """Send the attached file to OCR, which takes its time on the emulator's clock."""
    payable.change(None, ocr_status="processing", ocr_request_id=str(uuid5(NAMESPACE_URL, f"ocr:{payable.id}")))
    due = world.clock.now() + timedelta(seconds=world.settings.ocr_seconds)
    payable.private["ocr_due"] = due
    world.state.due[payable.id] = ("/payables", due)


def settle(world: World, payable: Record) -> None:
    """Bring a payable up to date: OCR may have ended since it was last looked at."""
    due = payable.private.get("ocr_due")
    if not isinstance(due, datetime) or world.clock.now() < due:
        return
    del payable.private["ocr_due"]
    world.state.due.pop(payable.id, None)
    found = {name: value for name, value in _OCR_FIELDS.items() if payable.data.get(name) is None}
    payable.change(due, ocr_status="success", other_extracted_data=dict(_OCR_TEXT), **copy.deepcopy(found))
    payable.private["suggested"] = str(uuid5(NAMESPACE_URL, f"counterpart:{_OCR_TEXT['counterpart_name']}"))
    recount(payable)
    if payable.data["status"] == "draft" and not missing_fields(world, payable):
        payable.change(due, status="new")
        note(world, payable, "status_changed", {"old_status": "draft", "new_status": "new"}, None)
    record_event(world, payable.group, "payable", "ocr_finished", payable)


def missing_fields(world: World, payable: Record) -> list[str]:
    """Return the required fields that the payable lacks."""
    wanted = world.state.required_fields
    lines = [line.data for line in world.state.line_items.of(payable.id)]
    missing: list[str] = []
    for name in REQUIRED_BY_DEFAULT if wanted is None else wanted:
        head, _, tail = name.partition(".")
        if head != "line_items":
            absent = payable.data.get(name) is None
        elif tail:
            absent = any(line.get(tail) is None for line in lines)
        else:
            absent = not lines
        if absent:
            missing.append(name)
    return missing


def skips_approval(call: Call) -> bool:
    """Tell whether the entity's settings let payables go without approval."""
    return call.entity is not None and bool(
        as_object(call.entity.private["settings"]).get("payables_skip_approval_flow")
    )


def tag_ids(payable: Record) -> list[object]:
    """Return the ids of the tags of a payable."""
    return [as_object(tag).get("id") for tag in as_list(payable.data.get("tags"))]
