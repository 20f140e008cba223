"""Requests and answers as the emulator's core sees them, free of any HTTP library."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast
from urllib.parse import unquote

__all__ = [
    "Delivery",
    "Gate",
    "Request",
    "Response",
    "as_list",
    "as_object",
    "decoded_path",
    "dumps",
    "json_response",
    "loads",
    "wire_headers",
]

_CHUNK = 65_536
_PAD_HEAD = b'{"padding":"'
_PAD_TAIL = b'"}'


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: HTTP method, upper case.
        path: Path, percent-decoded segment by segment, without the query.
        query: Query parameters in order, decoded.
        headers: Headers by lower-case name; of a repeated header the last one.
        body: The whole body.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Response:
    """One answer: status, headers by lower-case name, whole body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = field(default=b"", repr=False)


class Gate(Protocol):
    """What an answer waits at before it leaves."""

    async def passed(self) -> None:
        """Return once the answer may leave."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and how it is to travel.

    Attributes:
        response: The answer.
        delay: Seconds to wait before the first byte.
        drop: ``refuse`` and ``drop`` end the connection without an answer; ``refuse`` looks like a connection that
            was never made where the front end can tell the difference.
        truncate: Send only so many bytes of the body, then end the connection.
        stream: Send a generated JSON body of this many bytes instead of the answer's own.
        gate: Wait here first.
    """

    response: Response
    delay: float = 0.0
    drop: Literal["refuse", "drop"] | None = None
    truncate: int | None = None
    stream: int | None = None
    gate: Gate | None = None

    @property
    def length(self) -> int:
        """The content length to announce, in bytes."""
        return len(self.response.body) if self.stream is None else max(self.stream, len(_PAD_HEAD + _PAD_TAIL))

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes to send: the body, its beginning when truncated, or the generated one in small pieces."""
        if self.stream is None:
            body = self.response.body if self.truncate is None else self.response.body[: self.truncate]
            if body:
                yield body
            return
        left = self.length if self.truncate is None else min(self.truncate, self.length)
        filler = self.length - len(_PAD_HEAD) - len(_PAD_TAIL)
        for piece in _padding(filler):
            if left > 0:
                yield piece[:left]
            left -= len(piece)


def _padding(filler: int) -> Iterator[bytes]:
    yield _PAD_HEAD
    block = b"x" * _CHUNK
    while filler > 0:
        yield block[:filler]
        filler -= _CHUNK
    yield _PAD_TAIL


def decoded_path(raw: str) -> str:
    """Return a path, its segments percent-decoded one by one: a slash that was quoted does not become a separator."""
    return "/".join(unquote(part).replace("/", "%2F") for part in raw.split("/"))


def wire_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes: what a client sent and is echoed may be anything that HTTP allows (RFC 9110, 5.5)."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


def dumps(value: object) -> bytes:
    """Encode compact JSON as UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def loads(data: bytes) -> object:
    """Decode JSON; raises ValueError for anything else, also for numbers that only Python takes for JSON."""
    try:
        return cast("object", json.loads(data, parse_float=_finite, parse_constant=_finite))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def json_response(status: int, value: object) -> Response:
    """Return an answer with a JSON body."""
    return Response(status, {"content-type": "application/json"}, dumps(value))


def as_object(value: object) -> dict[str, object]:
    """Return the value if it is a JSON object, an empty one otherwise."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return the value if it is a JSON array, an empty one otherwise."""
    return cast("list[object]", value) if isinstance(value, list) else []
