"""The emulator's strict request models: one module for what several tags share, the others a few tags each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from codegen.ir import Choice, Contract, ListOf, MapOf, Member, Nullable, Object, Op, Ref, Scalar, Type, Union
from codegen.naming import attribute, camel, class_names
from codegen.order import closure, in_order
from codegen.output import HEADER
from codegen.text import literal, mentions, quoted, statement

__all__ = ["bodies_modules"]

_LIMIT = 60
"""Schemas per module: each is loaded when one of its operations is first called, so none should be large."""

_SHARED_HEAD = '''
from __future__ import annotations

import datetime as dt
from typing import {typing}
{uuid}
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field{more}

__all__ = {all}


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
_BASICS = ("Day", "Email", "Lax", "Moment", "Strict", "Uri")
_TYPING = ("Annotated", "Final", "Literal", "TypeAlias")
_PYDANTIC = ("BaseModel", "Field", "JsonValue", "RootModel")

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
        if isinstance(member.type, ListOf | MapOf) and default != "None":
            # Nobody reads the default: what was not sent is left out of what the emulator sees.
            bare = ListOf(member.type.item) if isinstance(member.type, ListOf) else member.type
            words = [f"default_factory={self.type(bare, form)}", *([alias] if alias else [])]
            return f"    {name}: {text} = Field({', '.join(words)})"
        text += " | None" if default == "None" and not nullable else ""
        return f"    {name}: {text} = " + (f"Field(default={default}, {alias})" if alias else default)

    def object(self, schema: Object, form: bool) -> str:
        base = "Strict" if schema.closed else "Lax"
        lines = [f"class {self.names[schema.name]}({base}):"]
        members = sorted(schema.members, key=lambda member: not member.required)
        lines += [self.member(member, form) for member in members] or ["    pass"]
        return "\n".join(lines)

    def define(self, names: Iterable[str], forms: set[str]) -> list[str]:
        """Return the definitions of some schemas, each after those that it mentions."""
        parts: list[str] = []
        for name in in_order(self.contract, names):
            schema = self.contract.schemas[name]
            if isinstance(schema, Object):
                parts.append(self.object(schema, name in forms))
            else:
                parts.append(statement(f"{self.names[name]}: TypeAlias = {self.type(schema.type)}"))
        return parts

    def entry(self, op: Op) -> str:
        assert op.body is not None
        direct = isinstance(op.body, Ref) and isinstance(self.contract.schemas[op.body.name], Object)
        kind = self.type(op.body)
        return f"    {quoted(op.operation_id)}: {kind if direct else f'RootModel[{kind}]'},"


def _needs(contract: Contract, ops: Iterable[Op]) -> set[str]:
    return closure(contract, [op.body for op in ops])


def _groups(contract: Contract, by_tag: dict[str, list[Op]], shared: set[str]) -> list[list[str]]:
    """Return the tags in alphabetical order, cut into groups of few schemas."""
    groups: list[list[str]] = []
    count = _LIMIT
    for tag in sorted(by_tag):
        size = len(_needs(contract, by_tag[tag]) - shared)
        if count + size > _LIMIT:
            groups.append([])
            count = 0
        groups[-1].append(tag)
        count += size
    return groups


def _names_used(parts: Sequence[str], names: Iterable[str]) -> list[str]:
    text = "\n".join(parts)
    return sorted(name for name in names if mentions(text, name))


def _shared_module(writer: _Bodies, names: set[str], forms: set[str]) -> str:
    parts = writer.define(names, forms)
    exported = sorted([*_BASICS, *(writer.names[name] for name in names)])
    used = "".join(f", {name}" for name in _names_used(parts, ("JsonValue",)))
    typing = ", ".join(_names_used([_SHARED_HEAD, *parts], _TYPING))
    uuid = "from uuid import UUID\n" if _names_used(parts, ["UUID"]) else ""
    head = _SHARED_HEAD.replace("{typing}", typing).replace("{uuid}", uuid)
    head = head.replace("{more}", used).replace("{all}", f"[{', '.join(map(quoted, exported))}]")
    return "\n\n".join([HEADER.format(what="what the requests of several groups hold.") + head, *parts]) + "\n"


def _group_module(writer: _Bodies, tags: Sequence[str], ops: Sequence[Op], shared: set[str], forms: set[str]) -> str:
    parts = writer.define(_needs(writer.contract, ops) - shared, forms)
    parts.append("BODIES: Final[dict[str, type[BaseModel]]] = {\n" + "\n".join(map(writer.entry, ops)) + "\n}")
    common = _names_used(parts, [*_BASICS, *(writer.names[name] for name in shared)])
    imports = [
        "from __future__ import annotations\n",
        f"from typing import {', '.join(_names_used(parts, _TYPING))}",
        *(["from uuid import UUID"] if _names_used(parts, ["UUID"]) else []),
        f"\nfrom pydantic import {', '.join(_names_used(parts, _PYDANTIC))}\n",
        f"from monite_async.emulator._contract.bodies_shared import {', '.join(common)}\n" if common else "",
        '__all__ = ["BODIES"]',
    ]
    head = HEADER.format(what=f"what requests of {tags[0]} to {tags[-1]} may hold.")
    return "\n\n".join([head + "\n" + "\n".join(imports), *parts]) + "\n"


def bodies_modules(contract: Contract, tags: Sequence[str]) -> dict[str, str]:
    """Return the modules with the request models of the operations of these tags, and the index that finds them."""
    writer = _Bodies(contract)
    ops = [op for op in contract.operations if op.tag in tags and op.body is not None]
    by_tag: dict[str, list[Op]] = {}
    for op in ops:
        by_tag.setdefault(op.tag, []).append(op)
    uses = Counter(name for some in by_tag.values() for name in _needs(contract, some))
    shared = closure(contract, [Ref(name) for name, count in uses.items() if count > 1])
    forms = {op.body.name for op in ops if op.multipart and isinstance(op.body, Ref)}
    files = {"bodies_shared": _shared_module(writer, shared, forms)}
    index: list[str] = []
    for number, group in enumerate(_groups(contract, by_tag, shared), 1):
        chosen = [op for op in ops if op.tag in group]
        files[f"bodies_{number}"] = _group_module(writer, group, chosen, shared, forms)
        index += [f"    {quoted(op.operation_id)}: {number}," for op in chosen]
    files["bodies"] = "\n".join(
        [
            HEADER.format(what="where the request model of an operation is."),
            "from __future__ import annotations\n",
            "from typing import Final\n",
            '__all__ = ["HOMES"]\n',
            "HOMES: Final[dict[str, int]] = {",
            *index,
            "}",
            '"""The number of the module ``bodies_<number>``, by operation."""',
            "",
        ]
    )
    return files
