"""Making a dataclass of values that came as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

__all__ = ["checked"]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=_Dataclass)


def checked(kind: type[T], values: Mapping[str, object]) -> T:
    """Return an instance with these values.

    Raises:
        ValueError: A field that does not exist, or a value of the wrong type; the text never shows the value.
    """
    unknown = set(values) - set(kind.__dataclass_fields__)
    if unknown:
        raise ValueError(f"there is no {', '.join(sorted(unknown))} in {kind.__name__}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        entries = error.errors(include_url=False, include_context=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in entries)
    raise ValueError(text)
