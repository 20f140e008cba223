"""Exports of data: ordered, and ready a little later on the emulator's clock."""

from __future__ import annotations

import csv
import io

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._files import PDF, file_url, keep_file
from monite_async.emulator._generic import Json, answer, create, later, records, ruled
from monite_async.emulator._message import Response, as_list, as_object, dumps

__all__ = ["EXPORT_OPERATIONS"]

_EXPORTS = COLLECTIONS["/data_exports"]
_FORMATS = {"csv": ["csv", "csv_xero"], "pdf": ["pdf"]}


def _rows(call: Call, wanted: Json, group: str) -> list[Json]:
    """Return what was created from the first day to the last (guess: the contract does not say which date counts)."""
    statuses, body = as_list(wanted.get("statuses")), call.body
    return [
        record.view()
        for record in records(call, f"/{wanted.get('name')}s", group)
        if (not statuses or record.data.get("status") in statuses)
        and str(body["date_from"]) <= record.created_at.date().isoformat() <= str(body["date_to"])
    ]


def _table(rows: list[Json]) -> bytes:
    """Return objects as CSV (RFC 4180): a column per field, what is no plain value as JSON in its cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value).decode()


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
    kind, content = ("application/pdf", PDF) if body["format"] == "pdf" else ("text/csv", _table(rows))
    url = file_url(call.world, keep_file(call.world, kind, content))
    ready = {"status": "succeeded", "source_url": url, "count": len(rows)}
    later(call, record, call.world.settings.export_seconds, ready)
    return answer(call, record)


def _formats(call: Call) -> Response:
    return answer(call, [{"object_type": name, "available_types": _FORMATS} for name in ("payable", "receivable")])


EXPORT_OPERATIONS = ruled(
    {
        "post_data_exports": _order,
        "get_data_exports_supported_formats": _formats,
    }
)
"""How exports of data are emulated."""
