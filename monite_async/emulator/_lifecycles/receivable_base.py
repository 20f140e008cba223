"""What all operations on receivables share: the document itself, its lines, its number, its history, the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import cast
from uuid import uuid4

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import RefusedError, refusal
from monite_async.emulator._files import PDF, file_url, keep_file
from monite_async.emulator._generic import Json, change, create, found, later
from monite_async.emulator._lifecycles.tax_rates import find_rate, home
from monite_async.emulator._lifecycles.totals import line_sums, sums
from monite_async.emulator._message import as_list, as_object
from monite_async.emulator._state import Record, iso

__all__ = [
    "HISTORY",
    "MAILS",
    "RECEIVABLES",
    "alter",
    "find_receivable",
    "issue",
    "lines_of",
    "located",
    "move",
    "note",
    "party",
    "settle",
    "source_of",
    "wrong_state",
]

RECEIVABLES = COLLECTIONS["/receivables"]
HISTORY = COLLECTIONS["/receivables/{receivable_id}/history"]
MAILS = COLLECTIONS["/receivables/{receivable_id}/mails"]
_OPEN = frozenset({"issued", "partially_paid"})


def source_of(record: Record) -> Json:
    """Return everything that is known of a record, what the API does not show included."""
    return as_object(record.private["source"])


def located(call: Call, path: str, record_id: object, group: str | None = None) -> Record:
    """Return a record that a request names by id; raises 404."""
    collection = COLLECTIONS[path]
    record = call.world.state.table(path).get(str(record_id).lower(), call.entity_id if group is None else group)
    if record is None:
        raise refusal(404, f"{collection.noun} not found")
    return record


def wrong_state(call: Call, record: Record, action: str) -> RefusedError:
    """Return the error for an action that the status of the document forbids."""
    message = f"Action {action} is not allowed for a {record.data['type']} in status {record.data['status']}"
    return refusal(call.world.settings.wrong_state_status, message)


def note(call: Call, record: Record, event: str, data: Mapping[str, object]) -> None:
    """Add an entry to the history of a document."""
    entry = {"event_type": event, "event_data": dict(data), "receivable_id": record.id, "timestamp": iso(call.now)}
    create(call, entry, HISTORY, record.id)


def alter(call: Call, record: Record, **fields: object) -> None:
    """Set fields of a document as they are, null included."""
    record.private["source"] = {**source_of(record), **fields}
    change(call, record, {}, RECEIVABLES)


def move(call: Call, record: Record, status: str, **fields: object) -> None:
    """Change the status of a document and note it."""
    old = record.data["status"]
    alter(call, record, status=status, **fields)
    note(call, record, "status_changed", {"old_status": old, "new_status": status})


def settle(call: Call, record: Record) -> None:
    """Bring a document up to date with the clock: overdue, expired."""
    source, today = source_of(record), call.now.date().isoformat()
    late = source.get("due_date")
    if record.data["type"] == "invoice" and record.data["status"] in _OPEN and late is not None and str(late) < today:
        move(call, record, "overdue")
    expiry = source.get("expiry_date")
    if record.data["type"] == "quote" and record.data["status"] == "issued" and expiry and str(expiry) < today:
        move(call, record, "expired")


def find_receivable(call: Call) -> Record:
    """Return the document of the path, up to date; raises 404, or the denial when it is somebody else's."""
    if call.route.path.startswith(MAILS.path) or call.route.path.startswith(HISTORY.path):
        record = located(call, RECEIVABLES.path, call.params["receivable_id"])
    else:
        record = found(call, RECEIVABLES)
    settle(call, record)
    return record


# -- parts of a document


def _product(call: Call, line: Mapping[str, object], document: Mapping[str, object]) -> Json:
    given = as_object(line.get("product"))
    if line.get("product_id") is not None:
        stored = located(call, "/products", line["product_id"])
        given = {**stored.view(), "is_inline": False}
        if stored.data.get("measure_unit_id") is not None:
            unit = call.world.state.find(stored.text("measure_unit_id"))
            given["measure_unit"] = None if unit is None else unit.view()
    elif "id" not in given:
        given = {"id": str(uuid4()), "is_inline": True, **given}
    price = as_object(given.get("price")) or {"currency": document.get("currency"), "value": 0}
    return {**given, "price": price, "vat_rate": _tax(call, line, given)}


