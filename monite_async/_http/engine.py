"""What all scopes of a client share, for the request loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from monite_async._errors import ClientClosedError
from monite_async._http.budget import RetryBudget
from monite_async._http.exchange import Carrier, Head
from monite_async._http.limits import Limiter
from monite_async._http.place import Place
from monite_async._version import __version__
from monite_async_stores import Clock, SystemClock

if TYPE_CHECKING:
    from monite_async._observer import Observer
    from monite_async._tokens.issuer import Wire
    from monite_async._tokens.keys import TokenKey
    from monite_async._tokens.record import AccessToken

__all__ = ["USER_AGENT", "Engine", "Tokens"]

USER_AGENT: Final = f"monite-async/{__version__}"


class Tokens(Protocol):
    """What the loop needs of a token cache, or of anything that stands in for one."""

    def peek(self, key: TokenKey, /) -> AccessToken | None:
        """Return a fresh token without waiting, or None."""
        ...

    def get(self, key: TokenKey, /) -> Coroutine[Any, Any, AccessToken]:
        """Return, awaited, a token that can be used."""
        ...

    async def replace(self, key: TokenKey, refused: AccessToken, /) -> AccessToken | None:
        """Return another token than the one the server refused, or None when the refusal shall stand."""
        ...


class Engine:
    """What all scopes and views of a client share.

    Attributes:
        place: Where the API is.
        api_version: Value of the version header.
        wire: Names of the headers, and how a dead token is recognised.
        carrier: What carries requests.
        tokens: Where tokens come from.
        limiter: When to send.
        budget: How many repeats are left.
        max_response_bytes: Longest decompressed answer that is read, in bytes.
        clock: Where time comes from.
        closed: The client was closed.
        observer: What watches the calls, if anything does.
        token_header: What carries the token.
    """

    __slots__ = (
        "_head",
        "api_version",
        "budget",
        "carrier",
        "clock",
        "closed",
        "limiter",
        "max_response_bytes",
        "observer",
        "place",
        "token_header",
        "tokens",
        "wire",
    )  # fmt: skip

    def __init__(
        self,
        *,
        place: Place,
        api_version: str,
        wire: Wire,
        carrier: Carrier,
        tokens: Tokens,
        limiter: Limiter,
        budget: RetryBudget,
        max_response_bytes: int,
        clock: Clock | None = None,
    ) -> None:
        self.place: Place = place
        self.api_version: str = api_version
        self.wire: Wire = wire
        self.carrier: Carrier = carrier
        self.tokens: Tokens = tokens
        self.limiter: Limiter = limiter
        self.budget: RetryBudget = budget
        self.max_response_bytes: int = max_response_bytes
        self.clock: Clock = clock or SystemClock()
        self.closed: bool = False
        self.observer: Observer | None = None
        self.token_header: bytes = wire.authorization_header.encode("ascii")
        self._head: Head | None = None

    def __repr__(self) -> str:
        return "<Engine>"

    def head(self) -> Head:
        """Return the header fields of every call, made at the first of them."""
        if self._head is None:
            common = (
                (b"host", self.place.authority),
                (b"accept", b"application/json"),
                (b"accept-encoding", b"gzip"),
                (b"user-agent", USER_AGENT.encode("ascii")),
            )
            version = self.wire.version_header.encode("ascii")
            self._head = Head((*common, (version, self.api_version.encode("ascii"))) if version else common)
        return self._head

    @property
    def reserved_headers(self) -> tuple[str, str, str]:
        """Headers that scopes set, and that callers cannot."""
        return self.wire.authorization_header, self.wire.version_header, self.wire.entity_header

    def require_open(self) -> None:
        """Raise ``ClientClosedError`` once the client was closed."""
        if self.closed:
            raise ClientClosedError("the client was closed; make a new one")
