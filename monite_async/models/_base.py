"""The base of the generated models, and the way from the bytes of an answer to one of them."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, cast, overload

import pydantic
from pydantic_core import core_schema

from monite_async._collector import AtRest
from monite_async._errors import ResponseValidationError

__all__ = [
    "LARGE",
    "REFUSED",
    "Anything",
    "Aware",
    "Model",
    "Moment",
    "adapter",
    "decode",
    "is_secret",
    "note_request_id",
    "reader",
]

LARGE = 65_536
"""Bytes from which on an answer is read while the collector rests."""
REFUSED = pydantic.ValidationError
"""What a reader raises for a body that does not fit; it holds the body."""

T = TypeVar("T")
M = TypeVar("M", bound="Model")


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)


class Aware:
    """Takes a point in time without an offset for one in UTC, which is what the API means by it."""

    # Two branches, and Python only in the second: one with an offset, as nearly all are, costs no call from Rust.
    schema: ClassVar[core_schema.CoreSchema] = core_schema.union_schema(
        [
            core_schema.datetime_schema(tz_constraint="aware"),
            core_schema.no_info_after_validator_function(_in_utc, core_schema.datetime_schema()),
        ],
        mode="left_to_right",
    )

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> core_schema.CoreSchema:
        return self.schema


Anything: TypeAlias = object
"""Any JSON value; by another name, for the API has fields that are called ``object``."""
Moment: TypeAlias = Annotated[dt.datetime, Aware()]
"""A point in time, always with its offset: the API may leave that out, and then means UTC (Monite, "Base concepts")."""


class Model(pydantic.BaseModel):
    """An answer of the API, or a part of one.

    Fields that the contract does not know are kept and can be read as attributes; values that an enum does not know
    are passed on; every field that may be left out may also be null. What the server filled with something else than
    the contract says raises ``ResponseValidationError``, or in lenient mode is left out: see ``drift``.

    Models can be changed (read, modify, send back): nothing is shared between two answers.
    """

    # Slots, not private attributes: pydantic would call back into Python for every instance to set those up, a
    # quarter of the time that a whole page takes. An unset slot costs nothing.
    __slots__ = ("_drift", "_request_id", "_unreadable")

    model_config: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(
        extra="allow", defer_build=True, populate_by_name=True, protected_namespaces=(), serialize_by_alias=True
    )

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the answer that this model is the body of; None on nested models."""
        return cast("str | None", _slot(self, "_request_id", None))

    @property
    def drift(self) -> tuple[str, ...]:
        """Where this part of the answer is not what the contract says: one line per place, never with the value.

        Empty unless the answer was asked for with ``lenient=True``, or holds an object of a kind that the contract does
        not know. Reading a field that is listed here raises ``ResponseValidationError``; all others are as usual.
        """
        return cast("tuple[str, ...]", _slot(self, "_drift", ()))

    if TYPE_CHECKING:
        _request_id: str | None = pydantic.PrivateAttr(default=None)
        _drift: tuple[str, ...] = pydantic.PrivateAttr(default=())
        _unreadable: frozenset[str] = pydantic.PrivateAttr(default=frozenset())
    else:  # for type checkers pydantic's own, precise signatures hold

        def __getattr__(self, name: str) -> Any:
            if name in _slot(self, "_unreadable", ()):
                raise ResponseValidationError(
                    f"field {name} of {type(self).__name__} is not what the contract says", problems=self.drift
                )
            return super().__getattr__(name)

        def model_dump(self, **options: Any) -> dict[str, Any]:
            return super().model_dump(**_quiet(self, options))

        def model_dump_json(self, **options: Any) -> str:
            return super().model_dump_json(**_quiet(self, options))

    def __repr_args__(self) -> Iterable[tuple[str | None, Anything]]:
        # The generator marks the secrets that the contract knows; these are the ones that it does not.
        return [(name, _open(value)) for name, value in super().__repr_args__() if not is_secret(name)]

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "slots": {name: _slot(self, name, None) for name in Model.__slots__}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        _fill(self, state["slots"])

    def __copy__(self) -> Self:
        return _fill(super().__copy__(), self.__getstate__()["slots"])

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return _fill(super().__deepcopy__(memo), self.__getstate__()["slots"])


