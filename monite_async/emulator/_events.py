"""Events: what ``GET /events`` tells of creations, changes and deletions, and the deliveries they would cause."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Call
from monite_async.emulator._state import Record

__all__ = ["DELIVERIES", "EVENTS", "SUBSCRIPTIONS", "emit"]

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
    "/payables": "payable",
    "/products": "product",
    "/projects": "project",
    "/receipts": "receipt",
    "/receivables": "receivable",
    "/tags": "tag",
}
"""What the events of a collection are about; collections that are not here cause none."""


def emit(call: Call, path: str, action: str, record: Record) -> None:
    """Note an event of a collection, and its delivery to every subscription that wants it.

    Nothing is sent: a delivery stays at no request made.
    """
    object_type = _OBJECT_TYPES.get(path)
    if object_type is None or call.entity is None:
        return
    world = call.world
    name = f"{object_type}.{action}"
    shown: dict[str, object] = {
        "action": name,
        "api_version": call.version,
        "description": f"{name.replace('_', ' ')}: {record.id}",
        "entity_id": call.entity.id,
        "object": {"id": record.id},
        "object_type": object_type,
    }
    event = world.record(call.entity.id, shown, created_by=call.actor.user_id, stamps=("created_at",))
    world.state.table(EVENTS).add(event)
    for subscription in world.state.table(SUBSCRIPTIONS).of(""):
        wanted = subscription.data["event_types"]
        chosen = not wanted or (isinstance(wanted, list) and action in wanted)
        if subscription.data["object_type"] == object_type and subscription.data["status"] == "enabled" and chosen:
            delivery: dict[str, object] = {
                "event_id": event.id,
                "requests_made_count": 0,
                "response": None,
                "response_status_code": None,
                "url": subscription.data["url"],
                "was_successful": None,
            }
            row = world.record(call.entity.id, delivery, stamps=())
            row.private["source"] = {"event_action": name, "object_type": object_type}
            world.state.table(DELIVERIES).add(row)
