"""What an ``AttributeError`` says when a call exists, but not for the caller it was looked for on."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Final

__all__ = ["no_attribute"]

_SCOPES: Final = {
    "PartnerResources": "client",
    "EntityResources": "client.entity(entity_id)",
    "EntityUserResources": "client.entity(entity_id).as_user(user_id)",
    "UserResources": "client.as_user(user_id)",
}


def no_attribute(owner: object, name: str) -> AttributeError:
    """Return the error for an attribute that a scope or a resource lacks; it names the scopes that have it.

    Args:
        owner: The scope or the resource.
        name: The attribute.
    """
    text = f"{type(owner).__name__!r} object has no attribute {name!r}"
    places = [] if name.startswith("_") else _places(type(owner), name)
    if places:
        text += f": this call is not for this scope; it is {' or '.join(places)}"
    return AttributeError(text, name=name, obj=owner)


def _places(owner: type, name: str) -> list[str]:
    from monite_async.api import _scopes

    module = sys.modules[owner.__module__]
    # What a resource lacks, its own kind has for somebody else: the name alone also fits its parent or its neighbours.
    stem = owner.__name__.partition("For")[0] if module.__name__.startswith("monite_async.api.") else ""
    found: list[str] = []
    for kind, path in _SCOPES.items():
        resources: type = getattr(_scopes, kind)
        for group, member in vars(resources).items():
            if not isinstance(member, cached_property):
                continue
            if group == name:
                found.append(f"{path}.{name}")
            # The class of a resource is known by its annotation alone: nothing is imported that nobody asked for.
            kind_of = str(member.func.__annotations__["return"])
            resource: object = getattr(module, kind_of, None)
            if hasattr(resource, name) and kind_of.partition("For")[0] == stem:
                found.append(f"{path}.{group}.{name}")
    return found