def _tax(call: Call, line: Mapping[str, object], product: Mapping[str, object]) -> Json:
    if line.get("vat_rate_id") is not None:
        return find_rate(call, str(line["vat_rate_id"]))
    if line.get("custom_vat_rate_id") is not None:
        custom = located(call, "/custom_vat_rates", line["custom_vat_rate_id"])
        value = custom.data["value"]
        whole = int(value) if isinstance(value, int | float) else 0
        return {"id": custom.id, "is_custom": True, "name": custom.data["name"], "value": whole, "country": home(call)}
    if line.get("tax_rate_value") is not None:
        return {"value": line["tax_rate_value"], "name": line.get("tax_rate_name"), "country": home(call)}
    return as_object(product.get("vat_rate")) or {"value": 0, "country": home(call)}


def _line(call: Call, line: Json, document: Mapping[str, object]) -> Json:
    product = _product(call, line, document)
    price, rate = as_object(product["price"]), as_object(product["vat_rate"])
    value, percent = price.get("value"), rate.get("value")
    found_sums = line_sums(
        value if isinstance(value, int) else 0,
        line.get("quantity", 0),
        percent if isinstance(percent, int) else 0,
        line.get("discount"),
        inclusive=document.get("vat_mode") == "inclusive",
    )
    product["price_after_vat"] = {"currency": price.get("currency"), "value": found_sums.pop("price_after_vat")}
    return {**line, "product": product, **found_sums}


def lines_of(call: Call, lines: object, document: Mapping[str, object]) -> Json:
    """Return the lines of a document as answers show them, and the sums that follow from them."""
    made = [_line(call, as_object(line), document) for line in as_list(lines)]
    return {"line_items": made, **sums(made, document)}


def party(call: Call) -> Json:
    """Return the issuing entity as documents show it."""
    entity = cast("Record", call.entity).data
    kind = str(entity["type"])
    inner = as_object(entity.get(kind))
    logo = as_object(entity.get("logo")).get("url")
    plain = {name: entity.get(name) for name in ("email", "phone", "registration_authority", "registration_number")}
    names = {"name": inner.get("legal_name")} if kind == "organization" else inner
    return {
        **plain,
        "tax_id": entity.get("tax_id"),
        "website": entity.get("website"),
        "logo": logo,
        **names,
        "type": kind,
    }


# -- issuing


def _number(call: Call, kind: str) -> str:
    entity = cast("Record", call.entity)
    rules = as_object(as_object(entity.private["settings"]).get("document_ids"))
    counters = as_object(entity.private["next_numbers"])
    number = counters.get(kind)
    counters[kind] = (number if isinstance(number, int) else 1) + 1
    digits = rules.get("min_digits")
    parts = [
        rules.get("prefix"),
        as_object(rules.get("document_type_prefix")).get(kind),
        call.now.date().isoformat() if rules.get("include_date") else None,
        str(number or 1).zfill(digits if isinstance(digits, int) else 5),
    ]
    return str(rules.get("separator", "-")).join(str(part) for part in parts if part)


def _due_date(call: Call, source: Mapping[str, object]) -> str | None:
    final = as_object(as_object(source.get("payment_terms")).get("term_final"))
    days = final.get("number_of_days")
    if final.get("end_date") is not None:
        return str(final["end_date"])
    start: date = call.now.date()
    return (start + timedelta(days=days)).isoformat() if isinstance(days, int) else None


def issue(call: Call, record: Record) -> None:
    """Issue a draft: it gets its number, its date and, a little later, its PDF."""
    source, kind = source_of(record), str(record.data["type"])
    fields: Json = {"issue_date": iso(call.now)}
    if source.get("document_id") is None:
        fields["document_id"] = _number(call, kind)
    if kind == "invoice" and source.get("due_date") is None:
        fields["due_date"] = _due_date(call, source)
    move(call, record, "issued", **fields)
    url = file_url(call.world, keep_file(call.world, "application/pdf", PDF))
    later(call, record, call.world.settings.pdf_seconds, {"file_url": url, "original_file_url": url})
    if kind == "credit_note":
        _credit(call, record)


def _credit(call: Call, record: Record) -> None:
    """Let an issued credit note lower what its invoice comes to."""
    invoice = call.world.state.find(str(source_of(record).get("based_on")))
    if invoice is None:
        return
    related = as_object(source_of(invoice).get("related_documents"))
    notes = [*as_list(related.get("credit_note_ids")), record.id]
    left = max(0, invoice.number("total_amount_with_credit_notes") - record.number("total_amount"))
    due = max(0, left - invoice.number("amount_paid"))
    changes = {"related_documents": {**related, "credit_note_ids": notes}, "total_amount_with_credit_notes": left}
    alter(call, invoice, **changes, amount_due=due, amount_to_pay=due)
