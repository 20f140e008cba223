"""The scripts that run inside Redis, the keys that they work on, and what their answers mean."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final, cast

from monite_async_stores._protocol import RecordName, StoreError

__all__ = [
    "ACQUIRE",
    "COMMIT",
    "DRAW",
    "FAIL",
    "INVALIDATE",
    "MEMORY_MS",
    "PURGE",
    "RESEAL",
    "Names",
    "Script",
    "Sealed",
    "integer",
    "misread",
    "number",
    "sealed",
    "text",
    "words",
]

MEMORY_MS: Final = 3_600_000
"""How long generations handed out are remembered, in milliseconds: far longer than any flight lives."""

_LENGTHS: Final = {"hit": 4, "negative": 2, "busy": 1, "granted": 1, "committed": 0, "purged": 0, "drawn": 1}
"""What scripts answer, and how much follows the first word."""

_NAME_LENGTH: Final = 32
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest that Redis knows it by."""

    text: str = field(repr=False)
    digest: str

    @classmethod
    def load(cls, name: str) -> Script:
        """Read a script that lies beside this module; all of them begin with ``common.lua``."""
        folder = files("monite_async_stores")
        text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in ("common", name))
        # Redis names scripts by SHA-1 (EVALSHA); nothing depends on its strength.
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE: Final = Script.load("acquire")
COMMIT: Final = Script.load("commit")
DRAW: Final = Script.load("draw")
FAIL: Final = Script.load("fail")
INVALIDATE: Final = Script.load("invalidate")
PURGE: Final = Script.load("purge")
RESEAL: Final = Script.load("reseal")


class Names:
    """The names of keys and channels in one namespace.

    Args:
        namespace: 1 to 64 of ``A-Z a-z 0-9 _ . : -``.

    Raises:
        ValueError: The namespace has other characters, or too many.
    """

    __slots__ = ("channel", "namespace")

    def __init__(self, namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise ValueError("a namespace has 1 to 64 characters of A-Z a-z 0-9 _ . : -")
        self.namespace = namespace
        self.channel = f"{namespace}:events"

    @property
    def pattern(self) -> str:
        """What the keys of all records look like, for SCAN; no character of a namespace means anything else there."""
        return f"{{{self.namespace}:{'?' * _NAME_LENGTH}}}:?"

    def found_in(self, key: bytes) -> re.Match[str] | None:
        """Return a match whose first group is the name of the record that a key belongs to, or None."""
        text = key.decode("utf-8", "replace")
        return re.fullmatch(rf"\{{{re.escape(self.namespace)}:([0-9a-f]{{{_NAME_LENGTH}}})\}}:[tlnf]", text)

    def stem(self, name: str) -> str:
        """Return what the keys of a record begin with; the braces keep them in one slot."""
        return f"{{{self.namespace}:{name}}}"

    def keys(self, record: RecordName) -> tuple[str, str, str, str]:
        """Return the keys of a record, its lease, its failure and its memory."""
        stem = self.stem(record.name)
        return f"{stem}:t", f"{stem}:l", f"{stem}:n", f"{stem}:f"

    def budget(self, name: str) -> str:
        """Return the key of a budget."""
        return f"{{{self.namespace}:{name}}}:b"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A record as it lies in Redis.

    Attributes:
        gen: Its generation.
        lifetime_ms: Its whole life, in milliseconds.
        left_ms: What is left of it, in milliseconds.
        blob: Its sealed value.
    """

    gen: int
    lifetime_ms: int
    left_ms: int
    blob: bytes = field(repr=False)


def words(answer: object) -> tuple[str, list[object]]:
    """Split the answer of a script into its first word and what belongs to it.

    Raises:
        StoreError: It is not an answer of these scripts.
    """
    if isinstance(answer, list) and answer:
        first, *rest = cast("list[object]", answer)
        kind = first.decode("ascii", "replace") if isinstance(first, bytes) else ""
        if _LENGTHS.get(kind) == len(rest):
            return kind, rest
    raise misread()


def text(value: object) -> str:
    """Return a text out of an answer.

    Raises:
        StoreError: It is none.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise misread()


def integer(value: object) -> int:
    """Return a number out of an answer.

    Raises:
        StoreError: It is none.
    """
    if isinstance(value, int):
        return value
    raise misread()


def number(value: object) -> int:
    """Return a number out of a field, 0 for none; what the scripts take for none is none here."""
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= 15 else 0


def sealed(rest: list[object]) -> Sealed:
    """Return the record out of an answer.

    Raises:
        StoreError: There is none.
    """
    if len(rest) == 4 and isinstance(rest[3], bytes):
        return Sealed(integer(rest[0]), integer(rest[1]), integer(rest[2]), rest[3])
    raise misread()


def misread() -> StoreError:
    """Return the error for an answer that makes no sense."""
    return StoreError("redis gave an answer that no script of this version gives")
