"""A transport that answers API calls from a script and token requests by itself, and records what came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from monite_async import AsyncMonite
from monite_async._http.adapter import HttpxCarrier

CLIENT_ID = "28c10852-7e78-43cf-abfb-efeed1834963"
CLIENT_SECRET = "canary-615b3cfa-646b-41d9-b768-521f09315ac5"
BASE_URL = "https://api.monite.test/v1"

Reply = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


class Scripted(httpx.AsyncBaseTransport):
    """Gives the replies one after another, the last one for ever.

    Attributes:
        calls: The API requests that came, with their bodies read.
        keep_streams: Whether bodies are left unread, as a transport of the wire leaves them.
        posts: The token requests that came.
        tokens: The authorization headers of the API requests, as they came.
    """

    def __init__(self, *replies: Reply, keep_streams: bool = False) -> None:
        self.keep_streams = keep_streams
        self.replies: list[Reply] = list(replies) or [httpx.Response(200, json={"id": "1"})]
        self.calls: list[httpx.Request] = []
        self.posts: list[httpx.Request] = []
        self.tokens: list[str] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.keep_streams:
            await request.aread()
        if "/auth/" in request.url.path:
            self.posts.append(request)
            token = f"canary-token-{len(self.posts):030d}"
            return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 1800})
        self.calls.append(request)
        self.tokens.append(request.headers.get("authorization", ""))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            # A fresh one: the same answer may be given twice.
            return httpx.Response(reply.status_code, headers=reply.headers, stream=reply.stream)
        return await reply(request)

    async def aclose(self) -> None:
        self.closed = True


def client(transport: httpx.AsyncBaseTransport, **options: Any) -> AsyncMonite:
    """Return a client over a transport."""
    settings: dict[str, Any] = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "base_url": BASE_URL}
    return AsyncMonite(transport=transport, **{**settings, **options})


def scripted(monite: AsyncMonite) -> Scripted:
    """Return the script behind a client."""
    carrier = monite._core.engine.carrier
    assert isinstance(carrier, HttpxCarrier)
    assert isinstance(carrier.transport, Scripted)
    return carrier.transport


class Chunks(httpx.AsyncByteStream):
    """A body in pieces; counts how many were taken, and may end with an exception."""

    def __init__(self, *chunks: bytes, repeat: int = 1, error: Exception | None = None) -> None:
        self.chunks = chunks
        self.repeat = repeat
        self.error = error
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.repeat):
            for chunk in self.chunks:
                self.taken += 1
                yield chunk
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed = True
