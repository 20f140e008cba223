"""Events: what ``GET /events`` tells of creations, changes and deletions, and the deliveries that they cause."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from monite_async.emulator._call import Call
from monite_async.emulator._settings import EmulatorSettings
from monite_async.emulator._state import Record, World

__all__ = [
    "DELIVERIES",
    "EVENTS",
    "SUBSCRIPTIONS",
    "emit",
    "is_loopback",
    "is_within_reach",
    "record_event",
    "redeliver",
    "watched",
]

EVENTS = "/events"
DELIVERIES = "/webhook_deliveries"
SUBSCRIPTIONS = "/webhook_subscriptions"


@dataclass(frozen=True, slots=True)
class _Topic:
    """What is told of the objects of a collection, by the names of Monite's list of events.

    Attributes:
        name: What the list calls the objects.
        created: What it calls a creation; empty: nothing is told of one.
        updated: The same of a change.
        deleted: The same of a deletion.
        field: A field of which some values, as they are taken on, are events of their own.
        values: What those are called.
        other: What it is called when the field takes on any other value; empty: a change as others.
    """

    name: str
    created: str = "created"
    updated: str = "updated"
    deleted: str = "deleted"
    field: str = "status"
    values: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    other: str = ""

    def call_it(self, action: str, before: object, after: object) -> str:
        """Return what something is called, empty when it is not told; before and after are values of the field."""
        plain = {"created": self.created, "updated": self.updated, "deleted": self.deleted}
        if action not in plain:
            return action
        if action == "deleted" or before == after:
            return plain[action]
        return self.values.get(str(after)) or (self.other if action == "updated" else "") or plain[action]


def _silent(name: str, *, created: str = "", values: Mapping[str, str] | None = None, other: str = "") -> _Topic:
    """Return a topic of which nothing is told but what is named."""
    return _Topic(name, created, "", "", values=values or {}, other=other)


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _part(name: str, created: str = "created") -> _Topic:
    return _Topic(name, created, "update", "delete")


def _recognised(name: str) -> _Topic:
    return _Topic(name, field="ocr_status", values={"success": "ocr_finished"})


_TOPICS: Mapping[str, _Topic] = {
    "/accounting_connections": _silent("accounting_connection", values=_same("connected", "disconnected")),
    "/approval_policies": _Topic("approval_policy"),
    "/approval_policies/{approval_policy_id}/processes": _silent("approval_policy_process", created="created"),
    "/approval_requests": _silent(
        "approval_request", created="created", values=_same("approved", "canceled", "rejected")
    ),
    "/bank_accounts": _Topic("entity_bank_account"),
    "/batch_payments": _silent("batch_payment", other="status_updated"),
    "/comments": _part("comment", "create"),
    "/counterparts": _Topic("counterpart", deleted="delete"),
    "/counterparts/{counterpart_id}/addresses": _part("counterpart_address"),
    "/counterparts/{counterpart_id}/bank_accounts": _part("counterpart_bank_account"),
    "/counterparts/{counterpart_id}/contacts": dataclasses.replace(
        _part("counterpart_contact_person"), field="is_default", values={"True": "make_default"}
    ),
    "/counterparts/{counterpart_id}/vat_ids": _part("counterpart_tax_id"),
    "/data_exports": _Topic("export"),
    "/delivery_notes": _Topic("delivery_note", values=_same("canceled", "delivered")),
    "/entities": _Topic("entity"),
    "/entities/{entity_id}/settings": _Topic("entity_settings"),
    "/entity_users": _Topic("entity_user"),
    "/ocr_tasks": _silent("ocr_task", other="finished"),
    "/overdue_reminders": _Topic("overdue_reminder"),
    "/payable_credit_notes": _recognised("payables_credit_note"),
    "/payable_purchase_orders": _Topic("payables_purchase_order"),
    "/payables": _Topic("payable"),
    "/payables/{payable_id}/line_items": _Topic("payable.line_item"),
    "/payment_intents": _silent("payment_intent", other="status_updated"),
    "/payment_links": _silent("payment_link", created="created", other="status_updated"),
    "/payment_reminders": _Topic("payment_reminder"),
    "/products": _Topic("product"),
    "/projects": _Topic("project"),
    "/receipts": _recognised("receipt"),
    "/receivables": _Topic("receivable"),
    "/recurrences": _Topic("recurrence"),
    "/roles": _Topic("role"),
    "/tags": _Topic("tag"),
    "/transactions": _Topic("transaction"),
}
"""What is told of each collection; collections that are not here cause no events.

