"""Accounting: a connected system that holds just what the entity has, once it was synchronized."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, change, create, found, later, records, ruled
from monite_async.emulator._message import Response, as_object
from monite_async.emulator._state import Record, iso

__all__ = ["ACCOUNTING_OPERATIONS"]

_CONNECTIONS = COLLECTIONS["/accounting_connections"]
_RECORDS = COLLECTIONS["/accounting_synced_records"]
_PAYABLES = COLLECTIONS["/accounting/payables"]
_RECEIVABLES = COLLECTIONS["/accounting/receivables"]
_MATCHES: Mapping[str, str] = {"/payables": "bill", "/products": "product", "/receivables": "receivable"}


def _connect(call: Call) -> Response:
    if any(record.data["status"] == "connected" for record in records(call, _CONNECTIONS.path)):
        raise refusal(409, "The entity has an accounting connection already")
    url = f"{call.world.origin}/accounting/connect"
    facts: Json = {"connection_url": url, "platform": "quickbooks", "status": "connected", "errors": []}
    return answer(call, create(call, facts, _CONNECTIONS))


def _mirror(call: Call, record: Record, kind: str) -> None:
    known = [one for one in records(call, _RECORDS.path) if one.data["object_id"] == record.id]
    times = {"last_pulled_at": iso(call.now), "object_updated_at": iso(record.updated_at)}
    facts: Json = {
        **times,
        "object_id": record.id,
        "object_type": kind,
        "platform": "quickbooks",
        "sync_status": "done",
    }
    facts["platform_object_id"] = record.id
    if known:
        change(call, known[0], facts, _RECORDS)
        return
    create(call, facts, _RECORDS, call.entity_id)
    shown: Json = {
        "currency": record.data.get("currency"),
        "due_date": record.data.get("due_date"),
        "id": record.id,
        "invoice_number": record.data.get("document_id"),
        "lines": [],
        "status": record.data.get("status"),
        "total_amount": record.number("total_amount") / 100,
    }
    home = {"bill": _PAYABLES, "receivable": _RECEIVABLES}.get(kind)
    if home is not None:
        create(call, shown, home, call.entity_id)


def _sync(call: Call) -> Response:
    connection = found(call, _CONNECTIONS)
    if connection.data["status"] != "connected":
        raise refusal(call.world.settings.wrong_state_status, "The accounting connection is not connected")
    for path, kind in _MATCHES.items():
        for record in records(call, path):
            _mirror(call, record, kind)
    change(call, connection, {"last_pull": iso(call.now)}, _CONNECTIONS)
    return answer(call, {"message": "Synchronization started"})


def _push(call: Call) -> Response:
    record = found(call, _RECORDS)
    later(call, record, call.world.settings.sync_seconds, {"sync_status": "done", "platform_updated_at": iso(call.now)})
    return answer(call, change(call, record, {"sync_status": "pending"}, _RECORDS))


def _pulled(call: Call) -> Response:
    return answer(call, as_object(found(call).view()))


ACCOUNTING_OPERATIONS = ruled(
    {
        "post_accounting_connections": _connect,
        "post_accounting_connections_id_sync": _sync,
        "post_accounting_synced_records_id_push": _push,
        "get_accounting_payables_id": _pulled,
        "get_accounting_receivables_id": _pulled,
    }
)
"""How the accounting system is emulated."""
