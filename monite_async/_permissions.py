"""What a role may do, as a value: the part that knows neither types of object nor actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self, cast

from monite_async._errors import ConfigurationError

if TYPE_CHECKING:
    from monite_async.types.roles import BizObjectsSchemaInput

__all__ = ["PermissionSet"]

_READ: Final = "read"
_ALLOWED: Final = "allowed"

Objects = Mapping[str, Mapping[str, str]]


class PermissionSet:
    """Permissions by type of object and action, in the order in which they were given; every change is a new value."""

    __slots__ = ("_objects",)

    def __init__(self, objects: Objects | None = None) -> None:
        self._objects: Objects = {} if objects is None else objects

    def __eq__(self, other: object) -> bool:
        return self._objects == other._objects if isinstance(other, PermissionSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset((name, frozenset(actions.items())) for name, actions in self._objects.items()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {', '.join(self._objects) or 'nothing'}>"

    def _with(self, object_type: str, **actions: str | None) -> Self:
        """Return a set with some actions of one type of object changed; None leaves one as it is."""
        given = {action: permission for action, permission in actions.items() if permission is not None}
        self._check(object_type, given)
        merged = {**self._objects.get(object_type, {}), **given}
        return type(self)({**self._objects, object_type: merged})

    def _check(self, object_type: str, actions: Mapping[str, str]) -> None:
        """Raise ``ConfigurationError`` for a name that there is not; names are checked where they are known."""

    def to_dict(self) -> BizObjectsSchemaInput:
        """Return what ``roles.create(permissions=...)`` and ``roles.update(permissions=...)`` take."""
        objects = [
            {
                "object_type": name,
                "actions": [
                    {"action_name": action, "permission": permission} for action, permission in actions.items()
                ],
            }
            for name, actions in self._objects.items()
        ]
        return cast("BizObjectsSchemaInput", {"objects": objects})

    @classmethod
    def of(cls, permissions: object) -> Self:
        """Return the permissions of a role that came from the server, or of what ``to_dict`` returned.

        Types of object, actions and values that this version does not know are kept: sent back they are what they
        were. An action without a name is ``read``, one without a value ``allowed``, as the contract has it.

        Args:
            permissions: ``role.permissions``, or a mapping of the same form.

        Raises:
            ConfigurationError: It is neither.
        """
        if _lacks(permissions, "objects"):
            raise _misshapen("objects")  # a whole role, or a slip of the pen: nobody means the permission to do nothing
        objects: dict[str, Mapping[str, str]] = {}
        for entry in _listed(permissions, "objects"):
            name = _text(entry, "object_type", None)
            actions = {
                _text(action, "action_name", _READ): _text(action, "permission", _ALLOWED)
                for action in _listed(entry, "actions")
            }
            objects[name] = {**objects.get(name, {}), **actions}
        return cls(objects)


def _lacks(thing: object, field: str) -> bool:
    """Tell whether a mapping has something, but not this."""
    if not isinstance(thing, Mapping):
        return False
    fields = cast("Mapping[str, object]", thing)
    return bool(fields) and field not in fields


def _read(thing: object, field: str) -> object:
    """Return a field of a mapping or a model; of a mapping it may be missing."""
    if isinstance(thing, Mapping):
        return cast("Mapping[str, object]", thing).get(field)
    try:
        found: object = getattr(thing, field)
    except AttributeError:
        raise _misshapen(field) from None
    return found


def _listed(thing: object, field: str) -> Sequence[object]:
    found = _read(thing, field)
    if found is None:
        return ()
    if not isinstance(found, list | tuple):
        raise _misshapen(field)
    return cast("Sequence[object]", found)


def _text(thing: object, field: str, default: str | None) -> str:
    found = _read(thing, field)
    text = default if found is None else found
    if not isinstance(text, str):
        raise _misshapen(field)
    return text


def _misshapen(field: str) -> ConfigurationError:
    return ConfigurationError(f"these are no permissions of a role: {field} is missing, or is not what it should be")
