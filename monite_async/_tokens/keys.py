"""Whose token: the key of the cache, and the name under which a store knows it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

from monite_async_stores import RecordName

__all__ = ["GrantType", "TokenKey"]

GrantType = Literal["client_credentials", "entity", "entity_user"]


class TokenKey:
    """One identity that tokens are issued to; a value, equal to any other of the same identity.

    Attributes:
        base_url: Where the token is valid.
        client_id: The partner's client id.
        grant_type: ``client_credentials`` for the partner, ``entity_user`` for one user of an entity, ``entity`` for an
            entity in flows that have such tokens.
        entity_user_id: The user, or empty.
        entity_id: The entity, in flows whose tokens are good for one entity only.
        id: What the cache looks up: short, and unique within one client.
    """

    # By hand: every scope of a user makes one, and a frozen dataclass takes longer for that than all else together.
    __slots__ = ("base_url", "client_id", "entity_id", "entity_user_id", "grant_type", "id")

    def __init__(
        self, base_url: str, client_id: str, grant_type: GrantType, entity_user_id: str = "", entity_id: str = ""
    ) -> None:
        self.base_url: Final = base_url
        self.client_id: Final = client_id
        self.grant_type: Final = grant_type
        self.entity_user_id: Final = entity_user_id
        self.entity_id: Final = entity_id
        name = f"entity:{entity_id}" if entity_id else ""
        if entity_user_id:
            name = f"{name}/user:{entity_user_id}" if name else f"user:{entity_user_id}"
        self.id: Final = name or "partner"

    def _facts(self) -> tuple[str, ...]:
        return self.base_url, self.client_id, self.grant_type, self.entity_user_id, self.entity_id

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, TokenKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        facts = "".join(f", {name}={getattr(self, name)!r}" for name in ("entity_user_id", "entity_id"))
        return (
            f"TokenKey(base_url={self.base_url!r}, client_id={self.client_id!r}, grant_type={self.grant_type!r}{facts})"
        )

    def record_name(self, secret: bytes) -> RecordName:
        """Return the name of this key's record in a store.

        It is keyed with the client secret, so that a store shows no user ids, and a rotated secret finds none of the
        tokens issued under the old one.
        """
        parts = (self.base_url, self.client_id, self.grant_type, self.entity_user_id)
        text = "\n".join((*parts, self.entity_id) if self.entity_id else parts)
        digest = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return RecordName(digest[:32], secret)
