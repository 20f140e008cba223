"""Things of which one is the default: the first of its kind, or the one that was made it last."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._collections import collection_of
from monite_async.emulator._generic import answer, change, create, found, group_of, no_body, ruled
from monite_async.emulator._message import Response
from monite_async.emulator._state import Record

__all__ = ["DEFAULT_OPERATIONS", "add_with_default", "make_default"]

_RULES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "/bank_accounts": ("is_default_for_currency", ("currency",)),
    "/counterparts/{counterpart_id}/bank_accounts": ("is_default_for_currency", ("currency",)),
    "/counterparts/{counterpart_id}/contacts": ("is_default", ()),
    "/document_templates": ("is_default", ("document_type",)),
    "/mail_templates": ("is_default", ("type", "language")),
    "/text_templates": ("is_default", ("type", "document_type")),
}
"""By collection: the field that marks the default, and the fields that must be equal for two to compete."""


def _rivals(call: Call, record: Record) -> list[Record]:
    path = collection_of(call.route).path
    fields = _RULES[path][1]
    return [
        other
        for other in call.world.state.table(path).of(record.group)
        if other is not record and all(other.data.get(name) == record.data.get(name) for name in fields)
    ]


def make_default(call: Call, record: Record) -> None:
    """Make a record the default; what was it before is it no more."""
    mark = _RULES[collection_of(call.route).path][0]
    for other in _rivals(call, record):
        if other.data.get(mark) is True:
            change(call, other, {mark: False})
    change(call, record, {mark: True})


def add_with_default(call: Call) -> Response:
    """Create; the first of its kind is the default whatever was asked for."""
    collection = collection_of(call.route)
    mark = _RULES[collection.path][0]
    wanted = call.body.get(mark) is True
    record = create(
        call, {**call.body, mark: False}, collection, None if collection.parents else group_of(call, collection)
    )
    if wanted or not _rivals(call, record):
        make_default(call, record)
    return answer(call, record)


def _make(call: Call) -> Response:
    record = found(call)
    make_default(call, record)
    return answer(call, record)


def _make_silently(call: Call) -> Response:
    make_default(call, found(call))
    return no_body(call)


DEFAULT_OPERATIONS = ruled(
    {
        "post_bank_accounts": add_with_default,
        "post_bank_accounts_id_make_default": _make,
        "post_counterparts_id_bank_accounts": add_with_default,
        "post_counterparts_id_bank_accounts_id_make_default": _make_silently,
        "post_counterparts_id_contacts": add_with_default,
        "post_counterparts_id_contacts_id_make_default": _make,
        "post_document_templates_id_make_default": _make,
        "post_mail_templates": add_with_default,
        "post_mail_templates_id_make_default": _make,
        "post_text_templates": add_with_default,
        "post_text_templates_id_make_default": _make,
    }
)
"""How the operations on defaults are emulated."""
