"""Files of the API from a script: answers in pieces, and some that never end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx

from monite_async import (
    AsyncMonite,
    RetryPolicy,
)
from tests.scripted import Chunks, Scripted, client

FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)
LINK = "https://files.monite.test/a/b.pdf?signature=canary-link"
PATH = "/document_templates/{id}/preview"
PDF = b"%PDF-1.7 " + bytes(range(256)) * 4000


def pdf(*chunks: bytes, **headers: str) -> httpx.Response:
    """Return an answer that is a file, in pieces."""
    named = {"content-type": "application/pdf", "x-request-id": "rq-5", **headers}
    return httpx.Response(200, headers=named, stream=Chunks(*(chunks or (PDF,))))


def over(*replies: Any, **options: Any) -> tuple[AsyncMonite, Scripted]:
    """Return a client over a script, and the script."""
    transport = Scripted(*replies, keep_streams=True)
    return client(transport, retry=FAST, **options), transport


async def read(monite: AsyncMonite, path: str = "/file", **call: Any) -> bytes:
    """Read a stream to its end."""
    async with monite.stream("GET", path, **call) as response:
        return b"".join([piece async for piece in response])


class Slow(httpx.AsyncByteStream):
    """Gives a byte, then waits for ever (or, where told, a moment between bytes)."""

    def __init__(self, pause: float | None = None) -> None:
        self.pause = pause
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"
            await (asyncio.Event().wait() if self.pause is None else asyncio.sleep(self.pause))

    async def aclose(self) -> None:
        self.closed = True


class Wire(httpx.AsyncBaseTransport):
    """Answers API calls with one stream, token requests as the script does."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self.stream = stream
        self.script = Scripted()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/auth/" in request.url.path:
            return await self.script.handle_async_request(request)
        return httpx.Response(200, stream=self.stream)
