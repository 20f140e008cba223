"""Payables: create, list, read, change, delete, files, OCR, validation rules."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping

from monite_async.emulator._call import Call, Rule, no_content, object_response, record_response
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._events import emit
from monite_async.emulator._files import DOCUMENTS, store_file
from monite_async.emulator._filters import Getters, matcher
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._multipart import file_part
from monite_async.emulator._names import name_of
from monite_async.emulator._paging import page
from monite_async.emulator._payable_base import (
    REQUIRED_BY_DEFAULT,
    find_payable,
    missing_fields,
    move,
    new_payable,
    note,
    recount,
    settle,
    start_ocr,
    tag_ids,
    wrong_state,
)
from monite_async.emulator._state import Record, World

__all__ = ["PAYABLE_OPERATIONS", "payable_getters"]

_FILE_LIMIT = 20 * 2**20
_STATES = (
    "draft",
    "new",
    "approve_in_progress",
    "waiting_to_be_paid",
    "partially_paid",
    "paid",
    "canceled",
    "rejected",
)
_FINAL = frozenset({"paid", "canceled", "rejected"})
_KEPT = frozenset({"partially_paid", "paid"})


def payable_getters(world: World) -> Getters:
    """Return what reads the fields of payables that are not simply there under their name."""

    def counterpart_name(payable: Record) -> str:
        # The contract does not say whose name is meant: that of the counterpart it was assigned to, else as it was read.
        counterpart = world.state.table("/counterparts").get(payable.text("counterpart_id"), payable.group)
        read = as_object(payable.data.get("counterpart_raw_data")).get("name")
        return str(read or "") if counterpart is None else name_of(counterpart.data)

    def haystack(payable: Record) -> str:
        return " ".join((payable.text("document_id"), counterpart_name(payable), payable.text("description")))

    def line_ids(payable: Record) -> object:
        return [line.id for line in world.state.line_items.of(payable.id)]

    return {
        "amount": lambda payable: payable.data["amount_to_pay"],
        "counterpart_name": counterpart_name,
        "has_file": lambda payable: payable.data["file_id"] is not None,
        "has_tags": lambda payable: bool(payable.data["tags"]),
        "line_item_id": line_ids,
        "origin": lambda payable: payable.data["payable_origin"],
        "search_text": haystack,
        "tag_ids": tag_ids,
    }


def _seen(call: Call) -> Callable[[Record], bool]:
    def seen(payable: Record) -> bool:
        if not call.sees(payable):
            return False
        settle(call.world, payable)
        return True

    return seen


def _list(call: Call) -> Response:
    return page(call, call.world.state.payables, call.entity_id, _seen(call), payable_getters(call.world))


def _analytics(call: Call) -> Response:
    seen, passes = _seen(call), matcher(call.query, payable_getters(call.world))
    payables = call.world.state.payables.of(call.entity_id)
    chosen = [payable for payable in payables if seen(payable) and passes(payable)]
    items: list[object] = []
    for state in _STATES:
        group = [payable.number("total_amount") for payable in chosen if payable.data["status"] == state]
        items.append({"count": len(group), "status": state, "sum_total_amount": sum(group)})
    total = sum(payable.number("total_amount") for payable in chosen)
    return object_response({"count": len(chosen), "data": items, "sum_total_amount": total})


def _first_status(call: Call, payable: Record) -> None:
    wanted = (
        as_object(call.world.state.partner.get("payable")).get("default_state") or call.world.settings.payable_status
    )
    if wanted != "draft" and not missing_fields(call.world, payable):
        payable.change(None, status="new")


def _attach(call: Call, payable: Record, name: str, content: bytes, mimetype: str = "") -> None:
    file = store_file(
        call.world, name, content, file_type="payables", allowed=DOCUMENTS, limit=_FILE_LIMIT, mimetype=mimetype
    )
    payable.change(call.now, file=file, file_id=file["id"])
    event = {"file_name": name, "file_size": len(content), "url": file["url"]}
    note(call.world, payable, "file_attached", event, call.actor.user_id)


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        message = "Input should be base64"
        raise invalid(detail(("body", "base64_encoded_file"), message, "value_error")) from None


def _with_tags(call: Call, fields: dict[str, object]) -> dict[str, object]:
    """Turn the ids of tags into the tags; raises 404 for one that is not there."""
    if "tag_ids" in fields:
        wanted = [str(tag).lower() for tag in as_list(fields.pop("tag_ids"))]
        found = [call.world.state.table("/tags").get(tag, call.entity_id) for tag in wanted]
        if None in found:
            raise refusal(404, "Tag not found")
        fields["tags"] = [tag.view() for tag in found if tag is not None]
    return fields


def _checked(call: Call) -> dict[str, object]:
    """Return the fields of a payable; raises 404 when the counterpart that they name is not there."""
    fields = dict(call.body)
    named = fields.get("counterpart_id")
    if named is not None and call.world.state.table("/counterparts").get(str(named).lower(), call.entity_id) is None:
        raise refusal(404, "Counterpart not found")
    return fields


def _create(call: Call) -> Response:
    fields = _checked(call)
    encoded, name = fields.pop("base64_encoded_file", None), str(fields.pop("file_name", None) or "payable.pdf")
    content = None if encoded is None else _decoded(encoded)
    tags = _with_tags(call, {"tag_ids": fields.pop("tag_ids", None) or []})
    payable = new_payable(call, fields, source="user_specified")
    payable.change(None, **tags)
    if content is not None:
        _attach(call, payable, name, content)
    _first_status(call, payable)
    return record_response(payable)


def _upload(call: Call) -> Response:
    part = file_part(call.request)
    payable = new_payable(call, {}, source="ocr")
    _attach(call, payable, part.filename or "payable.pdf", part.content, part.mimetype)
    start_ocr(call.world, payable)
    settle(call.world, payable)
    return record_response(payable, 201)


def _get(call: Call) -> Response:
    return record_response(find_payable(call, "read"))


def _update(call: Call) -> Response:
    payable = find_payable(call, "update")
    if payable.data["status"] in _FINAL:
        raise wrong_state(call, payable, "update")
    payable.change(call.now, **_with_tags(call, _checked(call)))
    recount(payable)
    note(call.world, payable, "payable_updated", {}, call.actor.user_id)
    emit(call, "/payables", "updated", payable)
    if payable.data["status"] == "draft" and not missing_fields(call.world, payable):
        move(call, payable, "new")
    return record_response(payable)


def _delete(call: Call) -> Response:
    payable = find_payable(call, "delete")
    if payable.data["status"] in _KEPT:
        raise wrong_state(call, payable, "delete")
    call.world.state.forget("/payables", payable)
    emit(call, "/payables", "deleted", payable)
    return no_content()


def _attach_file(call: Call) -> Response:
    payable = find_payable(call, "update")
    if payable.data["file_id"] is not None:
        raise refusal(409, "The payable has a file already")
    part = file_part(call.request)
    _attach(call, payable, part.filename or "payable.pdf", part.content, part.mimetype)
    return record_response(payable)


def _cancel_ocr(call: Call) -> Response:
    payable = find_payable(call, "update")
    if payable.data["ocr_status"] != "processing":
        raise refusal(call.world.settings.wrong_state_status, "OCR is not in progress for this payable")
    payable.private.pop("ocr_due", None)
    payable.change(call.now, ocr_status="canceled")
    return record_response(payable)


def _validate(call: Call) -> Response:
    payable = find_payable(call, "update")
    missing = missing_fields(call.world, payable)
    errors = [{"loc": [name], "msg": "Field required", "type": "missing"} for name in missing]
    if not missing and payable.data["status"] == "draft":
        move(call, payable, "new")
    return object_response({"id": payable.id, "validation_errors": errors})


def _required_fields(call: Call) -> Response:
    wanted = call.world.state.required_fields
    return object_response({"required_fields": list(REQUIRED_BY_DEFAULT) if wanted is None else wanted})


def _put_required_fields(call: Call) -> Response:
    call.world.state.required_fields = [str(name) for name in as_list(call.body["required_fields"])]
    return _required_fields(call)


def _reset_required_fields(call: Call) -> Response:
    call.world.state.required_fields = None
    return _required_fields(call)


_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "payables_purchase_order": ("document_id", "entity_name", "counterpart_name"),
    "payables_notify_approver": ("payable_id", "approver_name", "amount"),
}


def _variables(_call: Call) -> Response:
    data = [
        {
            "object_subtype": subtype,
            "object_type": "payables_purchase_order" if subtype == "payables_purchase_order" else "payable",
            "variables": [{"name": name, "description": name.replace("_", " ")} for name in names],
        }
        for subtype, names in _VARIABLES.items()
    ]
    return object_response({"data": data})


def _suggestions(call: Call) -> Response:
    payable = find_payable(call, "read")
    suggested = payable.private.get("suggested")
    if suggested is None:
        raise refusal(404, "There are no suggestions for this payable")
    counterpart = {"id": suggested, "address_id": None, "bank_account_id": None, "vat_id_id": None}
    return object_response({"suggested_counterpart": counterpart})


def _drop_suggestions(call: Call) -> Response:
    payable = find_payable(call, "update")
    payable.private.pop("suggested", None)
    return object_response(None)


_READ = ("payable", "read")
_CREATE = ("payable", "create")
_CHANGE = ("payable", "update")

PAYABLE_OPERATIONS = {
    "get_payables": Rule(_list, _READ),
    "post_payables": Rule(_create, _CREATE),
    "get_payables_analytics": Rule(_analytics, _READ),
    "post_payables_upload_from_file": Rule(_upload, _CREATE),
    "get_payables_validations": Rule(_required_fields, _READ),
    "put_payables_validations": Rule(_put_required_fields, _CHANGE),
    "post_payables_validations_reset": Rule(_reset_required_fields, _CHANGE),
    "get_payables_variables": Rule(_variables, _READ),
    "get_payables_id": Rule(_get, _READ),
    "patch_payables_id": Rule(_update, _CHANGE),
    "delete_payables_id": Rule(_delete, ("payable", "delete")),
    "post_payables_id_attach_file": Rule(_attach_file, _CHANGE),
    "post_payables_id_cancel_ocr": Rule(_cancel_ocr, _CHANGE),
    "post_payables_id_validate": Rule(_validate, _CHANGE),
    "get_payables_id_suggestions": Rule(_suggestions, _READ),
    "delete_payables_id_suggestions": Rule(_drop_suggestions, _CHANGE),
}
"""How the operations of the tag "Payables" are emulated, the transitions between statuses apart."""
