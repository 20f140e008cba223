"""Webhook events: one class per type of object that has events and is known, and a generic one for all others.

The names of the actions are those of Monite's list of events, for the objects that it lists; they are hints for editors
and no more: on the wire they are open, and their tense is not consistent (``created``, but ``delete``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import pydantic

from monite_async._errors import WebhookError
from monite_async._webhook_signature import raw_bytes
from monite_async.models._base import Anything, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EVENT_TYPES",
    "AccountingConnectionEvent",
    "ApprovalPolicyEvent",
    "ApprovalPolicyProcessEvent",
    "ApprovalRequestEvent",
    "BatchPaymentEvent",
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
    "RecurrenceEvent",
    "RoleEvent",
    "TagEvent",
    "TransactionEvent",
    "parse",
]


class Event(pydantic.BaseModel, frozen=True, extra="allow", defer_build=True, protected_namespaces=()):
    """Something that happened to an object of an entity.

    Its ``repr`` shows which event it is and nothing of what it holds. Fields that the contract does not know are kept
    and can be read as attributes.

    Attributes:
        id: The event; the same in every delivery of it.
        action: What happened, as the API says it: ``payable.approved``.
        object_type: What kind of object it happened to: ``payable``.
        entity_id: Whose object it is.
        object: What the API sent of the object: often its id only, sometimes null. Ask for the object itself.
        api_version: The version in whose form the object was sent.
        created_at: When it happened, aware; None when the API does not say.
        description: A sentence for people.
        webhook_subscription_id: The subscription that the delivery was made for.

    What only describes the event (the last four) is None as well when it comes in a form that cannot be read: the event
    is worth more than that, and refused it would come again and again.
    """

    # By an empty id all events would be one to a replay guard: the first handled, the others acknowledged and lost.
    id: str = pydantic.Field(min_length=1)
    action: str
    object_type: str
    entity_id: str
    object: Anything | None = None
    api_version: str | None = None
    created_at: Moment | None = None
    description: str | None = None
    webhook_subscription_id: str | None = None
    given_object_id: str | None = pydantic.Field(default=None, alias="object_id")

    @pydantic.field_validator(
        "api_version", "created_at", "description", "webhook_subscription_id", "given_object_id", mode="wrap"
    )
    @classmethod
    def _if_readable(cls, value: Anything, read: pydantic.ValidatorFunctionWrapHandler) -> Anything:
        try:
            return cast("Anything", read(value))
        except pydantic.ValidationError:
            return None

    @property
    def name(self) -> str:
        """What happened, without the type of the object: ``approved`` for ``payable.approved``."""
        for kind in (self.object_type, self.object_type.replace(".", "_")):
            if self.action.startswith(f"{kind}."):
                return self.action[len(kind) + 1 :]
        return self.action

    @property
    def object_id(self) -> str | None:
        """The id of the object, wherever the API put it (``object_id`` or ``object.id``); None when nowhere."""
        held: Anything = self.object
        inner = cast("dict[str, Anything]", held).get("id") if isinstance(held, dict) else None
        return self.given_object_id or (inner if isinstance(inner, str) else None)

    def __repr_args__(self) -> Iterable[tuple[str | None, Anything]]:
        return [("id", self.id), ("action", self.action), ("entity_id", self.entity_id)]


class AccountingConnectionEvent(Event, frozen=True):
    """``connected``, ``disconnected``, ``deauthorized``, ``pending_auth``."""

    object_type: Literal["accounting_connection"]


class ApprovalPolicyEvent(Event, frozen=True):
    """``created``, ``updated``, ``deleted``, ``process_canceled``."""

    object_type: Literal["approval_policy"]


class ApprovalPolicyProcessEvent(Event, frozen=True):
    """``created``, ``execution_error``."""

    object_type: Literal["approval_policy_process"]


class ApprovalRequestEvent(Event, frozen=True):
    """``created``, ``approved``, ``rejected``, ``canceled``."""

    object_type: Literal["approval_request"]


class BatchPaymentEvent(Event, frozen=True):
    """``status_updated``."""

    object_type: Literal["batch_payment"]


class CommentEvent(Event, frozen=True):
    """``create``, ``update``."""

    object_type: Literal["comment"]


class CounterpartAddressEvent(Event, frozen=True):
    """``created``, ``update``, ``delete``."""

    object_type: Literal["counterpart_address"]


class CounterpartBankAccountEvent(Event, frozen=True):
    """``created``, ``update``, ``delete``."""

    object_type: Literal["counterpart_bank_account"]


class CounterpartContactPersonEvent(Event, frozen=True):
    """``created``, ``update``, ``delete``, ``make_default``."""

    object_type: Literal["counterpart_contact_person"]


class CounterpartEvent(Event, frozen=True):
    """``created``, ``updated``, ``delete``, ``metadata_update``."""

    object_type: Literal["counterpart"]


class CounterpartTaxIDEvent(Event, frozen=True):
    """``created``, ``update``, ``delete``."""

    object_type: Literal["counterpart_tax_id"]


class CounterpartVatIDEvent(Event, frozen=True):
    """``created``, ``update``, ``delete``; the contract calls the same ``counterpart_tax_id``, Monite's list both."""

    object_type: Literal["counterpart_vat_id"]


