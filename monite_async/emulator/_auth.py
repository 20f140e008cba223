"""Issuing, checking and revoking tokens: a table, a clock and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from monite_async.emulator._call import Actor, Call, Rule, object_response
from monite_async.emulator._errors import RefusedError, detail, invalid, refusal
from monite_async.emulator._message import Request, Response, dumps
from monite_async.emulator._state import Record, Token, TokenKind, World

__all__ = ["AUTH_OPERATIONS", "authenticate", "bearer", "digest", "revoke_key"]

_FIRST_WITH_401 = "2024-05-25"
_PURGE_ABOVE = 50_000


def digest(token: str) -> str:
    """Return what stands for a token in tables and logs: it cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def bearer(request: Request) -> str | None:
    """Return the Bearer token of a request, None when there is none or the header is garbled."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def authenticate(world: World, request: Request, version: str) -> Actor:
    """Return who calls; raises for a missing, garbled or dead token."""
    value = bearer(request)
    if value is None:
        raise _unauthorized(world, world.settings.missing_authorization_status, "Missing or malformed access token.")
    token = world.state.tokens.get(digest(value))
    if token is None or not _alive(world, token):
        status = world.settings.dead_token_status or (401 if version >= _FIRST_WITH_401 else 400)
        raise _unauthorized(world, status, world.settings.expiry_message)
    return Actor(token.kind, token.client_id, None if token.user_id is None else world.state.users.get(token.user_id))


def revoke_key(world: World, key: str | None) -> int:
    """Revoke the living tokens of one key, or of all, behind the clients' backs; return how many."""
    tokens = [token for token in world.state.tokens.values() if key in {None, token.key} and not token.revoked]
    for token in tokens:
        token.revoked = True
    return len(tokens)


def _unauthorized(world: World, status: int, message: str) -> RefusedError:
    challenge = world.settings.www_authenticate
    return refusal(status, message, {"www-authenticate": challenge} if challenge and status == 401 else None)


def _alive(world: World, token: Token) -> bool:
    if token.revoked or token.expires_at <= world.clock.timestamp():
        return False
    if token.user_id is None or world.settings.deleted_user_keeps_tokens:
        return True
    user = world.state.users.get(token.user_id)
    return user is not None and user.data["status"] == "active"


def _check_credentials(call: Call) -> str:
    client_id = str(call.body["client_id"])
    secret = call.world.settings.secret_of(client_id)
    given = str(call.body["client_secret"]).encode("utf-8", "surrogatepass")
    if secret is None or not hmac.compare_digest(secret.encode(), given):
        default = 401 if call.at_least(_FIRST_WITH_401) else 400
        raise refusal(call.world.settings.bad_credentials_status or default, "Invalid client credentials.")
    return client_id


def _grantee(call: Call) -> Record | None:
    user_id = call.body.get("entity_user_id")
    if call.body["grant_type"] == "client_credentials":
        return None
    if not isinstance(user_id, str):
        raise invalid(detail(("body", "entity_user_id"), "Field required", "missing"))
    user = call.world.state.users.get(user_id)
    if user is None or user.data["status"] != "active":
        raise refusal(call.world.settings.unknown_user_status, "Entity user not found.")
    return user


def _token_text(world: World, token: Token) -> str:
    if not world.settings.jwt_tokens:
        return secrets.token_urlsafe(31)
    now = int(world.clock.timestamp())
    claims = {"jti": secrets.token_hex(16), "iat": now, "exp": int(token.expires_at), "typ": token.kind}
    if token.user_id is not None:
        claims["sub"] = token.user_id
    parts = (dumps({"typ": "JWT", "alg": "HS256"}), dumps(claims), secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _forget_dead(world: World) -> None:
    now = world.clock.timestamp()
    tokens = world.state.tokens
    for key in [key for key, token in tokens.items() if token.revoked or token.expires_at <= now]:
        del tokens[key]


def _issue(call: Call) -> Response:
    world = call.world
    client_id = _check_credentials(call)
    user = _grantee(call)
    kind: TokenKind = "client_credentials" if user is None else "entity_user"
    lifetime = world.settings.partner_lifetime if user is None else world.settings.user_lifetime
    token = Token(kind, client_id, None if user is None else user.id, world.clock.timestamp() + lifetime)
    if world.settings.issue_revokes_older:
        revoke_key(world, token.key)
    if len(world.state.tokens) >= _PURGE_ABOVE:
        _forget_dead(world)
    text = _token_text(world, token)
    world.state.tokens[digest(text)] = token
    world.state.issued[token.key] = world.state.issued.get(token.key, 0) + 1
    return object_response({"access_token": text, "token_type": "Bearer", "expires_in": lifetime})


def _revoke(call: Call) -> Response:
    settings = call.world.settings
    client_id = _check_credentials(call)
    if settings.revoke_needs_bearer:
        authenticate(call.world, call.request, call.version)
    token = call.world.state.tokens.get(digest(str(call.body["token"])))
    if token is not None and token.client_id == client_id:
        token.revoked = True
    elif settings.revoke_unknown_status != 200:
        raise refusal(settings.revoke_unknown_status, settings.expiry_message)
    return object_response({"message": settings.revoke_message})


AUTH_OPERATIONS = {
    "post_auth_token": Rule(_issue, audience="anyone"),
    "post_auth_revoke": Rule(_revoke, audience="anyone"),
}
"""How the operations of the tag "Access tokens" are emulated."""