The types are those that the contract lets one subscribe to. Monite's list of events names what happens to most of them;
to bank accounts, credit notes of vendors, exports, products, purchase orders, receivables, recurrences, reminders, roles,
settings, transactions and users it is a guess.
"""


def watched(path: str, record: Record) -> object:
    """Return the value of the field of a record whose changes are events of their own; None without one."""
    topic = _TOPICS.get(path)
    return None if topic is None else record.data.get(topic.field)


def emit(call: Call, path: str, action: str, record: Record, before: object = None) -> None:
    """Note an event of a collection that a call caused, and its delivery to every subscription that wants it.

    Args:
        call: The call.
        path: The collection.
        action: ``created``, ``updated``, ``deleted``, or what happened by its own name.
        record: The object, as it is now.
        before: What ``watched`` returned before a change.
    """
    topic = _TOPICS.get(path)
    name = "" if topic is None else topic.call_it(action, before, record.data.get(topic.field))
    owner = _owner(call, record) if name else ""
    if topic is not None and owner:
        record_event(call.world, owner, topic.name, name, record, version=call.version, user=call.actor.user_id)


def _owner(call: Call, record: Record) -> str:
    if call.world.state.entities.get(record.id) is not None:
        return record.id
    return call.world.state.owner(record) if call.entity is None else call.entity.id


def record_event(
    world: World,
    entity_id: str,
    object_type: str,
    action: str,
    record: Record,
    *,
    version: str | None = None,
    user: str | None = None,
) -> None:
    """Note an event, and its delivery to every subscription that wants it.

    A delivery within reach is put into the outbox; any other stays at no request made.

    Args:
        world: Where.
        entity_id: Whose object it is.
        object_type: What kind of object.
        action: What happened to it.
        record: The object.
        version: The dated version of the call that caused it; None for work that went on by itself, which the partner's
            default version stands for.
        user: The entity user who caused it.
    """
    full = f"{object_type}.{action}"
    shown: dict[str, object] = {
        "action": full,
        "api_version": version or world.state.partner.get("api_version") or world.settings.versions[-1],
        "description": f"{full.replace('_', ' ')}: {record.id}",
        "entity_id": entity_id,
        "object": {"id": record.id},
        "object_type": object_type,
    }
    event = world.record(entity_id, shown, created_by=user, stamps=("created_at",))
    world.state.table(EVENTS).add(event)
    for subscription in world.state.table(SUBSCRIPTIONS).of(""):
        if _wants(subscription, object_type, (action, full)):
            _deliver(world, event, subscription)


def _wants(subscription: Record, object_type: str, names: tuple[str, str]) -> bool:
    wanted = subscription.data["event_types"]
    chosen = not wanted or (isinstance(wanted, list) and any(name in wanted for name in names))
    return chosen and subscription.data["object_type"] == object_type and subscription.data["status"] == "enabled"


def _deliver(world: World, event: Record, subscription: Record) -> None:
    delivery: dict[str, object] = {
        "event_id": event.id,
        "requests_made_count": 0,
        "response": None,
        "response_status_code": None,
        "url": subscription.data["url"],
        "was_successful": None,
    }
    row = world.record(event.group, delivery, stamps=())
    row.private["source"] = {"event_action": event.data["action"], "object_type": event.data["object_type"]}
    row.private["subscription"] = subscription.id
    world.state.table(DELIVERIES).add(row)
    if is_within_reach(subscription.text("url"), world.settings):
        world.state.outbox[row.id] = world.clock.now()


def redeliver(world: World, event_id: str | None) -> int:
    """Put the deliveries of an event, or of all, into the outbox anew; return how many that are."""
    table = world.state.table(DELIVERIES)
    rows = [row for group in table.groups() for row in table.of(group) if event_id in {None, row.data["event_id"]}]
    chosen = [row for row in rows if is_within_reach(row.text("url"), world.settings)]
    for row in chosen:
        row.private.pop("failures", None)
        world.state.outbox[row.id] = world.clock.now()
    return len(chosen)


def is_within_reach(url: str, settings: EmulatorSettings) -> bool:
    """Tell whether webhooks may be sent there: to this machine, and to the hosts in the settings."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in settings.webhook_hosts or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking anybody."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
