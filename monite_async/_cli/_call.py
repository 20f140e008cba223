"""``monite-async call`` and ``monite-async token``: one call with the tokens and settings of the environment."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from monite_async import RequestOptions
from monite_async._cli._client import client
from monite_async._cli._exits import Exit, Stop
from monite_async._cli._output import Output, as_json, duration
from monite_async._options import Capture
from monite_async._scope import Scope
from monite_async.models._base import is_secret

if TYPE_CHECKING:
    from monite_async import AsyncMonite, TokenEvent

__all__ = ["call", "hide", "query_of", "read_answer", "read_body", "token"]

_HIDDEN = "<hidden>"


def read_body(text: str) -> object:
    """Return the JSON value that an argument gives: itself, ``@file``, or ``-`` for standard input.

    Raises:
        Stop: There is no such file, or it is no JSON; its content is not shown.
    """
    if text == "-":
        where, content = "standard input", sys.stdin.buffer.read()
    elif text.startswith("@"):
        where = text[1:]
        try:
            content = Path(where).expanduser().read_bytes()
        except (OSError, RuntimeError) as exc:
            raise Stop(Exit.USAGE, f"--json: {where} cannot be read: {getattr(exc, 'strerror', exc)}") from None
    else:
        where, content = "the text", text.encode(errors="surrogateescape")
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        place = " that can be sent: it is nested too deeply"
    except ValueError as exc:
        place = f": {exc.msg}, line {exc.lineno}, column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
    raise Stop(Exit.USAGE, f"--json: {where} is not JSON{place}")


def _refuse(_: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")


def read_answer(content: bytes) -> object:
    """Return the JSON value of an answer; numbers that JSON cannot have (``NaN``, ``1e999``) become null.

    Raises:
        ValueError: It is no JSON.
    """
    return json.loads(content, parse_constant=lambda _: None, parse_float=_finite) if content else None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def query_of(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Return query parameters from ``name=value`` arguments; a name may come again.

    Raises:
        Stop: One has no equals sign, or no name.
    """
    query: dict[str, list[str]] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise Stop(Exit.USAGE, "--query: write name=value")
        query.setdefault(name, []).append(value)
    return query


def hide(value: object) -> tuple[object, set[str]]:
    """Return a JSON value with its secrets hidden, and the names that they had."""
    if isinstance(value, Mapping):
        shown: dict[str, object] = {}
        found: set[str] = set()
        for name, inner in cast("Mapping[str, object]", value).items():
            if is_secret(name) and isinstance(inner, str) and inner:
                shown[name] = _HIDDEN
                found.add(name)
            else:
                shown[name], more = hide(inner)
                found |= more
        return shown, found
    if isinstance(value, list):
        parts = [hide(inner) for inner in cast("list[object]", value)]
        return [part for part, _ in parts], {name for _, names in parts for name in names}
    return value, set()


def _scope(monite: AsyncMonite, entity: str | None, user: str | None) -> Scope:
    if entity is not None:
        return monite.entity(entity) if user is None else monite.entity(entity).as_user(user)
    return monite if user is None else monite.as_user(user)


async def call(
    output: Output,
    method: str,
    path: str,
    *,
    wire: str,
    entity: str | None,
    user: str | None,
    query: Mapping[str, object],
    body: object,
    reveal: bool,
) -> None:
    """Make one call and print its status and its answer.

    Raises:
        MoniteError: It failed.
        Stop: Its answer is no text, and standard output is a terminal.
    """
    capture = Capture()
    async with client(wire) as monite:
        content = await _scope(monite, entity, user).request(
            method, path, query=query, json=body, cast_to=bytes, options=RequestOptions(capture=capture)
        )
    request_id = capture.headers.get("x-request-id")
    about = f"status {capture.status}" + (f", request id {request_id}" if request_id else "")
    try:
        answer = read_answer(content)
    except ValueError:
        kind = capture.headers.get("content-type", "no content type")
        if output.json or sys.stdout.isatty():
            what = f"{about}: {len(content)} bytes of {kind}, which is no JSON: send the output to a file"
            raise Stop(Exit.FAILURE, what) from None
        output.note(about)
        output.write(content)
        return
    shown, hidden = (answer, set[str]()) if reveal else hide(answer)
    output.note(about)
    if hidden:
        output.note(f"hidden: {', '.join(sorted(hidden))}; --reveal shows what cannot be read again")
    if output.json:
        output.data({"status": capture.status, "request_id": request_id, "body": shown})
    elif content:
        output.data(shown)


async def token(output: Output, *, wire: str, user: str | None, reveal: bool) -> None:
    """Print the life of a token and what tells it from others.

    Raises:
        MoniteError: There is none to be had.
    """
    fetched, away = False, ""

    def hear(event: TokenEvent) -> None:
        nonlocal fetched, away
        fetched = fetched or event.kind == "token_fetched"
        away = event.detail if event.kind == "store_degraded" else away

    async with client(wire) as monite:
        monite.tokens.listen(hear)
        found = await _scope(monite, None, user).token()
    if away:
        output.note(f"this token is shared with nobody; the token store: {away}")
    facts: dict[str, object] = {
        "for": "partner" if user is None else f"entity user {user}",
        "type": found.token_type,
        "fingerprint": found.fingerprint,
        "generation": found.gen,
        "record": found.name.name,
        "from": "the token endpoint" if fetched else "the token store",
        "lifetime": found.lifetime,
        "expires_in": found.expires_in,
    }
    if reveal:
        facts["access_token"] = found.value
    shown = {
        **{name: value if isinstance(value, str) else as_json(value) for name, value in facts.items()},
        "lifetime": duration(found.lifetime),
        "expires_in": duration(found.expires_in),
    }
    output.result(facts, [{"what": name, "value": value} for name, value in shown.items()], columns=False)
