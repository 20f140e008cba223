"""One call on its way through the emulator, and what an emulated operation declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from monite_async.emulator._errors import refusal
from monite_async.emulator._message import Request, Response, json_response
from monite_async.emulator._route import Route
from monite_async.emulator._state import Record, TokenKind, World

__all__ = [
    "ANONYMOUS",
    "Actor",
    "Audience",
    "Call",
    "Handler",
    "Rule",
    "named_entity",
    "no_content",
    "object_response",
    "record_response",
]

Audience = Literal["anyone", "partner", "user", "both"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls: the kind of token, its client, and the entity user if it is one's."""

    kind: TokenKind
    client_id: str = ""
    user: Record | None = None

    @property
    def user_id(self) -> str | None:
        """The id of the calling entity user, None for the partner."""
        return None if self.user is None else self.user.id


ANONYMOUS = Actor("none")


@dataclass(slots=True)
class Call:
    """A request with everything that was found out about it.

    Attributes:
        world: Settings, clock and memory.
        request: The request.
        route: The operation of the contract.
        params: Values of the path parameters.
        version: The dated version that serves the call.
        actor: Who calls.
        entity: The entity named by the header, or by the token of the user.
        own_only: Whether the role allows the action on the user's own objects only.
        query: Query parameters by name, parsed.
        body: The JSON body as an object, only the keys that were sent.
    """

    world: World
    request: Request
    route: Route
    params: dict[str, str]
    version: str
    actor: Actor = ANONYMOUS
    entity: Record | None = None
    own_only: bool = False
    query: dict[str, object] = field(default_factory=dict[str, object])
    body: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def now(self) -> datetime:
        """The time of the emulator's clock."""
        return self.world.clock.now()

    @property
    def entity_id(self) -> str:
        """The id of the entity of the call, for operations that need one: it has been checked before."""
        return cast("Record", self.entity).id

    def at_least(self, version: str) -> bool:
        """Tell whether the call is served by this dated version or a later one."""
        return self.version >= version

    def sees(self, record: Record) -> bool:
        """Tell whether the role lets the caller see this record in a list."""
        return not self.own_only or record.created_by == self.actor.user_id


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Rule:
    """How one operation is emulated.

    Attributes:
        run: What it does.
        needs: Object type and action that the role of an entity user must allow.
        audience: Whose token it takes: the partner's, an entity user's, both, or (``anyone``) none at all.
    """

    run: Handler
    needs: tuple[str, str] | None = None
    audience: Audience = "both"


def named_entity(call: Call) -> Record:
    """Return the entity of the path, which for a user must be its own."""
    entity = call.world.state.entities.get(call.params["entity_id"].lower())
    if entity is None:
        raise refusal(404, "Entity not found")
    if call.actor.user is not None and call.actor.user.group != entity.id:
        raise refusal(call.world.settings.entity_mismatch_status, "The entity of the path is not that of the token.")
    return entity


def record_response(record: Record, status: int = 200) -> Response:
    """Return an answer that shows a record."""
    return Response(status, {"content-type": "application/json"}, record.encoded())


def no_content(_call: Call | None = None) -> Response:
    """Return the empty answer 204."""
    return Response(204)


def object_response(value: object, status: int = 200) -> Response:
    """Return an answer with any JSON value."""
    return json_response(status, value)
