"""Whose token: the key of the cache, and the name under which a store knows it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Literal

from monite_async_stores import RecordName

__all__ = ["GrantType", "TokenKey"]

GrantType = Literal["client_credentials", "entity_user"]


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One identity that tokens are issued to.

    Attributes:
        base_url: Where the token is valid.
        client_id: The partner's client id.
        grant_type: ``client_credentials`` for the partner, ``entity_user`` for one user of an entity.
        entity_user_id: The user, or empty for the partner.
        id: What the cache looks up: short, and unique within one client.
    """

    base_url: str
    client_id: str
    grant_type: GrantType
    entity_user_id: str = ""
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"user:{self.entity_user_id}" if self.entity_user_id else "partner")

    def record_name(self, secret: bytes) -> RecordName:
        """Return the name of this key's record in a store.

        It is keyed with the client secret, so that a store shows no user ids, and a rotated secret finds none of the
        tokens issued under the old one.
        """
        text = "\n".join((self.base_url, self.client_id, self.grant_type, self.entity_user_id))
        digest = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return RecordName(digest[:32], secret)
