"""What goes where: resources, method names, scopes, and the module of every schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from codegen import choices, choices_names
from codegen.choices import Scope, ScopeRule
from codegen.errors import ContractError
from codegen.ir import Contract, Object, Op, Ref, Type, schema_refs
from codegen.naming import class_names
from codegen.order import closure
from codegen.places import Places, data_of

__all__ = ["PAIRED", "SCOPE_ORDER", "SHARED", "Choices", "Homes", "Method", "Plan", "Resource", "make_plan"]

SHARED = "_shared"
PAIRED = "_paired"
SCOPE_ORDER: tuple[Scope, ...] = ("partner", "entity", "entity_user", "user")
Side = Literal["models", "types"]
Paging = Literal["token", "body", "offset"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person decided; by default what ``choices.py`` and ``choices_names.py`` say."""

    scopes: Sequence[ScopeRule] = choices.SCOPES
    names: Mapping[str, str] = field(default_factory=lambda: choices_names.METHOD_NAMES)
    resources: Mapping[str, str] = field(default_factory=lambda: choices_names.RESOURCE_NAMES)
    nested: Collection[str] = choices_names.NESTED
    families: Mapping[str, str] = field(default_factory=lambda: choices_names.FAMILIES)
    reads: Collection[str] = frozenset(choices.READS)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a resource.

    Attributes:
        op: The operation behind it.
        name: What it is called.
        scopes: Who has it.
        item: What a page holds, for operations that come in pages.
        paging: How the next page is asked for; None for all others.
        idempotent: Whether sending it twice does no more than sending it once.
    """

    op: Op
    name: str
    scopes: tuple[Scope, ...]
    item: Type | None = None
    paging: Paging | None = None
    idempotent: bool = False

    @property
    def scope(self) -> str:
        """The scope as ``operations()`` tells it."""
        if self.scopes == SCOPE_ORDER:
            return "any"
        return "partner" if self.scopes == ("partner",) else "entity" if "entity" in self.scopes else "user"


@dataclass(frozen=True, slots=True)
class Resource:
    """One attribute of the client, or of another resource; ``module`` is the file that holds it."""

    name: str
    methods: tuple[Method, ...]
    children: tuple[Resource, ...] = ()

    @property
    def module(self) -> str:
        """The file that holds it: one per attribute of the client."""
        return self.name.partition(".")[0]

    @property
    def attribute(self) -> str:
        """What it is called on its parent."""
        return self.name.rpartition(".")[2]

    def family(self) -> Iterator[Resource]:
        """Return all resources below this one, and then itself."""
        for child in self.children:
            yield from child.family()
        yield self


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

    def methods(self) -> list[tuple[Resource, Method]]:
        """Return all methods with their resources, by name of both."""
        found = [(each, method) for top in self.resources for each in top.family() for method in each.methods]
        return sorted(found, key=lambda entry: (entry[0].name, entry[1].name))


def make_plan(contract: Contract, decided: Choices | None = None) -> Plan:
    """Return the plan for a contract.

    Raises:
        ContractError: Two operations of a resource would get the same method name.
    """
    decided = decided or Choices()
    places = Places(contract, decided.nested, decided.resources, decided.names)
    by_resource: dict[str, list[Method]] = {}
    for op in contract.operations:
        paging, item = _paging(contract, op)
        method = Method(
            op=op,
            name=places.method_name(op),
            scopes=_scopes(op, decided.scopes),
            item=item,
            paging=paging,
            # By RFC 9110; Monite has no idempotency keys that could make others so.
            idempotent=op.method in {"GET", "PUT", "DELETE"} or op.operation_id in decided.reads,
        )
        by_resource.setdefault(places.root(op)[0], []).append(method)
    for name, methods in by_resource.items():
        taken = [method.name for method in methods]
        if len(taken) != len(set(taken)):
            raise ContractError(f"{name}: two operations are named alike: {sorted(taken)}")
    tops = sorted({name.partition(".")[0] for name in by_resource})
    home = {op.operation_id: _family(places.root(op)[0], decided) for op in contract.operations}
    return Plan(
        contract=contract,
        resources=tuple(_tree(name, by_resource) for name in tops),
        names=class_names(contract.schemas),
        models=_apart(contract, _homes(contract, home, "models"), _central(by_resource)),
        types=_homes(contract, home, "types"),
    )


def _tree(name: str, methods: Mapping[str, list[Method]]) -> Resource:
    below = sorted({_child(name, other) for other in methods if other.startswith(name + ".")})
    return Resource(name, tuple(methods.get(name, ())), tuple(_tree(child, methods) for child in below))


def _child(name: str, other: str) -> str:
    return f"{name}.{other.removeprefix(name + '.').partition('.')[0]}"


def _family(resource: str, decided: Choices) -> str:
    top = resource.partition(".")[0]
    return decided.families.get(top, top)


# -- methods


def _paging(contract: Contract, op: Op) -> tuple[Paging | None, Type | None]:
    """Tell how the pages of an answer are asked for, and what one holds."""
    data = data_of(contract, op.result)
    if data is None:
        return None, None
    item, fields = data
    query = {entry.name for entry in op.query}
    if "pagination_token" in query and "next_pagination_token" in fields:
        return "token", item
    if {"limit", "offset"} <= query:
        return "offset", item
    schema = contract.schemas[op.body.name] if isinstance(op.body, Ref) else None
    inside = {member.name for member in schema.members} if isinstance(schema, Object) else set[str]()
    return ("body", item) if "pagination_token" in inside and "next_pagination_token" in fields else (None, None)


def _scopes(op: Op, rules: Sequence[ScopeRule]) -> tuple[Scope, ...]:
    for rule in rules:
        if any(fnmatchcase(op.path, path) if path.endswith("*") else op.path == path for path in rule.paths):
            return rule.scopes
    # Without the header the call is not about one entity; with it, somebody has to name one.
    return ("entity", "entity_user") if op.entity_header == "required" else SCOPE_ORDER


# -- schemas


def _roots(op: Op, side: Side) -> tuple[Type | None, ...]:
    return (op.result,) if side == "models" else (op.body, *(query.type for query in op.query))


def _homes(contract: Contract, home: Mapping[str, str], side: Side) -> Homes:
    """Give every schema that is needed a module: that of the family that alone needs it, or a shared one."""
    users: dict[str, set[str]] = {}
    spread: set[str] = set()
    for op in contract.operations:
        needed = closure(contract, _roots(op, side))
        for name in needed:
            users.setdefault(name, set()).add(home[op.operation_id])
        if side == "types" and isinstance(op.body, Ref) and isinstance(contract.schemas[op.body.name], Object):
            spread.add(op.body.name)
    # Their fields become arguments of the method, so nothing names them, unless something else does.
    for name in spread - _mentioned(contract, set(users)) - _named(contract):
        del users[name]
    crowds = Counter(frozenset(who) for who in users.values())
    return Homes({name: _home(users[name], crowds[frozenset(users[name])]) for name in sorted(users)})


_FEW = 4
_MANY = 8


def _home(users: Collection[str], together: int) -> str:
    """Return the module of a schema.

    What just two families share has a module for the two of them, for importing a schema costs 0.2 ms and everybody
    imports the shared ones. It is only for pairs: what a schema mentions has all the users of that schema, so a pair's
    module never leads to another pair's, and the shared one leads to none of them.
    """
    if len(users) == 1:
        return min(users)
    if len(users) > 2:
        return SHARED
    return "_" + "_".join(sorted(users)) if together >= _FEW else PAIRED


def _central(by_resource: Mapping[str, Iterable[Method]]) -> list[Op]:
    """Return the operations that most callers begin with: getting and listing what the client has attributes for."""
    tops = (methods for name, methods in by_resource.items() if "." not in name)
    return [method.op for methods in tops for method in methods if method.name in {"get", "list"}]


def _apart(contract: Contract, homes: Homes, central: Iterable[Op]) -> Homes:
    """Move what the first calls of a big family do not need to a module of its own, for the same 0.2 ms a schema.

    It may lead to the family's other module, which never leads back: that one holds all that its schemas need.
    """
    needed = closure(contract, [op.result for op in central])
    rest = {name: home for name, home in homes.by_name.items() if name not in needed and not home.startswith("_")}
    big = {
        home
        for home, count in Counter(
            home for name, home in rest.items() if isinstance(contract.schemas[name], Object)
        ).items()
        if count >= _MANY and any(homes.by_name[name] == home for name in needed)
    }
    moved = {name: f"_{home}_besides" for name, home in rest.items() if home in big}
    return Homes({**homes.by_name, **moved})


def _named(contract: Contract) -> set[str]:
    """Return the schemas that are the items of a body, or the alternatives of one."""
    return {
        name
        for op in contract.operations
        if op.body is not None and not isinstance(op.body, Ref)
        for name in closure(contract, [op.body])
    }


def _mentioned(contract: Contract, names: Iterable[str]) -> set[str]:
    return {other for name in names for other in schema_refs(contract.schemas[name])}
