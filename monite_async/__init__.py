"""An async client of the Monite API: tokens shared right, every call typed.

Importing this package imports neither httpx nor pydantic; what is used is loaded on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from monite_async._errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ForbiddenError,
    MoniteError,
    NotFoundError,
    PoolTimeout,
    RateLimitError,
    RequestTimeout,
    ResponseValidationError,
    ServerError,
    TransportError,
    UnauthorizedError,
    UnprocessableEntityError,
    WebhookError,
    WorkFailedError,
    WorkTimeout,
)
from monite_async._options import UNSET, RequestOptions, RetryPolicy, Unset
from monite_async._version import __version__

if TYPE_CHECKING:
    from monite_async._client import AsyncMonite
    from monite_async._config import Environment
    from monite_async._core import Tokens
    from monite_async._files import FileInput, Upload
    from monite_async._http.transport import PooledTransport
    from monite_async._operations import OperationInfo, operations
    from monite_async._pagination import AsyncPager, Cursor, ItemIterator, PageIterator
    from monite_async._response import RawResponse
    from monite_async._scope import EntityClient, EntityUserClient, UserClient
    from monite_async._tokens.events import TokenEvent, TokenStats
    from monite_async._tokens.issuer import IssuedToken, MoniteIssuer, TokenIssuer, Wire
    from monite_async._tokens.record import AccessToken

__all__ = [
    "UNSET",
    "APIStatusError",
    "AccessToken",
    "AsyncMonite",
    "AsyncPager",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "Cursor",
    "EntityClient",
    "EntityUserClient",
    "Environment",
    "FileInput",
    "ForbiddenError",
    "IssuedToken",
    "ItemIterator",
    "MoniteError",
    "MoniteIssuer",
    "NotFoundError",
    "OperationInfo",
    "PageIterator",
    "PoolTimeout",
    "PooledTransport",
    "RateLimitError",
    "RawResponse",
    "RequestOptions",
    "RequestTimeout",
    "ResponseValidationError",
    "RetryPolicy",
    "ServerError",
    "TokenEvent",
    "TokenIssuer",
    "TokenStats",
    "Tokens",
    "TransportError",
    "UnauthorizedError",
    "UnprocessableEntityError",
    "Unset",
    "Upload",
    "UserClient",
    "WebhookError",
    "Wire",
    "WorkFailedError",
    "WorkTimeout",
    "__version__",
    "operations",
]

_LAZY = {
    "AccessToken": "_tokens.record",
    "AsyncMonite": "_client",
    "AsyncPager": "_pagination",
    "Cursor": "_pagination",
    "EntityClient": "_scope",
    "EntityUserClient": "_scope",
    "Environment": "_config",
    "FileInput": "_files",
    "IssuedToken": "_tokens.issuer",
    "ItemIterator": "_pagination",
    "MoniteIssuer": "_tokens.issuer",
    "OperationInfo": "_operations",
    "PageIterator": "_pagination",
    "PooledTransport": "_http.transport",
    "RawResponse": "_response",
    "TokenEvent": "_tokens.events",
    "TokenIssuer": "_tokens.issuer",
    "TokenStats": "_tokens.events",
    "Tokens": "_core",
    "Upload": "_files",
    "UserClient": "_scope",
    "Wire": "_tokens.issuer",
    "operations": "_operations",
}


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
