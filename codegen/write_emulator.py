"""The emulator's tables: every route, and strict request models for the tags it plays."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir import (
    Alias,
    Choice,
    Contract,
    ListOf,
    MapOf,
    Member,
    Nullable,
    Object,
    Op,
    Query,
    Ref,
    Scalar,
    Type,
    Union,
)
from codegen.naming import attribute, camel, class_names
from codegen.order import closure, in_order
from codegen.output import HEADER
from codegen.text import literal, quoted, statement

__all__ = ["bodies_module", "routes_module"]

_KINDS = {"string", "integer", "number", "boolean", "date-time", "date", "uuid"}


def _plain(contract: Contract, kind: Type) -> Type:
    """Follow names and drop nulls: a query string has neither."""
    while True:
        match kind:
            case Ref(name=name):
                schema = contract.schemas[name]
                assert isinstance(schema, Alias), f"{name} cannot stand in a query"
                kind = schema.type
            case Nullable(inner=inner):
                kind = inner
            case Union(members=members):
                kind = members[0]
            case _:
                return kind


def _query(contract: Contract, query: Query) -> str:
    kind = _plain(contract, query.type)
    array = isinstance(kind, ListOf)
    if isinstance(kind, ListOf):
        kind = _plain(contract, kind.item)
    words = [quoted(query.name)]
    scalar = kind if isinstance(kind, Scalar) else Scalar("string")
    words.append(quoted(scalar.kind if scalar.kind in _KINDS else "string"))
    if array:
        words.append("array=True")
    if isinstance(kind, Choice):
        words.append(f"enum={quoted(kind.values)}")
    words += [f"{key}={number:g}" for key, number in _bounds(scalar) if number is not None]
    if query.required:
        words.append("required=True")
    return f"QueryParam({', '.join(words)})"


def _bounds(scalar: Scalar) -> list[tuple[str, float | None]]:
    return [("minimum", scalar.minimum), ("maximum", scalar.maximum)]


def _route(contract: Contract, op: Op) -> str:
    body = "absent" if op.body is None else "required" if op.body_required else "optional"
    query = ", ".join(_query(contract, entry) for entry in op.query) + ("," if len(op.query) == 1 else "")
    facts = (op.operation_id, op.method, op.path, op.tag, op.entity_header, op.status, body, op.multipart)
    return f"Route({', '.join(map(quoted, facts))}, ({query}))"


def routes_module(contract: Contract) -> str:
    """Return the module that lists all operations; it imports nothing but the two tuples."""
    lines = [
        HEADER.format(what="every route of the API."),
        "from __future__ import annotations\n",
        "from typing import Final\n",
        "from monite_async.emulator._route import QueryParam, Route\n",
        '__all__ = ["ROUTES", "VERSION"]\n',
        f"VERSION: Final = {quoted(contract.version)}",
        # One line each: the formatter would make thousands of them.
        "# fmt: off",
        "ROUTES: Final[tuple[Route, ...]] = (",
        *(f"    {_route(contract, op)}," for op in contract.operations),
        ")",
        "# fmt: on",
    ]
    return "\n".join(lines) + "\n"


# -- request models

_BODIES_HEAD = '''
from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field{more}

__all__ = ["BODIES"]


def _text(value: object) -> object:
    """Refuse numbers where the wire has text: pydantic alone would read a number as a point in time."""
    if isinstance(value, (str, dt.date)):
        return value
    raise ValueError("Input should be a string")


class Strict(BaseModel):
    """Unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", defer_build=True, serialize_by_alias=True)


