"""The peers, each driven at its own token-acquiring call with its own HTTP stack.

They have no type information that fits, so each is described by a small protocol of what is used of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from functools import partial
from importlib import import_module
from typing import Protocol, Self, cast
from urllib.parse import urlsplit

import httpx

from benchmarks._systems import Token, client_id, raw_post
from benchmarks._token_server import Endpoint

__all__ = ["Aiobotocore", "Authlib", "AuthlibFirst", "AzureCredential", "AzurePolicy", "HttpxAuth"]

_SECRET = "benchmark-secret"
_SCOPE = "https://api.test/.default"
_LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class _AuthlibClient(Protocol):
    token: object

    async def ensure_active_token(self, token: object) -> None: ...

    async def fetch_token(self, url: str, *, grant_type: str) -> object: ...

    async def aclose(self) -> None: ...


class Authlib:
    """``AsyncOAuth2Client.ensure_active_token``, which runs before every request; it starts with an expired token."""

    def __init__(self, endpoint: Endpoint) -> None:
        module = import_module("authlib.integrations.httpx_client")
        self._url = endpoint.url
        self._client = cast(
            "_AuthlibClient",
            module.AsyncOAuth2Client(
                client_id(),
                _SECRET,
                token_endpoint=self._url,
                grant_type="client_credentials",
                token=_expired(),
                timeout=60,
            ),
        )
        self.acquire: Token = partial(self._client.ensure_active_token, _expired())

    async def expire(self) -> None:
        self._client.token = _expired()

    async def aclose(self) -> None:
        await self._client.aclose()


class AuthlibFirst(Authlib):
    """The same with no token yet: its lock does not cover that, so ``fetch_token`` is the user's to call."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._client.token = None
        self.acquire = self._first

    async def _first(self) -> None:
        token = self._client.token
        if token is not None:
            await self._client.ensure_active_token(token)
        else:
            await self._client.fetch_token(self._url, grant_type="client_credentials")

    async def expire(self) -> None:
        self._client.token = None


def _expired() -> dict[str, str | int]:
    return {"access_token": "old", "token_type": "Bearer", "expires_in": 1, "expires_at": 1}


class _TokenCache(Protocol):
    def clear(self) -> None: ...


class _Flow(Protocol):
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]: ...


class HttpxAuth:
    """``OAuth2ClientCredentials.auth_flow``, which an ``AsyncClient`` runs before every request, on its loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        module = import_module("httpx_auth")
        self._cache = cast("_TokenCache", module.OAuth2.token_cache)
        self._request = httpx.Request("GET", "http://api.test/")
        self._auth = cast("_Flow", module.OAuth2ClientCredentials(endpoint.url, client_id(), _SECRET))

    async def acquire(self) -> httpx.Request:
        return next(self._auth.auth_flow(self._request))

    async def expire(self) -> None:
        self._cache.clear()

    async def aclose(self) -> None:
        """It opens and closes a client for each fetch."""


class _AzureTransport(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def sleep(self, duration: float) -> None: ...

    async def send(self, request: _AzureRequest, **options: object) -> object: ...


class _AzureRequest(Protocol):
    url: str


class _Redirected:
    """azure-core's own aiohttp transport, with every request sent to the endpoint: an authority must be https."""

    def __init__(self, endpoint: Endpoint) -> None:
        module = import_module("azure.core.pipeline.transport")
        self._inner = cast("_AzureTransport", module.AioHttpTransport())
        self._endpoint = endpoint

    async def send(self, request: _AzureRequest, **options: object) -> object:
        request.url = f"http://127.0.0.1:{self._endpoint.port}{urlsplit(request.url).path}"
        return await self._inner.send(request, **options)

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def sleep(self, duration: float) -> None:
        await self._inner.sleep(duration)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _MsalHolder(Protocol):
    _cache: object


class _Credential(Protocol):
    _client: _MsalHolder

    async def get_token_info(self, scope: str) -> object: ...

    async def close(self) -> None: ...


class AzureCredential:
    """``ClientSecretCredential.get_token_info``; its repeats of failed requests are off, as everyone else's here."""

    def __init__(self, endpoint: Endpoint) -> None:
        module = import_module("azure.identity.aio")
        self.credential = cast(
            "_Credential",
            module.ClientSecretCredential(
                "tenant", client_id(), _SECRET, transport=_Redirected(endpoint), retry_total=0
            ),
        )
        self.acquire: Token = partial(self.credential.get_token_info, _SCOPE)

    async def expire(self) -> None:
        self.credential._client._cache = None

    async def aclose(self) -> None:
        await self.credential.close()


class _Policy(Protocol):
    _token: object

    async def on_request(self, request: object) -> None: ...


class AzurePolicy(AzureCredential):
    """``AsyncBearerTokenCredentialPolicy.on_request``, which runs before every request of an Azure client."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        policies, pipeline = import_module("azure.core.pipeline.policies"), import_module("azure.core.pipeline")
        rest = import_module("azure.core.rest")
        request = pipeline.PipelineRequest(rest.HttpRequest("GET", "https://api.test/"), pipeline.PipelineContext(None))
        self._policy = cast("_Policy", policies.AsyncBearerTokenCredentialPolicy(self.credential, _SCOPE))
        self.acquire = partial(self._policy.on_request, cast("object", request))

    async def expire(self) -> None:
        await super().expire()
        self._policy._token = None


class _Frozen(Protocol):
    _expiry_time: dt.datetime

    async def get_frozen_credentials(self) -> object: ...


class Aiobotocore:
    """``AioRefreshableCredentials.get_frozen_credentials``, which runs before every request; the fetch is ours."""

    def __init__(self, endpoint: Endpoint) -> None:
        module = import_module("aiobotocore.credentials")
        self._endpoint = endpoint
        self._credentials = cast(
            "_Frozen",
            module.AioRefreshableCredentials("key", "secret", "old", _LONG_AGO, self._refresh, "benchmark"),
        )
        self.acquire: Token = self._credentials.get_frozen_credentials

    async def _refresh(self) -> dict[str, str]:
        token, lifetime = await raw_post(self._endpoint)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
        return {"access_key": "key", "secret_key": "secret", "token": token, "expiry_time": until.isoformat()}

    async def expire(self) -> None:
        self._credentials._expiry_time = _LONG_AGO

    async def aclose(self) -> None:
        """Nothing stays open."""
