"""Mailboxes and the domains that they are on."""

from __future__ import annotations

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, change, create, found, records, ruled
from monite_async.emulator._message import Response, as_list

__all__ = ["MAILBOX_OPERATIONS"]

_MAILBOXES = "/mailboxes"
_DOMAINS = "/mailbox_domains"


def _dns(domain: str) -> Json:
    record: Json = {
        "cached": "0",
        "is_active": False,
        "name": domain,
        "priority": "10",
        "record_type": "MX",
        "valid": "unknown",
        "value": "mx.emulator.test",
    }
    return {"receiving_dns_records": [record], "sending_dns_records": [{**record, "record_type": "TXT"}]}


def _add_domain(call: Call) -> Response:
    domain = str(call.body["domain"])
    if any(other.data["domain"] == domain for other in records(call, _DOMAINS, "")):
        raise refusal(409, "This domain exists already")
    return answer(call, create(call, {"domain": domain, "status": "unverified", "dns_records": _dns(domain)}))


def _verify(call: Call) -> Response:
    return answer(call, change(call, found(call), {"status": "verified"}))


def _add_mailbox(call: Call) -> Response:
    domain = call.world.state.table(_DOMAINS).get(str(call.body["mailbox_domain_id"]).lower())
    if domain is None:
        raise refusal(404, "Mailbox domain not found")
    address = f"{call.body['mailbox_name']}@{domain.data['domain']}"
    taken = call.world.state.table(_MAILBOXES)
    if any(box.data["mailbox_full_address"] == address for entity in _entities(call) for box in taken.of(entity)):
        raise refusal(409, "This mailbox exists already")
    return answer(call, create(call, {**call.body, "mailbox_full_address": address, "status": "active"}))


def _entities(call: Call) -> list[str]:
    return [entity.id for entity in call.world.state.entities.of("")]


def _search(call: Call) -> Response:
    wanted = [str(entity).lower() for entity in as_list(call.body["entity_ids"])]
    user = call.actor.user
    if user is not None:
        wanted = [entity for entity in wanted if entity == user.group]
    return answer(call, {"data": [box.view() for entity in wanted for box in records(call, _MAILBOXES, entity)]})


MAILBOX_OPERATIONS = ruled(
    {
        "post_mailbox_domains": _add_domain,
        "post_mailbox_domains_id_verify": _verify,
        "post_mailboxes": _add_mailbox,
        "post_mailboxes_search": _search,
    }
)
"""How mailboxes and their domains are emulated."""
