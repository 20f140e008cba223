"""Exports of data: ordered, and ready a little later on the emulator's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._files import file_url, keep_file
from monite_async.emulator._generic import Json, answer, change, create, found, list_page, records, ruled
from monite_async.emulator._message import Response, as_list, as_object, dumps
from monite_async.emulator._state import Record

__all__ = ["EXPORT_OPERATIONS"]

_EXPORTS = COLLECTIONS["/data_exports"]
_FORMATS = ("csv", "xml", "xlsx", "pdf")


def _rows(call: Call, wanted: Json, group: str) -> list[Json]:
    statuses = as_list(wanted.get("statuses"))
    chosen = records(call, f"/{wanted.get('name')}s", group)
    return [record.view() for record in chosen if not statuses or record.data.get("status") in statuses]


def _settle(call: Call, record: Record) -> bool:
    due = record.private.get("ready_at")
    if isinstance(due, datetime) and call.now >= due:
        del record.private["ready_at"]
        wanted = [as_object(item) for item in as_list(as_object(record.private["source"]).get("objects"))]
        rows = [row for item in wanted for row in _rows(call, item, record.group)]
        url = file_url(call.world, keep_file(call.world, "application/json", dumps(rows)))
        change(call, record, {"status": "succeeded", "source_url": url, "count": len(rows)}, _EXPORTS)
    return True


def _order(call: Call) -> Response:
    body = call.body
    source = {
        **body,
        "count": 0,
        "created_by_entity_user_id": call.actor.user_id,
        "end_datetime": f"{body['date_to']}T00:00:00+00:00",
        "language": "en",
        "start_datetime": f"{body['date_from']}T00:00:00+00:00",
        "status": "processing",
    }
    record = create(call, source, _EXPORTS)
    record.private["ready_at"] = call.now + timedelta(seconds=call.world.settings.export_seconds)
    return answer(call, record)


def _get(call: Call) -> Response:
    record = found(call, _EXPORTS)
    _settle(call, record)
    return answer(call, record)


def _list(call: Call) -> Response:
    return list_page(call, _EXPORTS, seen=lambda record: _settle(call, record))


def _formats(call: Call) -> Response:
    kinds = {name: [name] for name in _FORMATS}
    return answer(call, [{"object_type": name, "available_types": kinds} for name in ("payable", "receivable")])


EXPORT_OPERATIONS = ruled(
    {
        "get_data_exports": _list,
        "post_data_exports": _order,
        "get_data_exports_id": _get,
        "get_data_exports_supported_formats": _formats,
    }
)
"""How exports of data are emulated."""
