"""Immutable values that cost nothing to define.

``dataclasses`` writes and compiles six functions for every class, 0.8 ms each; a program that makes one call defines
dozens of such classes. These share six functions instead. To type checkers both are the same.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field, field
from typing import Any, TypeVar, cast, dataclass_transform

__all__ = ["changed", "frozen"]

T = TypeVar("T")


class _Facts:
    """What the shared functions have to know of a class."""

    __slots__ = ("asked", "compared", "defaults", "factories", "shown")

    def __init__(self, cls: type) -> None:
        self.defaults: dict[str, Any] = {}
        self.factories: dict[str, Any] = {}
        names: dict[str, Field[Any]] = {}
        for name in inspect.get_annotations(cls):
            given = cls.__dict__.get(name, MISSING)
            entry = cast("Field[Any]", given if isinstance(given, Field) else field(default=given))
            names[name] = entry
            if entry.default is not MISSING:
                self.defaults[name] = entry.default
            elif entry.default_factory is not MISSING:
                self.factories[name] = entry.default_factory
            if given is not MISSING:
                delattr(cls, name)
        self.asked = tuple(names)
        self.shown = tuple(name for name, entry in names.items() if entry.repr)
        self.compared = tuple(name for name, entry in names.items() if entry.compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class of values: made of its annotated fields, compared, hashed and shown by them, never changed.

    Like ``dataclass(frozen=True)``, with ``field(default=, default_factory=, repr=, compare=)`` and ``__post_init__``.

    Args:
        cls: The class; what it defines itself is kept.
    """
    kind: Any = cls
    kind.__value_facts__ = _Facts(cls)
    shared = {"__match_args__": kind.__value_facts__.asked, "__signature__": _Signature(), **_SHARED}
    for name, thing in shared.items():
        if name not in cls.__dict__:
            setattr(cls, name, thing)
    return cls


def changed(one: T, **changes: Any) -> T:
    """Return a value like this one but for some fields; checked as any other.

    Args:
        one: The value.
        changes: New contents of fields, by name.
    """
    return type(one)(**{**vars(one), **changes})


class _Signature:
    """What ``help()`` and ``inspect.signature`` show, made when they ask."""

    __slots__ = ()

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        facts: _Facts = owner.__value_facts__
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        known = {**facts.defaults, **facts.factories}
        return inspect.Signature(
            [
                inspect.Parameter(
                    name, kind, default=known.get(name, inspect.Parameter.empty), annotation=owner.__annotations__[name]
                )
                for name in facts.asked
            ]
        )


def _init(self: Any, /, *args: Any, **given: Any) -> None:
    facts: _Facts = self.__value_facts__
    names, found = facts.asked, facts.defaults | dict(zip(facts.asked, args, strict=False)) | given
    for name, make in facts.factories.items():
        if name not in found:
            found[name] = make()
    # There may be secrets among what is given, and a traceback may show the variables of its frames: those of this one
    # go before anything can fail. So does a value that holds nothing yet, and cannot show itself.
    if len(args) > len(names) or not given.keys().isdisjoint(names[: len(args)]) or found.keys() != set(names):
        kind = type(self).__name__
        del self, args, given, found
        raise TypeError(f"{kind}() takes {', '.join(names) or 'no arguments'}")
    self.__dict__.update(found)
    del args, given, found
    checked = getattr(self, "__post_init__", None)
    if checked is not None:
        checked()


def _eq(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _compared(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in one.__value_facts__.compared)


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__value_facts__.shown)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise AttributeError(f"{type(self).__name__} cannot be changed: make another one", name=name, obj=self)


_SHARED = {
    "__init__": _init,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
