"""Roles and entity users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from monite_async.emulator._call import Call, Rule, no_content, record_response
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._events import emit
from monite_async.emulator._filters import Getters
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._paging import page
from monite_async.emulator._permissions import check_own
from monite_async.emulator._state import Record

__all__ = ["ROLE_OPERATIONS", "USER_OPERATIONS", "default_role", "me", "provision_default_role"]

_FIRST_WITH_201 = "2024-05-25"
_DEFAULT_NAME = "Default role"


def _role(call: Call, role_id: str | None = None) -> Record:
    role = call.world.state.roles.get(role_id or call.params["role_id"], call.entity_id)
    if role is None or role.data["status"] != "active":
        raise refusal(404, "Role not found")
    return role


def _checked_name(call: Call, name: str, but: Record | None = None) -> str:
    if not name.isascii():
        raise invalid(detail(("body", "name"), "String should contain ASCII characters only", "value_error"))
    for role in call.world.state.roles.of(call.entity_id):
        if role is not but and role.data["status"] == "active" and role.data["name"] == name:
            raise refusal(call.world.settings.duplicate_role_status, "A role with this name exists already")
    return name


def _permissions(value: object) -> dict[str, object]:
    """Return permissions with every default written out, as answers show them."""
    objects: list[object] = []
    for entry in _entries(value, "objects"):
        kind = entry.get("object_type", "comment")
        actions = [
            {"action_name": item.get("action_name", "read"), "permission": item.get("permission", "allowed")}
            for item in _entries(entry, "actions")
        ]
        objects.append({"object_type": kind, "actions": actions})
    return {"objects": objects}


def _entries(value: object, key: str) -> list[dict[str, object]]:
    return [as_object(item) for item in as_list(as_object(value).get(key))]


def _create_role(call: Call) -> Response:
    name = _checked_name(call, str(call.body["name"]))
    data: dict[str, object] = {
        "name": name,
        "permissions": _permissions(call.body["permissions"]),
        "status": "active",
    }
    role = call.world.state.roles.add(call.world.record(call.entity_id, data, created_by=call.actor.user_id))
    emit(call, "/roles", "created", role)
    return record_response(role, 201 if call.at_least(_FIRST_WITH_201) else 200)


def _list_roles(call: Call) -> Response:
    def seen(role: Record) -> bool:
        return role.data["status"] == "active" and call.sees(role)

    return page(call, call.world.state.roles, call.entity_id, seen, {})


def _get_role(call: Call) -> Response:
    role = _role(call)
    check_own(call, role, ("role", "read"))
    return record_response(role)


def _update_role(call: Call) -> Response:
    role = _role(call)
    check_own(call, role, ("role", "update"))
    changes: dict[str, object] = {}
    if call.body.get("name") is not None:
        changes["name"] = _checked_name(call, str(call.body["name"]), role)
    if call.body.get("permissions") is not None:
        changes["permissions"] = _permissions(call.body["permissions"])
    role.change(call.now, **changes)
    emit(call, "/roles", "updated", role)
    return record_response(role)


def _delete_role(call: Call) -> Response:
    role = _role(call)
    check_own(call, role, ("role", "delete"))
    users = call.world.state.users.of(call.entity_id)
    if any(user.data["status"] == "active" and user.data["role_id"] == role.id for user in users):
        raise refusal(call.world.settings.role_in_use_status, "The role is in use")
    role.change(call.now, status="deleted")
    emit(call, "/roles", "deleted", role)
    return no_content()


def default_role(call: Call, entity_id: str) -> Record:
    """Return the role of users created without one; made on first need, then without any permission."""
    for role in call.world.state.roles.of(entity_id):
        if role.private.get("default") and role.data["status"] == "active":
            return role
    return provision_default_role(call, entity_id)


def provision_default_role(call: Call, entity_id: str) -> Record:
    """Give an entity the default role that the partner's settings describe."""
    wanted = as_object(call.world.state.partner.get("default_role"))
    permissions = wanted.get("permissions", wanted)
    data: dict[str, object] = {
        "name": str(wanted.get("name", _DEFAULT_NAME)),
        "permissions": _permissions(permissions),
        "status": "active",
    }
    role = call.world.state.roles.add(call.world.record(entity_id, data))
    role.private["default"] = True
    emit(call, "/roles", "created", role)
    return role


