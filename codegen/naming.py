"""Names: from the contract's spelling to Python's."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping

import pydantic

__all__ = ["argument", "attribute", "camel", "class_names", "snake"]

# What a field of a model cannot be called: pydantic's own attributes, those of our base class, and the types that
# later fields name, for their annotations are real and a field of that name would hide the type.
_RESERVED = (
    frozenset(name for name in dir(pydantic.BaseModel) if not name.startswith("__"))
    | {"drift", "request_id"}
    | {"bool", "dict", "dt", "float", "int", "list", "str"}
)
_WORD = re.compile(r"[A-Za-z0-9]+")
_COPY = re.compile(r"^(?P<stem>.*[A-Za-z])(?P<number>\d+)$")
_SIDES = ("-Input", "-Output")


def camel(text: str) -> str:
    """Return ``put_entities_id_logo`` as ``PutEntitiesIdLogo``; capitals inside a word stay."""
    return "".join(word[0].upper() + word[1:] for word in _WORD.findall(text))


def snake(text: str) -> str:
    """Return ``Entity users`` as ``entity_users``."""
    return "_".join(word.lower() for word in _WORD.findall(text))


def argument(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name of the wire as a Python argument: dots become underscores, reserved words get one at the end."""
    plain = re.sub(r"\W", "_", name)
    if keyword.iskeyword(plain) or plain in set(taken) or plain in {"self", "options"}:
        plain += "_"
    return plain


def attribute(name: str) -> str:
    """Return a name of the wire as a field of a model: as for arguments, and free to be one."""
    plain = argument(name, _RESERVED)
    return "f" + plain if plain.startswith("_") else plain


def class_names(schemas: Mapping[str, object]) -> dict[str, str]:
    """Return the Python name of every schema.

    The server's framework numbers a class when two of its modules define the same name (``ActionSchema2``) and adds
    ``-Input`` / ``-Output`` when one class reads and writes differently. Both are dropped wherever the short name is
    free or means the very same thing. An ``-Input`` and an ``-Output`` may share a name: the one is written to
    ``types/``, the other to ``models/``.
    """
    names: dict[str, str] = {}
    for name in schemas:
        stem, side = name, ""
        for ending in _SIDES:
            if name.endswith(ending):
                stem, side = name.removesuffix(ending), ending
        short = camel(stem)
        if side and stem in schemas:
            short += side.removeprefix("-")
        copy = _COPY.match(stem)
        if copy and copy["stem"] not in schemas and not any(copy["stem"] + end in schemas for end in _SIDES):
            others = [other for other in schemas if re.fullmatch(re.escape(copy["stem"]) + r"\d+", other)]
            short = camel(copy["stem"]) if others == [stem] else short
        if hasattr(builtins, short) or keyword.iskeyword(short):
            short += "_"
        names[name] = short
    return names
