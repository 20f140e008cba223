"""The second look at an answer that is not what the contract says: keep every field that can be kept.

Runs only after pydantic refused the whole. Clean parts still go through pydantic in one piece; only the path down to
what does not fit is walked here, so a page of a hundred with one odd field costs little more than two validations.
"""

from __future__ import annotations

import datetime as dt
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from monite_async._errors import ResponseValidationError
from monite_async.models._base import Model, adapter

__all__ = ["salvage"]

_MISSING: Final[Any] = object()
_MAX_PROBLEMS: Final = 50
_MAX_NAMED: Final = 3
_ONE_OF: Final = "one of "

Notes = list[tuple[str, str]]
"""What was found: the place, and what was expected there."""


class _UnfitError(Exception):
    """A value that nothing can be kept of."""


def salvage(kind: Any, data: bytes, *, lenient: bool) -> tuple[Any, ResponseValidationError | None]:
    """Return what of a body fits the contract, or the error to raise: nothing does, or not all and not ``lenient``.

    An object of a kind that the contract does not know is like an enum value that it does not know: kept as it came.
    The error is not raised here, for its traceback would hold the body, in the variables of this frame.

    Args:
        kind: What the body should be.
        data: The body.
        lenient: Hand back what fits when some of it does not.
    """
    try:
        value = pydantic_core.from_json(data)
    except ValueError:
        return None, ResponseValidationError("the answer is not JSON")
    notes: Notes = []
    try:
        kept = _keep(kind, value, "", notes, refused=True)
    except _UnfitError:
        problems = _lines(notes or [("", _name(kind))])
        return None, ResponseValidationError("the answer is not of the expected form", problems=problems)
    unfit = [note for note in notes if not note[1].startswith(_ONE_OF)]
    if unfit and not lenient:
        places = ", ".join(place or "body" for place, _ in unfit[:_MAX_NAMED])
        return None, ResponseValidationError(
            f"the answer is not what the contract says at {places}; lenient=True hands back the rest",
            problems=_lines(unfit),
        )
    return kept, None


def _lines(notes: Notes) -> tuple[str, ...]:
    return tuple(f"{place or 'body'}: expected {wanted}" for place, wanted in notes[:_MAX_PROBLEMS])


def _join(place: str, step: str) -> str:
    return f"{place}.{step}" if place else step


# -- types -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    alias: str
    info: FieldInfo
    kind: Any


@functools.lru_cache(maxsize=4096)
def _fields(model: type[Model]) -> tuple[_Field, ...]:
    return tuple(_Field(name, info.alias or name, info, _whole(info)) for name, info in model.model_fields.items())


def _whole(info: FieldInfo) -> Any:
    """Return the type of a field with what pydantic took off it: how it is read is part of what it should be."""
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _check(kind: Any, value: Any) -> Any:
    """Return the value as pydantic reads it, or ``_MISSING``."""
    try:
        return adapter(kind).validate_python(value)
    except pydantic.ValidationError:
        return _MISSING