def _user(call: Call) -> Record:
    user = call.world.state.users.get(call.params["entity_user_id"], call.entity_id)
    if user is None or user.data["status"] != "active":
        raise refusal(404, "Entity user not found")
    return user


def _check_login(call: Call, login: object, but: Record | None = None) -> None:
    for user in call.world.state.users.of(call.entity_id):
        if user is not but and user.data["status"] == "active" and user.data["login"] == login:
            raise refusal(call.world.settings.duplicate_login_status, "An entity user with this login exists already")


def _create_user(call: Call) -> Response:
    body = call.body
    _check_login(call, body["login"])
    role_id = body.get("role_id")
    role = _role(call, role_id) if isinstance(role_id, str) else default_role(call, call.entity_id)
    data: dict[str, object] = {
        "email": body.get("email"),
        "first_name": body["first_name"],
        "last_name": body.get("last_name"),
        "login": body["login"],
        "phone": body.get("phone"),
        "role_id": role.id,
        "status": "active",
        "userpic_file_id": None,
    }
    user = call.world.record(call.entity_id, data, created_by=call.actor.user_id)
    user.private["title"] = body.get("title")
    emit(call, "/entity_users", "created", call.world.state.users.add(user))
    return record_response(user)


_USER_GETTERS: Getters = {"name": lambda user: f"{user.text('first_name')} {user.text('last_name')}".strip()}


def _list_users(call: Call) -> Response:
    call.query.setdefault("status", "active")
    return page(call, call.world.state.users, call.entity_id, call.sees, _USER_GETTERS)


def _get_user(call: Call) -> Response:
    user = _user(call)
    check_own(call, user, ("entity_user", "read"))
    return record_response(user)


def _apply(call: Call, user: Record, body: Mapping[str, object]) -> Response:
    """Change a user; null clears what may be null, and leaves the rest as it is."""
    changes = dict(body)
    for name in ("first_name", "login", "role_id"):
        if changes.get(name, "") is None:
            del changes[name]
    if "title" in changes:  # the contract takes a title, but shows none
        user.private["title"] = changes.pop("title")
    if "login" in changes:
        _check_login(call, changes["login"], user)
    if "role_id" in changes:
        changes["role_id"] = _role(call, str(changes["role_id"])).id
    user.change(call.now, **changes)
    emit(call, "/entity_users", "updated", user)
    return record_response(user)


def _update_user(call: Call) -> Response:
    user = _user(call)
    check_own(call, user, ("entity_user", "update"))
    return _apply(call, user, call.body)


def _delete_user(call: Call) -> Response:
    user = _user(call)
    check_own(call, user, ("entity_user", "delete"))
    user.change(call.now, status="deleted")
    emit(call, "/entity_users", "deleted", user)
    return no_content()


def me(call: Call) -> Record:
    """Return the calling entity user; the audience of the operation has been checked before."""
    return cast("Record", call.actor.user)


def _get_me(call: Call) -> Response:
    return record_response(me(call))


def _update_me(call: Call) -> Response:
    return _apply(call, me(call), call.body)


def _get_my_role(call: Call) -> Response:
    return record_response(_role(call, me(call).text("role_id")))


ROLE_OPERATIONS = {
    "get_roles": Rule(_list_roles, ("role", "read")),
    "post_roles": Rule(_create_role, ("role", "create")),
    "get_roles_id": Rule(_get_role, ("role", "read")),
    "patch_roles_id": Rule(_update_role, ("role", "update")),
    "delete_roles_id": Rule(_delete_role, ("role", "delete")),
}
"""How the operations of the tag "Roles" are emulated."""

USER_OPERATIONS = {
    "get_entity_users": Rule(_list_users, ("entity_user", "read")),
    "post_entity_users": Rule(_create_user, ("entity_user", "create")),
    "get_entity_users_id": Rule(_get_user, ("entity_user", "read")),
    "patch_entity_users_id": Rule(_update_user, ("entity_user", "update")),
    "delete_entity_users_id": Rule(_delete_user, ("entity_user", "delete")),
    "get_entity_users_me": Rule(_get_me, audience="user"),
    "patch_entity_users_me": Rule(_update_me, audience="user"),
    "get_entity_users_my_role": Rule(_get_my_role, audience="user"),
}
"""How the operations of the tag "Entity users" are emulated."""
