"""Which property tells the members of a union apart.

That property is made a required one in each of them: the contract gives it a default now and then, yet the server
refuses a body without it. Where the contract names no such property but there is one (required in every member, with
values that do not overlap), it is found: pydantic then needs one look instead of one try per member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from codegen.errors import ContractError
from codegen.ir import Alias, Choice, Contract, ListOf, MapOf, Member, Nullable, Object, Ref, Schema, Type, Union

__all__ = ["tell_apart"]


def tell_apart(contract: Contract) -> Contract:
    """Return the contract with every union that can have one given its discriminator.

    Raises:
        ContractError: A discriminator of the contract is not a choice of strings in every member.
    """
    schemas = dict(contract.schemas)
    # Named ones first: what they pin is then required, wherever in the contract they stand.
    for named in (True, False):
        worker = _Worker(schemas, named)
        for name in list(schemas):
            worker.schema(name)
        contract = replace(
            contract,
            operations=tuple(
                replace(op, body=worker.optional(op.body), result=worker.optional(op.result))
                for op in contract.operations
            ),
        )
    return replace(contract, schemas=schemas)


class _Worker:
    """One pass over all types, for the discriminators that are named or for those that are found."""

    def __init__(self, schemas: dict[str, Schema], named: bool) -> None:
        self.schemas = schemas
        self.named = named

    def schema(self, name: str) -> None:
        schema = self.schemas[name]
        if isinstance(schema, Alias):
            self.schemas[name] = Alias(name, self.type(schema.type))
            return
        for member in schema.members:
            kind = self.type(member.type)
            # Looked up again each time: the union may have pinned a member of this very schema.
            self.change(name, member.name, partial(replace, type=kind))

    def change(self, name: str, key: str, how: Callable[[Member], Member]) -> None:
        schema = self.schemas[name]
        assert isinstance(schema, Object)
        members = tuple(how(member) if member.name == key else member for member in schema.members)
        self.schemas[name] = replace(schema, members=members)

    def optional(self, kind: Type | None) -> Type | None:
        return None if kind is None else self.type(kind)

    def type(self, kind: Type) -> Type:
        match kind:
            case ListOf(item=inner):
                return replace(kind, item=self.type(inner))
            case MapOf(value=inner):
                return MapOf(self.type(inner))
            case Nullable(inner=inner):
                return Nullable(self.type(inner))
            case Union(members=members):
                return self.union(kind, [member.name for member in members if isinstance(member, Ref)])
            case _:
                return kind

    def union(self, kind: Union, names: list[str]) -> Type:
        objects = [schema for name in names if isinstance(schema := self.schemas[name], Object)]
        whole = len(objects) == len(kind.members)
        key = kind.discriminator if self.named else kind.discriminator or (_telling(objects) if whole else None)
        if key is None:
            return kind
        for schema in objects:
            if not any(member.name == key and isinstance(member.type, Choice) for member in schema.members):
                raise ContractError(f"{schema.name}: {key} tells objects apart, but is no choice of strings")
            self.change(schema.name, key, partial(replace, pinned=True, required=True, default=None))
        return replace(kind, discriminator=key)


def _telling(objects: list[Object]) -> str | None:
    """Return the property that tells objects apart, if there is one."""
    choices = [
        {
            member.name: member.type.values
            for member in schema.members
            if member.required and isinstance(member.type, Choice)
        }
        for schema in objects
    ]
    for key in choices[0]:
        values = [value for choice in choices for value in choice.get(key, ("", ""))]
        if len(values) == len(set(values)):
            return key
    return None
