"""From Python values to what goes on the wire: paths, queries and JSON.

Every refusal is a ``ConfigurationError`` that names the field and says what to do; none holds a value.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast
from urllib.parse import quote, unquote

from monite_async._errors import ConfigurationError
from monite_async._options import UNSET

if TYPE_CHECKING:
    import decimal
    import uuid

    import pydantic

__all__ = ["encode_json", "encode_path", "encode_query", "field_text", "raw_path", "utf8"]

_MAX_DEPTH: Final = 100
_PARAMETER = re.compile(r"\{(\w+)\}")
is_plain: Final = re.compile(r"[0-9A-Za-z-]{1,256}").fullmatch
"""Tells whether a text can stand in a path as it is, as nearly every id can."""
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


# -- paths -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2048)
def _split(template: str) -> tuple[str, ...]:
    """Return the literal parts (even places) and the parameter names (odd places) of a path template."""
    return tuple(_PARAMETER.split(template))


def encode_path(template: str, values: Mapping[str, object]) -> str:
    """Fill a path template, each value percent-quoted as one segment (RFC 3986, section 3.3).

    Raises:
        ConfigurationError: A value is missing, empty, blank, ``.`` or ``..``, or is not a string, UUID or integer.
    """
    parts = _split(template)
    return "".join([_segment(part, values.get(part, UNSET)) if at % 2 else part for at, part in enumerate(parts)])


def _segment(name: str, value: object) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool) or not (isinstance(value, str | int) or _is_uuid(value)):
        raise ConfigurationError(f"path parameter {name} must be a string or a UUID, got {type(value).__name__}")
    text = str(value)
    if not text.strip() or text in {".", ".."}:
        raise ConfigurationError(f"path parameter {name} must not be empty, blank, '.' or '..'")
    return quote(utf8(text, f"path parameter {name}"), safe="")


def raw_path(path: str) -> str:
    """Check a path that a caller wrote by hand, and quote what is not ASCII in it.

    Raises:
        ConfigurationError: It does not start with one slash, holds a query, a fragment, white space, a control
            character or a backslash, or a segment that is ``.`` or ``..`` (also in percent-encoded form).
    """
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("path must be a string that starts with one slash, like '/payables'")
    if "?" in path or "#" in path:
        raise ConfigurationError("path must hold no query and no fragment; pass query={...}")
    if _UNPRINTABLE.search(path):
        raise ConfigurationError("path must hold no white space, control character or backslash; quote it")
    if any(unquote(segment) in {".", ".."} for segment in path.split("/")):
        raise ConfigurationError("path must hold no '.' or '..' segment")
    return quote(utf8(path, "path"), safe="/%:@!$&'()*+,;=~{}")


def utf8(text: str, what: str) -> bytes:
    """Return the text as UTF-8, or refuse it with ``what`` named."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        problem = f"{what} holds characters that cannot be encoded as UTF-8 (lone surrogates)"
    raise ConfigurationError(problem)


# -- queries -----------------------------------------------------------------------------------------------------


def encode_query(query: Mapping[str, object]) -> str:
    """Return the query string without its question mark.

    Lists repeat the key, booleans are ``true`` and ``false``, date-times are ISO 8601 in UTC, ``UNSET`` is left out.
    None and empty lists are refused rather than left out: a filter that silently vanishes returns everything.

    Raises:
        ConfigurationError: A value has no form in a query; the message names the parameter.
    """
    pairs: list[str] = []
    for name, value in query.items():
        if value is UNSET:
            continue
        key = quote(utf8(name, "a query parameter's name"), safe="")
        if isinstance(value, list | tuple | set | frozenset):
            texts = [field_text(name, item) for item in cast("Iterable[object]", value)]
            if not texts:
                raise ConfigurationError(f"query parameter {name} is an empty list; leave it out to filter by nothing")
        else:
            texts = [field_text(name, value)]
        pairs.extend(f"{key}={quote(utf8(text, f'query parameter {name}'), safe='')}" for text in texts)
    return "&".join(pairs)