def _branches(kind: Any) -> list[Any]:
    """Return the members of a union, nested ones and those behind ``Annotated`` included."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _branches(typing.get_args(kind)[0])
    if origin is typing.Union or origin is types.UnionType:
        return [branch for member in typing.get_args(kind) for branch in _branches(member)]
    return [kind]


def _is(value: Any, kind: type) -> bool:
    """Test a value of JSON without narrowing it to a container of unknowns."""
    return type(value) is kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


_WORDS: Final[dict[Any, str]] = {
    bool: "boolean",
    dict: "object",
    dt.date: "date",
    dt.datetime: "date-time",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
}


def _name(kind: Any) -> str:
    """Return what is expected, in words that name no value."""
    names: list[str] = []
    for branch in _branches(kind):
        origin = typing.get_origin(branch) or branch
        if origin is type(None):
            continue
        name = "string" if origin is Literal else "object" if _is_model(origin) else _WORDS.get(origin, "value")
        names += [name] if name not in names else []
    return " or ".join(names)


# -- values ------------------------------------------------------------------------------------------------------


def _keep(kind: Any, value: Any, place: str, notes: Notes, refused: bool = False) -> Any:
    """Return the value, or what of it fits; tell the places that do not.

    Args:
        kind: What it should be.
        value: What it is.
        place: Where it stands.
        notes: What was found so far.
        refused: It is known already that the value as a whole does not fit.

    Raises:
        _UnfitError: Nothing of it fits.
    """
    branches = _branches(kind)
    items = [branch for branch in branches if typing.get_origin(branch) is list]
    # A list is looked at item by item at once: that tells the same, and one odd item of a hundred costs no second run.
    if not (refused or (items and _is(value, list))):
        whole = _check(kind, value)
        if whole is not _MISSING:
            return whole
    if _is(value, list) and items:
        item = typing.get_args(items[0])[0]
        return [_entry(item, entry, _join(place, str(at)), notes) for at, entry in enumerate(value)]
    if _is(value, dict):
        models = [branch for branch in branches if _is_model(branch)]
        if models:
            return _best(models, value, place, notes)
        for branch in branches:
            if typing.get_origin(branch) is dict:
                entry = typing.get_args(branch)[1]
                # A star for the key: it is content, not a name of the contract.
                return {key: _entry(entry, inner, _join(place, "*"), notes) for key, inner in value.items()}
    raise _UnfitError


def _entry(kind: Any, value: Any, place: str, notes: Notes) -> Any:
    """Return an entry of a list or a mapping, or tell its place: it is what makes the whole unreadable."""
    told = len(notes)
    try:
        return _keep(kind, value, place, notes)
    except _UnfitError:
        # Once, where it stands: the containers around it are what they should be.
        if len(notes) == told:
            notes.append((place, _name(kind)))
        raise


def _best(models: list[Any], value: dict[str, Any], place: str, notes: Notes) -> Model:
    """Return the value as the model that it fits best."""
    best: Model | None = None
    fewest: Notes = []
    for model in models:
        if len(models) > 1 and _contradicts(model, value):
            continue
        found: Notes = []
        built = _build(model, value, place, found)
        if best is None or len(found) < len(fewest):
            best, fewest = built, found
    if best is None:
        # A kind of object that this version does not know: all of it can be read, as it came.
        fewest = [(place, _ONE_OF + ", ".join(model.__name__ for model in models))]
        best = _instance(Model, {}, value, fewest, frozenset())
    notes += fewest
    return best


def _contradicts(model: type[Model], value: Mapping[str, Any]) -> bool:
    """Tell whether a field that pins its values (``type: Literal["invoice"]``) says that this is something else."""
    for field in _fields(model):
        branches = [branch for branch in _branches(field.kind) if branch is not type(None)]
        pinned = all(typing.get_origin(branch) is Literal for branch in branches)
        given = value.get(field.alias)
        if pinned and given is not None and not any(given in typing.get_args(branch) for branch in branches):
            return True
    return False


def _build(model: type[Model], value: dict[str, Any], place: str, notes: Notes) -> Model:
    kept: dict[str, Any] = {}
    unreadable: set[str] = set()
    found: Notes = []
    for field in _fields(model):
        here = _join(place, field.alias)
        if field.alias not in value:
            if field.info.is_required():
                unreadable.add(field.name)
                found.append((here, f"{_name(field.kind)}, which is missing"))
            else:
                kept[field.name] = field.info.get_default(call_default_factory=True, validated_data=kept)
            continue
        inner: Notes = []
        try:
            kept[field.name] = _keep(field.kind, value[field.alias], here, inner)
            found += inner
        except _UnfitError:
            unreadable.add(field.name)
            found += inner or [(here, _name(field.kind))]
    notes += found
    return _instance(model, kept, value, found, frozenset(unreadable))


def _instance(
    model: type[Model], kept: dict[str, Any], value: dict[str, Any], notes: Notes, unreadable: frozenset[str]
) -> Model:
    """Return a model that went past pydantic's validation: its parts have passed one by one."""
    aliases = {field.alias for field in _fields(model)}
    extra = {key: item for key, item in value.items() if key not in aliases}
    result = model.__new__(model)
    object.__setattr__(result, "__dict__", kept)
    given = {field.name for field in _fields(model) if field.alias in value}
    object.__setattr__(result, "__pydantic_fields_set__", given.intersection(kept))
    object.__setattr__(result, "__pydantic_extra__", extra)
    object.__setattr__(result, "__pydantic_private__", None)
    result._drift = _lines(notes)
    result._unreadable = unreadable
    return result
