"""What the API can do, as values: the one place that says what an operation is called, needs, and bears."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from monite_async_stores._value import frozen

if TYPE_CHECKING:
    from monite_async._http.operation import Operation

__all__ = ["OperationInfo", "Row", "Scope", "operation", "operations"]

Scope: TypeAlias = Literal["partner", "entity", "user", "any"]


@frozen
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
    scope: Scope
    resource: str
    name: str
    paged: bool
    idempotent: bool


Row: TypeAlias = tuple[str, str, str, Scope, str, str, bool, bool]
"""An operation as the generated table has it. Constants of plain tuples come out of the bytecode ready-made; 405 objects
would cost every process that makes one call."""


@functools.cache
def operations() -> tuple[OperationInfo, ...]:
    """Return all operations of the API, by resource and name."""
    return tuple(OperationInfo(*row) for row in _by_id().values())


@functools.cache
def _by_id() -> dict[str, Row]:
    from monite_async.api._table import ROWS

    return {row[0]: row for row in ROWS}


def operation(name: str, result: str | type | None = None, *, multipart: bool = False) -> Operation[Any]:
    """Return what the call engine has to know of an operation.

    Args:
        name: The id of the operation.
        result: Where the model of its answer lives, see ``Operation``.
        multipart: Whether its body is sent as multipart/form-data.
    """
    # Here, for the list of operations is read by others who want nothing of the call engine.
    from monite_async._http.operation import Operation

    row = _by_id()[name]
    return Operation(row[1], row[2], result, multipart, row[7])