_SECRET_ENDS = ("secret", "token")


def is_secret(name: object) -> bool:
    """Tell whether a field of this name holds a secret, by its end; tokens that name pages are none."""
    text = str(name).lower()
    return text.endswith(_SECRET_ENDS) and not text.endswith("pagination_token")


def _open(value: object) -> object:
    """Return a value that may be shown: JSON that no model describes is looked through for secrets as well."""
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {name: _open(item) for name, item in items if not is_secret(name)}
    if isinstance(value, list):
        return [_open(item) for item in cast("list[object]", value)]
    return value


_SLOTS = {name: vars(Model)[name] for name in Model.__slots__}
note_request_id = _SLOTS["_request_id"].__set__  # a tenth of what pydantic takes for setting an attribute


def _slot(model: Model, name: str, default: object) -> Any:
    try:
        # Through the descriptor: a plain read of an unset slot would come back to __getattr__.
        return _SLOTS[name].__get__(model)
    except AttributeError:
        return default


def _fill(model: M, slots: dict[str, object]) -> M:
    for name, value in slots.items():
        if value is not None:
            object.__setattr__(model, name, value)
    return model


def _quiet(model: Model, options: dict[str, Any]) -> dict[str, Any]:
    # Each part as what it is: by the types of the fields, pydantic would stumble over a union that holds neither of
    # its members, and warn of fields that are not there, quoting the values of their neighbours.
    return {"warnings": False, "serialize_as_any": True, **options} if model.drift else options


@functools.lru_cache(maxsize=2048)
def adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    """Return pydantic's reader of a type, made once."""
    # An adapter for a list or a union costs 100 microseconds to make; the contract names a few dozen of them.
    return pydantic.TypeAdapter(kind)


@functools.lru_cache(maxsize=2048)
def reader(kind: Any) -> Callable[[bytes], Any]:
    """Return what turns the bytes of an answer into a type, made once."""
    from monite_async.models._reader import plain_reader

    ours = plain_reader(kind)
    if ours is not None:
        return ours
    if isinstance(kind, type) and issubclass(cast("type[object]", kind), pydantic.BaseModel):
        return cast("type[pydantic.BaseModel]", kind).model_validate_json
    return adapter(kind).validate_json


@overload
def decode(kind: type[T], data: bytes, *, request_id: str | None = None, lenient: bool = False) -> T: ...
@overload
def decode(kind: object, data: bytes, *, request_id: str | None = None, lenient: bool = False) -> Any: ...
def decode(kind: Any, data: bytes, *, request_id: str | None = None, lenient: bool = False) -> Any:
    """Return the body of an answer as what the contract says it is.

    The bytes go straight into pydantic's parser. Only when that refuses them are they looked at a second time, field
    by field: what does not fit is named in the error or, in lenient mode, left out and noted in ``drift``.

    Args:
        kind: A model, or a union, list or mapping of models.
        data: The body, JSON.
        request_id: The ``x-request-id`` of the answer.
        lenient: Hand back what fits instead of raising for what does not.

    Raises:
        ResponseValidationError: Something in the body does not fit, each place in ``problems``; in lenient mode, the
            body is not JSON or not even an object where a model is expected. Its text holds nothing of the body.
    """
    result: Any
    try:
        if len(data) < LARGE:
            result = reader(kind)(data)
        else:
            with AtRest():  # the collector takes a fifth to a half of the time that a page needs
                result = reader(kind)(data)
    except REFUSED:
        result = _NOTHING
    if result is _NOTHING:
        # Outside of the handler, lest the error of pydantic, which holds the body, becomes a context of ours.
        from monite_async.models._lenient import salvage

        result, error = salvage(kind, data, lenient=lenient)
        if error is not None:
            del data  # which would stand in a traceback with locals
            raise error
    if request_id is not None and isinstance(result, Model):
        note_request_id(result, request_id)
    return result


_NOTHING: Any = object()
