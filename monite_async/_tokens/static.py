"""A token that somebody else takes care of: a fixed one, or an async function that returns the current one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

from monite_async._errors import AuthenticationError, ConfigurationError
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import MAX_LIFETIME
from monite_async._tokens.record import AccessToken
from monite_async_stores import Clock, RecordName, SystemClock

__all__ = ["StaticTokens", "TokenFunction"]

TokenFunction = Callable[[], Awaitable[str]]

_NAME = RecordName("static")
_MAX_LENGTH = 16 * 1024


class StaticTokens:
    """The same token for every scope; what it may do is up to whoever issued it.

    Args:
        token: The token without its scheme, or an async function that is asked for it on every call.
        clock: Where time comes from.
    """

    __slots__ = ("_clock", "_fixed", "_function", "_gen")

    def __init__(self, token: str | TokenFunction, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._gen = 0
        self._function = None if isinstance(token, str) else token
        usable = not isinstance(token, str) or is_token(token)
        self._fixed = self._record(token) if isinstance(token, str) and usable else None
        del token  # a traceback may show the variables of its frames
        if not usable:
            raise ConfigurationError("token must be 1 to 16384 visible ASCII characters, without 'Bearer'")

    def __repr__(self) -> str:
        return "<StaticTokens>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token source cannot be pickled")

    def peek(self, key: TokenKey) -> AccessToken | None:
        """Return the fixed token; None when there is a function to ask."""
        del key
        return self._fixed

    async def get(self, key: TokenKey, *, min_gen: int = 0) -> AccessToken:
        """Return the token.

        Raises:
            AuthenticationError: The function failed, or returned something that is no token.
        """
        del key, min_gen
        if self._function is None:
            assert self._fixed is not None  # noqa: S101 - one of the two is set
            return self._fixed
        problem = "did not return a token of visible ASCII characters"
        token: object = None
        try:
            token = await self._function()
        except Exception as exc:  # noqa: BLE001 - whatever it raises may hold the token
            problem = f"raised {type(exc).__name__}"
        if isinstance(token, str) and is_token(token):
            return self._record(token)
        del token  # a traceback may show the variables of its frames
        raise AuthenticationError(f"the token function {problem}")

    async def replace(self, key: TokenKey, refused: AccessToken) -> AccessToken | None:
        """Return what the function says now if it differs from the refused token; a fixed token has no successor."""
        if self._function is None:
            return None
        token = await self.get(key)
        return None if token == refused else token

    def _record(self, token: str) -> AccessToken:
        self._gen += 1
        return AccessToken(
            f"Bearer {token}".encode("ascii"),
            self._gen,
            MAX_LIFETIME,
            name=_NAME,
            clock=self._clock,
            started_mono=self._clock.monotonic(),
            started_wall=self._clock.wall(),
            draw=0.0,
        )


def is_token(text: str) -> bool:
    """Tell whether a text can be sent as a bearer token."""
    return 0 < len(text) <= _MAX_LENGTH and all("!" <= ch <= "~" for ch in text)
