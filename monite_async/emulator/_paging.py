"""Pages of lists, and the opaque tokens that lead from one to the next.

A token holds the query of the first call, so that everything but the token can be ignored afterwards, and the place
in the order (not an offset: objects that come or go in between neither repeat nor skip others). It is signed, so
that a token of another emulator, operation, entity or caller is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._filters import Getters, field_getter, select
from monite_async.emulator._message import Response, as_list, as_object, dumps, loads
from monite_async.emulator._state import Record, iso

__all__ = ["page"]

Key = tuple[bool, object, int]
_SIGNATURE = 12


def page(call: Call, records: Iterable[Record], getters: Getters, *, default_sort: str = "created_at") -> Response:
    """Return the page of the records that the query, or its page token, asks for.

    Args:
        call: The call; its query is parsed already.
        records: Everything that the caller may see, in any order.
        getters: How to read the fields that are not simply there under their name.
        default_sort: Field to sort by unless the query says otherwise.
    """
    given = call.query.get("pagination_token")
    place: tuple[str, Key] | None = None
    query = call.query
    if isinstance(given, str):
        query, place = _opened(call, given)
    sort = str(query.get("sort", default_sort))
    getter = getters.get(sort) or field_getter(sort)
    limit = query.get("limit")
    size = limit if isinstance(limit, int) else 100
    keyed = sorted(
        ((_key(getter(record), record), record) for record in select(records, query, getters)),
        key=lambda entry: entry[0],
    )
    if query.get("order") == "desc":
        keyed.reverse()
    shown, before, after = _window(keyed, size, place, descending=query.get("order") == "desc")
    following = _sealed(call, query, "next", shown[-1][0]) if after and shown else None
    preceding = _sealed(call, query, "prev", shown[0][0]) if before and shown else None
    data = b",".join(record.encoded() for _, record in shown)
    tail = dumps({"next_pagination_token": following, "prev_pagination_token": preceding})
    return Response(200, {"content-type": "application/json"}, b'{"data":[' + data + b"]," + tail[1:])


def _key(value: object, record: Record) -> Key:
    plain = iso(value) if isinstance(value, datetime) else value
    return plain is not None, 0 if plain is None else plain, record.sequence


def _window(
    keyed: list[tuple[Key, Record]], size: int, place: tuple[str, Key] | None, *, descending: bool
) -> tuple[list[tuple[Key, Record]], bool, bool]:
    """Return the page, whether something lies before it, whether something lies after it."""
    if place is None:
        return keyed[:size], False, len(keyed) > size
    direction, mark = place
    beyond = [entry for entry in keyed if (entry[0] < mark if descending else entry[0] > mark)]
    behind = [entry for entry in keyed if (entry[0] > mark if descending else entry[0] < mark)]
    if direction == "next":
        return beyond[:size], len(keyed) > len(beyond), len(beyond) > size
    return behind[-size:], len(behind) > size, len(keyed) > len(behind)


def _audience(call: Call) -> str:
    entity = "" if call.entity is None else call.entity.id
    return f"{call.route.operation_id} {entity} {call.actor.user_id} {sorted(call.params.items())}"


def _signature(call: Call, text: bytes) -> bytes:
    return hmac.digest(call.world.page_secret, text + _audience(call).encode(), hashlib.sha256)[:_SIGNATURE]


def _plain(value: object) -> object:
    """Return a query value as JSON; times are marked so that they can be told from text."""
    if isinstance(value, datetime):
        return {"t": value.isoformat()}
    return [_plain(item) for item in as_list(value)] or value


def _lively(value: object) -> object:
    marked = as_object(value)
    if marked:
        return datetime.fromisoformat(str(marked["t"]))
    return [_lively(item) for item in as_list(value)] or value


def _sealed(call: Call, query: dict[str, object], direction: str, key: Key) -> str:
    kept = {name: _plain(value) for name, value in query.items() if name != "pagination_token"}
    text = dumps({"q": kept, "d": direction, "k": key, "at": call.world.clock.timestamp()})
    return base64.urlsafe_b64encode(_signature(call, text) + text).rstrip(b"=").decode()


def _opened(call: Call, token: str) -> tuple[dict[str, object], tuple[str, Key]]:
    settings = call.world.settings
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    signature, text = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not hmac.compare_digest(signature, _signature(call, text)):
        raise refusal(settings.bad_page_token_status, "The pagination token is not valid.")
    content = as_object(loads(text))
    age = call.world.clock.timestamp() - float(str(content["at"]))
    if settings.page_token_lifetime is not None and age > settings.page_token_lifetime:
        raise refusal(settings.bad_page_token_status, "The pagination token has expired.")
    query = {name: _lively(value) for name, value in as_object(content["q"]).items()}
    if not settings.limit_remembered:
        query.pop("limit", None)
        query.update({name: value for name, value in call.query.items() if name == "limit"})
    known, value, sequence = as_list(content["k"])
    return query, (str(content["d"]), (bool(known), value, int(str(sequence))))
