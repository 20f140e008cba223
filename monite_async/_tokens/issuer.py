"""Where tokens come from: the issuer protocol, and Monite's own two endpoints.

Another flow (the partner API of 2021, an OpenID Connect endpoint) is another ``TokenIssuer`` and another ``Wire``; the
cache knows neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from monite_async._errors import AuthenticationError, MoniteError, RateLimitError, RequestTimeout, ServerError
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import parse_lifetime
from monite_async_stores._value import frozen

__all__ = ["IssuedToken", "MoniteIssuer", "Post", "PostResult", "TokenIssuer", "Wire", "is_dead_token", "refusal"]

_TOKEN_PATH = "/auth/token"  # noqa: S105 - a path, not a secret
_REVOKE_PATH = "/auth/revoke"
_NOT_REFUSALS: dict[int, type[MoniteError]] = {408: RequestTimeout, 429: RateLimitError}
_MIN_LENGTH = 16
_MAX_LENGTH = 16 * 1024


def is_dead_token(status: int, message: str) -> bool:
    """Tell whether an answer says that the token is no longer valid.

    From API version 2024-05-25 that is 401; before, 400 (seen also: 403) with a message that says so. A plain 403 is
    a matter of permissions, never of the token.
    """
    if status == 401:
        return True
    text = message.lower()
    return status in (400, 403) and ("expired" in text or "revoked" in text)


@frozen
class Wire:
    """How tokens and scopes are written on a request, and how a dead token is recognised.

    Attributes:
        authorization_header: Carries the token.
        version_header: Carries the API version; empty when nothing does.
        entity_header: Carries the entity.
        is_dead_token: Called with the status and the server's message of a failed call.
    """

    authorization_header: str = "authorization"
    version_header: str = "x-monite-version"
    entity_header: str = "x-monite-entity-id"
    is_dead_token: Callable[[int, str], bool] = is_dead_token


@frozen
class IssuedToken:
    """A new token.

    Attributes:
        header: The header value to send, as bytes (``Bearer <token>``, or whatever the flow wants).
        lifetime: Its life in seconds, counted from before it was asked for.
    """

    header: bytes
    lifetime: float

    def __repr__(self) -> str:
        return f"<IssuedToken lifetime={self.lifetime:g}>"


class TokenIssuer(Protocol):
    """A flow that issues and revokes tokens."""

    async def secret(self, *, refresh: bool = False) -> bytes:
        """Return what record names and sealing keys are derived from; it changes when the credentials rotate.

        Args:
            refresh: Read it again, whatever was read before.
        """
        ...

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        """Ask for one new token, once.

        Raises:
            AuthenticationError: The answer is a refusal (with ``status``) or makes no sense.
            MoniteError: Anything else; ``RateLimitError``, ``ServerError`` and ``TransportError`` are tried again.
        """
        ...

    async def revoke(self, token: str, *, timeout: float) -> None:
        """Have one token revoked, once; raises as ``issue`` does."""
        ...


@frozen
class PostResult:
    """The answer to a POST: status, headers and the whole body.

    Attributes:
        status: HTTP status.
        headers: Headers, looked up without regard to case.
        content: The whole body, decompressed.
        retry_after: Seconds for which the server asks to stay away, whichever header says so, or None.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    retry_after: float | None = None

    def __repr__(self) -> str:
        return f"<PostResult {self.status}>"


class Post(Protocol):
    """Sends one POST to the API, with no retries and no redirects."""

    async def __call__(self, path: str, body: bytes, *, headers: Mapping[str, str], timeout: float) -> PostResult:
        """Send ``body`` to ``path`` below the base URL within ``timeout`` seconds.

        Raises:
            TransportError: No complete answer arrived. Its text holds no body and no header.
        """
        ...


