"""Where tokens come from: the issuer protocol, and Monite's own two endpoints.

Another platform (the partner API of 2021, Monite's successor with its OpenID Connect endpoint) is another ``Wire``, whose
``flow`` makes another ``TokenIssuer``; the cache knows neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from monite_async._config import DEFAULT_API_VERSION, DEFAULT_ENVIRONMENT, ENVIRONMENTS
from monite_async._errors import AuthenticationError, MoniteError, RateLimitError, RequestTimeout, ServerError
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.lifetime import parse_lifetime
from monite_async_stores._value import frozen

if TYPE_CHECKING:
    from monite_async._http.exchange import Bearer
    from monite_async._tokens.cache import TokenCache

__all__ = [
    "Flow",
    "FlowParts",
    "IssuedToken",
    "MoniteIssuer",
    "Post",
    "PostResult",
    "Sender",
    "TokenIssuer",
    "Wire",
    "is_dead_token",
    "monite_flow",
    "read_token",
    "refusal",
]

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


class Sender(Post, Protocol):
    """A ``Post`` for flows that send other things than JSON, or to other places."""

    async def __call__(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        timeout: float,
        method: str = "POST",
        token: Bearer | None = None,
        media_type: bytes = b"application/json",
        at_root: bool = False,
    ) -> PostResult:
        """Send ``body``; see ``Post``.

        Args:
            path: Below the base URL, or below the root of its host.
            body: What to send.
            headers: Further headers.
            timeout: Seconds that it may take.
            method: Another method, where a flow wants one.
            token: A token to send along.
            media_type: What the body is.
            at_root: Whether the path is below the root of the host instead of the base URL.
        """
        ...


@frozen
class FlowParts:
    """What the issuer of a flow is made of.

    Attributes:
        post: Sends token requests.
        credentials: The client id and its secret.
        api_version: Value of the version header.
        tokens: Returns the tokens of the client, for flows in which one token is asked for with another.
    """

    post: Sender
    credentials: ClientCredentials
    api_version: str
    tokens: Callable[[], TokenCache]

    def __repr__(self) -> str:
        return "<FlowParts>"


Flow: TypeAlias = "Callable[[Wire, FlowParts], TokenIssuer]"


def monite_flow(wire: Wire, parts: FlowParts) -> TokenIssuer:
    """Return the issuer of Monite's own flow."""
    return MoniteIssuer(post=parts.post, credentials=parts.credentials, api_version=parts.api_version, wire=wire)


@frozen
class Wire:
    """A platform: where it is, how it wants things written, and how it issues tokens. Default: Monite.

    Attributes:
        authorization_header: Carries the token.
        version_header: Carries the API version; empty when nothing does.
        entity_header: Carries the entity.
        is_dead_token: Called with the status and the server's message of a failed call.
        environments: Base URLs by name.
        environment: The one to use when none is given.
        api_version: The version to use when none is given.
        uuid_client_id: Whether client ids are UUIDs, so that a typing error is found before anything is sent.
        token_paths: Operations that are about a token in their body: what they refuse is not the one they were sent with.
        flow: Makes what issues tokens.
    """

    authorization_header: str = "authorization"
    version_header: str = "x-monite-version"
    entity_header: str = "x-monite-entity-id"
    is_dead_token: Callable[[int, str], bool] = is_dead_token
    environments: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENTS, hash=False)
    environment: str = DEFAULT_ENVIRONMENT
    api_version: str = DEFAULT_API_VERSION
    uuid_client_id: bool = True
    token_paths: frozenset[str] = frozenset({_TOKEN_PATH, _REVOKE_PATH})
    flow: Flow = monite_flow


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
        return read_token(await self._send(_TOKEN_PATH, fields, timeout))

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


def read_token(result: PostResult, path: str = _TOKEN_PATH) -> IssuedToken:
    """Return the token of an answer as OAuth 2.0 has it (RFC 6749, section 5.1), which Monite's is too.

    Args:
        result: An answer that is no refusal.
        path: What was asked, for the error.

    Raises:
        AuthenticationError: The answer makes no sense.
    """
    answer = _object(result.content)
    token, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(token, str) or not _is_visible(token) or not _MIN_LENGTH <= len(token) <= _MAX_LENGTH:
        raise _nonsense(
            result, path, "its answer has no usable access_token (16 to 16384 visible ASCII characters are expected)"
        )
    if not isinstance(kind, str) or not _is_visible(kind) or len(kind) > _MIN_LENGTH:
        raise _nonsense(result, path, "its answer has an unusable token_type")
    try:
        lifetime = parse_lifetime(answer.get("expires_in"))
    except ValueError as exc:
        raise _nonsense(result, path, str(exc)) from None
    scheme = "Bearer" if kind.lower() == "bearer" else kind
    return IssuedToken(f"{scheme} {token}".encode("ascii"), lifetime)


def _is_visible(text: str) -> bool:
    """Tell whether a text can stand in a header as it is, so that no HTTP library ever raises with it in its text."""
    return bool(text) and all("!" <= ch <= "~" for ch in text)


def _nonsense(result: PostResult, path: str, what: str) -> AuthenticationError:
    return AuthenticationError(
        f"the token endpoint cannot be understood: {what}",
        method="POST",
        path=path,
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
