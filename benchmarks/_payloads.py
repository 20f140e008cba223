"""Answers as full as they can be: every field of a model filled, so that nobody is measured on empty objects."""

from __future__ import annotations

import datetime as dt
import types
import typing
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["page", "payable"]

_ID = "5b4daced-6b9a-4707-83c6-08193d999fab"
_MOMENT = "2026-03-14T09:26:53.589793+00:00"
_MAX_DEPTH = 4


def payable(*, recognized: bool = False) -> dict[str, object]:
    """Return one payable as the API answers it: one that was created through it, or one that was read from a file."""
    from monite_async.models.payables import PayableResponseSchema

    whole = _object(PayableResponseSchema, 0)
    return whole if recognized else {**whole, "other_extracted_data": None}


def page(size: int = 100, *, recognized: bool = False) -> dict[str, object]:
    """Return a page of payables."""
    data = [payable(recognized=recognized) for _ in range(size)]
    return {"data": data, "next_pagination_token": "a" * 64, "prev_pagination_token": None}


def _object(model: type[BaseModel], depth: int) -> dict[str, object]:
    model.model_rebuild()
    return {name: _value(name, field.annotation, depth) for name, field in model.model_fields.items()}


def _value(name: str, kind: Any, depth: int) -> object:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return _value(name, arguments[0], depth)
    if origin in (Union, types.UnionType):
        return _value(name, _choice(arguments), depth)
    if origin is typing.Literal:
        return arguments[0]
    if origin is list:
        return [] if depth >= _MAX_DEPTH else [_value(name, arguments[0], depth + 1)]
    if origin is dict:
        return {"reference": "PO-2026-000123"}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {} if depth >= _MAX_DEPTH else _object(kind, depth + 1)
    if name == "id" or name.endswith("_id"):
        return _ID
    plain: dict[Any, object] = {
        bool: True, int: 125_000, float: 19.5, dt.datetime: _MOMENT, dt.date: "2026-03-14", str: "Acme Supplies Ltd."
    }  # fmt: skip
    return plain.get(kind, "anything")


def _choice(arguments: tuple[Any, ...]) -> object:
    """Return the member of a union to fill in: an enum before any string, whatever it is before null."""
    members = [member for member in arguments if member is not type(None)]
    return next((member for member in members if get_origin(member) is typing.Literal), members[0])
