"""The client id and secret, given or fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from monite_async._errors import AuthenticationError
from monite_async._tokens.tasks import own_task
from monite_async_stores import Clock, SystemClock

__all__ = ["ClientCredentials", "SecretProvider"]

SecretProvider = Callable[[], Awaitable[str]]

_KEEP = 60.0
_LIMIT = 5.0


class _Hidden:
    """The result of a task: the debug mode of asyncio logs those of slow tasks."""

    __slots__ = ("secret",)

    def __init__(self, secret: str) -> None:
        self.secret = secret


class ClientCredentials:
    """A client id and its secret, or where to get the secret (a vault, a file that is rotated).

    What a provider returned is kept for 60 seconds, and all that ask meanwhile share one call of it.

    Args:
        client_id: The partner's client id.
        secret: The secret, or an async function that returns the current one.
        clock: Where time comes from.
    """

    __slots__ = ("_calls", "_clock", "_provider", "_read_at", "_secret", "client_id")

    def __init__(self, client_id: str, secret: str | SecretProvider, *, clock: Clock | None = None) -> None:
        self.client_id: str = client_id
        self._clock = clock or SystemClock()
        self._provider = None if isinstance(secret, str) else secret
        self._secret = secret if isinstance(secret, str) else None
        self._read_at = 0.0
        self._calls: dict[asyncio.AbstractEventLoop, asyncio.Task[_Hidden]] = {}

    def __repr__(self) -> str:
        return f"<ClientCredentials {self.client_id}>"

    def __reduce__(self) -> str:
        raise TypeError("client credentials cannot be pickled")

    async def secret(self, *, refresh: bool = False) -> str:
        """Return the current secret.

        Args:
            refresh: Ask the provider again even if its last answer is younger than 60 seconds.

        Raises:
            AuthenticationError: The provider failed or did not return a secret.
        """
        if self._provider is None or (
            self._secret is not None and not refresh and self._clock.monotonic() - self._read_at < _KEEP
        ):
            assert self._secret is not None  # noqa: S101 - either given, or read a moment ago
            return self._secret
        loop = asyncio.get_running_loop()
        call = self._calls.get(loop)
        if call is None:
            for other in list(self._calls):  # a copy, because other threads come and go meanwhile
                if other.is_closed():
                    self._calls.pop(other, None)
            call = own_task(self._read(self._provider))
            self._calls[loop] = call
            call.add_done_callback(self._done)
        await asyncio.wait([call])
        return call.result().secret

    def _done(self, call: asyncio.Task[_Hidden]) -> None:
        self._calls.pop(call.get_loop(), None)
        if not call.cancelled():
            call.exception()  # everyone who asked may be gone: that is no news for the loop's exception handler

    async def _read(self, provider: SecretProvider) -> _Hidden:
        secret: object = None
        problem = "did not return a non-empty string"
        try:
            async with asyncio.timeout(_LIMIT):
                secret = await provider()
        except Exception as exc:  # noqa: BLE001 - whatever it raises may hold the secret
            problem = f"raised {type(exc).__name__}"
        if isinstance(secret, str) and secret:
            self._secret, self._read_at = secret, self._clock.monotonic()
            return _Hidden(secret)
        del secret  # a secret of the wrong type is still one, and a traceback may show the variables of its frames
        raise AuthenticationError(f"the provider of client_secret {problem}")
