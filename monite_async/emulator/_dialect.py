"""The second wire: Tesouro FinOps, which says the same in other words (its public documents, read on 2026-11-22).

With the setting ``dialect="finops"`` requests are translated into Monite's before anything looks at them, and answers
back; state, clock, faults and log are the same. Monite's own header names mean nothing then, as they would there.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

from monite_async.emulator._message import Request, Response, as_object, dumps, json_response, loads
from monite_async.emulator._state import World

__all__ = ["answered", "understood"]

_NAMES: Final = {"x-finops-version": "x-monite-version", "x-organization-id": "x-monite-entity-id"}
_TOKEN_PATH: Final = "/openid/connect/token"  # noqa: S105 - a path, not a secret
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ISSUED_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
_ERRORS: Final = {400: "invalid_grant", 401: "invalid_client"}


def understood(world: World, request: Request) -> Request:
    """Return what a request means in Monite's words."""
    if world.settings.dialect == "monite":
        return request
    headers = {name: value for name, value in request.headers.items() if name not in _NAMES.values()}
    headers = {_NAMES.get(name, name): value for name, value in headers.items()}
    if request.path != _TOKEN_PATH:
        path = request.path.removeprefix("/finops") if request.path.startswith("/finops/v1/") else request.path
        return replace(request, path=path, headers=headers)
    headers |= {"content-type": "application/json", "x-monite-version": world.settings.versions[-1]}
    body = dumps(_grant(_form(request)))
    return replace(request, path="/v1/auth/token", headers=headers, body=body)


def answered(world: World, request: Request, response: Response) -> Response:
    """Return an answer as the one who sent the request (in its own words) understands it."""
    if world.settings.dialect == "monite":
        return response
    for theirs, ours in _NAMES.items():
        if theirs in request.headers:
            response.headers[theirs] = request.headers[theirs]
        response.headers.pop(ours, None)
    if request.path == _TOKEN_PATH:
        if response.status == 200 and _form(request).get("grant_type") == _EXCHANGE:
            response.body = dumps({**as_object(loads(response.body)), "issued_token_type": _ISSUED_TYPE})
        elif response.status in {400, 401, 422}:  # RFC 6749, section 5.2; what Tesouro answers is not known
            status = 401 if response.status == 401 else 400
            told = json_response(status, {"error": _ERRORS[status], "error_description": "refused"})
            response.status, response.body = status, told.body
    return response


def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; what is no form has none."""
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return dict(parse_qsl(request.body.decode("utf-8", "replace"))) if is_form else {}


def _grant(form: Mapping[str, str]) -> dict[str, object]:
    """Return Monite's request for the same token; what is missing stays missing, and is refused as that."""
    grant: dict[str, object] = {
        name: form[name] for name in ("client_id", "client_secret", "grant_type") if name in form
    }
    if form.get("grant_type") == _EXCHANGE:
        grant |= {"grant_type": "entity_user", "entity_user_id": _user_id(form.get("subject_token", ""))}
    return grant


def _user_id(subject: str) -> str | None:
    """Return the user that a JWT speaks of: its ``sub`` is our id; claims are taken at face value."""
    part = subject.split(".")[1] if subject.count(".") == 2 else ""
    try:
        claims = as_object(loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    except ValueError:
        return None
    sub = claims.get("sub")
    if not isinstance(sub, str) or not claims.get("email"):
        return None
    return sub
