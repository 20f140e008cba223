"""What entities and counterparts are called."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._message import as_object

__all__ = ["name_of"]


def name_of(shown: Mapping[str, object]) -> str:
    """Return the name of an entity or a counterpart: the legal one of an organization, else first and last name."""
    inner = as_object(shown.get("organization")) or as_object(shown.get("individual"))
    return str(inner.get("legal_name") or f"{inner.get('first_name')} {inner.get('last_name')}")
