"""Building answers that are complete by the contract out of what is known, field by field.

What is not known is null where that may be, the contract's default where it has one, and invented only where the
contract demands a value: ids, times, the first of a list of words.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from monite_async.emulator._contract.shapes import SHAPES, Shape
from monite_async.emulator._message import as_list, as_object

__all__ = ["Context", "build", "members", "resolved"]

_MISSING = object()
_MISFIT = -1_000_000
_AUTHORS = ("created_by", "updated_by", "entity_user_id")
_TEXTS = frozenset({"string", "uuid", "date", "date-time", "email", "uri", "hostname", "binary"})
_NAMED: Mapping[str, str] = {"email": "nobody@emulator.test", "hostname": "emulator.test", "binary": ""}


@dataclass(frozen=True, slots=True)
class Context:
    """What inventing needs to know.

    Attributes:
        now: The time, as the API writes it.
        origin: Scheme and authority for addresses.
        entity_id: The entity of the call.
        author: Who calls, for fields that tell who did something.
        find: Finds a stored object by its id, for answers that hold whole what requests name by id.
    """

    now: str
    origin: str
    entity_id: str
    author: str
    find: Callable[[str], dict[str, object] | None]


def resolved(shape: Shape) -> Shape:
    """Follow names and nullability to the shape itself."""
    while isinstance(shape, tuple) and shape[0] in {"ref", "null"}:
        shape = SHAPES[str(shape[1])] if shape[0] == "ref" else cast("Shape", shape[1])
    return shape


def members(shape: Shape) -> dict[str, tuple[object, ...]]:
    """Return the members of an object by name, of a union of objects those of all; nothing for other shapes."""
    shape = resolved(shape)
    if isinstance(shape, tuple) and shape[0] == "object":
        return {str(member[0]): member for member in cast("tuple[tuple[object, ...], ...]", shape[1:])}
    if isinstance(shape, tuple) and shape[0] == "union":
        found: dict[str, tuple[object, ...]] = {}
        for branch in cast("tuple[Shape, ...]", shape[2:]):
            found.update(members(branch))
        return found
    return {}


def build(shape: Shape, value: object, context: Context, name: str = "") -> object:
    """Return a JSON value of this shape that shows as much of a given one as fits.

    Args:
        shape: What to build.
        value: What is known.
        context: What inventing needs to know.
        name: The field that the value is for; what is invented depends on it.
    """
    if isinstance(shape, str):
        return _scalar(shape, value, context, name, 0)
    match shape[0]:
        case "ref":
            return build(SHAPES[str(shape[1])], value, context, name)
        case "null":
            inner = cast("Shape", shape[1])
            given = value is not _MISSING and value is not None and _rank(inner, value) > _MISFIT
            return build(inner, value, context, name) if given else None
        case "enum":
            return value if value in shape[1:] else shape[1]
        case "scalar":
            smallest = shape[2] if shape[1] in {"integer", "number"} else shape[3]
            return _scalar(str(shape[1]), value, context, name, cast("float | None", smallest) or 0)
        case "list":
            return [build(cast("Shape", shape[1]), item, context, name) for item in as_list(value)]
        case "map":
            inner = cast("Shape", shape[1])
            return {key: build(inner, item, context, key) for key, item in as_object(value).items()}
        case "union":
            branches = cast("tuple[Shape, ...]", shape[2:])
            return build(max(branches, key=lambda branch: _rank(branch, value)), value, context, name)
        case _:
            return _object(shape, as_object(value), context)


def _object(shape: tuple[object, ...], source: Mapping[str, object], context: Context) -> dict[str, object]:
    made: dict[str, object] = {}
    for member in cast("tuple[tuple[object, ...], ...]", shape[1:]):
        name, required, kind = str(member[0]), bool(member[1]), cast("Shape", member[2])
        value = source.get(name, _MISSING)
        if value is _MISSING:
            value = _embedded(name, kind, source, context)
        if value is _MISSING and len(member) > 3:
            value = copy.deepcopy(member[3])
        if required or (value is not _MISSING and value is not None and _rank(kind, value) > _MISFIT):
            made[name] = build(kind, value, context, name)
        else:
            made[name] = None
    return made


def _embedded(name: str, kind: Shape, source: Mapping[str, object], context: Context) -> object:
    """Return the stored object, or objects, that a request has named by id: ``entity_vat_id_id``, ``tag_ids``."""
    shape = resolved(kind)
    single = source.get(f"{name}_id")
    if isinstance(single, str) and isinstance(shape, tuple) and shape[0] in {"object", "union"}:
        return context.find(single) or _MISSING
    several = source.get(f"{name.removesuffix('s')}_ids")
    if several is not None and isinstance(shape, tuple) and shape[0] == "list":
        found = [context.find(str(item)) for item in as_list(several)]
        return [item for item in found if item is not None]
    return _MISSING


def _rank(shape: Shape, value: object) -> int:
    """Return how well a value fits a shape: the more the better, ``_MISFIT`` when not at all."""
    shape = resolved(shape)
    if isinstance(shape, str) or shape[0] == "scalar":
        kind = shape if isinstance(shape, str) else str(shape[1])
        return 0 if kind == "any" or _is(kind, value) else _MISFIT
    match shape[0]:
        case "enum":
            return 0 if value in shape[1:] else _MISFIT
        case "list":
            return 0 if isinstance(value, list) else _MISFIT
        case "map":
            return 0 if isinstance(value, dict) else _MISFIT
        case "union":
            return max(_rank(branch, value) for branch in cast("tuple[Shape, ...]", shape[2:]))
        case _:
            return _object_rank(shape, value)


def _object_rank(shape: tuple[object, ...], value: object) -> int:
    if not isinstance(value, dict):
        return _MISFIT
    source, rank = as_object(cast("object", value)), 0
    for member in cast("tuple[tuple[object, ...], ...]", shape[1:]):
        kind = resolved(cast("Shape", member[2]))
        given = source.get(str(member[0]))
        if isinstance(kind, tuple) and kind[0] == "enum" and given is not None and given not in kind[1:]:
            return _MISFIT
        rank += 1 if given is not None else -2 * bool(member[1])
    return rank


def _is(kind: str, value: object) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _scalar(kind: str, value: object, context: Context, name: str, smallest: float) -> object:
    if kind == "any":
        return None if value is _MISSING else value
    if value is not _MISSING and _is(kind, value):
        if kind == "date":
            return str(value)[:10]
        return f"{value}T00:00:00+00:00" if kind == "date-time" and len(str(value)) == 10 else value
    if kind in _TEXTS:
        return _text(kind, context, name, int(smallest))
    return False if kind == "boolean" else int(smallest)


def _text(kind: str, context: Context, name: str, shortest: int) -> str:
    match kind:
        case "uuid":
            if name == "entity_id" and context.entity_id:
                return context.entity_id
            return context.author if name.endswith(_AUTHORS) else str(uuid.uuid4())
        case "date-time":
            return context.now
        case "date":
            return context.now[:10]
        case "uri":
            return f"{context.origin}/{name}"
        case "string":
            return name.ljust(shortest, "-")[:shortest]
        case _:
            return _NAMED[kind]
