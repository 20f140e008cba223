"""Analytics: counts and sums over the documents of an entity, by a dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import cast

from monite_async.emulator._call import Call, Handler
from monite_async.emulator._filters import Getters, matcher
from monite_async.emulator._generic import answer, records, ruled
from monite_async.emulator._lifecycles.receivables import RECEIVABLE_GETTERS
from monite_async.emulator._message import Response
from monite_async.emulator._payables import payable_getters
from monite_async.emulator._state import Record, World, iso

__all__ = ["ANALYTICS_OPERATIONS"]

_HOW = frozenset(
    {"dimension", "metric", "aggregation_function", "date_dimension_breakdown", "limit", "order", "pagination_token"}
)
_SOURCES: Mapping[str, tuple[str, Callable[[World], Getters]]] = {
    "get_analytics_credit_notes": ("/payable_credit_notes", lambda _world: {}),
    "get_analytics_payables": ("/payables", payable_getters),
    "get_analytics_receivables": ("/receivables", lambda _world: RECEIVABLE_GETTERS),
}
_DATES = frozenset({"created_at", "issued_at", "issue_date", "due_date"})


def _bucket(day: str, width: str) -> str:
    year, month = int(day[:4]), int(day[5:7])
    match width:
        case "yearly":
            return f"{year}-01-01"
        case "quarterly":
            return f"{year}-{(month - 1) // 3 * 3 + 1:02}-01"
        case "monthly":
            return f"{day[:7]}-01"
        case "weekly":
            number = date.fromisoformat(day).isocalendar()
            return date.fromisocalendar(number.year, number.week, 1).isoformat()
        case _:
            return day


def _dimension(record: Record, name: str, width: str) -> str | None:
    value = iso(record.created_at) if name == "created_at" else record.data.get(name)
    if value is None:
        return None
    return _bucket(str(value)[:10], width) if name in _DATES else str(value)


def _metric(record: Record, name: str) -> int:
    return 1 if name == "id" else record.number(name)


def _combine(values: list[int], how: str) -> int:
    match how:
        case "count":
            return len(values)
        case "summary":
            return sum(values)
        case "average":
            return round(sum(values) / len(values))
        case "min":
            return min(values)
        case _:
            return max(values)


def _analyse(path: str, getters: Callable[[World], Getters]) -> Handler:
    def run(call: Call) -> Response:
        query = call.query
        filters = {name: value for name, value in query.items() if name not in _HOW}
        passes = matcher(filters, getters(call.world))
        groups: dict[str | None, list[int]] = {}
        for record in records(call, path):
            if call.sees(record) and passes(record):
                name, width = query.get("dimension"), str(query.get("date_dimension_breakdown", "daily"))
                key = None if name is None else _dimension(record, str(name), width)
                groups.setdefault(key, []).append(_metric(record, str(query["metric"])))
        how = str(query["aggregation_function"])
        ordered = sorted(groups.items(), key=lambda item: item[0] or "", reverse=query.get("order") == "desc")
        rows = [{"dimension_value": key, "metric_value": _combine(values, how)} for key, values in ordered]
        limit = query.get("limit")
        return answer(call, {"data": rows[: cast("int", limit)] if limit is not None else rows})

    return run


ANALYTICS_OPERATIONS = ruled({name: _analyse(*source) for name, source in _SOURCES.items()})
"""How analytics are emulated; their page tokens are never needed, for all rows are on the first page."""
