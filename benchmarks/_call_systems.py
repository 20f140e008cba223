"""What calls are measured on: this library's engines, and the floor; each makes the same call behind two functions."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from benchmarks._systems import Spec
from monite_async import AsyncMonite, ConfigurationError, EntityClient
from monite_async.models.payables import PayableResponseSchema

__all__ = [
    "ENTITY",
    "FAST",
    "FLOOR",
    "HTTPX",
    "OFFICIAL",
    "OURS",
    "PATH",
    "PAYABLE",
    "RAW",
    "SNIFFIO",
    "Client",
    "Target",
    "call_systems",
    "fast",
    "find",
    "headers",
]

ENTITY = "00000000-0000-4000-8000-000000000001"
PAYABLE = "5b4daced-6b9a-4707-83c6-08193d999fab"
PATH = f"/payables/{PAYABLE}"
_CLIENT_ID = "00000000-0000-4000-8000-000000000002"
_PLENTY = 1_000_000.0
"""Calls per second that the limiter allows: it is on, and never has anybody wait."""
_PATIENCE = 120.0
"""Seconds that a call may take: some peers keep a thousand callers waiting for long."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is called, and by how many at once.

    Attributes:
        url: Base URL of the API.
        authority: File of the certificate authority, for https.
        connections: Most connections that are needed, when limits have to be raised; None leaves them as they come.
    """

    url: str
    authority: str
    connections: int | None = None


class Client(Protocol):
    """A client that can be measured."""

    async def call(self) -> object:
        """Get one payable, parsed into a model."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


def headers() -> dict[str, str]:
    """Return what the API wants of each request besides ``Host``, for clients that know nothing of it."""
    from benchmarks._token_server import make_token

    return {
        "authorization": f"Bearer {make_token(1)}",
        "x-monite-version": "2024-05-25",
        "x-monite-entity-id": ENTITY,
        "accept": "application/json",
    }


class Ours:
    """This library with everything on: token, scope, typed answer, retries, deadline, limiter; its scope is asked for with each call."""

    def __init__(self, target: Target, **options: Any) -> None:
        everything: dict[str, Any] = {"rate_limit": _PLENTY, "timeout": _PATIENCE, "deadline": _PATIENCE, **options}
        self._make = partial(
            AsyncMonite, client_id=_CLIENT_ID, client_secret="benchmark-secret", base_url=target.url, **everything
        )
        self.client = self._make()

    def scope(self) -> EntityClient:
        """Return the scope of the entity, as a web request would."""
        return self.client.entity(ENTITY)

    def another(self) -> AsyncMonite:
        """Return a further client like this one; it opens nothing before it is used."""
        return self._make()

    async def call(self) -> object:
        return await self.scope().payables.get(PAYABLE)

    async def aclose(self) -> None:
        await self.client.aclose()


class _Line(asyncio.Protocol):
    """One connection of the floor: whoever has it waits for one answer with a Content-Length."""

    def __init__(self) -> None:
        self.transport = cast("asyncio.Transport", None)
        self._waiter: asyncio.Future[bytes] | None = None
        self._buffer, self._whole = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._whole:
            at = self._buffer.find(b"content-length: ") + 16
            end = self._buffer.find(b"\r\n\r\n") + 4
            if at < 16 or end < 4:
                return
            self._whole = end + int(self._buffer[at : self._buffer.find(b"\r\n", at)])
            self._head = end
        if len(self._buffer) >= self._whole and self._waiter is not None:
            self._waiter.set_result(self._buffer[self._head :])
            self._buffer, self._whole, self._waiter = b"", 0, None

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter


class Floor:
    """The least that a call can cost on asyncio: bytes that are ready made, no errors, no limits, no parsing of heads."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers().items())
        self._request = f"GET {parts.path}{PATH} HTTP/1.1\r\nhost: {parts.netloc}\r\n{head}\r\n".encode("ascii")
        self._idle: deque[_Line] = deque()

    async def call(self) -> object:
        if self._idle:
            line = self._idle.pop()
        else:
            _, line = await asyncio.get_running_loop().create_connection(_Line, self._host, self._port)
        content = await line.ask(self._request)
        self._idle.append(line)
        return PayableResponseSchema.model_validate_json(content)

    async def aclose(self) -> None:
        for line in self._idle:
            line.transport.close()


OURS, FAST = "monite-async", "monite-async, fast engine"
OFFICIAL, HTTPX, RAW = "official client", "httpx + model", "aiohttp + model"
FLOOR, SNIFFIO = "floor: asyncio.Protocol + model", "httpx + model, with sniffio"
_HERE, _PEERS = __name__, "benchmarks._call_peers"
_SYSTEMS = (
    Spec(OURS, _HERE, "Ours", "monite_async", "monite-async"),
    Spec(FAST, _HERE, "fast", "httptools", "httptools"),
    Spec(FLOOR, _HERE, "Floor"),
    Spec(RAW, _PEERS, "Aiohttp", "aiohttp", "aiohttp"),
    Spec("httpx2 + model", _PEERS, "Httpx2", "httpx2", "httpx2"),
    Spec(SNIFFIO, _PEERS, "HttpxSniffio", "sniffio", "sniffio"),
    Spec(HTTPX, _PEERS, "Httpx", "httpx", "httpx"),
    Spec(OFFICIAL, _PEERS, "Official", "monite", "monite"),
)


def fast(target: Target, **options: Any) -> Ours:
    """Return this library on its fast engine."""
    return Ours(target, transport="fast", **options)


@cache
def _has_fast_engine() -> bool:
    try:
        fast(Target("http://127.0.0.1:1/v1", ""))
    except ConfigurationError:
        return False
    return True


def call_systems() -> list[Spec]:
    """Return what can be measured here."""
    return [spec for spec in _SYSTEMS if spec.is_installed and (spec.name != FAST or _has_fast_engine())]


def find(name: str) -> Spec:
    """Return the system of that name."""
    return next(spec for spec in _SYSTEMS if spec.name == name)
