"""What the emulator knows about an operation of the API: two tuples, filled by the generated table."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from monite_async._operations import operations

__all__ = ["Kind", "Presence", "QueryParam", "Route", "route"]

Kind: TypeAlias = Literal["string", "integer", "number", "boolean", "date-time", "date", "uuid"]
Presence: TypeAlias = Literal["required", "optional", "absent"]


class QueryParam(NamedTuple):
    """One query parameter.

    Attributes:
        name: Name on the wire, dots included (``counterpart.name``).
        kind: What one value must be.
        array: Whether the key may be repeated.
        enum: The values it may have; empty when any value of the kind will do.
        minimum: Smallest number, or None.
        maximum: Largest number, or None.
        required: Whether the call is refused without it.
    """

    name: str
    kind: Kind
    array: bool = False
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False


class Route(NamedTuple):
    """One operation of the contract.

    Attributes:
        operation_id: The contract's own name; the key of its request model in ``_contract.bodies``.
        method: HTTP method, upper case.
        path: Path template below ``/v1`` (``/payables/{payable_id}``).
        tag: The contract's group.
        entity_header: Whether ``x-monite-entity-id`` is required, optional or absent.
        status: Status of success.
        body: Whether a body is required, optional or absent.
        multipart: Whether that body is ``multipart/form-data`` instead of JSON.
        query: The query parameters.
    """

    operation_id: str
    method: str
    path: str
    tag: str
    entity_header: Presence
    status: int
    body: Presence
    multipart: bool
    query: tuple[QueryParam, ...]


_BY_ID: Final = {info.id: info for info in operations()}


def route(
    operation_id: str,
    tag: str,
    entity_header: Presence,
    status: int,
    body: Presence,
    multipart: bool,
    query: tuple[QueryParam, ...],
) -> Route:
    """Return what is known of an operation: its method and path are those of ``monite_async.operations()``."""
    info = _BY_ID[operation_id]
    return Route(info.id, info.method, info.path, tag, entity_header, status, body, multipart, query)
