"""The API of 2021, as far as its call flow goes: who calls is told by ``x-api-key``, and every token has a kind."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final
from urllib.parse import urlencode

from monite_async.emulator._auth import digest
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._files import DOCUMENTS, store_file
from monite_async.emulator._message import Request, Response, as_object, json_response, loads
from monite_async.emulator._multipart import file_part
from monite_async.emulator._state import Record, Table, Token, TokenKind, World, iso

__all__ = ["LEGACY", "legacy"]

LEGACY: Final = "/partner-api/"
"""What the paths of the API of 2021 begin with."""

_ENTITIES: Final = "legacy entities"
_BILLS: Final = "legacy bills"
_USERS: Final = "legacy users"
_LIFETIME: Final = 3600
_FILE_LIMIT: Final = 20 * 2**20
_OPTIONAL: Final = (
    "amount", "counterpart_account_id", "counterpart_bank_id", "counterpart_name", "description", "due_date", "issued_at",
    "was_created_by_external_user_id", "was_created_by_external_user_name",
)  # fmt: skip
_CHANGEABLE: Final = frozenset({"currency", *_OPTIONAL[:7]})


@dataclass(frozen=True, slots=True)
class _Call:
    world: World
    request: Request
    values: tuple[str, ...]
    owner: str
    """Whose token came: ``api``, ``entity:<id>`` or ``user:<id>``; empty where none is needed."""

    @property
    def body(self) -> dict[str, object]:
        try:
            return as_object(loads(self.request.body))
        except ValueError:
            raise invalid(detail(("body",), "Input should be valid JSON", "json_invalid")) from None

    def table(self, name: str) -> Table:
        return self.world.state.others.setdefault(name, Table())

    def found(self, table: str) -> Record:
        """Return what the path names, if it belongs to whoever calls."""
        group = self.owner if table != _ENTITIES else None
        record = self.table(table).get(self.values[0], group)
        if record is None or record.data.get("status") == "deleted":
            raise refusal(404, "Object not found.")
        return record

    def text(self, name: str, default: str | None = None) -> str:
        value = self.body.get(name, default)
        if not isinstance(value, str):
            raise invalid(detail(("body", name), "Field required", "missing"))
        return value


def legacy(world: World, request: Request) -> Response:
    """Answer a request of the API of 2021.

    Raises:
        RefusedError: The answer is an error.
    """
    for method, path, needs, run in _ROUTES:
        match = re.fullmatch(path, request.path.removeprefix(LEGACY))
        if match is not None and method == request.method:
            owner = "" if needs is None else _authenticate(world, request, needs)
            return run(_Call(world, request, match.groups(), owner))
    raise refusal(501, f"The emulator does not emulate {request.method} {request.path}.")


# -- tokens


def _authenticate(world: World, request: Request, kind: str) -> str:
    token = world.state.tokens.get(_digest(request.headers.get("x-api-key", "")))
    if token is None or token.revoked or token.expires_at <= world.clock.timestamp():
        raise refusal(401, world.settings.expiry_message)
    owner = token.user_id or "api"
    if owner.partition(":")[0] != kind:
        raise refusal(403, "This token is of another kind.")
    return owner


def _digest(token: str) -> str:
    # Apart from the tokens of the present API: neither opens the other's doors.
    return digest(f"x-api-key {token}")


def _issue(call: _Call, prefix: str, owner: str | None) -> Response:
    world, text = call.world, f"{prefix}-{secrets.token_urlsafe(31)}"
    end = world.clock.timestamp() + _LIFETIME
    kind: TokenKind = "client_credentials" if owner is None else "entity_user"
    token = world.state.tokens[_digest(text)] = Token(kind, world.settings.client_id, owner, end)
    world.state.issued[token.key] = world.state.issued.get(token.key, 0) + 1
    expiry = world.clock.now() + timedelta(seconds=_LIFETIME)
    return json_response(200, {"token": text, "expiration_in": iso(expiry.astimezone(UTC))})


def _log_in(call: _Call) -> Response:
    secret = call.world.settings.secret_of(call.text("user_id")) or ""
    if not hmac.compare_digest(secret.encode(), call.text("secret").encode("utf-8", "surrogatepass")) or not secret:
        raise refusal(401, "Invalid credentials.")
    return _issue(call, "au", None)


def _log_out(call: _Call) -> Response:
    call.world.state.tokens[_digest(call.request.headers["x-api-key"])].revoked = True
    return json_response(200, {})


def _access(call: _Call) -> Response:
    return _issue(call, "en", f"entity:{call.found(_ENTITIES).id}")


def _user_token(call: _Call) -> Response:
    return _issue(call, "eu", f"user:{call.found(_USERS).id}")


def _log_out_user(call: _Call) -> Response:
    owner = f"user:{call.found(_USERS).id}"
    for token in call.world.state.tokens.values():
        token.revoked = token.revoked or token.user_id == owner
    return json_response(200, {})


def _fine(_call: _Call) -> Response:
    return json_response(200, {})


# -- things


def _entity_fields(call: _Call) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": call.text("name"),
        "type": call.text("type", "business"),
        "country_code": call.text("country_code", "DE"),
    }
    if fields["type"] not in {"business", "person"}:
        raise invalid(detail(("body", "type"), "value is not a valid enumeration member", "type_error.enum"))
    return {**fields, "internal_id": call.body.get("internal_id")}


def _create_entity(call: _Call) -> Response:
    fields: dict[str, object] = {**_entity_fields(call), "status": "active", "mailboxes": []}
    return json_response(200, call.table(_ENTITIES).add(call.world.record("api", fields)).view())


def _change_entity(call: _Call) -> Response:
    record = call.found(_ENTITIES)
    record.change(call.world.clock.now(), **_entity_fields(call))
    return json_response(200, record.view())


def _create_user(call: _Call) -> Response:
    named = {name: call.body.get(name) for name in ("role_id", "first_name", "last_name", "title")}
    fields = {**named, "login": call.text("login"), "api_user_id": call.world.settings.client_id, "status": "active"}
    return json_response(200, call.table(_USERS).add(call.world.record(call.owner, fields)).view())


def _info(call: _Call) -> Response:
    user = call.table(_USERS).get(call.owner.partition(":")[2])
    if user is None:
        raise refusal(404, "Object not found.")
    return json_response(200, user.view())


def _upload_bill(call: _Call) -> Response:
    part, world = file_part(call.request), call.world
    name = part.filename or "bill"
    stored = store_file(
        world, name, part.content, file_type="payables", allowed=DOCUMENTS, limit=_FILE_LIMIT, mimetype=part.mimetype
    )
    file = {key: stored[key] for key in ("id", "created_at", "url", "size", "mimetype", "previews")}
    fields: dict[str, object] = {
        **dict.fromkeys(_OPTIONAL),
        "entity_id": call.owner.partition(":")[2],
        "status": "active",
        "source_of_bill_data": "ocr",
        "currency": "EUR",
        "bill_origin": "upload",
        "file": {**file, "updated_at": file["created_at"], "status": "active"},
    }
    return json_response(200, call.table(_BILLS).add(world.record(call.owner, fields)).view())


def _change_bill(call: _Call) -> Response:
    record, unknown = call.found(_BILLS), sorted(set(call.body) - _CHANGEABLE)
    if unknown:
        raise invalid(*(detail(("body", name), "extra fields not permitted", "value_error.extra") for name in unknown))
    record.change(call.world.clock.now(), **call.body)
    return json_response(200, record.view())


def _show(table: str) -> Callable[[_Call], Response]:
    return lambda call: json_response(200, call.found(table).view())


def _delete(table: str) -> Callable[[_Call], Response]:
    def run(call: _Call) -> Response:
        call.found(table).change(call.world.clock.now(), status="deleted")
        return json_response(200, {"message": "OK"})

    return run


def _list(table: str) -> Callable[[_Call], Response]:
    """Return what lists a table, page by page, the token being where the next page starts and how long it is."""

    def run(call: _Call) -> Response:
        query = dict(call.request.query)
        start, _, size = query.get("pagination_token", f"0.{query.get('limit', '100')}").partition(".")
        if not (start.isdecimal() and size.isdecimal() and 1 <= int(size) <= 100):
            raise refusal(416, "Wrong pagination parameters.")
        living = [item for item in call.table(table).of(call.owner) if item.data["status"] != "deleted"]
        end = int(start) + int(size)
        links = {"prev_page": int(start) - int(size), "next_page": end if end < len(living) else -1}
        pages = {
            name: f"{call.request.path}?{urlencode({'pagination_token': f'{at}.{size}'})}" if at >= 0 else None
            for name, at in links.items()
        }
        data = [item.view() for item in living[int(start) : end]]
        return json_response(200, {"data": data, **pages, "total": len(living)})

    return run


_ROUTES: Final[tuple[tuple[str, str, str | None, Callable[[_Call], Response]], ...]] = (
    ("POST", "api_users/v1/auth", None, _log_in),
    ("GET", "api_users/v1/auth", "api", _fine),
    ("DELETE", "api_users/v1/auth", "api", _log_out),
    ("GET", "api_users/v1/entities", "api", _list(_ENTITIES)),
    ("POST", "api_users/v1/entities", "api", _create_entity),
    ("GET", "api_users/v1/entities/([^/]+)", "api", _show(_ENTITIES)),
    ("PUT", "api_users/v1/entities/([^/]+)", "api", _change_entity),
    ("DELETE", "api_users/v1/entities/([^/]+)", "api", _delete(_ENTITIES)),
    ("POST", "api_users/v1/entities/([^/]+)/access", "api", _access),
    ("POST", "entities/v1/auth/([^/]+)", "entity", _user_token),
    ("DELETE", "entities/v1/auth/([^/]+)", "entity", _log_out_user),
    ("POST", "entities/v1/entity_users", "entity", _create_user),
    ("GET", "entities/v1/entity_users/([^/]+)", "entity", _show(_USERS)),
    ("GET", "entity_users/v1/info", "user", _info),
    ("GET", "entities/v1/incoming_bills", "entity", _list(_BILLS)),
    ("POST", "entities/v1/incoming_bills", "entity", _upload_bill),
    ("GET", "entities/v1/incoming_bills/([^/]+)", "entity", _show(_BILLS)),
    ("PUT", "entities/v1/incoming_bills/([^/]+)", "entity", _change_bill),
    ("DELETE", "entities/v1/incoming_bills/([^/]+)", "entity", _delete(_BILLS)),
)
