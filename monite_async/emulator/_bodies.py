"""Request models: those of the tokens here, all others generated and loaded when their operation is first called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Literal, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from monite_async.emulator._contract.bodies import HOMES

__all__ = ["body_model"]


# These are built on import, unlike the generated ones: pydantic looks for its plugins on disk before it builds its
# first model, and that must not happen in the middle of somebody's event loop.
class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ObtainToken(_Strict):
    """What ``POST /auth/token`` takes; any further key is refused."""

    client_id: UUID
    client_secret: str
    grant_type: Literal["client_credentials", "entity_user"]
    entity_user_id: UUID | None = None


class RevokeToken(_Strict):
    """What ``POST /auth/revoke`` takes."""

    client_id: UUID
    client_secret: str
    token: str


_OWN: Mapping[str, type[BaseModel]] = {"post_auth_token": ObtainToken, "post_auth_revoke": RevokeToken}


def body_model(operation_id: str) -> type[BaseModel]:
    """Return the request model of an operation that has a body."""
    own = _OWN.get(operation_id)
    if own is not None:
        return own
    module = importlib.import_module(f"monite_async.emulator._contract.bodies_{HOMES[operation_id]}")
    return cast("dict[str, type[BaseModel]]", module.BODIES)[operation_id]
