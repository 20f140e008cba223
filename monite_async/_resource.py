"""The base of the generated resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from monite_async._http.operation import Caller, Operation
from monite_async._options import RequestOptions

__all__ = ["Resource"]

T = TypeVar("T")


class Resource:
    """A group of operations, bound to the scope that carries them out."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def _call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        return await self._caller.call(operation, path=path, query=query, body=body, options=options)
