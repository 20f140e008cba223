"""Web backends: the token endpoint that Monite's browser components ask, and the life of a client in an application.

::

    monite = AsyncMonite.from_env()

    async def identify(scope: Scope) -> str | None:
        return scope["session"].get("monite_user_id")       # your own check of who is signed in

    app = FastAPI(lifespan=lifespan(monite))
    app.router.routes.append(Route("/monite/token", TokenEndpoint(monite, identify)))   # starlette.routing.Route
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import UUID

from monite_async._asgi import Message, Receive, Scope, Send, is_http, respond
from monite_async._config import Hidden
from monite_async._errors import (
    ClientClosedError,
    MoniteError,
    RateLimitError,
    ServerError,
    TransportError,
)

if TYPE_CHECKING:
    from monite_async._client import AsyncMonite
    from monite_async._tokens.record import AccessToken

__all__ = [
    "Application",
    "Identify",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "TokenEndpoint",
    "lifespan",
    "with_lifespan",
]

Identify: TypeAlias = Callable[[Scope], Awaitable[str | UUID | None]]
"""Tells which entity user a request is from: its ASGI scope in, the user's id out; None for nobody."""

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

_ALLOWED = "GET, HEAD, POST, OPTIONS"
_PRIVATE = (("cache-control", "no-store"), ("pragma", "no-cache"))
_log = logging.getLogger("monite_async.asgi")


class TokenEndpoint:
    """A plain ASGI application that hands a signed-in user's token to Monite's browser components.

    To GET and POST it answers ``{"access_token", "token_type", "expires_in"}``, which is what the components' own
    ``fetchToken`` returns; ``expires_in`` is rounded down from what is really left. All tabs of a user share one token,
    and so do all processes that share a store. Nothing may keep the answer (``cache-control: no-store``).

    Without an identity it answers 401; 503 when Monite cannot be reached or is too busy, with ``retry-after`` if that
    is known; 500 when Monite refuses or ``identify`` fails. The bodies of these are ``{"error": {"message"}}``, as of
    Monite itself, and say nothing of the cause, which is logged; a failure of ``identify`` is raised once more after
    the answer was sent. CORS is the host's: OPTIONS is answered without any of its headers, so put your own middleware
    in front where browsers ask from another origin.

    Mount it under any path, as a route rather than as a prefix.

    Args:
        monite: The client; it is the caller's to close.
        identify: Your own check of who is signed in, by cookie, session or header.
    """

    def __init__(self, monite: AsyncMonite, identify: Identify) -> None:
        self._monite = monite
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        if not await is_http(scope, receive, send):
            return None
        method = scope["method"]
        if method == "OPTIONS":
            return await respond(send, 204, headers=[("allow", _ALLOWED)])
        if method not in {"GET", "HEAD", "POST"}:
            return await _refuse(send, 405, "ask with GET or POST", ("allow", _ALLOWED))
        try:
            user_id = await self._identify(scope)
        except Exception:
            await _refuse(send, 500, "who is signed in could not be found out", head=method == "HEAD")
            raise
        if user_id is None:
            return await _refuse(send, 401, "sign in first", head=method == "HEAD")
        return await self._hand_out(user_id, send, head=method == "HEAD")

    async def _hand_out(self, user_id: str | UUID, send: Send, *, head: bool) -> None:
        try:
            token = await self._monite.as_user(user_id).token()
        except MoniteError as error:
            _log.warning("no token for a signed-in user: %s", error)
            if not _passes(error):
                return await _refuse(send, 500, "no token can be had for this user", head=head)
            wait = () if error.retry_after is None else (("retry-after", str(int(error.retry_after) + 1)),)
            return await _refuse(send, 503, "no token can be had at the moment; try again", *wait, head=head)
        return await respond(send, 200, _shown(token), headers=_PRIVATE, head=head)


def _shown(token: AccessToken) -> Hidden:
    """Return what a browser is told of a token, hidden: ``send`` may fail, and its traceback shows what frames hold."""
    return Hidden({"access_token": token.value, "token_type": token.token_type, "expires_in": token.expires_in})


def _passes(error: MoniteError) -> bool:
    """Tell whether trying again later may help."""
    return isinstance(error, TransportError | RateLimitError | ServerError | ClientClosedError)


async def _refuse(send: Send, status: int, message: str, *headers: tuple[str, str], head: bool = False) -> None:
    await respond(send, status, {"error": {"message": message}}, headers=[*_PRIVATE, *headers], head=head)


class _Closable(Protocol):
    async def aclose(self) -> None:
        """Let go of what is held."""
        ...


def lifespan(
    monite: AsyncMonite, *also: _Closable
) -> Callable[[object], AbstractAsyncContextManager[dict[str, AsyncMonite]]]:
    """Return the ``lifespan`` of a Starlette or FastAPI application: the client is closed as the application ends.

    Requests find the client as ``request.state.monite``. A client lives once: an application that is started again in
    the same process, as tests do, needs another one, and is told so as it starts.

    Args:
        monite: The client; making it does no I/O, so it can be made as a module is imported, before workers are forked.
        *also: What is closed after it: the store that was passed to it.
    """

    @contextlib.asynccontextmanager
    async def run(_app: object) -> AsyncGenerator[dict[str, AsyncMonite], None]:
        async with contextlib.AsyncExitStack() as stack:
            for one in reversed(also):
                stack.push_async_callback(one.aclose)
            await stack.enter_async_context(monite)
            yield {"monite": monite}

    return run


def with_lifespan(
    app: Application, monite: AsyncMonite, *also: _Closable
) -> Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]:
    """Return an ASGI application that closes the client as the server ends, around one that cannot, such as Django's.

    Args:
        app: The application; it sees requests and websockets only.
        monite: The client.
        *also: What is closed after it: the store that was passed to it.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        stage = "startup"
        try:
            async with lifespan(monite, *also)(app):
                await send({"type": "lifespan.startup.complete"})
                stage = "shutdown"
                await receive()
        except Exception as error:
            # Servers take an exception alone for "knows no lifespan", and would go on with a client that is closed.
            await send({"type": f"lifespan.{stage}.failed", "message": f"{type(error).__name__}: {error}"})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    return run
