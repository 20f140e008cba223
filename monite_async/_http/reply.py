"""Headers of an answer: cheap to make, looked up without regard to case."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, overload

__all__ = ["ReplyHeaders"]

T = TypeVar("T")


class ReplyHeaders(Mapping[str, str]):
    """The header fields of an answer; those of one name are joined by commas (RFC 9110, section 5.3).

    Most calls look at one or two of them, so nothing is decoded before it is asked for. ``repr`` shows names only: a
    value may be a cookie, or a signed address.

    Args:
        fields: Names in lower case and values, as they came.

    Attributes:
        raw: The values by name, both as they came, for who looks up the same name with every call.
    """

    __slots__ = ("_fields", "raw")

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self._fields = fields
        self.raw: dict[bytes, bytes] = dict(fields)
        if len(self.raw) != len(fields):
            self.raw = _joined(fields)

    @classmethod
    def of(cls, fields: Iterable[tuple[bytes, bytes]]) -> ReplyHeaders:
        """Return the headers with these fields, whose names may be in any case."""
        return cls([(name.lower(), value) for name, value in fields])

    def __repr__(self) -> str:
        return f"<headers {', '.join(self) or 'none'}>"

    def __getitem__(self, name: str) -> str:
        return _text(self.raw[_key(name)])

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str | T) -> str | T: ...
    def get(self, key: str, /, default: object = None) -> object:
        """Return a value, or the default; the mapping's own way costs an exception for each header that is not there."""
        value = self.raw.get(_key(key))
        return default if value is None else _text(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self.raw

    def __iter__(self) -> Iterator[str]:
        return (str(name, "latin-1") for name in self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def get_list(self, name: str) -> list[str]:
        """Return the values of all fields of a name, in their order."""
        wanted = _key(name)
        return [_text(value) for key, value in self._fields if key == wanted]


@functools.lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _text(value: bytes) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        return str(value, "latin-1")
