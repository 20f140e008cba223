"""Transitions of receivables between statuses, and their mails and PDFs."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, create, no_body, ruled
from monite_async.emulator._lifecycles.receivable_base import (
    MAILS,
    find_receivable,
    issue,
    move,
    note,
    source_of,
    wrong_state,
)
from monite_async.emulator._lifecycles.receivables import copied
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._state import Record, iso

__all__ = ["RECEIVABLE_ACTION_OPERATIONS", "TRANSITIONS"]

_UNPAID = frozenset({"issued", "partially_paid", "overdue"})
TRANSITIONS: Mapping[str, tuple[str, frozenset[str]]] = {
    "accept": ("quote", frozenset({"issued"})),
    "decline": ("quote", frozenset({"issued"})),
    "issue": ("", frozenset({"draft"})),
    "cancel": ("invoice", frozenset({"issued", "overdue"})),
    "mark_as_paid": ("invoice", _UNPAID),
    "mark_as_partially_paid": ("invoice", _UNPAID),
    "mark_as_uncollectible": ("invoice", _UNPAID),
    "send": ("", frozenset({"draft", "accepted", "paid", *_UNPAID})),
    "send_test_reminder": ("invoice", frozenset({"draft", *_UNPAID})),
}
"""Each action: the type of document it is for (any when empty), and the statuses it starts from.

Which statuses an action starts from is documented in part only; the rest is a plausible guess.
"""


def _ready(call: Call, action: str) -> Record:
    record = find_receivable(call)
    kind, states = TRANSITIONS[action]
    if (kind and record.data["type"] != kind) or record.data["status"] not in states:
        raise wrong_state(call, record, action)
    return record


def _issue(call: Call) -> Response:
    record = _ready(call, "issue")
    issue(call, record)
    return answer(call, record)


def _accept(call: Call) -> Response:
    record = _ready(call, "accept")
    if record.data.get("signature_required") is True and call.body.get("signature") is None:
        raise refusal(400, "A signature is required")
    move(call, record, "accepted")
    return answer(call, {"success": True})


def _decline(call: Call) -> Response:
    move(call, _ready(call, "decline"), "declined", comment=call.body.get("comment"))
    return answer(call, {"success": True})


def _cancel(call: Call) -> Response:
    move(call, _ready(call, "cancel"), "canceled")
    return no_body(call)


def _clone(call: Call) -> Response:
    record = find_receivable(call)
    if record.data["type"] == "credit_note":
        raise wrong_state(call, record, "clone")
    return answer(call, copied(call, record, str(record.data["type"])))


def _pay(call: Call, record: Record, status: str, paid: int, **fields: object) -> None:
    due = max(0, record.number("amount_due") + record.number("amount_paid") - paid)
    move(call, record, status, amount_paid=paid, amount_due=due, amount_to_pay=due, **fields)
    event = {"amount_due": due, "amount_paid": paid, "comment": call.body.get("comment")}
    note(call, record, "payment_received", event)


def _mark_as_paid(call: Call) -> Response:
    record = _ready(call, "mark_as_paid")
    whole = record.number("amount_due") + record.number("amount_paid")
    paid_at = call.body.get("paid_at") or iso(call.now)
    _pay(call, record, "paid", whole, paid_at=paid_at, comment=call.body.get("comment"))
    return answer(call, record)


def _mark_as_partially_paid(call: Call) -> Response:
    record = _ready(call, "mark_as_partially_paid")
    amount, paid = call.body["amount_paid"], record.number("amount_paid")
    if not isinstance(amount, int) or not paid < amount < paid + record.number("amount_due"):
        raise refusal(400, "amount_paid must be above what was paid before and below the total amount")
    _pay(call, record, "partially_paid", amount, comment=call.body.get("comment"))
    return answer(call, record)


def _mark_as_uncollectible(call: Call) -> Response:
    record = _ready(call, "mark_as_uncollectible")
    move(call, record, "uncollectible", comment=call.body.get("comment"))
    return answer(call, record)


def _recipients(call: Call, record: Record) -> Json:
    wanted = as_object(call.body.get("recipients"))
    addresses = {key: as_list(wanted.get(key)) for key in ("to", "cc", "bcc")}
    if not addresses["to"]:
        counterpart = call.world.state.find(str(source_of(record).get("counterpart_id")))
        known = {} if counterpart is None else as_object(counterpart.data.get(counterpart.text("type")))
        email = known.get("email")
        if email is None:
            raise refusal(400, "The counterpart has no email address")
        addresses["to"] = [email]
    return {key: [{"email": email, "is_success": True} for email in emails] for key, emails in addresses.items()}


def _mail(call: Call, record: Record, recipients: Json) -> Record:
    mail = create(call, {"status": "sent", "recipients": recipients}, MAILS, record.id)
    note(call, record, "mail_sent", {"mail_id": mail.id, "mail_status": "sent", "recipients": recipients})
    return mail


def _send(call: Call) -> Response:
    record = _ready(call, "send")
    recipients = _recipients(call, record)
    if record.data["status"] == "draft":
        issue(call, record)
    return answer(call, {"mail_id": _mail(call, record, recipients).id})


def _send_test_reminder(call: Call) -> Response:
    record = _ready(call, "send_test_reminder")
    return answer(call, {"mail_ids": [_mail(call, record, _recipients(call, record)).id]})


def _preview(call: Call) -> Response:
    record = find_receivable(call)
    texts = {name: str(call.body[f"{name}_text"]) for name in ("body", "subject")}
    values = {"document_id": record.data.get("document_id"), "counterpart_name": record.data.get("counterpart_name")}
    for name, text in texts.items():
        for key, value in values.items():
            text = text.replace("{" + key + "}", str(value or ""))
        texts[name] = text
    return answer(call, {"body_preview": texts["body"], "subject_preview": texts["subject"]})


def _pdf_link(call: Call) -> Response:
    record = find_receivable(call)
    return answer(call, {name: record.data.get(name) for name in ("file_url", "original_file_url")})


def _verify(call: Call) -> Response:
    record = find_receivable(call)
    missing = [name for name in ("currency", "line_items") if not record.data.get(name)]
    return answer(call, {"errors": {"receivable": missing} if missing else None, "warnings": None})


RECEIVABLE_ACTION_OPERATIONS = ruled(
    {
        "post_receivables_id_accept": _accept,
        "post_receivables_id_cancel": _cancel,
        "post_receivables_id_clone": _clone,
        "post_receivables_id_decline": _decline,
        "post_receivables_id_issue": _issue,
        "post_receivables_id_mark_as_paid": _mark_as_paid,
        "post_receivables_id_mark_as_partially_paid": _mark_as_partially_paid,
        "post_receivables_id_mark_as_uncollectible": _mark_as_uncollectible,
        "get_receivables_id_pdf_link": _pdf_link,
        "post_receivables_id_preview": _preview,
        "post_receivables_id_send": _send,
        "post_receivables_id_send_test_reminder": _send_test_reminder,
        "post_receivables_id_verify": _verify,
    }
)
"""How the actions on receivables are emulated."""
