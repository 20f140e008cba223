"""Tesouro FinOps, which continues Monite's API under other names. **Experimental**: built from public documents only.

::

    from monite_async import AsyncMonite
    from monite_async.experimental.tesouro import finops

    monite = AsyncMonite(client_id="...", client_secret="...", environment="sandbox", wire=finops(subject_token=mint))

An entity is called an organization there; the scopes, methods and models here keep Monite's names. What differs is one
value, a ``Wire``. Documented by Tesouro (docs.tesouro.com, read on 2026-11-22): hosts, header names, client credentials
as a form at ``/openid/connect/token``, users by token exchange (RFC 8693), revocation at ``/v1/auth/revoke``, and 400
"The token has been expired." for a dead token. Not known, and so not promised: whether every operation and field is
still what Monite's contract says, and what a client id looks like.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import urlencode

from monite_async._errors import AuthenticationError
from monite_async._tokens.issuer import FlowParts, IssuedToken, MoniteIssuer, Wire, read_token, refusal
from monite_async._tokens.keys import TokenKey

__all__ = ["SubjectToken", "finops"]

SubjectToken: TypeAlias = Callable[[str], Awaitable[str]]
"""Returns the JWT of a user, with ``sub`` and ``email``, as the partner's own OIDC application issues it."""

_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
"""A JWT in its compact form; without a signature where the platform allows ``alg: none`` (RFC 7519, section 6)."""

_TOKEN_PATH: Final = "/openid/connect/token"  # noqa: S105 - a path, not a secret
_FORM: Final = b"application/x-www-form-urlencoded"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - its name in RFC 8693


def finops(*, subject_token: SubjectToken | None = None) -> Wire:
    """Return the wire of Tesouro FinOps, for ``AsyncMonite(wire=...)``.

    Environments are ``sandbox``, the default, and ``us``, which is production.

    Args:
        subject_token: Called with the id that ``as_user()`` was given, when a token for that user is needed; returns a
            fresh JWT of the user. Without it there are no user scopes.
    """
    return Wire(
        version_header="x-finops-version",
        entity_header="x-organization-id",
        environments={"sandbox": "https://api.sandbox.tesouro.com/v1", "us": "https://api.tesouro.com/v1"},
        environment="sandbox",
        api_version="2025-06-23",
        uuid_client_id=False,
        flow=lambda wire, parts: _OidcIssuer(wire, parts, subject_token),
    )


class _OidcIssuer:
    """``POST /openid/connect/token``, as a form, for the partner and for its users; revocation is Monite's still."""

    __slots__ = ("_monite", "_parts", "_subject_token")

    def __init__(self, wire: Wire, parts: FlowParts, subject_token: SubjectToken | None) -> None:
        self._parts = parts
        self._subject_token = subject_token
        self._monite = MoniteIssuer(
            post=parts.post, credentials=parts.credentials, api_version=parts.api_version, wire=wire
        )

    def __repr__(self) -> str:
        return "<_OidcIssuer>"

    async def secret(self, *, refresh: bool = False) -> bytes:
        """See ``TokenIssuer.secret``."""
        return await self._monite.secret(refresh=refresh)

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        """See ``TokenIssuer.issue``."""
        sending = self._parts.post(
            _TOKEN_PATH, await self._form(key, timeout), headers={}, timeout=timeout, media_type=_FORM, at_root=True
        )
        result = await sending
        if not 200 <= result.status < 300:
            raise refusal(_TOKEN_PATH, result)
        return read_token(result, _TOKEN_PATH)

    async def revoke(self, token: str, *, timeout: float) -> None:
        """See ``TokenIssuer.revoke``."""
        await self._monite.revoke(token, timeout=timeout)

    async def _form(self, key: TokenKey, timeout: float) -> bytes:
        """Return the body with the secrets in it, which no variable of a frame that can fail afterwards holds."""
        secret = self._parts.credentials.secret
        if key.grant_type != "entity_user":
            return _encoded(
                {"grant_type": "client_credentials", "client_id": key.client_id, "client_secret": await secret()}
            )
        if self._subject_token is None:
            raise AuthenticationError("no token for a user: give finops(subject_token=...), which mints its JWT")
        return _encoded(
            {
                "grant_type": _EXCHANGE,
                "subject_token_type": _ACCESS_TOKEN,
                # Half of the time: else one that hangs would look like a token endpoint that does.
                "subject_token": await _ask(self._subject_token, key.entity_user_id, timeout / 2),
                "client_id": key.client_id,
                "client_secret": await secret(),
            }
        )


def _encoded(fields: dict[str, str]) -> bytes:
    return urlencode(fields, errors="replace").encode("ascii")


async def _ask(provider: SubjectToken, user_id: str, timeout: float) -> str:
    """Return the JWT of a user; whatever goes wrong is told without what it holds."""
    found: object = None
    problem = "did not return a JWT"
    try:
        async with asyncio.timeout(timeout):
            found = await provider(user_id)
    except Exception as exc:  # noqa: BLE001 - whatever it raises may hold the JWT
        problem = f"raised {type(exc).__name__}"
    if isinstance(found, str) and _JWT.fullmatch(found):
        return found
    del found  # what is no JWT may be a secret all the same, and a traceback may show the variables of its frames
    raise AuthenticationError(f"no token: subject_token {problem}")
