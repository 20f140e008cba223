"""What the waits ask for, and what ends them: data for ``_waits.py``, imported with the first wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monite_async._operations import operation
from monite_async._waiting import Until, wait_for

if TYPE_CHECKING:
    from monite_async._http.operation import Operation
    from monite_async.models._receivables_besides import ReceivableFileUrl
    from monite_async.models.accounting import SyncRecordResource
    from monite_async.models.data_exports import DocumentExportResponseSchema
    from monite_async.models.delivery_notes import DeliveryNoteResource
    from monite_async.models.ocr_tasks import OcrTaskResponseSchema
    from monite_async.models.payable_credit_notes import CreditNoteResponse
    from monite_async.models.payable_purchase_orders import PurchaseOrderResponseSchema
    from monite_async.models.payables import PayableResponseSchema
    from monite_async.models.payments import PaymentsBatchPaymentResponse
    from monite_async.models.receipts import ReceiptResponseSchema
    from monite_async.models.receivables import ReceivableResponse

__all__ = [
    "ACCOUNTING_SYNCED_RECORDS_ID",
    "BATCH",
    "BATCH_PAYMENTS_ID",
    "DATA_EXPORTS_ID",
    "DELIVERY_NOTES_ID",
    "EXPORT",
    "FILE",
    "ISSUE",
    "OCR",
    "OCR_TASKS_ID",
    "PAYABLES_ID",
    "PAYABLE_CREDIT_NOTES_ID",
    "PAYABLE_PURCHASE_ORDERS_ID",
    "RECEIPTS_ID",
    "RECEIVABLES_ID",
    "RECEIVABLES_ID_PDF_LINK",
    "SYNC",
    "TASK",
    "wait_for",
]

OCR: Final = Until("ocr_status", done=frozenset({"success"}), failed=frozenset({"canceled", "error"}), optional=True)
TASK: Final = Until("status", done=frozenset({"success"}), failed=frozenset({"error"}))
# The contract leaves the states of an export open: the link says that it is there, the words are those of its sisters.
EXPORT: Final = Until("status", failed=frozenset({"canceled", "error", "expired", "failed"}), ready="source_url")
FILE: Final = Until(ready="file_url")
ISSUE: Final = Until("status", failed=frozenset({"failed"}), pending=frozenset({"issuing"}))
BATCH: Final = Until(
    "status", done=frozenset({"partially_successful", "succeeded"}), failed=frozenset({"expired", "failed"})
)
SYNC: Final = Until("sync_status", done=frozenset({"done"}), failed=frozenset({"error"}))

PAYABLES_ID: Final[Operation[PayableResponseSchema]] = operation("get_payables_id", "payables:PayableResponseSchema")
PAYABLE_CREDIT_NOTES_ID: Final[Operation[CreditNoteResponse]] = operation(
    "get_payable_credit_notes_id", "payable_credit_notes:CreditNoteResponse"
)
RECEIPTS_ID: Final[Operation[ReceiptResponseSchema]] = operation("get_receipts_id", "receipts:ReceiptResponseSchema")
OCR_TASKS_ID: Final[Operation[OcrTaskResponseSchema]] = operation("get_ocr_tasks_id", "ocr_tasks:OcrTaskResponseSchema")
DATA_EXPORTS_ID: Final[Operation[DocumentExportResponseSchema]] = operation(
    "get_data_exports_id", "data_exports:DocumentExportResponseSchema"
)
RECEIVABLES_ID_PDF_LINK: Final[Operation[ReceivableFileUrl]] = operation(
    "get_receivables_id_pdf_link", "_receivables_besides:ReceivableFileUrl"
)
DELIVERY_NOTES_ID: Final[Operation[DeliveryNoteResource]] = operation(
    "get_delivery_notes_id", "delivery_notes:DeliveryNoteResource"
)
PAYABLE_PURCHASE_ORDERS_ID: Final[Operation[PurchaseOrderResponseSchema]] = operation(
    "get_payable_purchase_orders_id", "payable_purchase_orders:PurchaseOrderResponseSchema"
)
BATCH_PAYMENTS_ID: Final[Operation[PaymentsBatchPaymentResponse]] = operation(
    "get_batch_payments_id", "payments:PaymentsBatchPaymentResponse"
)
ACCOUNTING_SYNCED_RECORDS_ID: Final[Operation[SyncRecordResource]] = operation(
    "get_accounting_synced_records_id", "accounting:SyncRecordResource"
)
RECEIVABLES_ID: Final[Operation[ReceivableResponse]] = operation("get_receivables_id", "receivables:ReceivableResponse")
