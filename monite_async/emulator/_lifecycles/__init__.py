"""What is more than create, read, update, delete: one module per life cycle."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._call import Rule
from monite_async.emulator._lifecycles.accounting import ACCOUNTING_OPERATIONS
from monite_async.emulator._lifecycles.analytics import ANALYTICS_OPERATIONS
from monite_async.emulator._lifecycles.approvals import APPROVAL_OPERATIONS
from monite_async.emulator._lifecycles.counterparts import COUNTERPART_OPERATIONS
from monite_async.emulator._lifecycles.credit_notes import CREDIT_NOTE_OPERATIONS
from monite_async.emulator._lifecycles.defaults import DEFAULT_OPERATIONS
from monite_async.emulator._lifecycles.documents import DOCUMENT_OPERATIONS
from monite_async.emulator._lifecycles.exports import EXPORT_OPERATIONS
from monite_async.emulator._lifecycles.mailboxes import MAILBOX_OPERATIONS
from monite_async.emulator._lifecycles.onboarding import ONBOARDING_OPERATIONS
from monite_async.emulator._lifecycles.others import OTHER_OPERATIONS
from monite_async.emulator._lifecycles.payments import PAYMENT_OPERATIONS
from monite_async.emulator._lifecycles.receivable_actions import RECEIVABLE_ACTION_OPERATIONS
from monite_async.emulator._lifecycles.receivables import RECEIVABLE_OPERATIONS
from monite_async.emulator._lifecycles.recognition import RECOGNITION_OPERATIONS
from monite_async.emulator._lifecycles.stored_files import FILE_OPERATIONS
from monite_async.emulator._lifecycles.tax_rates import TAX_RATE_OPERATIONS
from monite_async.emulator._lifecycles.templates import TEMPLATE_OPERATIONS
from monite_async.emulator._lifecycles.transitions import TRANSITION_OPERATIONS
from monite_async.emulator._lifecycles.webhooks import WEBHOOK_OPERATIONS

__all__ = ["LIFECYCLE_OPERATIONS"]

LIFECYCLE_OPERATIONS: Mapping[str, Rule] = {
    **ACCOUNTING_OPERATIONS,
    **ANALYTICS_OPERATIONS,
    **APPROVAL_OPERATIONS,
    **COUNTERPART_OPERATIONS,
    **CREDIT_NOTE_OPERATIONS,
    **DEFAULT_OPERATIONS,
    **DOCUMENT_OPERATIONS,
    **EXPORT_OPERATIONS,
    **MAILBOX_OPERATIONS,
    **ONBOARDING_OPERATIONS,
    **OTHER_OPERATIONS,
    **PAYMENT_OPERATIONS,
    **RECEIVABLE_ACTION_OPERATIONS,
    **RECEIVABLE_OPERATIONS,
    **RECOGNITION_OPERATIONS,
    **FILE_OPERATIONS,
    **TAX_RATE_OPERATIONS,
    **TEMPLATE_OPERATIONS,
    **TRANSITION_OPERATIONS,
    **WEBHOOK_OPERATIONS,
}
"""How the operations are emulated that the generic engine does not do justice to, by operation id."""
