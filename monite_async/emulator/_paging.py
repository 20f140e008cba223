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
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._filters import Getter, Getters, field_getter, matcher
from monite_async.emulator._message import Response, as_list, as_object, dumps, loads
from monite_async.emulator._state import Record, Table

__all__ = ["FORGETFUL", "page"]

Key = tuple[bool, object, int]
Entry = tuple[Key, Record]
Keep = Callable[[Record], bool]
Render = Callable[[Record], bytes]
FORGETFUL = frozenset(
    {
        "get_accounting_synced_records",
        "get_accounting_tax_rates",
        "get_analytics_receivables",
        "get_ledger_accounts",
        "get_receivables",
    }
)
"""Operations whose page tokens do not remember ``limit``: it has to be sent with every one."""
_SIZES: Mapping[str, int] = {
    "get_accounting_synced_records": 250,
    "get_accounting_tax_rates": 250,
    "get_ledger_accounts": 250,
}
_BY_CREATION = frozenset({"created_at", "timestamp"})
_SIGNATURE = 12


def page(
    call: Call, table: Table, group: str, seen: Keep, getters: Getters, render: Render = Record.encoded
) -> Response:
    """Return the page of a group of records that the query, or its page token, asks for.

    ``created_at`` and ``timestamp`` sort by the order of creation, which a clock that is moved back does not change.

    Args:
        call: The call; its query is parsed already.
        table: Where the records are.
        group: Which of them.
        seen: Whether the list may show a record.
        getters: How to read the fields that are not simply there under their name.
        render: How the list shows a record, as JSON.
    """
    given = call.query.get("pagination_token")
    place: tuple[str, Key] | None = None
    query = call.query
    if isinstance(given, str):
        query, place = _opened(call, given)
    limit = query.get("limit")
    passes = matcher(query, getters)

    def keep(record: Record) -> bool:
        return seen(record) and passes(record)

    back = place is not None and place[0] == "prev"
    descending = query.get("order") == "desc"
    stream = _ordered(table, group, keep, _sorter(query, getters), backwards=descending is not back)
    size = limit if isinstance(limit, int) else _SIZES.get(call.route.operation_id, 100)
    shown, skipped, more = _window(stream, size, place, falling=descending is not back)
    if back:
        shown.reverse()
    after, before = (skipped, more) if back else (more, skipped)
    following = _sealed(call, query, "next", shown[-1][0]) if after and shown else None
    preceding = _sealed(call, query, "prev", shown[0][0]) if before and shown else None
    data = b",".join(render(record) for _, record in shown)
    tail = dumps({"next_pagination_token": following, "prev_pagination_token": preceding})
    return Response(200, {"content-type": "application/json"}, b'{"data":[' + data + b"]," + tail[1:])


def _sorter(query: Mapping[str, object], getters: Getters) -> Getter | None:
    """Return what reads the field to sort by, None for the order of creation."""
    sort = str(query.get("sort", "created_at"))
    return None if sort in _BY_CREATION else getters.get(sort) or field_getter(sort)


def _key(value: object, record: Record) -> Key:
    plain = value.timestamp() if isinstance(value, datetime) else value
    return plain is not None, 0 if plain is None else plain, record.sequence


def _ordered(table: Table, group: str, keep: Keep, getter: Getter | None, *, backwards: bool) -> Iterator[Entry]:
    """Yield the records to keep in order; those in order of creation are not even looked at before they are needed."""
    if getter is None:
        for record in table.of(group, backwards=backwards):
            if keep(record):
                yield (True, 0, record.sequence), record
        return
    entries = [(_key(getter(record), record), record) for record in table.of(group) if keep(record)]
    yield from sorted(entries, key=lambda entry: entry[0], reverse=backwards)


def _window(
    stream: Iterator[Entry], size: int, place: tuple[str, Key] | None, *, falling: bool
) -> tuple[list[Entry], bool, bool]:
    """Return the entries after the place, whether others came before it, whether more follow."""
    shown: list[Entry] = []
    skipped = False
    for key, record in stream:
        if place is not None and not (key < place[1] if falling else key > place[1]):
            skipped = True
        elif len(shown) == size:
            return shown, skipped, True
        else:
            shown.append((key, record))
    return shown, skipped, False


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
    if not settings.limit_remembered or call.route.operation_id in FORGETFUL:
        query.pop("limit", None)
        query.update({name: value for name, value in call.query.items() if name == "limit"})
    known, value, sequence = as_list(content["k"])
    return query, (str(content["d"]), (bool(known), value, int(str(sequence))))
