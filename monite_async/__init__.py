"""An async client of the Monite API: tokens shared right, every call typed.

Importing this package imports nothing else; what is used is loaded on first use (PEP 562).
"""

from __future__ import annotations

from monite_async._version import __version__

TYPE_CHECKING = False  # not from typing: that alone takes longer to import than everything here
if TYPE_CHECKING:
    from monite_async._client import AsyncMonite
    from monite_async._config import Environment
    from monite_async._core import Tokens
    from monite_async._downloads import Download, FileTarget, StreamedResponse
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
    from monite_async._files import FileInput, Upload
    from monite_async._http.transport import PooledTransport
    from monite_async._operations import OperationInfo, operations
    from monite_async._options import UNSET, RequestOptions, RetryPolicy, Unset
    from monite_async._pagination import AsyncPager, Cursor, ItemIterator, PageIterator
    from monite_async._rate import SharedRate
    from monite_async._response import RawResponse
    from monite_async._scope import EntityClient, EntityUserClient, UserClient
    from monite_async._tokens.events import TokenEvent, TokenStats
    from monite_async._tokens.issuer import FlowParts, IssuedToken, MoniteIssuer, TokenIssuer, Wire
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
    "Download",
    "EntityClient",
    "EntityUserClient",
    "Environment",
    "FileInput",
    "FileTarget",
    "FlowParts",
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
    "SharedRate",
    "StreamedResponse",
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
    "APIStatusError": "_errors",
    "AccessToken": "_tokens.record",
    "AsyncMonite": "_client",
    "AsyncPager": "_pagination",
    "AuthenticationError": "_errors",
    "BadRequestError": "_errors",
    "ClientClosedError": "_errors",
    "ConfigurationError": "_errors",
    "ConflictError": "_errors",
    "ConnectError": "_errors",
    "Cursor": "_pagination",
    "Download": "_downloads",
    "EntityClient": "_scope",
    "EntityUserClient": "_scope",
    "Environment": "_config",
    "FileInput": "_files",
    "FileTarget": "_downloads",
    "FlowParts": "_tokens.issuer",
    "ForbiddenError": "_errors",
    "IssuedToken": "_tokens.issuer",
    "ItemIterator": "_pagination",
    "MoniteError": "_errors",
    "MoniteIssuer": "_tokens.issuer",
    "NotFoundError": "_errors",
    "OperationInfo": "_operations",
    "PageIterator": "_pagination",
    "PoolTimeout": "_errors",
    "PooledTransport": "_http.transport",
    "RateLimitError": "_errors",
    "RawResponse": "_response",
    "RequestOptions": "_options",
    "RequestTimeout": "_errors",
    "ResponseValidationError": "_errors",
    "RetryPolicy": "_options",
    "ServerError": "_errors",
    "SharedRate": "_rate",
    "StreamedResponse": "_downloads",
    "TokenEvent": "_tokens.events",
    "TokenIssuer": "_tokens.issuer",
    "TokenStats": "_tokens.events",
    "Tokens": "_core",
    "TransportError": "_errors",
    "UNSET": "_options",
    "UnauthorizedError": "_errors",
    "UnprocessableEntityError": "_errors",
    "Unset": "_options",
    "Upload": "_files",
    "UserClient": "_scope",
    "WebhookError": "_errors",
    "Wire": "_tokens.issuer",
    "WorkFailedError": "_errors",
    "WorkTimeout": "_errors",
    "operations": "_operations",
}


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