class Lax(BaseModel):
    """Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", defer_build=True, serialize_by_alias=True)


Day: TypeAlias = Annotated[dt.date, BeforeValidator(_text)]
Moment: TypeAlias = Annotated[dt.datetime, BeforeValidator(_text)]
Email: TypeAlias = Annotated[str, Field(pattern=r"^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$")]
Uri: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://\\S+$")]
'''

_SCALARS = {
    "string": "str",
    "number": "float",
    "uuid": "UUID",
    "date": "Day",
    "date-time": "Moment",
    "email": "Email",
    "uri": "Uri",
    "binary": "bytes",
}


def _limits(scalar: Scalar) -> list[str]:
    entries = [
        ("ge", scalar.minimum),
        ("le", scalar.maximum),
        ("gt", scalar.above),
        ("min_length", scalar.min_length),
        ("max_length", scalar.max_length),
    ]
    words = [f"{key}={value:g}" if value < 1e6 else f"{key}={value:.0f}" for key, value in entries if value is not None]
    if scalar.pattern is not None:
        words.append(f"pattern={quoted(scalar.pattern)}")
    return words


def _scalar(scalar: Scalar, form: bool) -> str:
    words = _limits(scalar)
    base = _SCALARS.get(scalar.kind, "")
    if scalar.kind in {"integer", "boolean"}:
        base = "int" if scalar.kind == "integer" else "bool"
        # Forms carry text only; in JSON "1" is no number and 1 is no boolean.
        words += [] if form else ["strict=True"]
    return f"Annotated[{base}, Field({', '.join(words)})]" if words else base


class _Bodies:
    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.names = {name: camel(short) for name, short in class_names(contract.schemas).items()}

    def type(self, kind: Type, form: bool = False) -> str:
        match kind:
            case Scalar():
                return _scalar(kind, form)
            case Choice(values=values):
                return literal(values)
            case Ref(name=name):
                return self.names[name]
            case ListOf(item=item, min_items=low, max_items=high):
                words = [f"{key}={n}" for key, n in (("min_length", low), ("max_length", high)) if n is not None]
                plain = f"list[{self.type(item, form)}]"
                return f"Annotated[{plain}, Field({', '.join(words)})]" if words else plain
            case MapOf(value=value):
                return f"dict[str, {self.type(value)}]"
            case Union(members=members, discriminator=key):
                plain = " | ".join(self.type(member) for member in members)
                return f"Annotated[{plain}, Field(discriminator={quoted(key)})]" if key else plain
            case Nullable(inner=inner):
                return f"{self.type(inner, form)} | None"
            case _:
                return "JsonValue"

    def member(self, member: Member, form: bool) -> str:
        text = self.type(member.type, form)
        nullable = isinstance(member.type, Nullable)
        name = attribute(member.name)
        alias = "" if name == member.name else f"alias={quoted(member.name)}"
        if member.required:
            return f"    {name}: {text}" + (f" = Field({alias})" if alias else "")
        # With a default that is not null, leaving it out is fine and null is not; without one both are.
        default = "None" if member.default is None or nullable else quoted(member.default)
        text += " | None" if default == "None" and not nullable else ""
        return f"    {name}: {text} = " + (f"Field(default={default}, {alias})" if alias else default)

    def object(self, schema: Object, form: bool) -> str:
        base = "Strict" if schema.closed else "Lax"
        lines = [f"class {self.names[schema.name]}({base}):"]
        members = sorted(schema.members, key=lambda member: not member.required)
        lines += [self.member(member, form) for member in members] or ["    pass"]
        return "\n".join(lines)


def bodies_module(contract: Contract, tags: Sequence[str]) -> str:
    """Return the module with the request models of the operations of these tags."""
    writer = _Bodies(contract)
    ops = [op for op in contract.operations if op.tag in tags and op.body is not None]
    forms = {op.body.name for op in ops if op.multipart and isinstance(op.body, Ref)}
    parts: list[str] = []
    for name in in_order(contract, closure(contract, [op.body for op in ops])):
        schema = contract.schemas[name]
        if isinstance(schema, Object):
            parts.append(writer.object(schema, name in forms))
        else:
            parts.append(statement(f"{writer.names[name]}: TypeAlias = {writer.type(schema.type)}"))
    entries: list[str] = []
    for op in ops:
        assert op.body is not None
        direct = isinstance(op.body, Ref) and isinstance(contract.schemas[op.body.name], Object)
        kind = writer.type(op.body)
        entries.append(f"    {quoted(op.operation_id)}: {kind if direct else f'RootModel[{kind}]'},")
    parts.append("BODIES: Final[dict[str, type[BaseModel]]] = {\n" + "\n".join(entries) + "\n}")
    used = "".join(f", {name}" for name in ("JsonValue", "RootModel") if any(name in part for part in parts))
    head = HEADER.format(what="what requests may hold.") + _BODIES_HEAD.replace("{more}", used)
    return "\n\n".join([head, *parts]) + "\n"
