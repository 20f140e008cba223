"""Payment links, intents, records, batches, recurrences, transactions: what is asked to be paid, not the paying."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, change, create, found, later, list_page, ruled
from monite_async.emulator._lifecycles.receivable_base import located
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._state import Record, iso

__all__ = ["PAYMENT_OPERATIONS"]

_INTENTS = COLLECTIONS["/payment_intents"]
_HISTORY = COLLECTIONS["/payment_intents/{payment_intent_id}/history"]
_RECORDS = COLLECTIONS["/payment_records"]
_RECURRENCES = COLLECTIONS["/recurrences"]
_LINK_LIFETIME = timedelta(days=30)


def _amount(call: Call, thing: object) -> Json:
    """Return amount and currency of the invoice or bill that is to be paid; raises 404."""
    wanted = as_object(thing)
    record = call.world.state.find(str(wanted.get("id")).lower())
    if record is None:
        raise refusal(404, "The object to be paid was not found")
    return {"amount": record.number("amount_due"), "currency": record.data.get("currency")}


def _intent(call: Call, fields: Mapping[str, object]) -> Record:
    record = create(call, {"status": "created", **fields}, _INTENTS, call.entity_id)
    _note(call, record)
    return record


def _note(call: Call, intent: Record) -> None:
    create(call, {"payment_intent_id": intent.id, "status": intent.data["status"]}, _HISTORY, intent.id)


def _create_link(call: Call) -> Response:
    body = dict(call.body)
    if body.get("object") is not None and body.get("amount") is None:
        body |= _amount(call, body["object"])
    if body.get("amount") is None or body.get("currency") is None:
        raise refusal(400, "Either an object or amount and currency are needed")
    intent = _intent(call, body)
    facts: Json = {
        **body,
        "expires_at": body.get("expires_at") or iso(call.now + _LINK_LIFETIME),
        "payment_intent": intent.view(),
        "payment_intent_id": intent.id,
        "payment_page_url": f"{call.world.origin}/pay/{intent.id}",
        "status": "created",
    }
    link = create(call, facts)
    change(call, intent, {"payment_link_id": link.id}, _INTENTS)
    return answer(call, link)


def _update_intent(call: Call) -> Response:
    intent = found(call, _INTENTS)
    change(call, intent, call.body, _INTENTS)
    _note(call, intent)
    return answer(call, intent)


def _intents(call: Call, method: object) -> list[tuple[Record, Json]]:
    """Create the intents of a batch; return each, and how the batch shows it."""
    made: list[tuple[Record, Json]] = []
    for entry in as_list(call.body["payment_intents"]):
        wanted = as_object(entry)
        intent = _intent(call, {**wanted, **_amount(call, wanted.get("object")), "payment_methods": [method]})
        made.append((intent, intent.view() | {"object": wanted.get("object"), "recipient": wanted.get("recipient")}))
    return made


def _batch_facts(call: Call, intents: list[tuple[Record, Json]]) -> Json:
    total = sum(intent.number("amount") for intent, _ in intents)
    shown = [view for _, view in intents]
    return {**call.body, "payment_intents": shown, "status": "created", "total_amount": total}


def _create_batch(call: Call) -> Response:
    intents = _intents(call, call.body["payment_method"])
    record = create(call, _batch_facts(call, intents))
    seconds = call.world.settings.payment_seconds
    for after, status in ((seconds / 2, "processing"), (seconds, "succeeded")):
        for intent, _ in intents:
            later(call, intent, after, {"status": status}, then=_note, collection=_INTENTS)
        shown = [{**view, "status": status} for _, view in intents]
        later(call, record, after, {"status": status, "payment_intents": shown})
    return answer(call, record)


def _create_batch_link(call: Call) -> Response:
    facts = _batch_facts(call, _intents(call, "us_ach"))
    facts["expires_at"] = call.body.get("expires_at") or iso(call.now + _LINK_LIFETIME)
    link = create(call, facts)
    change(call, link, {"payment_page_url": f"{call.world.origin}/pay/{link.id}"})
    return answer(call, link)


def _create_record(call: Call) -> Response:
    target = as_object(call.body["object"])
    paid = call.world.state.find(str(target.get("id")).lower())
    status = "" if paid is None else paid.text("status")
    shown = {**target, "old_status": status, "new_status": status}
    state = call.body.get("status") or "succeeded"
    history = [{"entity_user_id": call.actor.user_id, "status": state, "timestamp": iso(call.now)}]
    facts = {**call.body, "history": history, "is_external": True, "object": shown, "status": state}
    return answer(call, create(call, facts, _RECORDS))


def _create_recurrence(call: Call) -> Response:
    invoice = located(call, "/receivables", call.body["invoice_id"])
    if invoice.data["type"] != "invoice":
        raise refusal(400, "Only an invoice can recur")
    start = str(call.body.get("start_date") or call.now.date().isoformat())
    facts: Json = {
        "automation_level": "draft",
        "current_iteration": 1,
        "day_of_month": "first_day",
        "frequency": "month",
        "interval": 1,
        "iterations": [{"issue_at": start, "iteration": 1, "status": "pending"}],
        "start_date": start,
        "start_month": int(start[5:7]),
        "start_year": int(start[:4]),
        "status": "active",
    }
    known = {name: value for name, value in call.body.items() if value is not None}
    return answer(call, create(call, {**facts, **known}, _RECURRENCES))


def _bulk(call: Call) -> Response:
    home = COLLECTIONS["/transactions"]
    made = [create(call, as_object(entry), home, call.entity_id) for entry in as_list(call.body["data"])]
    return answer(call, {"data": [record.view() for record in made], "status": "success"})


def _history(call: Call) -> Response:
    return list_page(call, _HISTORY)


PAYMENT_OPERATIONS = ruled(
    {
        "post_payment_links": _create_link,
        "patch_payment_intents_id": _update_intent,
        "get_payment_intents_id_history": _history,
        "post_batch_payments": _create_batch,
        "post_batch_payment_links": _create_batch_link,
        "post_payment_records": _create_record,
        "post_recurrences": _create_recurrence,
        "post_transactions_bulk": _bulk,
    }
)
"""How the things of payments are emulated."""
