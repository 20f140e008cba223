"""The peers of a call: HTTP clients that know nothing of the API, with this library's model; and the official client.

Each is used as its documentation shows: one client, headers set once, limits as they come unless the case needs more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from benchmarks._call_systems import ENTITY, PATH, PAYABLE, Target, headers
from monite_async.models.payables import PayableResponseSchema

__all__ = ["Aiohttp", "Httpx", "Httpx2", "HttpxSniffio", "Official"]

_PATIENCE = 120.0
_LONG = 600.0


class HttpxSniffio:
    """``httpx.AsyncClient`` where ``sniffio`` is installed, by chance: nothing that httpx requires brings it."""

    module = "httpx"

    def __init__(self, target: Target) -> None:
        self.client = _httpx_client(import_module(self.module), target, headers())
        self._url = f"{target.url}{PATH}"

    async def call(self) -> object:
        response = await self.client.get(self._url)
        response.raise_for_status()
        return PayableResponseSchema.model_validate_json(response.content)

    async def aclose(self) -> None:
        await self.client.aclose()


class Httpx(HttpxSniffio):
    """``httpx.AsyncClient`` as ``pip install httpx`` brings it."""

    def __init__(self, target: Target) -> None:
        hide_sniffio()
        super().__init__(target)


class Httpx2(HttpxSniffio):
    """``httpx2.AsyncClient``."""

    module = "httpx2"


class Aiohttp:
    """``aiohttp.ClientSession``."""

    def __init__(self, target: Target) -> None:
        module: Any = import_module("aiohttp")
        more: dict[str, object] = {}
        if target.connections is not None:
            more = {"limit": target.connections, "keepalive_timeout": _LONG}
        if target.url.startswith("https:"):
            more["ssl"] = _context(target)
        timeout = module.ClientTimeout(total=_PATIENCE)
        self._session = module.ClientSession(
            connector=module.TCPConnector(**more), headers=headers(), timeout=timeout, raise_for_status=True
        )
        self._url = f"{target.url}{PATH}"

    async def call(self) -> object:
        async with self._session.get(self._url) as response:
            content = await response.read()
        return PayableResponseSchema.model_validate_json(content)

    async def aclose(self) -> None:
        await self._session.close()


class Official:
    """``monite.client.AsyncMonite``, which is given its token: it has no way to get one."""

    def __init__(self, target: Target) -> None:
        hide_sniffio()
        self._http = _httpx_client(import_module("httpx"), target, {})
        client: Any = import_module("monite.client").AsyncMonite
        self._client = client(
            base_url=target.url,
            monite_version="2024-05-25",
            monite_entity_id=ENTITY,
            token=headers()["authorization"].removeprefix("Bearer "),
            httpx_client=self._http,
        )

    async def call(self) -> object:
        return await self._client.payables.get_by_id(payable_id=PAYABLE)

    async def aclose(self) -> None:
        await self._http.aclose()


def _httpx_client(module: Any, target: Target, constant: dict[str, str]) -> Any:
    more: dict[str, object] = {}
    if target.connections is not None:
        wide = target.connections
        more["limits"] = module.Limits(max_connections=wide, max_keepalive_connections=wide, keepalive_expiry=_LONG)
    if target.url.startswith("https:"):
        more["verify"] = _context(target)
    # Its own 5 s for a connection from the pool are not enough at 1,000 at once.
    return module.AsyncClient(headers=constant, timeout=_PATIENCE, **more)


def _context(target: Target) -> object:
    import ssl

    return ssl.create_default_context(cafile=target.authority)


class _NoSniffio:
    """Finds that ``sniffio`` is not there, at the price of really looking for a module that is not."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "sniffio":
            return None
        PathFinder.find_spec("sniffio_that_nobody_has", path, target)
        raise ModuleNotFoundError("No module named 'sniffio'", name="sniffio")


def hide_sniffio() -> None:
    """Make this process one where ``sniffio`` is not installed, which is how ``pip install httpx`` leaves it.

    httpcore 1.x then tries to import it again for each of its locks and events, which is a good part of its cost
    (httpcore 1.0.9, ``_synchronization.current_async_library``); anyio 4.16 requires it no more.
    """
    sys.modules.pop("sniffio", None)
    sys.meta_path.insert(0, _NoSniffio)
