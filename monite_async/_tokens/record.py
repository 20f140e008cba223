"""A token as the cache keeps it and as callers get it: one immutable object, ready to be sent."""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn

from monite_async._tokens.lifetime import hard_margin, soft_lead
from monite_async_stores import Clock, RecordName

__all__ = ["AccessToken"]


class AccessToken:
    """A bearer token (RFC 6750) with its life; it never shows itself.

    ``repr`` and ``str`` give a fingerprint, the object cannot be pickled, and equality takes constant time. Its life
    is held against two clocks, measured from before the token was asked for: it ends when either says so.

    Attributes:
        header: The header value as bytes, ready to be sent.
        gen: The generation under which the token was stored; a later token has a higher one.
        lifetime: Its whole life in seconds.
        name: Its record in the store.
        uses: Hits since the cache last looked; it tells which tokens to keep, and is no part of the value.
    """

    __slots__ = ("_clock", "_soft_age", "gen", "header", "lifetime", "name", "soft_mono", "soft_wall", "uses")

    def __init__(
        self,
        header: bytes,
        gen: int,
        lifetime: float,
        *,
        name: RecordName,
        clock: Clock,
        started_mono: float,
        started_wall: float,
        draw: float,
    ) -> None:
        self.header: bytes = header
        self.gen: int = gen
        self.lifetime: float = lifetime
        self.name: RecordName = name
        self._clock = clock
        # The soft point is what every hit compares with; the other points are derived from it when they are needed.
        self._soft_age = lifetime - hard_margin(lifetime) - soft_lead(lifetime, draw)
        self.soft_mono: float = started_mono + self._soft_age
        self.soft_wall: float = started_wall + self._soft_age
        self.uses: int = 0

    @property
    def authorization(self) -> str:
        """The value of the ``Authorization`` header, scheme included."""
        return self.header.decode("ascii")

    @property
    def value(self) -> str:
        """The token itself, without its scheme."""
        return self.authorization.rpartition(" ")[2]

    @property
    def token_type(self) -> str:
        """The scheme, usually ``Bearer``."""
        return self.authorization.rpartition(" ")[0]

    @property
    def expires_in(self) -> int:
        """Whole seconds of life left, by the clock that leaves less of it; 0 once expired."""
        return max(0, int(self.left()))

    def left(self) -> float:
        """Return the seconds of life left, negative once expired."""
        past_soft = max(self._clock.monotonic() - self.soft_mono, self._clock.wall() - self.soft_wall)
        return self.lifetime - self._soft_age - past_soft

    def age(self) -> float:
        """Return the seconds since the token was asked for, by the monotonic clock."""
        return self._clock.monotonic() - self.soft_mono + self._soft_age

    def is_fresh(self) -> bool:
        """Tell whether the token is before its soft point on both clocks."""
        return self._clock.monotonic() < self.soft_mono and self._clock.wall() < self.soft_wall

    def is_early(self) -> bool:
        """Tell whether the token is before any soft point that could have been drawn for it."""
        return self.left() > hard_margin(self.lifetime) + soft_lead(self.lifetime, 0.0)

    def is_usable(self) -> bool:
        """Tell whether the token is before its hard point: enough life for a request to arrive with it."""
        return self.left() > hard_margin(self.lifetime)

    def is_alive(self) -> bool:
        """Tell whether the token is before its true expiry."""
        return self.left() > 0

    def as_stale(self) -> AccessToken:
        """Return the same token past its soft point: still served, but due for a look at the store."""
        stale = AccessToken.__new__(AccessToken)
        stale.header, stale.gen, stale.lifetime, stale.name = self.header, self.gen, self.lifetime, self.name
        stale._clock = self._clock
        lead = max(0.0, self.soft_mono - self._clock.monotonic())
        stale._soft_age = self._soft_age - lead
        stale.soft_mono = self.soft_mono - lead
        stale.soft_wall = self.soft_wall - lead
        stale.uses = self.uses
        return stale

    @property
    def fingerprint(self) -> str:
        """Six hex digits of its SHA-256: enough to tell two tokens apart in a log, useless otherwise."""
        return hashlib.sha256(self.header).hexdigest()[:6]

    def __repr__(self) -> str:
        return f"<AccessToken #{self.fingerprint} gen={self.gen}>"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AccessToken):
            return NotImplemented
        return hmac.compare_digest(self.header, other.header)

    def __hash__(self) -> int:
        return hash(self.gen)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AccessToken cannot be pickled or copied: it would leave this process in the clear")
