"""What is measured: the ways of getting a token, each behind the same three functions."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Protocol, cast

from benchmarks._token_server import Endpoint
from monite_async import AsyncMonite

__all__ = ["OURS", "SYSTEMS", "Spec", "System", "Token", "find", "raw_post"]

Token = Callable[[], Coroutine[object, object, object]]

_numbers = itertools.count(1)


def client_id() -> str:
    """Return a client id that no other object of this process has: some peers share tokens between objects."""
    return str(uuid.UUID(int=next(_numbers)))


class System(Protocol):
    """A way of getting a token."""

    @property
    def acquire(self) -> Token:
        """Get a token as the system's users do; the system's own function wherever it has one without arguments."""
        ...

    async def expire(self) -> None:
        """Make it believe that its token, if any, is no longer good."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """A system that may be there.

    Attributes:
        name: What tables call it.
        module: Where its adapter is.
        factory: The adapter: a class that takes an endpoint.
        needs: The module that has to be installed, or empty.
        package: Its name and version are shown.
        hits: Whether its hit cost is measured; not for variants whose hit is the same.
    """

    name: str
    module: str
    factory: str
    needs: str = ""
    package: str = ""
    hits: bool = True

    @property
    def is_installed(self) -> bool:
        """Tell whether it can be measured here."""
        try:
            return not self.needs or importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False

    @property
    def version(self) -> str:
        """The package with its version, or empty."""
        if not self.package or not self.is_installed:
            return ""
        # Authlib runs on httpx2 where that is installed: that pool copes better with many waiters.
        under = (" on httpx2" if importlib.util.find_spec("httpx2") else " on httpx") if self.needs == "authlib" else ""
        return f"{self.package} {metadata.version(self.package)}{under}"

    def load(self) -> Callable[..., object]:
        """Import its adapter, and with it the system."""
        return cast("Callable[..., object]", getattr(import_module(self.module), self.factory))

    def make(self, endpoint: Endpoint) -> System:
        """Return a new object of it, with no token yet."""
        return cast("System", self.load()(endpoint))


async def raw_post(endpoint: Endpoint) -> tuple[str, float]:
    """POST for a token in ten lines, for what brings no HTTP of its own; return it and its life in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    try:
        writer.write(b"POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        if " 200 " not in head.partition("\r\n")[0]:
            raise RuntimeError("the token endpoint failed")
    finally:
        writer.close()
    answer = cast("dict[str, str | int]", json.loads(body))
    return str(answer["access_token"]), float(answer["expires_in"])


class Monite:
    """This library: ``await client.token()``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.client = AsyncMonite(
            client_id=client_id(), client_secret="benchmark-secret", base_url=f"http://127.0.0.1:{endpoint.port}/v1"
        )
        self.acquire: Token = self.client.token

    async def expire(self) -> None:
        await self.client.tokens.invalidate()

    async def aclose(self) -> None:
        await self.client.aclose()


class NoLock:
    """What one writes first: fetch if there is none."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._token, self._until = "", 0.0

    async def acquire(self) -> str:
        if time.monotonic() >= self._until:
            self._token, lifetime = await raw_post(self._endpoint)
            self._until = time.monotonic() + lifetime - 60
        return self._token

    async def expire(self) -> None:
        self._until = 0.0

    async def aclose(self) -> None:
        """Nothing stays open."""


class HandLock(NoLock):
    """What one writes next: an ``asyncio.Lock`` around it, with the second look inside."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._lock = asyncio.Lock()

    async def acquire(self) -> str:
        if time.monotonic() >= self._until:
            async with self._lock:
                return await super().acquire()
        return self._token


class Floor:
    """The least that N waiters can cost: one task and one bare future each; it makes no request at all."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waiters: list[asyncio.Future[None]] = []
        self.delay = 0.15

    async def acquire(self) -> str:
        loop = asyncio.get_running_loop()
        if not self._waiters:
            loop.call_later(self.delay, self._land)
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        await waiter
        return "a token"

    def _land(self) -> None:
        for waiter in self._waiters:
            waiter.set_result(None)

    async def expire(self) -> None:
        """There is no token."""

    async def aclose(self) -> None:
        """Nothing is open."""


OURS = "monite-async"
_HERE, _PEERS = __name__, "benchmarks._peers"
SYSTEMS = (
    Spec(OURS, _HERE, "Monite", "monite_async", "monite-async"),
    Spec("no lock, by hand", _HERE, "NoLock"),
    Spec("asyncio.Lock, by hand", _HERE, "HandLock"),
    Spec("Authlib, expired token", _PEERS, "Authlib", "authlib", "Authlib"),
    Spec("Authlib, first token", _PEERS, "AuthlibFirst", "authlib", hits=False),
    Spec("httpx-auth", _PEERS, "HttpxAuth", "httpx_auth", "httpx-auth"),
    Spec("azure-identity credential", _PEERS, "AzureCredential", "azure.identity", "azure-identity"),
    Spec("azure-core bearer policy", _PEERS, "AzurePolicy", "azure.identity", "azure-core"),
    Spec("aiobotocore credentials", _PEERS, "Aiobotocore", "aiobotocore", "aiobotocore"),
)
_FLOOR = Spec("floor: task + future", _HERE, "Floor", hits=False)


def find(name: str) -> Spec:
    """Return the system of that name; also ``floor``."""
    return _FLOOR if name == "floor" else next(spec for spec in SYSTEMS if spec.name == name)
