"""Whose token: the key of the cache, and the name under which a store knows it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Literal

from monite_async_stores import RecordName

__all__ = ["GrantType", "TokenKey"]

GrantType = Literal["client_credentials", "entity", "entity_user"]


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One identity that tokens are issued to.

    Attributes:
        base_url: Where the token is valid.
        client_id: The partner's client id.
        grant_type: ``client_credentials`` for the partner, ``entity_user`` for one user of an entity, ``entity`` for an
            entity in flows that have such tokens.
        entity_user_id: The user, or empty.
        entity_id: The entity, in flows whose tokens are good for one entity only.
        id: What the cache looks up: short, and unique within one client.
    """

    base_url: str
    client_id: str
    grant_type: GrantType
    entity_user_id: str = ""
    entity_id: str = ""
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = {"entity": self.entity_id, "user": self.entity_user_id}
        name = "/".join(f"{kind}:{value}" for kind, value in parts.items() if value)
        object.__setattr__(self, "id", name or "partner")

    def record_name(self, secret: bytes) -> RecordName:
        """Return the name of this key's record in a store.

        It is keyed with the client secret, so that a store shows no user ids, and a rotated secret finds none of the
        tokens issued under the old one.
        """
        parts = (self.base_url, self.client_id, self.grant_type, self.entity_user_id)
        text = "\n".join((*parts, self.entity_id) if self.entity_id else parts)
        digest = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return RecordName(digest[:32], secret)
