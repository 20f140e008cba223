"""Tokens of the API of 2021: one with the credentials of the API user, all others with the token above them."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from email.utils import parsedate_to_datetime
from typing import Final, cast

from monite_async._errors import AuthenticationError, RequestTimeout
from monite_async._http.encode import encode_path
from monite_async._tokens.issuer import FlowParts, IssuedToken, PostResult, Wire, refusal
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import parse_lifetime
from monite_async._tokens.record import AccessToken

__all__ = ["BASE_URL", "WIRE", "LegacyIssuer"]

BASE_URL: Final = "https://api.dev.monite.dev/partner-api"
"""Where the API was in 2021."""

_AUTH: Final = "/api_users/v1/auth"
_ACCESS: Final = "/api_users/v1/entities/{entity_id}/access"
_USER_AUTH: Final = "/entities/v1/auth/{entity_user_id}"
_MIN_LENGTH: Final = 8
_MAX_LENGTH: Final = 16 * 1024


class LegacyIssuer:
    """``POST /v1/auth`` for the API user, ``.../access`` for an entity, ``.../auth/{id}`` for a user of an entity."""

    __slots__ = ("_credentials", "_parts", "_wire")

    def __init__(self, wire: Wire, parts: FlowParts) -> None:
        self._wire = wire
        self._parts = parts
        self._credentials = parts.credentials

    def __repr__(self) -> str:
        return "<LegacyIssuer>"

    async def secret(self, *, refresh: bool = False) -> bytes:
        """See ``TokenIssuer.secret``."""
        return (await self._credentials.secret(refresh=refresh)).encode()

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        """See ``TokenIssuer.issue``; an answer that does not say how long its token lives counts as a minute."""
        if key.grant_type == "client_credentials":
            result = await self._send(_AUTH, await self._login(), timeout)
            return _read(_AUTH, result)
        if key.grant_type == "entity":
            above = TokenKey(key.base_url, key.client_id, "client_credentials")
            template, values = _ACCESS, {"entity_id": key.entity_id}
        else:
            above = TokenKey(key.base_url, key.client_id, "entity", entity_id=key.entity_id)
            template, values = _USER_AUTH, {"entity_user_id": key.entity_user_id}
        path = encode_path(template, values)
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                return _read(template, await self._ask(above, path, timeout))
        except TimeoutError:
            if not scope.expired():
                raise
        raise RequestTimeout("the tokens that this one is asked for with did not come in time", path=template)

    async def revoke(self, token: str, *, timeout: float) -> None:
        """See ``TokenIssuer.revoke``: log out; only the API user's own token can be ended so."""
        hidden = IssuedToken(token.encode("ascii"), timeout)
        del token  # a traceback may show the variables of its frames
        result = await self._parts.post(_AUTH, b"", headers={}, timeout=timeout, method="DELETE", token=hidden)
        if not 200 <= result.status < 300:
            raise refusal(_AUTH, result, revoking=True)

    async def _login(self) -> bytes:
        """Return the body with the secret in it, which no variable of a frame that can fail afterwards holds."""
        fields = {"user_id": self._credentials.client_id, "secret": await self._credentials.secret()}
        return json.dumps(fields).encode()

    async def _ask(self, above: TokenKey, path: str, timeout: float) -> PostResult:
        """Ask for a token with the one above it, and once more when that one turns out to be dead."""
        tokens = self._parts.tokens()
        token = await tokens.get(above)
        result = await self._send(path, b"", timeout, token)
        if self._wire.is_dead_token(result.status, result.content[:1000].decode("utf-8", "replace")):
            fresh = await tokens.replace(above, token)
            result = result if fresh is None else await self._send(path, b"", timeout, fresh)
        return result

    async def _send(self, path: str, body: bytes, timeout: float, token: AccessToken | None = None) -> PostResult:
        sending = self._parts.post(path, body, headers={}, timeout=timeout, token=token)
        del body  # it may hold the secret, and a traceback may show the variables of its frames
        return await sending


WIRE: Final = Wire(
    authorization_header="x-api-key",
    version_header="",
    entity_header="x-entity-id",
    environments={"dev": BASE_URL},
    environment="dev",
    flow=LegacyIssuer,
)
"""The token stands alone in a header of its own; there are no versions, and the token says which entity."""


def _read(path: str, result: PostResult) -> IssuedToken:
    """Return the token of either form of answer: under ``data``, or with the time of its end beside it."""
    if not 200 <= result.status < 300:
        raise refusal(path, result)
    fields = _object(result.content)
    inner = fields.get("data")
    if isinstance(inner, dict):
        fields = {**fields, **cast("dict[str, object]", inner)}
    try:
        return IssuedToken(_token(fields.get("token")), _lifetime(fields.get("expiration_in"), result))
    except ValueError as exc:
        problem = str(exc)
    raise AuthenticationError(
        f"the token endpoint cannot be understood: {problem}",
        method="POST",
        path=path,
        status=result.status,
        request_id=result.headers.get("x-request-id"),
        attempts=1,
    )


def _object(content: bytes) -> dict[str, object]:
    try:
        answer: object = json.loads(content)
    except ValueError:
        return {}
    return cast("dict[str, object]", answer) if isinstance(answer, dict) else {}


def _token(value: object) -> bytes:
    if (
        isinstance(value, str)
        and _MIN_LENGTH <= len(value) <= _MAX_LENGTH
        and all("!" <= char <= "~" for char in value)
    ):
        return value.encode("ascii")
    raise ValueError("its answer has no usable token")


def _lifetime(end: object, result: PostResult) -> float:
    """Return the seconds until a point in time, which despite its name ``expiration_in`` is.

    Counted by the server's clock where it tells its time, so that a machine with a wrong clock gets along.
    """
    if end is None:
        return parse_lifetime(None)
    try:
        moment = dt.datetime.fromisoformat(str(end))
    except ValueError:
        raise ValueError("expiration_in is not a date-time") from None
    return parse_lifetime((_aware(moment) - _now(result)).total_seconds())


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _now(result: PostResult) -> dt.datetime:
    try:
        return _aware(parsedate_to_datetime(result.headers.get("date", "")))
    except ValueError:
        return dt.datetime.now(dt.UTC)
