"""The emulator's tables: every route, the shape of every answer, strict request models."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir import Alias, Choice, Contract, ListOf, Nullable, Op, Query, Ref, Scalar, Type, Union
from codegen.output import HEADER
from codegen.text import quoted
from codegen.write_bodies import bodies_modules
from codegen.write_shapes import shapes_module

__all__ = ["emulator_modules"]

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
    facts = (op.operation_id, op.tag, op.entity_header, op.status, body, op.multipart)
    return f"route({', '.join(map(quoted, facts))}, ({query}))"


def _routes_module(contract: Contract) -> str:
    """Return the module that lists all operations, each with what a server has to know beside method and path."""
    lines = [
        HEADER.format(what="every route of the API."),
        "from __future__ import annotations\n",
        "from typing import Final\n",
        "from monite_async.emulator._route import QueryParam, Route, route\n",
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


def emulator_modules(contract: Contract, tags: Sequence[str] | None = None) -> dict[str, str]:
    """Return the modules of the emulator's tables by name.

    Args:
        contract: The contract.
        tags: The tags whose request models are made; None: all.
    """
    chosen = sorted({op.tag for op in contract.operations}) if tags is None else tags
    return {
        "routes": _routes_module(contract),
        "shapes": shapes_module(contract),
        **bodies_modules(contract, chosen),
    }
