"""The emulator's table of answers: what every operation answers with, one line for each schema."""

from __future__ import annotations

from codegen.ir import Alias, Choice, Contract, ListOf, MapOf, Member, Nullable, Object, Ref, Scalar, Type, Union
from codegen.order import closure
from codegen.output import HEADER
from codegen.text import quoted

__all__ = ["shapes_module"]


def _type(kind: Type) -> tuple[object, ...] | str:
    match kind:
        case Scalar():
            smallest = kind.minimum if kind.above is None else kind.above + 1
            bounds = (smallest, kind.min_length)
            return kind.kind if not any(bounds) else ("scalar", kind.kind, *bounds)
        case Choice(values=values):
            return ("enum", *values)
        case Ref(name=name):
            return ("ref", name)
        case ListOf(item=item):
            return ("list", _type(item))
        case MapOf(value=value):
            return ("map", _type(value))
        case Union(members=members, discriminator=key):
            return ("union", key, *map(_type, members))
        case Nullable(inner=inner):
            return ("null", _type(inner))
        case _:
            return "any"


def _member(member: Member) -> tuple[object, ...]:
    default = () if member.default is None else (member.default,)
    return (member.name, member.required, _type(member.type), *default)


def shapes_module(contract: Contract) -> str:
    """Return the module that says what answers hold; nothing in it but literals, so that loading it costs little."""
    results = [(op.operation_id, op.result) for op in contract.operations if op.result is not None]
    lines: list[str] = []
    for name in sorted(closure(contract, [kind for _, kind in results])):
        schema = contract.schemas[name]
        if isinstance(schema, Object):
            shape: object = ("object", *map(_member, schema.members))
        else:
            assert isinstance(schema, Alias)
            shape = _type(schema.type)
        lines.append(f"    {quoted(name)}: {quoted(shape)},")
    return "\n".join(
        [
            HEADER.format(what="the shape of every answer."),
            "from __future__ import annotations\n",
            "from typing import Final, TypeAlias\n",
            '__all__ = ["RESULTS", "SHAPES", "Shape"]\n',
            'Shape: TypeAlias = "str | tuple[object, ...]"\n',
            # One line each: the formatter would make thousands of them.
            "# fmt: off",
            "SHAPES: Final[dict[str, Shape]] = {",
            *lines,
            "}\n",
            "RESULTS: Final[dict[str, Shape]] = {",
            *(f"    {quoted(operation)}: {quoted(_type(kind))}," for operation, kind in results),
            "}",
            "# fmt: on",
            "",
        ]
    )
