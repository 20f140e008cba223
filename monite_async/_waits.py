"""The waits of the resources whose work goes on after the API has answered (Monite: OCR, exports, PDF links, syncs).

Each class is a base of the generated class of its resource; what is asked, and what ends the wait, is data, in ``_waited.py``: imported
with the first wait, for most who import a resource wait for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monite_async._resource import Resource

if TYPE_CHECKING:
    from monite_async._options import RequestOptions
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
    "BatchPaymentsToWaitFor",
    "DataExportsToWaitFor",
    "OcrOfCreditNotes",
    "OcrOfPayables",
    "OcrOfReceipts",
    "OcrTasksToWaitFor",
    "PdfOfDeliveryNotes",
    "PdfOfPurchaseOrders",
    "ReceivablesToWaitFor",
    "SyncedRecordsToWaitFor",
]

WAIT_TIMEOUT: Final = 300.0
"""Seconds that a wait may take unless the caller says otherwise: text recognition may take minutes (Monite)."""


class OcrOfPayables(Resource):
    """Waits for payables."""

    __slots__ = ()

    async def wait_for_ocr(
        self, payable_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> PayableResponseSchema:
        """Wait until the text of an uploaded payable is recognized.

        Args:
            payable_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The payable, with what was read from its file; one without a file to read is returned at once.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.PAYABLES_ID,
            _waited.OCR,
            path={"payable_id": payable_id},
            timeout=timeout,
            options=options,
        )


class OcrOfCreditNotes(Resource):
    """Waits for credit notes."""

    __slots__ = ()

    async def wait_for_ocr(
        self, credit_note_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> CreditNoteResponse:
        """Wait until the text of an uploaded credit note is recognized.

        Args:
            credit_note_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The credit note, with what was read from its file; one without a file to read is returned at once.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.PAYABLE_CREDIT_NOTES_ID,
            _waited.OCR,
            path={"credit_note_id": credit_note_id},
            timeout=timeout,
            options=options,
        )


class OcrOfReceipts(Resource):
    """Waits for receipts."""

    __slots__ = ()

    async def wait_for_ocr(
        self, receipt_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> ReceiptResponseSchema:
        """Wait until the text of an uploaded receipt is recognized.

        Args:
            receipt_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The receipt, with what was read from its file; one without a file to read is returned at once.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.RECEIPTS_ID,
            _waited.OCR,
            path={"receipt_id": receipt_id},
            timeout=timeout,
            options=options,
        )


class OcrTasksToWaitFor(Resource):
    """Waits for recognition tasks."""

    __slots__ = ()

    async def wait_for(
        self, task_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> OcrTaskResponseSchema:
        """Wait until a recognition task is over.

        Args:
            task_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The task, with what was read.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.OCR_TASKS_ID,
            _waited.TASK,
            path={"task_id": task_id},
            timeout=timeout,
            options=options,
        )


class DataExportsToWaitFor(Resource):
    """Waits for exports."""

    __slots__ = ()

    async def wait_for(
        self, document_export_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> DocumentExportResponseSchema:
        """Wait until an export can be fetched.

        Args:
            document_export_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The export; its ``source_url`` is where ``download()`` gets the file.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.DATA_EXPORTS_ID,
            _waited.EXPORT,
            path={"document_export_id": document_export_id},
            timeout=timeout,
            options=options,
        )


class ReceivablesToWaitFor(Resource):
    """Waits for receivables."""

    __slots__ = ()

    async def wait_for_pdf(
        self, receivable_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> ReceivableFileUrl:
        """Wait until the PDF of a quote, an invoice or a credit note is there.

        Args:
            receivable_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            Where the PDF is; ``download()`` gets it.

        Raises:
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.RECEIVABLES_ID_PDF_LINK,
            _waited.FILE,
            path={"receivable_id": receivable_id},
            timeout=timeout,
            options=options,
        )

    async def wait_for_issue(
        self, receivable_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> ReceivableResponse:
        """Wait until a receivable is issued.

        Args:
            receivable_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The receivable, in whatever state follows ``issuing``.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.RECEIVABLES_ID,
            _waited.ISSUE,
            path={"receivable_id": receivable_id},
            timeout=timeout,
            options=options,
        )


class PdfOfDeliveryNotes(Resource):
    """Waits for delivery notes."""

    __slots__ = ()

    async def wait_for_pdf(
        self, delivery_note_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> DeliveryNoteResource:
        """Wait until the PDF of a delivery note is there.

        Args:
            delivery_note_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The delivery note; ``download()`` gets what is at its ``file_url``.

        Raises:
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.DELIVERY_NOTES_ID,
            _waited.FILE,
            path={"delivery_note_id": delivery_note_id},
            timeout=timeout,
            options=options,
        )


class PdfOfPurchaseOrders(Resource):
    """Waits for purchase orders."""

    __slots__ = ()

    async def wait_for_pdf(
        self, purchase_order_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> PurchaseOrderResponseSchema:
        """Wait until the PDF of a purchase order is there.

        Args:
            purchase_order_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The purchase order; ``download()`` gets what is at its ``file_url``.

        Raises:
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.PAYABLE_PURCHASE_ORDERS_ID,
            _waited.FILE,
            path={"purchase_order_id": purchase_order_id},
            timeout=timeout,
            options=options,
        )


class BatchPaymentsToWaitFor(Resource):
    """Waits for batch payments."""

    __slots__ = ()

    async def wait_for(
        self, batch_payment_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> PaymentsBatchPaymentResponse:
        """Wait until all payments of a batch are over.

        Args:
            batch_payment_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The batch; one in state ``partially_successful`` is over as well.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.BATCH_PAYMENTS_ID,
            _waited.BATCH,
            path={"batch_payment_id": batch_payment_id},
            timeout=timeout,
            options=options,
        )


class SyncedRecordsToWaitFor(Resource):
    """Waits for synchronized records."""

    __slots__ = ()

    async def wait_for(
        self, synced_record_id: str, *, timeout: float = WAIT_TIMEOUT, options: RequestOptions | None = None
    ) -> SyncRecordResource:
        """Wait until a record is synchronized with the accounting system.

        Args:
            synced_record_id: Which one.
            timeout: Seconds that the whole wait may take.
            options: Options of every request.

        Returns:
            The record.

        Raises:
            WorkFailedError: It came to nothing; ``state`` says how.
            WorkTimeout: It was not over in time; it goes on.
            MoniteError: A request failed for good.
        """
        from monite_async import _waited

        return await _waited.wait_for(
            self._caller,
            _waited.ACCOUNTING_SYNCED_RECORDS_ID,
            _waited.SYNC,
            path={"synced_record_id": synced_record_id},
            timeout=timeout,
            options=options,
        )
