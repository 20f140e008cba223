"""Events: what ``GET /events`` tells of creations, changes and deletions, and the deliveries that they cause."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
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
]

EVENTS = "/events"
DELIVERIES = "/webhook_deliveries"
SUBSCRIPTIONS = "/webhook_subscriptions"

_OBJECT_TYPES: Mapping[str, str] = {
    "/approval_policies": "approval_policy",
    "/approval_requests": "approval_request",
    "/comments": "comment",
    "/counterparts": "counterpart",
    "/counterparts/{counterpart_id}/addresses": "counterpart_address",
    "/counterparts/{counterpart_id}/bank_accounts": "counterpart_bank_account",
    "/counterparts/{counterpart_id}/contacts": "counterpart_contact_person",
    "/counterparts/{counterpart_id}/vat_ids": "counterpart_tax_id",
    "/delivery_notes": "delivery_note",
    "/entities": "entity",
    "/payables": "payable",
    "/payables/{payable_id}/line_items": "payable.line_item",
    "/products": "product",
    "/projects": "project",
    "/receipts": "receipt",
    "/receivables": "receivable",
    "/tags": "tag",
}
"""What the events of a collection are about; collections that are not here cause none."""

_OLD = {"updated": "update", "deleted": "delete"}
_SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "comment": {"created": "create", **_OLD},
    "counterpart": {"deleted": "delete"},
    "counterpart_address": _OLD,
    "counterpart_bank_account": _OLD,
    "counterpart_contact_person": _OLD,
    "counterpart_tax_id": _OLD,
}
"""Where Monite's list of events calls a change by another name."""


def emit(call: Call, path: str, action: str, record: Record) -> None:
    """Note an event of a collection that a call caused, and its delivery to every subscription that wants it."""
    object_type = _OBJECT_TYPES.get(path)
    owner = record if object_type == "entity" else call.entity
    if object_type is not None and owner is not None:
        record_event(call.world, owner.id, object_type, action, record, version=call.version, user=call.actor.user_id)


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
    name = _SPELLINGS.get(object_type, {}).get(action, action)
    full = f"{object_type}.{name}"
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
        if _wants(subscription, object_type, (name, full)):
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
