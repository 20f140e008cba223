"""Query parameters and bodies, checked against the contract; complaints are worded as FastAPI words them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from pydantic import BaseModel, ValidationError

from monite_async.emulator._bodies import body_model
from monite_async.emulator._errors import RefusedError, detail, invalid
from monite_async.emulator._message import Request, loads
from monite_async.emulator._paging import FORGETFUL
from monite_async.emulator._permissions import is_uuid
from monite_async.emulator._route import QueryParam, Route
from monite_async.emulator._settings import EmulatorSettings

__all__ = ["check_ids", "parse_body", "parse_query", "parse_values"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?")
_ODD_NUMBER = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_ALWAYS = frozenset({"pagination_token", "limit"})


class _BadValueError(ValueError):
    """A value of a parameter is not acceptable: text and type of the complaint."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


def parse_query(route: Route, request: Request, settings: EmulatorSettings) -> dict[str, object]:
    """Return the query parameters by name, parsed; raises the 422 that names every bad one.

    With a page token, all parameters but it and ``limit`` are ignored, as the API says.
    """
    known = {param.name: param for param in route.query}
    paging = "pagination_token" in known and any(name == "pagination_token" for name, _ in request.query)
    given: dict[str, list[str]] = {}
    for name, value in request.query:
        if not paging or name in _ALWAYS:
            given.setdefault(name, []).append(value)
    if paging and settings.limit_remembered and route.operation_id not in FORGETFUL:
        given.pop("limit", None)
    details: list[dict[str, object]] = []
    parsed: dict[str, object] = {}
    bad_limit = False
    for name, values in given.items():
        param = known.get(name)
        if param is None:
            if settings.refuse_unknown_query:
                details.append(detail(("query", name), "Extra inputs are not permitted", "extra_forbidden"))
            continue
        try:
            parsed[name] = [_value(param, item) for item in values] if param.array else _value(param, values[-1])
        except _BadValueError as bad:
            bad_limit = bad_limit or (name == "limit" and bad.kind.endswith("_equal"))
            details.append(detail(("query", name), bad.message, bad.kind))
    if not paging:
        missing = [param.name for param in route.query if param.required and param.name not in given]
        details.extend(detail(("query", name), "Field required", "missing") for name in missing)
    if details:
        only_limit = bad_limit and len(details) == 1
        raise invalid(*details, status=settings.bad_limit_status if only_limit else 422)
    return parsed


def parse_values(route: Route, values: Mapping[str, object]) -> dict[str, object]:
    """Return the filters of a search, sent as JSON, as a route parses them from its query string."""
    known = {param.name: param for param in route.query}
    parsed: dict[str, object] = {}
    for name, value in values.items():
        param = known.get(name)
        if value is not None:
            parsed[name] = _value(param, value) if param is not None and isinstance(value, str) else value
    return parsed


def _value(param: QueryParam, text: str) -> object:
    value = _typed(param, text)
    if param.enum and value not in param.enum:
        expected = ", ".join(repr(item) for item in param.enum)
        raise _BadValueError(f"Input should be {expected}", "enum")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if param.minimum is not None and value < param.minimum:
            raise _BadValueError(f"Input should be greater than or equal to {param.minimum:g}", "greater_than_equal")
        if param.maximum is not None and value > param.maximum:
            raise _BadValueError(f"Input should be less than or equal to {param.maximum:g}", "less_than_equal")
    return value


def _typed(param: QueryParam, text: str) -> object:
    match param.kind:
        case "integer":
            if not _INTEGER.fullmatch(text):
                raise _BadValueError(
                    "Input should be a valid integer, unable to parse string as an integer", "int_parsing"
                )
            return int(text)
        case "number":
            try:
                return float(text)
            except ValueError:
                raise _BadValueError(
                    "Input should be a valid number, unable to parse string", "float_parsing"
                ) from None
        case "boolean":
            if text.lower() not in _TRUTH:
                raise _BadValueError("Input should be a valid boolean, unable to interpret input", "bool_parsing")
            return _TRUTH[text.lower()]
        case "date-time":
            return _moment(text)
        case "date":
            return _day(text)
        case "uuid":
            if not is_uuid(text):
                raise _BadValueError("Input should be a valid UUID", "uuid_parsing")
            return text.lower()
        case _:
            return text


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise _BadValueError("Input should be a valid datetime", "datetime_parsing")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _day(text: str) -> str:
    """Return a date as text: ISO dates compare as they sort."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise _BadValueError("Input should be a valid date", "date_from_datetime_parsing") from None


def check_ids(params: Mapping[str, str]) -> None:
    """Raise the 422 for path parameters that are no UUIDs."""
    bad = [name for name, value in params.items() if not is_uuid(value)]
    if bad:
        raise invalid(*(detail(("path", name), "Input should be a valid UUID", "uuid_parsing") for name in bad))


def parse_body(route: Route, request: Request) -> dict[str, object]:
    """Return the keys of the JSON body that were sent; raises the 422 that names every bad field."""
    if route.body == "absent" or route.multipart:
        return {}
    if not request.body.strip():
        if route.body == "required":
            raise invalid(detail(("body",), "Field required", "missing"))
        return {}
    return _validated(body_model(route.operation_id), request.body)


def _validated(model: type[BaseModel], body: bytes) -> dict[str, object]:
    try:
        parsed = model.model_validate_json(body)
    except ValidationError as error:
        raise _complaint(error) from None
    if _ODD_NUMBER.search(body) and not _writable(body):
        raise invalid(detail(("body",), "Input should be a finite number", "finite_number"))
    given: dict[str, object] = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return given


def _writable(body: bytes) -> bool:
    """Tell whether what was read can be written as JSON: pydantic reads numbers that JSON does not have."""
    try:
        loads(body)
    except ValueError:
        return False
    return True


def _complaint(error: ValidationError) -> RefusedError:
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    return invalid(*(detail(("body", *entry["loc"]), entry["msg"], entry["type"]) for entry in entries))
