"""Who may do what: kinds of token, entity headers, roles."""

from __future__ import annotations

from uuid import UUID

from monite_async.emulator._call import Call, Rule
from monite_async.emulator._errors import RefusedError, detail, invalid, refusal
from monite_async.emulator._message import as_list, as_object
from monite_async.emulator._state import Record, World

__all__ = ["authorize", "check_own", "denied", "is_uuid", "permission", "resolve_entity"]

ENTITY_HEADER = "x-monite-entity-id"


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID in its usual form."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def resolve_entity(call: Call) -> None:
    """Check the entity header against the operation and the token, and set the entity of the call."""
    settings = call.world.settings
    user = call.actor.user
    named = call.request.headers.get(ENTITY_HEADER)
    if named is None and call.route.entity_header == "required" and not (user is not None and settings.infer_entity):
        raise invalid(detail(("header", ENTITY_HEADER), "Field required", "missing"))
    if named is not None and not is_uuid(named):
        raise invalid(detail(("header", ENTITY_HEADER), "Input should be a valid UUID", "uuid_parsing"))
    if user is not None and named is not None and named.lower() != user.group:
        raise refusal(settings.entity_mismatch_status, "The entity of the header is not the entity of the token.")
    if user is not None:
        call.entity = call.world.state.entities.get(user.group)
    elif named is not None and call.route.entity_header != "absent":
        call.entity = call.world.state.entities.get(named.lower())
        if call.entity is None:
            raise refusal(settings.unknown_entity_status, "Entity not found")
    _check_active(call)


def _check_active(call: Call) -> None:
    status = call.world.settings.inactive_entity_status
    if status is not None and call.entity is not None and call.entity.data["status"] != "active":
        raise refusal(status, "The entity is not active.")


def permission(world: World, user: Record, object_type: str, action: str) -> str:
    """Return what the role of a user says about an action; what it does not name is not allowed."""
    role = world.state.roles.get(user.text("role_id"))
    if role is None or role.data["status"] != "active":
        return "not_allowed"
    for entry in as_list(as_object(role.data["permissions"]).get("objects")):
        found = as_object(entry)
        if found.get("object_type") == object_type:
            for item in as_list(found.get("actions")):
                if as_object(item).get("action_name") == action:
                    return str(as_object(item).get("permission", "not_allowed"))
    return "not_allowed"


def authorize(call: Call, rule: Rule) -> None:
    """Raise unless the kind of token and the role allow the operation; note when only on own objects."""
    user = call.actor.user
    wrong = user is None if rule.audience == "user" else user is not None and rule.audience == "partner"
    if wrong:
        wanted = "an entity user" if rule.audience == "user" else "the partner"
        raise refusal(call.world.settings.audience_status, f"This operation takes a token of {wanted} only.")
    if user is None or rule.needs is None:
        return
    granted = permission(call.world, user, *rule.needs)
    if granted == "not_allowed":
        raise denied(call, *rule.needs)
    call.own_only = granted == "allowed_for_own"


def denied(call: Call, object_type: str, action: str) -> RefusedError:
    """Return the error for an action that the role does not allow."""
    settings = call.world.settings
    return refusal(settings.denial_status, settings.denial_message.format(action=action, object_type=object_type))


def check_own(call: Call, record: Record, needs: tuple[str, str]) -> None:
    """Raise when the role allows the action on own objects only and this is somebody else's."""
    if not call.sees(record):
        raise denied(call, *needs)
