"""Schemas as Python: pydantic models for what is answered, ``TypedDict`` inputs for what is sent."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

from codegen.choices import SECRETS
from codegen.errors import ContractError
from codegen.ir import (
    Alias,
    Choice,
    ListOf,
    MapOf,
    Member,
    Nullable,
    Object,
    Ref,
    Scalar,
    Type,
    Union,
    refs_of,
)
from codegen.naming import attribute
from codegen.order import in_order
from codegen.output import HEADER
from codegen.plan import Homes, Plan
from codegen.text import literal, mentions, quoted, statement

__all__ = ["Inputs", "models_module", "types_module"]

_OUT = {"date": "dt.date", "date-time": "Moment", "integer": "int", "number": "float", "boolean": "bool"}
_IN = {**_OUT, "date": "dt.date | str", "date-time": "dt.datetime | str", "binary": "FileInput"}


def _imports(homes: Homes, names: Iterable[str], python: dict[str, str], package: str) -> list[str]:
    """Return the lines that import schemas of other modules."""
    wanted: dict[str, set[str]] = {}
    for name in names:
        wanted.setdefault(homes.by_name[name], set()).add(python[name])
    return [
        f"from monite_async.{package}.{home} import {', '.join(sorted(found))}"
        for home, found in sorted(wanted.items())
    ]


def _used(plan: Plan, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        schema = plan.contract.schemas[name]
        types = [schema.type] if isinstance(schema, Alias) else [member.type for member in schema.members]
        found |= {other for kind in types for other in refs_of(kind)}
    return found


# -- answers


@dataclass(slots=True)
class _Models:
    plan: Plan
    defined: set[str] = field(default_factory=set[str])

    def type(self, kind: Type, pinned: bool = False) -> str:
        match kind:
            case Scalar():
                return _OUT.get(kind.kind, "str")
            case Choice(values=values):
                return literal(values) if pinned else f"{literal(values)} | str"
            case Ref(name=name):
                return self.plan.names[name]
            case ListOf(item=item):
                return f"list[{self.type(item)}]"
            case MapOf(value=value):
                return f"dict[str, {self.type(value)}]"
            case Union(members=members, discriminator=key):
                plain = " | ".join(dict.fromkeys(self.type(member) for member in members))
                return f"Annotated[{plain}, Field(discriminator={quoted(key)})]" if key else plain
            case Nullable(inner=inner):
                return f"{self.type(inner, pinned)} | None"
            case _:
                return "Anything"

    def member(self, member: Member) -> str:
        kind = member.type if member.required or isinstance(member.type, Nullable) else Nullable(member.type)
        text = self.type(kind, member.pinned)
        if not self.defined.issuperset(refs_of(kind)):
            # Not defined yet, because it leads back here: resolved when the model is first used.
            text = quoted(text)
        name = attribute(member.name)
        words = [] if member.required else ["default=None"]
        words += [] if name == member.name else [f"alias={quoted(member.name)}"]
        # What gives access to something stays out of logs, where the repr of a model ends up.
        words += ["repr=False"] if member.name in SECRETS else []
        if words == ["default=None"]:
            return f"    {name}: {text} = None"
        return f"    {name}: {text}" + (f" = Field({', '.join(words)})" if words else "")

    def schema(self, name: str) -> str:
        schema = self.plan.contract.schemas[name]
        python = self.plan.names[name]
        if isinstance(schema, Alias):
            if not self.defined.issuperset(refs_of(schema.type)):
                raise ContractError(f"{name}: two names that are not objects lead to each other")
            self.defined.add(name)
            return statement(f"{python}: TypeAlias = {self.type(schema.type)}")
        # Required ones first, as in any signature.
        members = sorted(schema.members, key=lambda member: not member.required)
        lines = [f"class {python}(Model):", *(self.member(member) for member in members)]
        self.defined.add(name)
        return "\n".join(lines if members else [*lines, "    pass"])


def _is_words(plan: Plan, name: str) -> bool:
    schema = plan.contract.schemas[name]
    return isinstance(schema, Alias) and isinstance(schema.type, Choice)


def models_module(plan: Plan, module: str) -> str:
    """Return one module of models."""
    own = plan.models.names_in(module)
    used = _used(plan, own) - own
    writer = _Models(plan, set(used))
    ordered = in_order(plan.contract, own)
    words = [name for name in ordered if _is_words(plan, name)]
    enums = [textwrap.indent(writer.schema(name), "    ") for name in words]
    if words:
        # An open enum takes any string, so that is what pydantic is given: it saves a fifth of the time that models take to load.
        names = " = ".join(plan.names[name] for name in words)
        enums = ["if TYPE_CHECKING:", *enums, f"else:\n    {names} = str"]
    text = "\n\n".join(["\n".join(enums), *(writer.schema(name) for name in ordered if name not in words)])
    typing = [name for name in ("Annotated", "Literal", "TypeAlias") if f"{name}[" in text or f": {name} " in text]
    typing = sorted(typing + (["TYPE_CHECKING"] if words else []))
    base = [name for name in ("Anything", "Model", "Moment") if mentions(text, name)]
    head = [
        HEADER.format(what="what answers hold."),
        "import datetime as dt" if "dt.d" in text else "",
        f"from typing import {', '.join(typing)}" if typing else "",
        "from pydantic import Field" if "Field(" in text else "",
        f"from monite_async.models._base import {', '.join(base)}" if base else "",
        *_imports(plan.models, used, plan.names, "models"),
    ]
    listed = ", ".join(quoted(name) for name in sorted(plan.names[name] for name in own))
    return "\n".join(line for line in head if line) + f"\n\n__all__ = [{listed}]\n\n{text}\n"


# -- requests


@dataclass(frozen=True, slots=True)
class Inputs:
    """Types of what callers pass in."""

    plan: Plan

    def name(self, name: str) -> str:
        """Return the name of a schema on this side: whatever holds objects ends in ``Input``."""
        return self.plan.names[name] + ("Input" if self.structured(name) else "")

    def structured(self, name: str) -> bool:
        """Tell whether a schema is, or leads to, an object."""
        schema = self.plan.contract.schemas[name]
        return isinstance(schema, Object) or any(self.structured(other) for other in refs_of(schema.type))

    def type(self, kind: Type, pinned: bool = False) -> str:
        """Return the type of a value."""
        match kind:
            case Scalar():
                return _IN.get(kind.kind, "str")
            case Choice(values=values):
                return literal(values) if pinned else f"{literal(values)} | str"
            case Ref(name=name):
                is_object = isinstance(self.plan.contract.schemas[name], Object)
                return f"{self.name(name)} | Model" if is_object else self.name(name)
            case ListOf(item=item):
                return f"Sequence[{self.type(item)}]"
            case MapOf(value=value):
                return f"Mapping[str, {self.type(value)}]"
            case Union(members=members):
                parts = [self.type(member).removesuffix(" | Model") for member in members]
                models = [" | Model"] if any(self.type(member).endswith(" | Model") for member in members) else []
                return "".join([" | ".join(dict.fromkeys(parts)), *models])
            case Nullable(inner=inner):
                return f"{self.type(inner, pinned)} | None"
            case _:
                return "object"

    def member(self, member: Member) -> str:
        """Return the type of a field; one that may be left out may also be null, unless it has a default."""
        kind = member.type
        if not member.required and member.default is None and not isinstance(kind, Nullable):
            kind = Nullable(kind)
        # A field that must be there and takes one word only is what tells the kinds of an object apart.
        single = member.required and isinstance(kind, Choice) and len(kind.values) == 1
        return self.type(kind, member.pinned or single)

    def schema(self, name: str) -> str:
        """Return the definition of a schema."""
        schema = self.plan.contract.schemas[name]
        python = self.name(name)
        if isinstance(schema, Alias):
            text = self.type(schema.type)
            return statement(f"{python}: TypeAlias = {text}")
        members = sorted(schema.members, key=lambda member: not member.required)
        entries = [
            (member.name, f"Required[{self.member(member)}]" if member.required else self.member(member))
            for member in members
        ]
        if all(key.isidentifier() and not keyword.iskeyword(key) for key, _ in entries):
            body = [f"    {key}: {text}" for key, text in entries] or ["    pass"]
            return "\n".join([f"class {python}(TypedDict, total=False):", *body])
        pairs = ", ".join(f"{quoted(key)}: {quoted(text)}" for key, text in entries)
        return f'{python} = TypedDict("{python}", {{{pairs}}}, total=False)'


def types_module(plan: Plan, module: str) -> str:
    """Return one module of inputs."""
    own = plan.types.names_in(module)
    used = _used(plan, own) - own
    writer = Inputs(plan)
    python = {name: writer.name(name) for name in plan.types.by_name}
    parts = [writer.schema(name) for name in in_order(plan.contract, own)]
    text = "\n\n".join(parts)
    typing = [name for name in ("Literal", "Required", "TypeAlias", "TypedDict") if name in text]
    abstract = [name for name in ("Mapping", "Sequence") if f"{name}[" in text]
    # For real, not for type checkers only: whoever asks for the hints of an input at run time gets them.
    head = [
        HEADER.format(what="what requests may hold."),
        "from __future__ import annotations\n",
        "import datetime as dt\n" if "dt.d" in text else "",
        f"from collections.abc import {', '.join(abstract)}" if abstract else "",
        f"from typing import {', '.join(sorted(typing))}\n" if typing else "",
        "from monite_async._files import FileInput" if mentions(text, "FileInput") else "",
        "from monite_async.models._base import Model" if "| Model" in text else "",
        *_imports(plan.types, used, python, "types"),
    ]
    listed = ", ".join(quoted(name) for name in sorted(python[name] for name in own))
    return "\n".join(line for line in head if line) + f"\n\n__all__ = [{listed}]\n\n{text}\n"
