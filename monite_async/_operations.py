"""What the API can do, as values: the one place that says what an operation is called, needs, and bears."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

from monite_async._http.operation import Operation

__all__ = ["OperationInfo", "operation", "operations"]


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """One operation of the API and the method that carries it out.

    Attributes:
        id: The ``operationId`` of the contract.
        method: HTTP method, upper case.
        path: Path template (``/payables/{payable_id}``).
        scope: Who has the method: ``partner`` is the client itself; ``entity`` its entities and their users;
            ``user`` users only, with or without an entity; ``any`` all of them.
        resource: The attribute of the client that has the method, with dots where nested (``counterparts.addresses``).
        name: The name of the method.
        paged: Whether the method returns an ``AsyncPager``.
        idempotent: Whether sending it twice does no more than sending it once, so that it is repeated when no answer
            came (RFC 9110, section 9.2.2; and searches and previews, which are sent with POST).
    """

    id: str
    method: str
    path: str
    scope: Literal["partner", "entity", "user", "any"]
    resource: str
    name: str
    paged: bool
    idempotent: bool


def operations() -> tuple[OperationInfo, ...]:
    """Return all operations of the API, by resource and name."""
    from monite_async.api._table import OPERATIONS

    return OPERATIONS


@functools.cache
def _by_id() -> dict[str, OperationInfo]:
    return {info.id: info for info in operations()}


def operation(name: str, result: str | type | None = None, *, multipart: bool = False) -> Operation[Any]:
    """Return what the call engine has to know of an operation.

    Args:
        name: The id of the operation.
        result: Where the model of its answer lives, see ``Operation``.
        multipart: Whether its body is sent as multipart/form-data.
    """
    info = _by_id()[name]
    return Operation(info.method, info.path, result, multipart, info.idempotent)
