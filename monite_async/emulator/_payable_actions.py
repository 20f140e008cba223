"""Transitions of payables between statuses, their history, and their line items."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from monite_async.emulator._call import Call, Handler, Rule, no_content, object_response, record_response
from monite_async.emulator._errors import refusal
from monite_async.emulator._events import emit
from monite_async.emulator._filters import Getters
from monite_async.emulator._lifecycles.approvals import start_policies
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._paging import page
from monite_async.emulator._payable_base import (
    find_payable,
    missing_fields,
    move,
    note,
    recount,
    skips_approval,
    wrong_state,
)
from monite_async.emulator._state import Record, iso

__all__ = ["ACTION_OPERATIONS", "LINE_ITEM_OPERATIONS", "TRANSITIONS"]

TRANSITIONS: Mapping[str, tuple[frozenset[str], str, str]] = {
    "submit_for_approval": (frozenset({"draft", "new"}), "approve_in_progress", "submit"),
    "approve_payment_operation": (frozenset({"new", "approve_in_progress"}), "waiting_to_be_paid", "approve"),
    "reject": (frozenset({"approve_in_progress"}), "rejected", "approve"),
    "cancel": (frozenset({"draft", "new", "approve_in_progress"}), "canceled", "cancel"),
    "reopen": (frozenset({"rejected", "waiting_to_be_paid"}), "new", "reopen"),
    "mark_as_paid": (frozenset({"waiting_to_be_paid", "partially_paid"}), "paid", "pay"),
    "mark_as_partially_paid": (frozenset({"waiting_to_be_paid", "partially_paid"}), "partially_paid", "pay"),
}
"""Each action: the statuses it starts from, the one it leads to, and the action that a role must allow.

