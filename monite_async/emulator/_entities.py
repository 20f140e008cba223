"""Entities, their settings, and the settings of the partner."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

from monite_async.emulator._call import Call, Rule, named_entity, no_content, object_response, record_response
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._events import emit
from monite_async.emulator._files import IMAGES, store_file
from monite_async.emulator._message import Response, as_object
from monite_async.emulator._multipart import file_part
from monite_async.emulator._paging import page
from monite_async.emulator._state import Record, World
from monite_async.emulator._users_roles import provision_default_role

__all__ = ["ENTITY_OPERATIONS", "SETTINGS_OPERATIONS", "seed_entity"]

_LOGO_LIMIT = 10 * 2**20
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "organization": (
        "business_structure",
        "directors_provided",
        "executives_provided",
        "legal_entity_id",
        "legal_name",
        "owners_provided",
        "representative_provided",
    ),
    "individual": ("date_of_birth", "first_name", "id_number", "last_name", "ssn_last_4", "title"),
}
_OPTIONAL = ("phone", "registration_authority", "registration_number", "tax_id", "website")
_DOCUMENTS = ("credit_note", "delivery_note", "invoice", "purchase_order", "quote")
_SETTINGS: Mapping[str, object] = {
    "accounting": None,
    "allow_purchase_order_autolinking": True,
    "currency": None,
    "document_ids": {
        "document_type_prefix": {
            "credit_note": "CN",
            "delivery_note": "DN",
            "invoice": "INV",
            "purchase_order": "PO",
            "quote": "Q",
        },
        "include_date": False,
        "min_digits": 5,
        "prefix": None,
        "separator": "-",
    },
    "document_rendering": {
        "credit_note": {"display_entity_bank_account": True},
        "display_entity_bank_account": True,
        "display_line_items": True,
        "invoice": {"display_entity_bank_account": True},
        "quote": {"display_entity_bank_account": True, "display_signature": False},
    },
    "generate_paid_invoice_pdf": False,
    "language": "en",
    "mail": None,
    "payables_ocr_auto_tagging": None,
    "payables_skip_approval_flow": False,
    "payment_priority": "working_capital",
    "quote_signature_required": False,
    "receivable_edit_flow": "compliant",
    "reminder": {"enabled": True},
    "vat_inclusive_discount_mode": "exclusive",
    "vat_mode": "exclusive",
}
_PARTNER_SETTINGS = (
    "api_version",
    "commercial_conditions",
    "currency",
    "default_role",
    "mail",
    "payable",
    "payments",
    "receivable",
    "units",
    "website",
)


def _merge(target: dict[str, object], changes: Mapping[str, object]) -> None:
    """Set keys, objects within objects key by key: a PATCH sends only what changes."""
    for key, value in changes.items():
        inner, current = as_object(value), as_object(target.get(key))
        if isinstance(value, dict) and current:
            _merge(current, inner)
        else:
            target[key] = value


def _mine(call: Call) -> Record:
    return cast("Record", call.entity)


def _check_section(call: Call, kind: str) -> None:
    other = "individual" if kind == "organization" else "organization"
    if call.body.get(kind) is None:
        raise invalid(detail(("body", kind), "Field required", "missing"))
    if call.body.get(other) is not None:
        raise invalid(detail(("body", other), f"Not allowed for an entity of type {kind}", "value_error"))


_SEED: Mapping[str, object] = {
    "type": "organization",
    "email": "seed@acme.test",
    "address": {"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
    "organization": {"legal_name": "Seed GmbH"},
}


def seed_entity(world: World, fields: Mapping[str, object]) -> Record:
    """Store an entity as if it had been there for long."""
    return _store(world, {**copy.deepcopy(dict(_SEED)), **fields})


def _store(world: World, body: Mapping[str, object]) -> Record:
    kind = str(body["type"])
    address = {"line2": None, "state": None, **as_object(body["address"])}
    data: dict[str, object] = {
        "type": kind,
        "status": "active",
        "address": address,
        "email": body["email"],
        "logo": None,
        **{name: body.get(name) for name in _OPTIONAL},
        kind: {name: as_object(body[kind]).get(name) for name in _SECTIONS[kind]},
    }
    entity = world.record("", data)
    entity.private["settings"] = copy.deepcopy(dict(_SETTINGS))
    entity.private["metadata"] = {}
    entity.private["next_numbers"] = dict.fromkeys(_DOCUMENTS, 1)
    return world.state.entities.add(entity)


def _create(call: Call) -> Response:
    _check_section(call, str(call.body["type"]))
    entity = _store(call.world, call.body)
    emit(call, "/entities", "created", entity)
    if call.world.state.partner.get("default_role") is not None:
        provision_default_role(call, entity.id)
    return record_response(entity, 201)


def _list(call: Call) -> Response:
    return page(call, call.world.state.entities, "", lambda _entity: True, {})


def _get(call: Call) -> Response:
    return record_response(named_entity(call))


def _apply(call: Call, entity: Record) -> Response:
    body = call.body
    kind = str(entity.data["type"])
    other = "individual" if kind == "organization" else "organization"
    if body.get(other) is not None:
        raise invalid(detail(("body", other), f"Not allowed for an entity of type {kind}", "value_error"))
    required = {"address", "email", "individual", "organization"}
    changes = {name: value for name, value in body.items() if not (name in required and value is None)}
    data = copy.deepcopy(entity.data)
    _merge(data, changes)
    entity.change(call.now, **data)
    emit(call, "/entities", "updated", entity)
    return record_response(entity)


def _update(call: Call) -> Response:
    return _apply(call, named_entity(call))


def _activate(call: Call) -> Response:
    entity = named_entity(call)
    entity.change(call.now, status="active")
    emit(call, "/entities", "updated", entity)
    return record_response(entity)


def _deactivate(call: Call) -> Response:
    entity = named_entity(call)
    entity.change(call.now, status="inactive")
    emit(call, "/entities", "updated", entity)
    return record_response(entity)


def _put_logo(call: Call) -> Response:
    entity = named_entity(call)
    part = file_part(call.request)
    logo = store_file(
        call.world,
        part.filename or "logo",
        part.content,
        file_type="entity_logo",
        allowed=IMAGES,
        limit=_LOGO_LIMIT,
        mimetype=part.mimetype,
    )
    entity.change(call.now, logo=logo)
    return object_response(logo)


def _delete_logo(call: Call) -> Response:
    entity = named_entity(call)
    if entity.data["logo"] is None:
        raise refusal(404, "The entity has no logo")
    entity.change(call.now, logo=None)
    return no_content()


def _get_metadata(call: Call) -> Response:
    return object_response({"metadata": named_entity(call).private["metadata"]})


def _put_metadata(call: Call) -> Response:
    entity = named_entity(call)
    entity.private["metadata"] = call.body["metadata"]
    return object_response({"metadata": entity.private["metadata"]})


def _get_settings(call: Call) -> Response:
    return object_response(named_entity(call).private["settings"])


def _patch_settings(call: Call) -> Response:
    entity = named_entity(call)
    changes = copy.deepcopy(call.body)
    numbers = as_object(as_object(changes.get("document_ids")).pop("next_number", None))
    as_object(entity.private["next_numbers"]).update({k: v for k, v in numbers.items() if v is not None})
    _merge(as_object(entity.private["settings"]), changes)
    emit(call, "/entities/{entity_id}/settings", "updated", entity)
    return object_response(entity.private["settings"])


def _next_numbers(call: Call) -> Response:
    return object_response(named_entity(call).private["next_numbers"])


def _get_mine(call: Call) -> Response:
    return record_response(_mine(call))


def _update_mine(call: Call) -> Response:
    return _apply(call, _mine(call))


def _partner_settings(call: Call) -> dict[str, object]:
    return {name: call.world.state.partner.get(name) for name in _PARTNER_SETTINGS}


def _get_partner_settings(call: Call) -> Response:
    return object_response(_partner_settings(call))


def _patch_partner_settings(call: Call) -> Response:
    _merge(call.world.state.partner, copy.deepcopy(call.body))
    return object_response(_partner_settings(call))


_READ = ("entity", "read")
_UPDATE = ("entity", "update")

ENTITY_OPERATIONS = {
    "get_entities": Rule(_list, audience="partner"),
    "post_entities": Rule(_create, audience="partner"),
    "get_entities_id": Rule(_get, audience="partner"),
    "patch_entities_id": Rule(_update, audience="partner"),
    "post_entities_id_activate": Rule(_activate, audience="partner"),
    "post_entities_id_deactivate": Rule(_deactivate, audience="partner"),
    "put_entities_id_logo": Rule(_put_logo, _UPDATE),
    "delete_entities_id_logo": Rule(_delete_logo, _UPDATE),
    "get_entities_id_partner_metadata": Rule(_get_metadata, audience="partner"),
    "put_entities_id_partner_metadata": Rule(_put_metadata, audience="partner"),
    "get_entities_id_settings": Rule(_get_settings, _READ),
    "patch_entities_id_settings": Rule(_patch_settings, _UPDATE),
    "get_entities_id_settings_next_document_numbers": Rule(_next_numbers, _READ),
    "get_entities_me": Rule(_get_mine, _READ, "user"),
    "patch_entities_me": Rule(_update_mine, _UPDATE, "user"),
    "get_entity_users_my_entity": Rule(_get_mine, _READ, "user"),
    "patch_entity_users_my_entity": Rule(_update_mine, _UPDATE, "user"),
}
"""How the operations of the tag "Entities" are emulated."""

SETTINGS_OPERATIONS = {
    "get_settings": Rule(_get_partner_settings, audience="partner"),
    "patch_settings": Rule(_patch_partner_settings, audience="partner"),
}
"""How the settings of the partner are emulated."""
