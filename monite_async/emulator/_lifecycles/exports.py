"""Exports of data: ordered, and ready a little later on the emulator's clock."""

from __future__ import annotations

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._files import file_url, keep_file
from monite_async.emulator._generic import Json, answer, create, later, records, ruled
from monite_async.emulator._message import Response, as_list, as_object, dumps

__all__ = ["EXPORT_OPERATIONS"]

_EXPORTS = COLLECTIONS["/data_exports"]
_FORMATS = ("csv", "xml", "xlsx", "pdf")


def _rows(call: Call, wanted: Json, group: str) -> list[Json]:
    statuses = as_list(wanted.get("statuses"))
    chosen = records(call, f"/{wanted.get('name')}s", group)
    return [record.view() for record in chosen if not statuses or record.data.get("status") in statuses]


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
    rows = [row for item in as_list(body["objects"]) for row in _rows(call, as_object(item), record.group)]
    url = file_url(call.world, keep_file(call.world, "application/json", dumps(rows)))
    ready = {"status": "succeeded", "source_url": url, "count": len(rows)}
    later(call, record, call.world.settings.export_seconds, ready)
    return answer(call, record)


def _formats(call: Call) -> Response:
    kinds = {name: [name] for name in _FORMATS}
    return answer(call, [{"object_type": name, "available_types": kinds} for name in ("payable", "receivable")])


EXPORT_OPERATIONS = ruled(
    {
        "post_data_exports": _order,
        "get_data_exports_supported_formats": _formats,
    }
)
"""How exports of data are emulated."""