Which statuses an action starts from is documented in part only; the rest is a plausible guess.
"""
_COMPLETE = frozenset({"submit_for_approval", "approve_payment_operation"})
_LOCKED = frozenset({"paid", "canceled", "rejected"})


def _ready(call: Call, action: str) -> Record:
    starts, _, needed = TRANSITIONS[action]
    payable = find_payable(call, needed)
    if payable.data["status"] not in starts:
        raise wrong_state(call, payable, action)
    missing = missing_fields(call.world, payable) if action in _COMPLETE else []
    if missing:
        raise refusal(call.world.settings.wrong_state_status, f"Required fields are missing: {', '.join(missing)}")
    return payable


def _transition(action: str) -> Handler:
    def run(call: Call) -> Response:
        payable = _ready(call, action)
        target = TRANSITIONS[action][1]
        if action == "submit_for_approval" and skips_approval(call):
            target = "waiting_to_be_paid"
        move(call, payable, target, event="reopened" if action == "reopen" else None)
        if target == "approve_in_progress":
            start_policies(call, payable)
        return record_response(payable)

    return run


def _mark_as_paid(call: Call) -> Response:
    payable = _ready(call, "mark_as_paid")
    paid: dict[str, object] = {
        "amount_paid": payable.number("total_amount"),
        "paid_at": iso(call.now),
        "marked_as_paid_by_entity_user_id": call.actor.user_id,
        "marked_as_paid_with_comment": call.body.get("comment"),
    }
    payable.change(None, **paid)
    move(call, payable, "paid")
    recount(payable)
    return record_response(payable)


def _mark_as_partially_paid(call: Call) -> Response:
    payable = _ready(call, "mark_as_partially_paid")
    amount = call.body["amount_paid"]
    total = payable.number("total_amount")
    if not isinstance(amount, int) or not payable.number("amount_paid") < amount < total:
        raise refusal(400, "amount_paid must be above what was paid before and below the total amount")
    move(call, payable, "partially_paid", amount_paid=amount)
    recount(payable)
    return record_response(payable)


def _timestamp(entry: Record) -> object:
    return datetime.fromisoformat(str(entry.data["timestamp"]))


_HISTORY_GETTERS: Getters = {"timestamp": _timestamp}


def _history(call: Call) -> Response:
    payable = find_payable(call, "read")
    return page(call, call.world.state.events, payable.id, lambda _event: True, _HISTORY_GETTERS)


_LINES = "/payables/{payable_id}/line_items"
_LINE_FIELDS = (
    "accounting_tax_rate_id",
    "description",
    "ledger_account_id",
    "name",
    "quantity",
    "subtotal",
    "tax",
    "tax_amount",
    "total",
    "unit",
    "unit_price",
)


def _price(line: Record) -> None:
    """Work out subtotal, tax and total in minor units; the tax rate is in hundredths of a percent."""
    quantity, unit_price = line.data.get("quantity"), line.data.get("unit_price")
    if not isinstance(quantity, int | float) or not isinstance(unit_price, int):
        return
    subtotal = round(quantity * unit_price)
    tax_amount = round(subtotal * line.number("tax") / 10_000)
    line.change(None, subtotal=subtotal, tax_amount=tax_amount, total=subtotal + tax_amount)


def _new_line(call: Call, payable: Record, fields: Mapping[str, object]) -> Record:
    data: dict[str, object] = {name: fields.get(name) for name in _LINE_FIELDS}
    data.update(payable_id=payable.id, ocr_set_quantity_to_one=False, was_created_by_user_id=call.actor.user_id)
    line = call.world.record(payable.id, data, created_by=call.actor.user_id, stamps=())
    _price(line)
    call.world.state.line_items.add(line)
    emit(call, _LINES, "created", line)
    return line


def _remove_line(call: Call, line: Record) -> None:
    call.world.state.line_items.remove(line)
    emit(call, _LINES, "deleted", line)


def _editable(call: Call) -> Record:
    payable = find_payable(call, "update")
    if payable.data["status"] in _LOCKED:
        raise wrong_state(call, payable, "update")
    return payable


def _line(call: Call, payable: Record) -> Record:
    line = call.world.state.line_items.get(call.params["line_item_id"].lower(), payable.id)
    if line is None:
        raise refusal(404, "Line item not found")
    return line


def _list_lines(call: Call) -> Response:
    payable = find_payable(call, "read")
    return page(call, call.world.state.line_items, payable.id, lambda _line: True, {})


def _create_line(call: Call) -> Response:
    payable = _editable(call)
    line = _new_line(call, payable, call.body)
    note(call.world, payable, "payable_updated", {}, call.actor.user_id)
    return record_response(line, 201)


def _replace_lines(call: Call) -> Response:
    payable = _editable(call)
    for line in list(call.world.state.line_items.of(payable.id)):
        _remove_line(call, line)
    lines = [_new_line(call, payable, as_object(entry)) for entry in as_list(call.body["data"])]
    note(call.world, payable, "payable_updated", {}, call.actor.user_id)
    return object_response({"data": [line.view() for line in lines]})


def _get_line(call: Call) -> Response:
    return record_response(_line(call, find_payable(call, "read")))


def _update_line(call: Call) -> Response:
    payable = _editable(call)
    line = _line(call, payable)
    line.change(call.now, **call.body)
    _price(line)
    emit(call, _LINES, "updated", line)
    note(call.world, payable, "payable_updated", {}, call.actor.user_id)
    return record_response(line)


def _delete_line(call: Call) -> Response:
    payable = _editable(call)
    _remove_line(call, _line(call, payable))
    note(call.world, payable, "payable_updated", {}, call.actor.user_id)
    return no_content()


_SPECIAL: Mapping[str, Handler] = {
    "mark_as_paid": _mark_as_paid,
    "mark_as_partially_paid": _mark_as_partially_paid,
}
_READ = ("payable", "read")
_UPDATE = ("payable", "update")

ACTION_OPERATIONS = {
    f"post_payables_id_{action}": Rule(_SPECIAL.get(action) or _transition(action), ("payable", needed))
    for action, (_, _, needed) in TRANSITIONS.items()
} | {"get_payables_id_history": Rule(_history, _READ)}
"""How the actions on payables and their history are emulated."""

LINE_ITEM_OPERATIONS = {
    "get_payables_id_line_items": Rule(_list_lines, _READ),
    "post_payables_id_line_items": Rule(_create_line, _UPDATE),
    "put_payables_id_line_items": Rule(_replace_lines, _UPDATE),
    "get_payables_id_line_items_id": Rule(_get_line, _READ),
    "patch_payables_id_line_items_id": Rule(_update_line, _UPDATE),
    "delete_payables_id_line_items_id": Rule(_delete_line, _UPDATE),
}
"""How the operations of the tag "Payable line items" are emulated."""