class DeliveryNoteEvent(Event, frozen=True):
    """``created``, ``updated``, ``delivered``, ``canceled``, ``deleted``."""

    object_type: Literal["delivery_note"]


class EntityBankAccountEvent(Event, frozen=True):
    """Bank accounts of an entity."""

    object_type: Literal["entity_bank_account"]


class EntityEvent(Event, frozen=True):
    """``created``, ``updated``, ``onboarding_requirements.updated``, ``payment_method.us_ach.activated`` and so on."""

    object_type: Literal["entity"]


class EntitySettingsEvent(Event, frozen=True):
    """Settings of an entity."""

    object_type: Literal["entity_settings"]


class EntityUserEvent(Event, frozen=True):
    """Users of an entity."""

    object_type: Literal["entity_user"]


class ExportEvent(Event, frozen=True):
    """Exports of data."""

    object_type: Literal["export"]


class OCRTaskEvent(Event, frozen=True):
    """``finished``."""

    object_type: Literal["ocr_task"]


class OverdueReminderEvent(Event, frozen=True):
    """Overdue reminders."""

    object_type: Literal["overdue_reminder"]


class PartnerSettingsEvent(Event, frozen=True):
    """Settings of the partner."""

    object_type: Literal["partner_settings"]


class PayableCreditNoteEvent(Event, frozen=True):
    """Credit notes of vendors."""

    object_type: Literal["payables_credit_note"]


class PayableEvent(Event, frozen=True):
    """``created``, ``updated``, ``approved``, ``rejected``, ``paid``, ``ocr_finished`` and so on."""

    object_type: Literal["payable"]


class PayableLineItemEvent(Event, frozen=True):
    """``created``, ``updated``, ``deleted``; the type of its object is spelt with a dot or an underscore."""

    object_type: Literal["payable.line_item", "payable_line_item"]


class PaymentIntentEvent(Event, frozen=True):
    """``status_updated``."""

    object_type: Literal["payment_intent"]


class PaymentLinkEvent(Event, frozen=True):
    """``created``, ``status_updated``."""

    object_type: Literal["payment_link"]


class PaymentReminderEvent(Event, frozen=True):
    """Payment reminders."""

    object_type: Literal["payment_reminder"]


class ProductEvent(Event, frozen=True):
    """Products."""

    object_type: Literal["product"]


class ProjectEvent(Event, frozen=True):
    """``created``, ``updated``, ``deleted``."""

    object_type: Literal["project"]


class PurchaseOrderEvent(Event, frozen=True):
    """Purchase orders."""

    object_type: Literal["payables_purchase_order"]


class ReceiptEvent(Event, frozen=True):
    """``created``, ``updated``, ``deleted``, ``ocr_finished``."""

    object_type: Literal["receipt"]


class ReceivableEvent(Event, frozen=True):
    """Invoices, quotes and credit notes that were issued; the documents that could be read do not list its actions."""

    object_type: Literal["receivable"]


class RecurrenceEvent(Event, frozen=True):
    """Recurrences of invoices."""

    object_type: Literal["recurrence"]


class RoleEvent(Event, frozen=True):
    """Roles of an entity."""

    object_type: Literal["role"]


class TagEvent(Event, frozen=True):
    """``created``, ``updated``, ``deleted``."""

    object_type: Literal["tag"]


class TransactionEvent(Event, frozen=True):
    """Transactions."""

    object_type: Literal["transaction"]


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    name: kind for kind in Event.__subclasses__() for name in get_args(kind.model_fields["object_type"].annotation)
}
"""The class of the events of each type of object; all others are plain ``Event``."""


def parse(body: bytes) -> Event:
    """Return the event in a body, of the class for its type of object: ``PayableEvent``, or ``Event`` for the unknown.

    For bodies that were verified before they were stored or queued; ``verify`` does both.

    Args:
        body: The raw body.

    Raises:
        WebhookError: It is not an event; which fields are wrong, never with their values.
        ConfigurationError: The body is not bytes.
    """
    raw = raw_bytes(body)
    del body
    try:
        event = Event.model_validate_json(raw)
        return EVENT_TYPES.get(event.object_type, Event).model_validate_json(raw)
    except pydantic.ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['type']}" for one in found]
    # Outside of the handler, lest the error of pydantic, which holds the body, becomes a context of ours.
    del raw
    raise WebhookError(f"the body is not a webhook event: {'; '.join(problems)}")
