"""Receivables: quotes, invoices and credit notes are created, listed, read, changed and deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monite_async.emulator._call import Call, no_content
from monite_async.emulator._collections import BY_ID
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._filters import Getters
from monite_async.emulator._generic import Json, answer, create, list_page, ruled
from monite_async.emulator._lifecycles.receivable_base import (
    HISTORY,
    MAILS,
    RECEIVABLES,
    alter,
    find_receivable,
    lines_of,
    located,
    note,
    party,
    settle,
    source_of,
    wrong_state,
)
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._names import name_of
from monite_async.emulator._query import parse_values
from monite_async.emulator._state import Record

__all__ = ["RECEIVABLE_GETTERS", "RECEIVABLE_OPERATIONS", "copied"]

_ISSUED_ONLY = frozenset({"issued", "partially_paid", "overdue"})
_COPIED_BASE = (
    "counterpart_billing_address_id",
    "counterpart_id",
    "counterpart_shipping_address_id",
    "counterpart_vat_id_id",
    "currency",
    "discount",
    "entity_bank_account_id",
    "entity_vat_id_id",
    "footer",
    "line_items",
    "memo",
    "partner_metadata",
    "payment_terms",
    "project_id",
    "vat_exempt",
    "vat_mode",
    "withholding_tax_rate",
)


def _counterpart(call: Call, source: Mapping[str, object]) -> Json:
    counterpart = located(call, "/counterparts", source["counterpart_id"])
    for name in ("counterpart_billing_address_id", "counterpart_shipping_address_id"):
        if source.get(name) is not None:
            located(call, "/counterparts/{counterpart_id}/addresses", source[name], counterpart.id)
    known = {
        "counterpart_type": counterpart.data["type"],
        "counterpart_name": name_of(counterpart.data),
        "counterpart_tax_id": counterpart.data.get("tax_id"),
    }
    contacts = call.world.state.table("/counterparts/{counterpart_id}/contacts").of(counterpart.id)
    default = next((contact.view() for contact in contacts if contact.data.get("is_default")), None)
    return {**known, "counterpart_contact": default}


def _terms(call: Call, source: Mapping[str, object]) -> Json:
    if source.get("payment_terms_id") is None:
        return {}
    return {"payment_terms": located(call, "/payment_terms", source["payment_terms_id"]).view()}


def _attachments(call: Call, source: Mapping[str, object]) -> Json:
    if source.get("attachments") is None:
        return {}
    wanted = [as_object(item) for item in as_list(source["attachments"])]
    files = [{**located(call, "/files", item["id"], "").view(), **item} for item in wanted]
    return {"attachments": files}


def _written(call: Call, source: Mapping[str, object]) -> Json:
    """Return a document with all that follows from what was asked for."""
    entity = call.entity
    language = "en" if entity is None else as_object(entity.private["settings"]).get("language", "en")
    made: Json = {
        **source,
        **_counterpart(call, source),
        **_terms(call, source),
        **_attachments(call, source),
        "entity": {**party(call), **{k: v for k, v in as_object(source.get("entity")).items() if v is not None}},
        "entity_address": None if entity is None else entity.data["address"],
        "file_language": language,
        "original_file_language": language,
    }
    made.setdefault("amount_paid", 0)
    made.setdefault("related_documents", {"credit_note_ids": []})
    made.update(lines_of(call, source.get("line_items"), made))
    made["total_amount_with_credit_notes"] = made["total_amount"]
    return made


def copied(call: Call, record: Record, kind: str, **fields: object) -> Record:
    """Store a new draft with the contents of another document."""
    held = source_of(record)
    source: Json = {name: held[name] for name in _COPIED_BASE if name in held}
    new = create(call, _written(call, {**source, "type": kind, "status": "draft", **fields}), RECEIVABLES)
    note(call, new, "receivable_created", {})
    return new


def _based(call: Call) -> Record:
    origin = located(call, RECEIVABLES.path, call.body["based_on"])
    settle(call, origin)
    kind = str(call.body["type"])
    starts = {"invoice": ("quote", {"issued", "accepted"}), "credit_note": ("invoice", {*_ISSUED_ONLY, "paid"})}
    wanted, states = starts[kind]
    if origin.data["type"] != wanted or origin.data["status"] not in states:
        raise wrong_state(call, origin, f"create {kind}")
    base = {"based_on": origin.id, "based_on_document_id": origin.data.get("document_id")}
    record = copied(call, origin, kind, **base, tag_ids=call.body.get("tag_ids") or [])
    note(call, origin, "based_on_receivable_created", {"receivable_id": record.id, "type": kind})
    return record


def _create(call: Call) -> Response:
    if call.body.get("based_on") is not None:
        return answer(call, _based(call))
    record = create(call, _written(call, {"status": "draft", **call.body}), RECEIVABLES)
    note(call, record, "receivable_created", {})
    return answer(call, record)


def _product_ids(record: Record) -> object:
    return [as_object(as_object(line).get("product")).get("id") for line in as_list(record.data.get("line_items"))]


RECEIVABLE_GETTERS: Getters = {
    "amount": lambda record: record.data["total_amount"],
    "product_ids": _product_ids,
}
"""How to read the fields of receivables that are not simply there under their name."""


def _seen(call: Call) -> Callable[[Record], bool]:
    def seen(record: Record) -> bool:
        settle(call, record)
        return True

    return seen


def _list(call: Call) -> Response:
    return list_page(call, RECEIVABLES, getters=RECEIVABLE_GETTERS, seen=_seen(call))


def _search(call: Call) -> Response:
    call.query = parse_values(BY_ID["get_receivables"], call.body)
    return list_page(call, RECEIVABLES, getters=RECEIVABLE_GETTERS, seen=_seen(call))


def _get(call: Call) -> Response:
    return answer(call, find_receivable(call))


def _credited(call: Call, held: Json, changes: Json) -> list[object]:
    """Return the lines of a credit note with other quantities, which are given by the id of the product."""
    lines = {str(as_object(as_object(line).get("product")).get("id")): line for line in as_list(held.get("line_items"))}
    for product, given in changes.items():
        wanted = as_object(given)
        if product not in lines:
            raise refusal(404, "Product not found")
        if set(wanted) - {"quantity"}:
            raise refusal(501, f"The emulator changes no prices of credit notes ({call.route.operation_id}).")
        lines[product] = {**as_object(lines[product]), **wanted}
    return list(lines.values())


def _update(call: Call) -> Response:
    record = find_receivable(call)
    section, changes = next((name, as_object(value)) for name, value in call.body.items())
    kind = str(record.data["type"])
    states = _ISSUED_ONLY if section == "issued_invoice" else frozenset({"draft"})
    if section.removeprefix("issued_") != kind:
        raise invalid(detail(("body", section), f"The document is of type {kind}", "value_error"))
    if record.data["status"] not in states:
        raise wrong_state(call, record, "update")
    held = source_of(record)
    if kind == "credit_note" and changes.get("line_items") is not None:
        changes["line_items"] = _credited(call, held, as_object(changes["line_items"]))
    source = {**held, **{name: value for name, value in changes.items() if value is not None}}
    alter(call, record, **_written(call, source))
    note(call, record, "receivable_updated", {})
    return answer(call, record)


def _delete(call: Call) -> Response:
    record = find_receivable(call)
    if record.data["status"] != "draft":
        raise wrong_state(call, record, "delete")
    call.world.state.forget("/receivables", record)
    return no_content()


def _replace_lines(call: Call) -> Response:
    record = find_receivable(call)
    if record.data["status"] != "draft":
        raise wrong_state(call, record, "update")
    alter(call, record, **_written(call, {**source_of(record), "line_items": call.body["data"]}))
    note(call, record, "receivable_updated", {})
    return answer(call, {"data": record.data["line_items"]})


def _history(call: Call) -> Response:
    find_receivable(call)
    return list_page(call, HISTORY)


def _mails(call: Call) -> Response:
    find_receivable(call)
    return list_page(call, MAILS)


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "counterpart": ("tax_id", "vat_id"),
    "entity": ("tax_id", "vat_id"),
    "line_item": ("measure_unit", "tax_rate_value", "vat_rate_id"),
}


def _required_fields(call: Call) -> Response:
    return answer(
        call,
        {
            part: {name: {"description": name.replace("_", " "), "required": False} for name in names}
            for part, names in _FIELDS.items()
        },
    )


def _variables(call: Call) -> Response:
    names = ("counterpart_name", "document_id", "entity_name", "total_amount")
    variables = [{"name": name, "description": name.replace("_", " ")} for name in names]
    kinds = ("quote", "invoice", "credit_note", "discount_reminder", "final_reminder", "overdue_reminder")
    data = [{"object_subtype": kind, "object_type": "receivable", "variables": variables} for kind in kinds]
    return answer(call, {"data": data})


def _history_entry(call: Call) -> Response:
    record = call.world.state.table(HISTORY.path).get(
        call.params["receivable_history_id"].lower(), find_receivable(call).id
    )
    if record is None:
        raise refusal(404, "History entry not found")
    return answer(call, record)


RECEIVABLE_OPERATIONS = ruled(
    {
        "get_receivables": _list,
        "post_receivables": _create,
        "post_receivables_search": _search,
        "get_receivables_required_fields": _required_fields,
        "get_receivables_variables": _variables,
        "get_receivables_id": _get,
        "patch_receivables_id": _update,
        "delete_receivables_id": _delete,
        "put_receivables_id_line_items": _replace_lines,
        "get_receivables_id_history": _history,
        "get_receivables_id_history_id": _history_entry,
        "get_receivables_id_mails": _mails,
    }
)
"""How receivables are emulated, the transitions between statuses apart."""
