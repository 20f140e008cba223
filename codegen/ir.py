"""What the generator knows about the contract: a few frozen values, free of JSON.

The reader (``reader.py``) makes them, the writers (``write_*.py``) turn them into Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = [
    "Alias",
    "Anything",
    "Choice",
    "Contract",
    "Header",
    "ListOf",
    "MapOf",
    "Member",
    "Nullable",
    "Object",
    "Op",
    "Query",
    "Ref",
    "Scalar",
    "Schema",
    "Type",
    "Union",
    "refs_of",
    "schema_refs",
]

Header: TypeAlias = Literal["required", "optional", "absent"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number or boolean; ``kind`` is the JSON type or, where it says more, the format."""

    kind: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list of strings, which may be a single one."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """A schema by its name in the contract."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array."""

    item: Type
    min_items: int | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free keys."""

    value: Type


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types; with a discriminator, ``mapping`` says which value means which schema."""

    members: tuple[Type, ...]
    discriminator: str | None = None
    mapping: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Nullable:
    """A type or JSON null."""

    inner: Type


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""


Type: TypeAlias = Scalar | Choice | Ref | ListOf | MapOf | Union | Nullable | Anything


@dataclass(frozen=True, slots=True)
class Member:
    """One property of an object, or one field of a body; ``pinned`` when its value tells which object it is."""

    name: str
    type: Type
    required: bool
    default: object = None
    deprecated: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """An object schema with named properties."""

    name: str
    members: tuple[Member, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """A named schema that is not an object with properties: an enum, a union, a list, a map."""

    name: str
    type: Type


Schema: TypeAlias = Object | Alias


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter."""

    name: str
    type: Type
    required: bool
    default: object = None


@dataclass(frozen=True, slots=True)
class Op:
    """One operation."""

    operation_id: str
    method: str
    path: str
    tag: str
    entity_header: Header
    path_params: tuple[str, ...]
    query: tuple[Query, ...]
    status: int
    statuses: tuple[int, ...]
    result: Type | None
    binary: bool
    body: Type | None
    body_required: bool
    multipart: bool
    deprecated: bool


@dataclass(frozen=True, slots=True)
class Contract:
    """All of it, after the fixes."""

    version: str
    schemas: dict[str, Schema] = field(default_factory=dict[str, Schema])
    operations: tuple[Op, ...] = ()


def refs_of(kind: Type | None) -> tuple[str, ...]:
    """Return the names of the schemas that a type mentions, in order."""
    match kind:
        case Ref(name=name):
            return (name,)
        case ListOf(item=inner) | MapOf(value=inner) | Nullable(inner=inner):
            return refs_of(inner)
        case Union(members=members):
            return tuple(name for member in members for name in refs_of(member))
        case _:
            return ()


def schema_refs(schema: Schema) -> tuple[str, ...]:
    """Return the names of the schemas that a schema mentions, in order."""
    if isinstance(schema, Alias):
        return refs_of(schema.type)
    return tuple(name for member in schema.members for name in refs_of(member.type))
