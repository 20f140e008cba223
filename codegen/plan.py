"""What goes where: resources, method names, scopes, and the module of every schema."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from codegen import choices
from codegen.choices import Scope, ScopeRule
from codegen.errors import ContractError
from codegen.ir import Contract, ListOf, Object, Op, Ref, Type, schema_refs
from codegen.naming import class_names, snake
from codegen.order import closure

__all__ = ["SCOPE_ORDER", "SHARED", "Homes", "Method", "Plan", "Resource", "make_plan"]

SHARED = "_shared"
SCOPE_ORDER: tuple[Scope, ...] = ("partner", "entity", "entity_user", "user")
Side = Literal["models", "types"]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a resource; ``item`` is what a page holds, for operations that come in pages."""

    op: Op
    name: str
    scopes: tuple[Scope, ...]
    item: Type | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One attribute of the client and the module behind it."""

    module: str
    tag: str
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Homes:
    """The module of every schema of one side (answers or requests)."""

    by_name: dict[str, str]

    def names_in(self, module: str) -> set[str]:
        """Return the schemas that live in a module."""
        return {name for name, home in self.by_name.items() if home == module}


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the writers need."""

    contract: Contract
    resources: tuple[Resource, ...]
    names: dict[str, str]
    models: Homes
    types: Homes


def make_plan(
    contract: Contract,
    tags: Sequence[str] = choices.TAGS,
    moves: dict[str, str] | None = None,
    names: dict[str, str] | None = None,
    scopes: Sequence[ScopeRule] = choices.SCOPES,
) -> Plan:
    """Return the plan for the resources of some tags.

    Raises:
        ContractError: Two operations of a resource would get the same method name.
    """
    moves = choices.MOVES if moves is None else moves
    names = choices.METHOD_NAMES if names is None else names
    resources: list[Resource] = []
    for tag in sorted(tags):
        ops = [op for op in contract.operations if moves.get(op.operation_id, op.tag) == tag]
        if not any(_scopes(op, scopes) for op in ops):
            continue
        base = _base(ops)
        methods = tuple(
            Method(
                op,
                names.get(op.operation_id) or _method_name(contract, op, base),
                _scopes(op, scopes),
                _item(contract, op),
            )
            for op in ops
        )
        taken = [method.name for method in methods]
        if len(taken) != len(set(taken)):
            raise ContractError(f"{tag}: two operations are named alike: {sorted(taken)}")
        resources.append(Resource(snake(tag), tag, methods))
    wanted = [method.op for resource in resources for method in resource.methods]
    return Plan(
        contract=contract,
        resources=tuple(resources),
        names=class_names(contract.schemas),
        models=_homes(contract, wanted, "models"),
        types=_homes(contract, wanted, "types"),
    )


# -- methods


def _base(ops: Sequence[Op]) -> list[str]:
    """Return the leading path segments that all operations of a resource have in common, parameters within included."""
    paths = [_segments(op) for op in ops]
    base: list[str] = []
    for column in zip(*paths, strict=False):
        if len(set(column)) > 1:
            break
        base.append(column[0])
    while base and base[-1].startswith("{"):
        base.pop()
    return base


def _segments(op: Op) -> list[str]:
    return op.path.strip("/").split("/")


_PLAIN = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}


def _method_name(contract: Contract, op: Op, base: Sequence[str]) -> str:
    """Return the name of a method: the verb, or the API's own word for the action.

    ``POST /payables/{id}/reject`` is ``reject``, ``GET .../settings`` is ``get_settings``, a list is
    ``list_history``, ``PUT .../logo`` with a file is ``upload_logo``, ``POST /payables/validations/reset`` is
    ``reset_validations``, ``POST .../line_items`` is ``create_line_item`` because single ones can be asked for.
    """
    rest = _segments(op)[len(base) :]
    words = [snake(part) for part in rest if not part.startswith("{")]
    verb = _PLAIN[op.method]
    many = op.method == "GET" and _data(contract, op.result) is not None
    if not words:
        # The whole of a collection is put in place of another; one thing is updated.
        verb = "replace" if op.method == "PUT" and not rest and _has_items(contract, op) else verb
        return "list" if many and not rest else verb
    if rest[-1].startswith("{"):
        return f"{verb}_{_one(words[-1])}"
    if op.method == "POST":
        return f"create_{_one(words[-1])}" if _has_items(contract, op) else "_".join((words[-1], *words[:-1]))
    if many and (_has_items(contract, op) or _item(contract, op) is not None):
        verb = "list"
    elif op.multipart:
        verb = "upload"
    return f"{verb}_{words[-1]}"


def _has_items(contract: Contract, op: Op) -> bool:
    """Tell whether the path of an operation is a collection: one thing of it has a path of its own."""
    inside = op.path.rstrip("/") + "/{"
    return any(other.path.startswith(inside) and other.path.endswith("}") for other in contract.operations)


def _one(word: str) -> str:
    """Return the singular of a path segment: ``line_items``, ``processes``, ``entities``."""
    for ending, single in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending) + single
    return word


def _data(contract: Contract, result: Type | None) -> tuple[Type, set[str]] | None:
    """Return what the ``data`` of an answer holds, and the names of all its fields."""
    if not isinstance(result, Ref):
        return None
    schema = contract.schemas[result.name]
    if not isinstance(schema, Object):
        return None
    fields = {member.name: member.type for member in schema.members}
    data = fields.get("data")
    return (data.item, set(fields)) if isinstance(data, ListOf) else None


def _item(contract: Contract, op: Op) -> Type | None:
    data = _data(contract, op.result)
    paged = any(query.name == "pagination_token" for query in op.query)
    return data[0] if data and paged and "next_pagination_token" in data[1] else None


def _scopes(op: Op, rules: Sequence[ScopeRule]) -> tuple[Scope, ...]:
    for rule in rules:
        if any(fnmatchcase(op.path, path) if path.endswith("*") else op.path == path for path in rule.paths):
            return rule.scopes
    # Without the header the call is not about one entity; with it, somebody has to name one.
    return ("entity", "entity_user") if op.entity_header == "required" else SCOPE_ORDER


# -- schemas


def _roots(op: Op, side: Side) -> tuple[Type | None, ...]:
    return (op.result,) if side == "models" else (op.body, *(query.type for query in op.query))


def _homes(contract: Contract, wanted: Iterable[Op], side: Side) -> Homes:
    """Give every schema that is needed a module: that of its tag, or the shared one.

    Who uses what is counted over the whole contract, so that a schema does not move when a tag is added.
    """
    users: dict[str, set[str]] = {}
    for op in contract.operations:
        for name in closure(contract, _roots(op, side)):
            users.setdefault(name, set()).add(op.tag)
    needed: set[str] = set()
    for op in wanted:
        needed |= closure(contract, _roots(op, side))
        if side == "types" and isinstance(op.body, Ref) and isinstance(contract.schemas[op.body.name], Object):
            # Its fields become arguments of the method, so nothing names it, unless something else does.
            needed -= {op.body.name} - _mentioned(contract, needed)
    return Homes({name: snake(tag[0]) if len(tag := sorted(users[name])) == 1 else SHARED for name in sorted(needed)})


def _mentioned(contract: Contract, names: Iterable[str]) -> set[str]:
    return {other for name in names for other in schema_refs(contract.schemas[name])}
