"""From what came over the wire to values and errors.

Error texts are made of the ``message`` strings of known shapes and nothing else: an unknown body is described by its
type and length, never quoted, since it may repeat what was sent.
"""

from __future__ import annotations

import functools
import importlib
import json
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from monite_async._collector import AtRest
from monite_async._errors import APIStatusError, ConfigurationError, ResponseValidationError, status_error

if TYPE_CHECKING:
    import pydantic

    from monite_async._http.reply import ReplyHeaders

__all__ = [
    "Answer",
    "ErrorBody",
    "Inflater",
    "UnsupportedEncodingError",
    "api_error",
    "check_result",
    "read_error",
    "reading",
]

_SLICE: Final = 64 * 1024
_MAX_FIELDS: Final = 100


class Answer:
    """A complete answer; it never shows its body.

    Attributes:
        status: HTTP status.
        headers: Its headers, looked up without regard to case.
        content: Its body, decompressed; empty when it was too long to be kept.
    """

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: ReplyHeaders, content: bytes) -> None:
        self.status: int = status
        self.headers: ReplyHeaders = headers
        self.content: bytes = content

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    @property
    def request_id(self) -> str | None:
        """What to quote to Monite's support."""
        return self.headers.get("x-request-id")


# -- content codings ---------------------------------------------------------------------------------------------


class UnsupportedEncodingError(Exception):
    """The body is compressed in a way that was not asked for, or is damaged."""


class Inflater:
    """Undoes ``Content-Encoding`` ``gzip`` and ``deflate`` (RFC 9110, section 8.4) without ever making more than asked.

    Raises:
        UnsupportedEncodingError: Another coding.
    """

    __slots__ = ("_inner",)

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise UnsupportedEncodingError("the answer has a content coding that was not asked for")
        # 32 lets zlib tell gzip and zlib headers apart by itself.
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes, room: int) -> bytes:
        """Return what ``data`` decompresses to; more than ``room`` bytes of it means that there is too much.

        Raises:
            UnsupportedEncodingError: The data is damaged.
        """
        try:
            return self._inner.decompress(data, room + 1)
        except zlib.error:
            pass
        raise UnsupportedEncodingError("the compressed body of the answer is damaged")

    def some(self, data: bytes, room: int) -> bytes:
        """Return at most ``room`` bytes of what ``data`` decompresses to; the rest comes with the next calls.

        Nothing for no data means that more data is needed.

        Raises:
            UnsupportedEncodingError: The data is damaged.
        """
        try:
            return self._inner.decompress(self._inner.unconsumed_tail + data, room)
        except zlib.error:
            pass
        raise UnsupportedEncodingError("the compressed body of the answer is damaged")

    def finish(self) -> None:
        """Check that the compressed body is complete, and that nothing follows it.

        Raises:
            UnsupportedEncodingError: It is not, or something does.
        """
        if not self._inner.eof or self._inner.unused_data:
            raise UnsupportedEncodingError("the compressed body of the answer does not end where it should")


# -- errors ------------------------------------------------------------------------------------------------------


class ErrorBody(NamedTuple):
    """What an error body says.

    Attributes:
        message: The server's message, or a description of a body without one.
        errors: Messages by field (422).
        known: The message is the server's own.
    """

    message: str
    errors: Mapping[str, list[str]]
    known: bool


def read_error(answer: Answer) -> ErrorBody:
    """Read any of the six shapes of error bodies.

    ``{"error": {"message": ...}}`` with or without further keys, ``{"detail": [...]}`` and the bare list of FastAPI,
    ``{"message": ...}`` of the gateway, and what is not JSON at all.
    """
    if not answer.content:
        return ErrorBody("the answer has no message", {}, known=False)
    try:
        body: object = json.loads(answer.content)
    except (ValueError, RecursionError):
        return ErrorBody(_describe(answer), {}, known=False)
    if isinstance(body, list):
        return _fields(cast("list[object]", body))
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        error, detail = fields.get("error"), fields.get("detail")
        if isinstance(detail, list):
            return _fields(cast("list[object]", detail))
        inner: object = cast("dict[str, object]", error).get("message") if isinstance(error, dict) else error
        for text in (inner, fields.get("message"), detail):
            if isinstance(text, str) and text.strip():
                return ErrorBody(text.strip(), {}, known=True)
    return ErrorBody(_describe(answer), {}, known=False)


def _describe(answer: Answer) -> str:
    kind = (answer.headers.get("content-type") or "").partition(";")[0].strip()[:60] or "an unnamed content type"
    return f"the answer has no message that can be read ({kind}, {len(answer.content)} bytes)"


