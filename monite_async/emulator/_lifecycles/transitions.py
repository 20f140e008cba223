"""Actions that do no more than move a thing from one status to another, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monite_async.emulator._call import Call, Handler
from monite_async.emulator._collections import BY_ID, collection_of
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import answer, change, found, ruled
from monite_async.emulator._message import Response

__all__ = ["TRANSITIONS", "TRANSITION_OPERATIONS", "Transition"]


@dataclass(frozen=True, slots=True)
class Transition:
    """An action: the statuses it starts from (any when empty), and the one it leads to."""

    target: str
    starts: frozenset[str] = field(default_factory=frozenset[str])


def _of(target: str, *starts: str) -> Transition:
    return Transition(target, frozenset(starts))


TRANSITIONS: Mapping[str, Transition] = {
    "post_accounting_connections_id_disconnect": _of("disconnected"),
    "post_batch_payment_links_id_expire": _of("expired"),
    "post_delivery_notes_id_cancel": _of("canceled", "created"),
    "post_delivery_notes_id_mark_as_delivered": _of("delivered", "created"),
    "post_payable_credit_notes_id_approve": _of("approved", "new", "approve_in_progress"),
    "post_payable_credit_notes_id_cancel": _of("canceled", "draft", "new", "approve_in_progress"),
    "post_payable_credit_notes_id_reject": _of("rejected", "approve_in_progress"),
    "post_payable_credit_notes_id_submit_for_approval": _of("approve_in_progress", "draft", "new"),
    "post_payment_links_id_expire": _of("expired"),
    "post_payment_records_id_cancel": _of("canceled", "created", "processing"),
    "post_payment_records_id_mark_as_succeeded": _of("succeeded", "created", "processing"),
    "post_payment_records_id_start_processing": _of("processing", "created"),
    "post_recurrences_id_cancel": _of("canceled", "active", "paused"),
    "post_recurrences_id_pause": _of("paused", "active"),
    "post_recurrences_id_resume": _of("active", "paused"),
    "post_webhook_subscriptions_id_disable": _of("disabled"),
    "post_webhook_subscriptions_id_enable": _of("enabled"),
}
"""Each action by its operation. Which statuses it starts from is documented in part only; the rest is a guess."""


def _handler(name: str, transition: Transition) -> Handler:
    action = BY_ID[name].path.rsplit("/", 1)[1]

    def run(call: Call) -> Response:
        record = found(call)
        status = record.data["status"]
        if transition.starts and status not in transition.starts:
            noun = collection_of(call.route).noun.lower()
            message = f"Action {action} is not allowed for a {noun} in status {status}"
            raise refusal(call.world.settings.wrong_state_status, message)
        return answer(call, change(call, record, {**call.body, "status": transition.target}))

    return run


TRANSITION_OPERATIONS = ruled({name: _handler(name, transition) for name, transition in TRANSITIONS.items()})
"""How these actions are emulated."""