def field_text(name: str, value: object) -> str:
    """Return the text of one scalar of a query or a form.

    Raises:
        ConfigurationError: The value is None, a container, a naive date-time, or not finite.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or _is_uuid(value):
        return str(value)
    if (isinstance(value, float) or _is_decimal(value)) and math.isfinite(value):
        return str(value)
    if isinstance(value, dt.datetime):
        return _aware(value, name).astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None:
        raise ConfigurationError(f"parameter {name} is None, which has no form here; leave it out (UNSET)")
    raise ConfigurationError(f"parameter {name} cannot be sent: {type(value).__name__} is not a plain, finite value")


def _aware(value: dt.datetime, where: str) -> dt.datetime:
    # A naive time would be read in whatever zone this machine happens to be in.
    if value.utcoffset() is None:
        raise ConfigurationError(f"{where} is a date-time without a time zone; give it one (datetime.UTC)")
    return value


# -- JSON --------------------------------------------------------------------------------------------------------


def encode_json(body: object) -> bytes:
    """Return a request body as JSON.

    Models are dumped with what was set on them, ``UNSET`` is dropped at any depth, date-times must be aware.

    Raises:
        ConfigurationError: Something in it has no JSON form; the message names its place (``body.lines.0.due``).
    """
    import pydantic_core

    return pydantic_core.to_json(_plain(body, "body", 0))


_EXACT: Final = frozenset({str, int, bool, type(None)})


def _plain(value: Any, where: str, depth: int) -> Any:
    """Return the value made of what JSON has, or refuse it."""
    if type(value) in _EXACT:
        if isinstance(value, str) and not value.isascii():
            utf8(value, where)
        return value
    if depth > _MAX_DEPTH:
        raise ConfigurationError(
            f"{where.partition('.')[0]} is nested more than {_MAX_DEPTH} levels deep, or holds itself"
        )
    if _is_model(value):
        value = value.model_dump(exclude_unset=True, by_alias=True)
    if isinstance(value, Mapping):
        return _plain_mapping(cast("Mapping[object, object]", value), where, depth)
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("Iterable[object]", value)
        return [_plain(item, f"{where}.{at}", depth + 1) for at, item in enumerate(items) if item is not UNSET]
    return _scalar(value, where)


def _plain_mapping(value: Mapping[object, object], where: str, depth: int) -> dict[str, object]:
    plain: dict[str, object] = {}
    for name, item in value.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{where} has a key that is not a string but {type(name).__name__}")
        if item is not UNSET:
            utf8(name, f"a key of {where}")
            plain[name] = _plain(item, f"{where}.{name}", depth + 1)
    return plain


def _scalar(value: object, where: str) -> object:
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, _MAX_DEPTH)
    if isinstance(value, str | int):
        return _plain(str(value) if isinstance(value, str) else int(value), where, 0)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(f"{where} is not a finite number, and JSON has no form for it")
        return float(value)
    if isinstance(value, dt.datetime):
        return _aware(value, where).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if _is_uuid(value) or _is_decimal(value):
        if _is_decimal(value) and not value.is_finite():
            raise ConfigurationError(f"{where} is not a finite number, and JSON has no form for it")
        return str(value)
    raise ConfigurationError(f"{where} cannot be sent as JSON: {type(value).__name__} has no form there")


# -- types of modules that may not be loaded: then nothing is of them ---------------------------------------------


def _is_uuid(value: object) -> TypeGuard[uuid.UUID]:
    module = sys.modules.get("uuid")
    return module is not None and isinstance(value, module.UUID)


def _is_decimal(value: object) -> TypeGuard[decimal.Decimal]:
    module = sys.modules.get("decimal")
    return module is not None and isinstance(value, module.Decimal)


def _is_model(value: object) -> TypeGuard[pydantic.BaseModel]:
    module = sys.modules.get("pydantic")
    return module is not None and isinstance(value, module.BaseModel)