def _fields(detail: list[object]) -> ErrorBody:
    errors: dict[str, list[str]] = {}
    for entry in detail[:_MAX_FIELDS]:
        item = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        place, text = item.get("loc"), item.get("msg")
        if isinstance(text, str):
            parts = cast("list[object]", place) if isinstance(place, list) else []
            where = ".".join(str(part) for part in parts if isinstance(part, str | int))
            errors.setdefault(where or "body", []).append(text)
    if not errors:
        return ErrorBody("the answer lists no problem that can be read", {}, known=False)
    lines = [f"{field}: {text}" for field, texts in errors.items() for text in texts]
    return ErrorBody("; ".join(lines), errors, known=True)


def api_error(answer: Answer, body: ErrorBody, **facts: Any) -> APIStatusError:
    """Return the error for an answer with an error status.

    Args:
        answer: The answer.
        body: What its body says.
        facts: ``method``, ``path``, ``attempts``, ``elapsed`` and ``retry_after`` as ``MoniteError`` takes them.
    """
    kind = status_error(answer.status)
    if answer.status == 422:
        facts["errors"] = body.errors
    return kind(body.message, status=answer.status, request_id=answer.request_id, **facts)


# -- results -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2048)
def _locate(name: str) -> Any:
    """Return the model that ``module:Class`` names below ``monite_async.models``."""
    module, _, attribute = name.partition(":")
    with AtRest():  # the first one brings pydantic along
        return getattr(importlib.import_module(f"monite_async.models.{module}"), attribute)


@functools.lru_cache(maxsize=512)
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    import pydantic

    # A new adapter costs 4 to 105 microseconds; one per type costs that once.
    return pydantic.TypeAdapter(kind)


def check_result(kind: Any) -> None:
    """Check a type that a caller asks for, before anything is sent.

    Raises:
        ConfigurationError: Pydantic cannot make anything of it.
    """
    if kind is None or kind is bytes or (isinstance(kind, type) and issubclass(kind, _models().Model)):
        return
    import pydantic

    try:
        if not isinstance(kind, str):
            _adapter(kind)
            return
    except (pydantic.PydanticUserError, TypeError, NameError):
        pass
    raise ConfigurationError("cast_to must be a model, a type that pydantic knows, bytes or None")


def _reading(result: Any) -> Callable[[Answer, bool], Any]:
    if result is None or result is type(None):
        return lambda _answer, _lenient: None
    if result is bytes:
        return lambda answer, _lenient: answer.content
    kind = _locate(result) if isinstance(result, str) else result
    if isinstance(result, str) or (isinstance(result, type) and issubclass(result, _models().Model)):
        return _read_model(kind)
    return functools.partial(_read_other, kind)


reading: Callable[[Any], Callable[[Answer, bool], Any]] = functools.lru_cache(maxsize=2048)(_reading)
"""Return what reads successful answers as what was asked for, made once per kind of result.

Takes ``module:Class`` below ``monite_async.models``, a type, ``bytes``, None for nothing, or ``object`` for whatever JSON
there is. What it returns takes an answer, and whether to hand back what fits of a model instead of raising
``ResponseValidationError`` for what does not.
"""


def _read_model(kind: Any) -> Callable[[Answer, bool], Any]:
    base = _models()
    decode, read, note = base.decode, base.reader(kind), base.note_request_id
    small, refused = base.LARGE if isinstance(kind, type) and issubclass(kind, base.Model) else 0, base.REFUSED

    def read_model(answer: Answer, lenient: bool) -> Any:
        content = answer.content
        if 0 < len(content) < small:
            # As decode does it, for whatever comes most often: each function less is noticed.
            try:
                model = read(content)
            except refused:
                pass
            else:
                if b"x-request-id" in answer.headers.raw:
                    note(model, answer.request_id)
                return model
        _require_body(answer)
        try:
            return decode(kind, content, request_id=answer.request_id, lenient=lenient)
        except ResponseValidationError as exc:
            exc.status, exc.request_id = answer.status, answer.request_id
            raise

    return read_model


def _require_body(answer: Answer) -> None:
    if not answer.content:
        raise ResponseValidationError("the answer has no body", request_id=answer.request_id, status=answer.status)


def _read_other(kind: Any, answer: Answer, _lenient: bool) -> Any:
    """Return the body as a type that is no model."""
    import pydantic

    if kind is object and not answer.content:
        return None
    _require_body(answer)
    try:
        return _adapter(kind).validate_json(answer.content)
    except pydantic.ValidationError as exc:
        problems = _problems(exc)
    # Raised out here: pydantic's exception holds the body, and must not even be the context of ours.
    not_json = problems == ("body: json_invalid",)
    raise ResponseValidationError(
        "the answer is not JSON" if not_json else "the answer is not of the type that was asked for",
        problems=problems,
        request_id=answer.request_id,
        status=answer.status,
    )


@functools.cache
def _models() -> Any:
    from monite_async.models import _base

    return _base


def _problems(exc: pydantic.ValidationError) -> tuple[str, ...]:
    entries = exc.errors(include_url=False, include_context=False, include_input=False)[:_MAX_FIELDS]
    return tuple(f"{'.'.join(map(str, entry['loc'])) or 'body'}: {entry['type']}" for entry in entries)
