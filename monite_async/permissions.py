"""What a role may do, built from names that cannot be misspelt.

::

    from monite_async.permissions import Permissions

    payer = Permissions.build().payable(read="allowed", pay="allowed").counterpart(read="allowed_for_own")
    role = await acme.roles.create(name="payer", permissions=payer.to_dict())

    wider = Permissions.of(role.permissions).tag(read="allowed", create="allowed")
    await acme.roles.update(role.id, permissions=wider.to_dict())

Each type of object has a method, each of its actions an argument: type checkers know them all, and a wrong one is a
``ConfigurationError`` (or, for a wrong method or argument, Python's own error) before anything is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Self

from monite_async._errors import ConfigurationError
from monite_async.api._permissions import ACTIONS, PERMISSIONS, Action, ObjectType, Permission, PermissionMethods

__all__ = ["ACTIONS", "PERMISSIONS", "Action", "ObjectType", "Permission", "Permissions"]


class Permissions(PermissionMethods):
    """The permissions of a role: an immutable value, begun with ``build()``, ``everything()`` or ``of(...)``."""

    __slots__ = ()

    @classmethod
    def build(cls) -> Self:
        """Return the permission to do nothing, to be added to."""
        return cls()

    @classmethod
    def everything(cls, permission: Permission = "allowed") -> Self:
        """Return one permission for every action on every type of object that this version knows.

        Raises:
            ConfigurationError: There is no such permission.
        """
        _known("permission", permission, PERMISSIONS)
        return cls({name: dict.fromkeys(actions, permission) for name, actions in ACTIONS.items()})

    def set(self, object_type: ObjectType, action: Action, permission: Permission) -> Self:
        """Return these permissions with one of them changed, for names that are not known before run time.

        Raises:
            ConfigurationError: There is no such type of object, it has no such action, or there is no such permission.
        """
        return self._with(object_type, **{action: permission})

    def get(self, object_type: ObjectType | str, action: Action | str) -> str | None:
        """Return one permission, None when nothing is said about it; the API takes that for ``not_allowed``."""
        return self._objects.get(object_type, {}).get(action)

    def without(self, *object_types: ObjectType | str) -> Self:
        """Return these permissions with nothing said about some types of object."""
        return type(self)({name: actions for name, actions in self._objects.items() if name not in object_types})

    def unknown(self) -> tuple[str, ...]:
        """Return the types of object in these permissions that this version does not know."""
        return tuple(name for name in self._objects if name not in ACTIONS)

    def _check(self, object_type: str, actions: Mapping[str, str]) -> None:
        # What came from the server may be unknown here and yet be changed: its own names are good.
        own = self._objects.get(object_type, {})
        _known("type of object", object_type, (*ACTIONS, *self._objects))
        for action, permission in actions.items():
            _known(f"action on {object_type}", action, (*ACTIONS.get(object_type, ()), *own))
            _known("permission", permission, PERMISSIONS)


def _known(what: str, name: object, names: Iterable[str]) -> None:
    known = tuple(dict.fromkeys(names))
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name)[:60], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        raise ConfigurationError(f"there is no {what} {str(name)[:60]!r}; {hint}")
