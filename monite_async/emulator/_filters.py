"""Filters of list calls: ``field`` and ``field__operator``, all combined with AND."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from monite_async.emulator._message import as_list, as_object
from monite_async.emulator._state import Record

__all__ = ["Getter", "Getters", "field_getter", "matcher"]

Getter = Callable[[Record], object]
Getters = Mapping[str, Getter]
Test = Callable[[object, object], bool]

_PAGING = frozenset({"order", "limit", "pagination_token", "sort"})


def _equals(value: object, wanted: object) -> bool:
    return value == wanted or wanted in as_list(value) or _any_of(value, as_list(wanted))


def _any_of(value: object, wanted: list[object]) -> bool:
    return value in wanted or any(item in wanted for item in as_list(value))


def _ordered(compare: Callable[[Any, Any], Any]) -> Test:
    def test(value: object, wanted: object) -> bool:
        return value is not None and bool(compare(value, wanted))

    return test


def _texts(compare: Callable[[str, str], bool]) -> Test:
    def test(value: object, wanted: object) -> bool:
        return isinstance(value, str) and isinstance(wanted, str) and compare(value, wanted)

    return test


_TESTS: Mapping[str, Test] = {
    "": _equals,
    "gt": _ordered(operator.gt),
    "lt": _ordered(operator.lt),
    "gte": _ordered(operator.ge),
    "lte": _ordered(operator.le),
    "in": lambda value, wanted: _any_of(value, as_list(wanted)),
    "not_in": lambda value, wanted: not _any_of(value, as_list(wanted)),
    "iexact": _texts(lambda value, wanted: value.casefold() == wanted.casefold()),
    "contains": _texts(lambda value, wanted: wanted in value),
    "icontains": _texts(lambda value, wanted: wanted.casefold() in value.casefold()),
    "ncontains": lambda value, wanted: not (isinstance(value, str) and isinstance(wanted, str) and wanted in value),
    "istartswith": _texts(lambda value, wanted: value.casefold().startswith(wanted.casefold())),
}

_SPECIAL: Mapping[str, Test] = {"search_text": _TESTS["icontains"]}


def field_getter(name: str) -> Getter:
    """Return what reads a field of the records by the name that a filter gives it.

    Dots lead into objects, ``tag_ids`` to the ids of what is shown whole as ``tags``; fields that requests have and
    answers have not are found as well.
    """
    if name in {"id", "created_at", "updated_at"}:
        return operator.attrgetter(name)
    first, *rest = name.split(".")

    def get(record: Record) -> object:
        value = _held(record, first)
        for part in rest:
            value = as_object(value).get(part)
        return value

    return get


def _held(record: Record, name: str) -> object:
    """Return what a record holds under a name, or what the name says of what it holds."""
    data = record.data
    if name in data:
        return data[name]
    whole = f"{name.removesuffix('_ids')}s"
    if name.endswith("_ids") and whole in data:
        return [as_object(item).get("id") for item in as_list(data[whole])]
    if name.startswith("has_"):
        thing = name.removeprefix("has_")
        return data.get(thing, data.get(f"{thing}_id")) is not None
    if name.startswith("object_") and "object" in data:
        return as_object(data["object"]).get(name.removeprefix("object_"))
    if "created_by" in name:
        return record.created_by
    return as_object(record.private.get("source")).get(name)


def matcher(query: Mapping[str, object], getters: Getters) -> Callable[[Record], bool]:
    """Return what tells whether a record passes every filter of the query.

    Args:
        query: Parsed query parameters, those of paging included.
        getters: How to read the fields that are not simply there under their name.
    """
    tests: list[tuple[Getter, Test, object]] = []
    for name, wanted in query.items():
        if name not in _PAGING:
            field, _, suffix = name.partition("__")
            tests.append((getters.get(field) or field_getter(field), _SPECIAL.get(name) or _TESTS[suffix], wanted))
    return lambda record: all(test(_comparable(get(record), wanted), wanted) for get, test, wanted in tests)


def _comparable(value: object, wanted: object) -> object:
    """Return a value as what it is compared with: times as times, an amount with its currency as the amount."""
    if isinstance(wanted, datetime) and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if isinstance(wanted, int | float) and isinstance(value, dict):
        return as_object(cast("object", value)).get("value")
    return value
