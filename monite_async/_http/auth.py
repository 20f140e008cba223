"""The tokens of a client for any other ``httpx.AsyncClient``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import NoReturn

import httpx

from monite_async._errors import ConfigurationError
from monite_async._http.call import Channel
from monite_async._http.decode import Answer, read_error
from monite_async._http.place import place_of
from monite_async._http.reply import ReplyHeaders

__all__ = ["MoniteAuth"]


class MoniteAuth(httpx.Auth):
    """Puts the token of one scope on requests to the API, and replaces a dead one once per request.

    The version header and the entity header are added where the request does not bring its own. The token goes to the
    client's own API only: a request to any other scheme, host or port is refused before it is sent.

    Args:
        channel: The scope.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __repr__(self) -> str:
        return "<MoniteAuth>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MoniteAuth cannot be pickled: it holds tokens")

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuse: tokens are fetched asynchronously.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError("this auth works with httpx.AsyncClient only, not with httpx.Client")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with a token, and once more with another if that one is dead.

        Raises:
            ConfigurationError: The request goes to another place than the client's API.
            ClientClosedError: The client was closed.
            AuthenticationError: There is no token to be had.
        """
        channel, engine = self._channel, self._channel.engine
        engine.require_open()
        place = place_of(request.url)
        if place is None or place.origin != engine.place.origin:
            raise ConfigurationError("the token is for the client's own API; this request goes to another host")
        wire = engine.wire
        if wire.version_header:
            request.headers.setdefault(wire.version_header, engine.api_version)
        if channel.entity_id is not None:
            request.headers.setdefault(wire.entity_header, channel.entity_id)
        token = engine.tokens.peek(channel.key) or await engine.tokens.get(channel.key)
        request.headers[wire.authorization_header] = token.authorization
        response = yield request
        if not 400 <= response.status_code < 500 or not _replayable(request):
            return
        answer = Answer(response.status_code, ReplyHeaders.of(response.headers.raw), await response.aread())
        if not wire.is_dead_token(answer.status, read_error(answer).message):
            return
        fresh = await engine.tokens.replace(channel.key, token)
        if fresh is not None:
            request.headers[wire.authorization_header] = fresh.authorization
            yield request


def _replayable(request: httpx.Request) -> bool:
    """Tell whether the body is in memory; a stream that was sent is gone."""
    try:
        request.content  # noqa: B018 - raises for a stream
    except httpx.RequestNotRead:
        return False
    return True