class MoniteIssuer:
    """``POST /auth/token`` and ``POST /auth/revoke`` (Monite: "Access tokens")."""

    __slots__ = ("_credentials", "_headers", "_post")

    def __init__(self, *, post: Post, credentials: ClientCredentials, api_version: str, wire: Wire) -> None:
        self._post = post
        self._credentials = credentials
        self._headers = {wire.version_header: api_version, "content-type": "application/json"}

    def __repr__(self) -> str:
        return "<MoniteIssuer>"

    async def secret(self, *, refresh: bool = False) -> bytes:
        """See ``TokenIssuer.secret``."""
        return (await self._credentials.secret(refresh=refresh)).encode()

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        """See ``TokenIssuer.issue``; ``expires_in`` missing counts as 60 s and is cut to a week."""
        fields = {"grant_type": key.grant_type, "client_id": key.client_id}
        if key.grant_type == "entity_user":
            fields["entity_user_id"] = key.entity_user_id
        return _read_token(await self._send(_TOKEN_PATH, fields, timeout))

    async def revoke(self, token: str, *, timeout: float) -> None:
        """See ``TokenIssuer.revoke``."""
        await self._send(_REVOKE_PATH, {"client_id": self._credentials.client_id, "token": token}, timeout)

    async def _send(self, path: str, fields: dict[str, str], timeout: float) -> PostResult:
        result = await self._post(path, await self._body(fields), headers=self._headers, timeout=timeout)
        del fields  # it may hold a token, and a traceback may show the variables of its frames
        if not 200 <= result.status < 300:
            raise refusal(path, result)
        return result

    async def _body(self, fields: dict[str, str]) -> bytes:
        """Return the body with the secret in it, which no variable of a frame that can fail afterwards holds."""
        return json.dumps({**fields, "client_secret": await self._credentials.secret()}).encode()


def _object(content: bytes) -> dict[str, object]:
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    return cast("dict[str, object]", answer) if isinstance(answer, dict) else {}


def _read_token(result: PostResult) -> IssuedToken:
    answer = _object(result.content)
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(token, str) or not _is_visible(token) or not _MIN_LENGTH <= len(token) <= _MAX_LENGTH:
        raise _nonsense(
            result, "its answer has no usable access_token (16 to 16384 visible ASCII characters are expected)"
        )
    if not isinstance(kind, str) or not _is_visible(kind) or len(kind) > _MIN_LENGTH:
        raise _nonsense(result, "its answer has an unusable token_type")
    try:
        lifetime = parse_lifetime(answer.get("expires_in"))
    except ValueError as exc:
        raise _nonsense(result, str(exc)) from None
    scheme = "Bearer" if kind.lower() == "bearer" else kind
    return IssuedToken(f"{scheme} {token}".encode("ascii"), lifetime)


def _is_visible(text: str) -> bool:
    """Tell whether a text can stand in a header as it is, so that no HTTP library ever raises with it in its text."""
    return bool(text) and all("!" <= ch <= "~" for ch in text)


def _nonsense(result: PostResult, what: str) -> AuthenticationError:
    return AuthenticationError(
        f"the token endpoint cannot be understood: {what}",
        method="POST",
        path=_TOKEN_PATH,
        status=result.status,
        request_id=result.headers.get("x-request-id"),
        attempts=1,
    )


def refusal(path: str, result: PostResult, *, revoking: bool = False) -> MoniteError:
    """Return the error for a status that is not 2xx; the server's own message is not repeated: it may quote the body."""
    status = result.status
    kind: type[MoniteError] = ServerError if status >= 500 else _NOT_REFUSALS.get(status, AuthenticationError)
    advice = {
        400: "check client_id, client_secret and the entity user",
        401: "check client_id and client_secret; they differ per environment",
        403: "check the entity user and its status",
        404: "check base_url and the entity user",
        408: "the token endpoint did not get the request in time",
        422: "check that client_id and entity_user_id are well-formed",
        429: "too many requests",
    }.get(status, "the token endpoint failed" if status >= 500 else "check base_url and the credentials")
    return kind(
        f"the token could not be revoked: {advice}" if revoking or path == _REVOKE_PATH else f"no token: {advice}",
        method="POST",
        path=path,
        status=status,
        request_id=result.headers.get("x-request-id"),
        attempts=1,
        retry_after=result.retry_after,
    )
