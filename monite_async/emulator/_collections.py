"""What the routes say of the API's collections: where things are kept, below what, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._contract.shapes import RESULTS, Shape
from monite_async.emulator._route import Route
from monite_async.emulator._shapes import members, resolved

__all__ = ["BY_ID", "COLLECTIONS", "Collection", "Kind", "collection_of", "kind_of", "listed", "needs"]

Kind: TypeAlias = Literal["list", "create", "get", "update", "delete", "other"]

BY_ID: Mapping[str, Route] = {route.operation_id: route for route in ROUTES}
"""The routes by operation id."""

_BY_PLACE: Mapping[tuple[str, str], Route] = {(route.method, route.path): route for route in ROUTES}

_OBJECT_TYPES: Mapping[str, str] = {
    "accounting_tax_rates": "accounting_tax_rate",
    "approval_policies": "approval_policy",
    "approval_requests": "approval_request",
    "bank_accounts": "entity_bank_account",
    "comments": "comment",
    "cost_centers": "cost_center",
    "counterparts": "counterpart",
    "data_exports": "export",
    "delivery_notes": "delivery_note",
    "ledger_accounts": "ledger_account",
    "mailboxes": "mailbox",
    "measure_units": "product",
    "ocr_tasks": "ocr_task",
    "onboarding_documents": "onboarding",
    "onboarding_requirements": "onboarding",
    "overdue_reminders": "overdue_reminder",
    "payable_credit_notes": "payable",
    "payable_purchase_orders": "payables_purchase_order",
    "payables": "payable",
    "payment_records": "payment_record",
    "payment_reminders": "payment_reminder",
    "persons": "person",
    "products": "product",
    "projects": "project",
    "receipts": "receipt",
    "receivables": "receivable",
    "recurrences": "receivable",
    "tags": "tag",
    "transactions": "transaction",
}
"""The object type that a role must allow, by the first segment of the path; what is not here no role speaks of."""

_NESTED_TYPES: Mapping[tuple[str, str], str] = {
    ("counterparts", "vat_ids"): "counterpart_vat_id",
    ("entities", "vat_ids"): "entity_vat_ids",
    ("entities", "onboarding_data"): "onboarding",
    ("entities", "payment_methods"): "onboarding",
    ("entities", "documents"): "onboarding",
    ("entities", "onboarding_requirements"): "onboarding",
}
_ACTIONS: Mapping[str, str] = {
    "list": "read",
    "get": "read",
    "create": "create",
    "update": "update",
    "delete": "delete",
}


@dataclass(frozen=True, slots=True)
class Collection:
    """Things of one kind.

    Attributes:
        path: Path template; the key of the table that holds them.
        parents: For each parameter of the path, its name and the path of the collection that it is an id in.
        shape: What one of them looks like.
        noun: What messages call one.
        of_entity: Whether each belongs to an entity; if not, to the partner.
    """

    path: str
    parents: tuple[tuple[str, str], ...]
    shape: Shape
    noun: str
    of_entity: bool


def listed(shape: Shape) -> Shape | None:
    """Return the shape of the items in the answer of a list call, None when it is no list."""
    plain = resolved(shape)
    if isinstance(plain, tuple) and plain[0] == "list":
        return cast("Shape", plain[1])
    data = members(plain).get("data")
    inner = None if data is None else resolved(cast("Shape", data[2]))
    return cast("Shape", inner[1]) if isinstance(inner, tuple) and inner[0] == "list" else None


def _parents(path: str) -> tuple[tuple[str, str], ...]:
    parts = path.strip("/").split("/")
    return tuple(
        (part[1:-1], "/" + "/".join(parts[:place])) for place, part in enumerate(parts) if part.startswith("{")
    )


def _noun(path: str) -> str:
    word = path.rsplit("/", 1)[1].replace("_", " ")
    for ending, single in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending):
            return (word.removesuffix(ending) + single).capitalize()
    return word.capitalize()


def _item_shape(path: str, items: list[Route]) -> Shape | None:
    """Return what an object of a collection looks like: as it is got, else as it is created, else as it is listed."""
    for method, place in (("GET", items[0].path if items else ""), ("POST", path)):
        route = _BY_PLACE.get((method, place))
        if route is not None and route.operation_id in RESULTS:
            return RESULTS[route.operation_id]
    route = _BY_PLACE.get(("GET", path))
    return None if route is None or route.operation_id not in RESULTS else listed(RESULTS[route.operation_id])


def _collect() -> dict[str, Collection]:
    inside: dict[str, list[Route]] = {}
    for route in ROUTES:
        if route.path.endswith("}"):
            inside.setdefault(route.path.rpartition("/")[0], []).append(route)
    found: dict[str, Collection] = {}
    for route in ROUTES:
        path = route.path.rpartition("/")[0] if route.path.endswith("}") else route.path
        items = sorted(inside.get(path, []), key=lambda item: item.method != "GET")
        first = _BY_PLACE.get(("GET", path))
        lone = first is not None and first.operation_id in RESULTS and listed(RESULTS[first.operation_id]) is not None
        shape = _item_shape(path, items) if path not in found and (items or lone) else None
        if shape is not None:
            own = [_BY_PLACE.get((method, path)) for method in ("GET", "POST")]
            entity = any(one is not None and one.entity_header != "absent" for one in (*items, *own))
            found[path] = Collection(path, _parents(path), shape, _noun(path), entity)
    return found


COLLECTIONS: Mapping[str, Collection] = _collect()
"""Every collection by its path template."""


def kind_of(route: Route) -> Kind:
    """Return what a route does to its collection, ``other`` when that is no plain reading or writing."""
    if route.path.endswith("}"):
        known = route.path.rpartition("/")[0] in COLLECTIONS and not route.multipart
        kinds: Mapping[str, Kind] = {"GET": "get", "PATCH": "update", "PUT": "update", "DELETE": "delete"}
        return kinds.get(route.method, "other") if known else "other"
    if route.path not in COLLECTIONS or route.multipart:
        return "other"
    if route.method == "GET":
        return "list"
    return "create" if route.method == "POST" else "other"


def collection_of(route: Route) -> Collection:
    """Return the collection that a route works on: its own, or the innermost one that its path goes through."""
    path = route.path
    while path not in COLLECTIONS:
        path = path.rpartition("/")[0]
    return COLLECTIONS[path]


def needs(route: Route) -> tuple[str, str] | None:
    """Return the object type and action that the role of an entity user must allow, None when no role speaks of it."""
    parts = [part for part in route.path.strip("/").split("/") if not part.startswith("{")]
    nested = _NESTED_TYPES.get((parts[0], parts[1])) if len(parts) > 1 else None
    object_type = nested or _OBJECT_TYPES.get(parts[0])
    if object_type is None:
        return None
    kind = kind_of(route)
    nested_in = len(parts) > 1 and kind in {"create", "delete"} and nested is None
    action = "update" if nested_in else _ACTIONS.get(kind, "read" if route.method == "GET" else "update")
    return object_type, action
