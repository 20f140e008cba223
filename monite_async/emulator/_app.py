"""The pure core: a request in, an answer out."""

from __future__ import annotations

import logging
import time
import traceback
import uuid
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from monite_async.emulator._auth import AUTH_OPERATIONS, authenticate, bearer, digest
from monite_async.emulator._call import Call, Rule
from monite_async.emulator._entities import ENTITY_OPERATIONS, SETTINGS_OPERATIONS
from monite_async.emulator._errors import RefusedError, detail, gateway_refusal, missing_version, refusal
from monite_async.emulator._generic import GENERIC_OPERATIONS
from monite_async.emulator._legacy import LEGACY, legacy
from monite_async.emulator._lifecycles import LIFECYCLE_OPERATIONS
from monite_async.emulator._message import Request, Response
from monite_async.emulator._payable_actions import ACTION_OPERATIONS, LINE_ITEM_OPERATIONS
from monite_async.emulator._payables import PAYABLE_OPERATIONS
from monite_async.emulator._permissions import ENTITY_HEADER, authorize, resolve_entity
from monite_async.emulator._query import check_ids, parse_body, parse_query
from monite_async.emulator._rate import RateLimiter
from monite_async.emulator._refused import REFUSED
from monite_async.emulator._route import Route
from monite_async.emulator._router import Match, find
from monite_async.emulator._settings import EmulatorSettings
from monite_async.emulator._state import TokenKind, World
from monite_async.emulator._users_roles import ROLE_OPERATIONS, USER_OPERATIONS

__all__ = ["OPERATIONS", "Sight", "finish", "handle", "look"]

VERSION_HEADER = "x-monite-version"
_log = logging.getLogger(__name__)
OPERATIONS: Mapping[str, Rule] = {
    **{name: rule for name, rule in GENERIC_OPERATIONS.items() if name not in REFUSED},
    **LIFECYCLE_OPERATIONS,
    **AUTH_OPERATIONS,
    **ENTITY_OPERATIONS,
    **SETTINGS_OPERATIONS,
    **ROLE_OPERATIONS,
    **USER_OPERATIONS,
    **PAYABLE_OPERATIONS,
    **ACTION_OPERATIONS,
    **LINE_ITEM_OPERATIONS,
}
"""How each emulated operation of the contract works, by operation id; all others are answered 501."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a request before anything is checked: for the log and for faults.

    Attributes:
        request: The request.
        match: The operations on its path.
        route: The operation, None when the contract has none for path and method.
        token: Kind of its token; ``none`` without one or with one that never was.
        user_id: The entity user of the token.
        entity_id: The entity named by the header.
        fingerprint: Stands for the token in the log; empty without one.
        client_id: The client of the token.
    """

    request: Request
    match: Match
    route: Route | None
    token: TokenKind
    user_id: str | None
    entity_id: str | None
    fingerprint: str
    client_id: str

    @property
    def path(self) -> str:
        """The path template, or the path itself when the contract has none."""
        return self.request.path if self.route is None else self.route.path


def look(world: World, request: Request) -> Sight:
    """Return what can be seen of a request; never fails."""
    match = find(request.path)
    value = bearer(request)
    key = "" if value is None else digest(value)
    token = world.state.tokens.get(key)
    return Sight(
        request=request,
        match=match,
        route=match.routes.get(request.method),
        token="none" if token is None else token.kind,
        user_id=None if token is None else token.user_id,
        entity_id=request.headers.get(ENTITY_HEADER),
        fingerprint=key[:12],
        client_id="" if token is None else token.client_id,
    )


def handle(world: World, sight: Sight, limiter: RateLimiter) -> Response:
    """Answer a request: the gateway first, then the version, the route, the caller, the input, the operation."""
    try:
        client = sight.client_id or world.settings.client_id
        limits = limiter.take(client, world.settings, world.clock.timestamp())
        try:
            response = _answer(world, sight)
        except RefusedError as refused:
            response = refused.response()
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller that waits gets an answer
            response = _failure(sight, error)
        response.headers.update(limits)
    except RefusedError as refused:
        response = refused.response()
    return response


def _failure(sight: Sight, error: Exception) -> Response:
    """Answer for a mistake of the emulator: whoever waits is told, and the log says where it happened."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
    _log.error("the emulator failed at %s %s: %s", sight.request.method, sight.path, what)
    return refusal(
        500, f"The emulator failed: {what}. This is a mistake of the emulator, not of the caller."
    ).response()


def finish(response: Response, request: Request, started: float) -> Response:
    """Add the headers that every answer has."""
    response.headers.setdefault("x-request-id", str(uuid.uuid4()))
    response.headers.setdefault("x-process-time", f"{time.perf_counter() - started:.6f}")
    for name in (VERSION_HEADER, ENTITY_HEADER):
        value = request.headers.get(name)
        if value is not None:
            response.headers.setdefault(name, value)
    return response


def _answer(world: World, sight: Sight) -> Response:
    if len(sight.request.body) > world.settings.max_body:
        raise gateway_refusal(413, "Request size limit exceeded")
    if sight.request.path.startswith(LEGACY):
        return legacy(world, sight.request)
    is_auth = sight.request.path.startswith("/v1/auth/")
    version = _version(world.settings, sight.request, optional=is_auth)
    route = _route(sight)
    rule = OPERATIONS.get(route.operation_id)
    if rule is None:
        what = f"The emulator does not emulate {route.method} {route.path} ({route.operation_id})."
        raise refusal(501, f"{what} {REFUSED[route.operation_id]}")
    call = Call(world, sight.request, route, sight.match.params(route), version)
    if rule.audience != "anyone":
        call.actor = authenticate(world, sight.request, version)
        resolve_entity(call)
        authorize(call, rule)
    check_ids(call.params)
    call.query = parse_query(route, sight.request, world.settings)
    call.body = parse_body(route, sight.request)
    return rule.run(call)


def _version(settings: EmulatorSettings, request: Request, *, optional: bool) -> str:
    """Return the dated version that serves the request: the named one, or else the nearest earlier one."""
    named = request.headers.get(VERSION_HEADER)
    if named is None:
        if optional and not settings.version_required_on_auth:
            return settings.versions[-1]
        raise missing_version()
    try:
        wanted = date.fromisoformat(named).isoformat()
    except ValueError:
        wanted = ""
    if wanted != named:  # Python reads more forms of dates than the API does
        raise RefusedError(422, [detail(("header", VERSION_HEADER), "Input should be a valid date", "date_parsing")])
    versions = sorted(settings.versions)
    place = bisect_right(versions, wanted)
    if place == 0:
        raise refusal(404, "Not Found")
    return versions[place - 1]


def _route(sight: Sight) -> Route:
    if sight.route is not None:
        return sight.route
    if sight.match.routes:
        allowed = ", ".join(sorted(sight.match.routes))
        raise refusal(405, "Method Not Allowed", {"allow": allowed})
    path = sight.request.path
    if path.endswith("/") and find(path.rstrip("/")).routes:
        raise RefusedError(307, {}, {"location": quote(path.rstrip("/"), safe="/%")})
    raise refusal(501, f"The contract has no operation {sight.request.method} {path}, so the emulator has none either.")
