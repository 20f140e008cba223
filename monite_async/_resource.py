"""The base of the generated resources."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from monite_async._guidance import no_attribute
from monite_async._http.operation import Caller

__all__ = ["Call", "Resource"]

T = TypeVar("T")
Call: TypeAlias = Coroutine[Any, Any, T]
"""A call that was not made yet: it is sent when it is awaited."""


class Resource:
    """A group of operations, bound to the scope that carries them out.

    Methods return the coroutine of their caller and are none of their own: their frames, with all that was passed to
    them, would stand in the tracebacks of failures.
    """

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    if not TYPE_CHECKING:  # which would let every name pass; at run time it is asked for what is not there

        def __getattr__(self, name: str) -> None:
            raise no_attribute(self, name)
