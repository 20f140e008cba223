"""Webhooks: verify deliveries, parse them into typed events, and receive them in any ASGI server.

By hand, in whatever receives your requests::

    event = webhooks.verify(await request.body(), request.headers.get(webhooks.SIGNATURE_HEADER), secret)
    match event:
        case webhooks.PayableEvent(name="approved"):
            ...

Or as an application to mount: ``Receiver``. Deliveries come at least once and in no order that one could rely on: the
receiver handles each event once, and the object itself is best asked for anew (``payables.get(event.object_id)``).
"""

from __future__ import annotations

from monite_async._errors import WebhookError
from monite_async._webhook_events import (
    EVENT_TYPES,
    AccountingConnectionEvent,
    ApprovalPolicyEvent,
    ApprovalPolicyProcessEvent,
    ApprovalRequestEvent,
    BatchPaymentEvent,
    CommentEvent,
    CounterpartAddressEvent,
    CounterpartBankAccountEvent,
    CounterpartContactPersonEvent,
    CounterpartEvent,
    CounterpartTaxIDEvent,
    CounterpartVatIDEvent,
    DeliveryNoteEvent,
    EntityBankAccountEvent,
    EntityEvent,
    EntitySettingsEvent,
    EntityUserEvent,
    Event,
    ExportEvent,
    OCRTaskEvent,
    OverdueReminderEvent,
    PartnerSettingsEvent,
    PayableCreditNoteEvent,
    PayableEvent,
    PayableLineItemEvent,
    PaymentIntentEvent,
    PaymentLinkEvent,
    PaymentReminderEvent,
    ProductEvent,
    ProjectEvent,
    PurchaseOrderEvent,
    ReceiptEvent,
    ReceivableEvent,
    RecurrenceEvent,
    RoleEvent,
    TagEvent,
    TransactionEvent,
    parse,
)
from monite_async._webhook_receiver import (
    Outcome,
    Receiver,
    Secrets,
    verify,
)
from monite_async._webhook_replay import (
    Claim,
    ReplayGuard,
    StoreReplayGuard,
)
from monite_async._webhook_signature import (
    DEFAULT_TOLERANCE,
    SIGNATURE_HEADER,
    SignedString,
    sign,
    signed_string,
)

__all__ = [
    "DEFAULT_TOLERANCE",
    "EVENT_TYPES",
    "SIGNATURE_HEADER",
    "AccountingConnectionEvent",
    "ApprovalPolicyEvent",
    "ApprovalPolicyProcessEvent",
    "ApprovalRequestEvent",
    "BatchPaymentEvent",
    "Claim",
    "CommentEvent",
    "CounterpartAddressEvent",
    "CounterpartBankAccountEvent",
    "CounterpartContactPersonEvent",
    "CounterpartEvent",
    "CounterpartTaxIDEvent",
    "CounterpartVatIDEvent",
    "DeliveryNoteEvent",
    "EntityBankAccountEvent",
    "EntityEvent",
    "EntitySettingsEvent",
    "EntityUserEvent",
    "Event",
    "ExportEvent",
    "OCRTaskEvent",
    "Outcome",
    "OverdueReminderEvent",
    "PartnerSettingsEvent",
    "PayableCreditNoteEvent",
    "PayableEvent",
    "PayableLineItemEvent",
    "PaymentIntentEvent",
    "PaymentLinkEvent",
    "PaymentReminderEvent",
    "ProductEvent",
    "ProjectEvent",
    "PurchaseOrderEvent",
    "ReceiptEvent",
    "ReceivableEvent",
    "Receiver",
    "RecurrenceEvent",
    "ReplayGuard",
    "RoleEvent",
    "Secrets",
    "SignedString",
    "StoreReplayGuard",
    "TagEvent",
    "TransactionEvent",
    "WebhookError",
    "parse",
    "sign",
    "signed_string",
    "verify",
]
