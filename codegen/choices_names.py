"""Names of resources and methods, and which file a schema goes to, where the rules of ``places.py`` are not enough.

Data only; each table says why it exists, each odd entry why it is there.
"""

from __future__ import annotations

__all__ = [
    "ARGUMENTS",
    "FAMILIES",
    "METHOD_NAMES",
    "MIXINS",
    "NESTED",
    "PHRASES",
    "RESOURCE_NAMES",
    "SPELLINGS",
    "UNCOUNTABLE",
]

RESOURCE_NAMES: dict[str, str] = {
    # Called like the group of the contract: "auth" alone would promise what ``httpx_auth()`` and the token cache do.
    "auth": "access_tokens",
}
"""Attributes of the client that are not named like the first segment of the path."""


NESTED: frozenset[str] = frozenset(
    {
        # One thing of a collection with a path of its own makes the collection a resource; these have none, and yet
        # are collections that people look for in the place where their sisters are.
        "/payables/{}/history",
        "/payment_intents/{}/history",
        "/receivables/{}/line_items",
        "/ai/message_feedbacks",
        "/ai/conversations/{}/messages",
        "/persons/{}/documents",
        "/persons/{}/onboarding_documents",
        "/entities/{}/documents",
        "/einvoicing_connections/{}/network_credentials",
    }
)
"""Paths that are resources below another one, though no operation asks for a single thing of them."""


METHOD_NAMES: dict[str, str] = {
    # The endpoints of OAuth: what is made is a token; "revoke" is the API's own word.
    "post_auth_token": "create",
    # Two things are done under one word: for an account to be made, and for one that is there.
    "post_bank_accounts_id_complete_verification": "complete_verification_by_id",
    # Lists without a name of their own in the rules: the answer is a list, and the word is no thing but a kind.
    "get_document_templates_system": "list_system",
    "get_mail_templates_system": "list_system",
    "get_approval_policies_id_processes_id_steps": "list_steps",
    "get_data_exports_supported_formats": "list_supported_formats",
    "get_entities_id_payment_methods": "list_payment_methods",
    # PUT puts the whole of a collection in place of another, also where single ones cannot be asked for.
    "put_receivables_id_line_items": "replace",
    # PUT and PATCH side by side: PATCH is the update, PUT (deprecated) replaces.
    "put_entities_id_onboarding_data": "replace_onboarding_data",
    # Actions, though they are asked for with GET.
    "get_payable_credit_notes_id_validate": "validate",
    "get_document_templates_id_preview": "preview",
    "get_einvoice_search": "search",
    # Words of the path that are no verbs.
    "post_transactions_bulk": "create_bulk",
    "post_ai_message_feedbacks_commentary": "add_commentary",
}
"""Method names by operation, where the rule gives a bad one."""


FAMILIES: dict[str, str] = {
    **dict.fromkeys(
        (
            "accounting",
            "accounting_connections",
            "accounting_synced_records",
            "accounting_tax_rates",
            "ledger_accounts",
        ),
        "accounting",
    ),
    **dict.fromkeys(("approval_policies", "approval_requests"), "approvals"),
    **dict.fromkeys(("einvoice_search", "einvoicing_connections"), "einvoicing"),
    **dict.fromkeys(("financing_invoices", "financing_offers", "financing_tokens"), "financing"),
    **dict.fromkeys(("mailboxes", "mailbox_domains"), "mailboxes"),
    **dict.fromkeys(("measure_units", "payment_terms", "products", "custom_vat_rates", "vat_rates"), "products"),
    **dict.fromkeys(("comments", "cost_centers", "projects", "tags"), "projects"),
    **dict.fromkeys(
        ("onboarding_documents", "onboarding_links", "onboarding_requirements", "payment_onboarding_links", "persons"),
        "onboarding",
    ),
    **dict.fromkeys(
        ("batch_payment_links", "batch_payments", "payment_intents", "payment_links", "payment_records"), "payments"
    ),
    **dict.fromkeys(("overdue_reminders", "payment_reminders", "recurrences"), "reminders"),
    **dict.fromkeys(("document_templates", "files", "mail_templates", "text_templates"), "templates"),
    **dict.fromkeys(("events", "webhook_deliveries", "webhook_subscriptions"), "webhooks"),
}
"""Modules of ``models/`` and ``types/`` that several resources share: alone, most would hold a handful of lines."""


SPELLINGS: dict[str, str] = {
    "ai": "AI",
    "einvoice": "e-invoice",
    "einvoicing": "e-invoicing",
    "ocr": "OCR",
    "pdf": "PDF",
    "vat": "VAT",
}
"""Words of names that are written otherwise in a sentence."""


PHRASES: dict[str, str] = {
    # The first sentence of a docstring, by method or by operation, where the words of the name do not make one.
    "add_commentary": "Add a comment to the feedback on a message",
    "attach_file": "Attach a file to {one}",
    "cancel_ocr": "Stop reading {one} with OCR",
    "complete_verification": "Finish a verification and make a bank account of it",
    "complete_verification_by_id": "Finish the verification of {one}",
    "create_bulk": "Create several {many} at once",
    "get_required_fields": "Tell which fields a document needs before it can be issued",
    "get_validations": "Get the fields that {many} must have",
    "get_variables": "Get the variables that templates of {many} can use",
    "list_supported_formats": "List the formats of {many}",
    "list_system": "List the {many} that the API brings along",
    "make_default": "Make {one} the default",
    "reset_validations": "Set the fields that {many} must have back to the default",
    "search": "Search {many}",
    "send_test_reminder": "Send a reminder of {one} to yourself",
    "start_processing": "Set {one} to being processed",
    "start_verification": "Start the verification of a new bank account",
    "update_validations": "Set the fields that {many} must have",
    "upload_from_file": "Create {a} from a file",
    "post_auth_revoke": "Revoke {a}",
    "post_mail_templates_preview": "Preview {a}",
    "get_accounting_payables": "List payables as the accounting system has them",
    "get_accounting_payables_id": "Get a payable as the accounting system has it",
    "get_accounting_receivables": "List receivables as the accounting system has them",
    "get_accounting_receivables_id": "Get a receivable as the accounting system has it",
    "get_payables_analytics": "Get figures of payables",
    "get_receivables_id_history_id": "Get one entry of the history",
    "get_einvoice_search": "Tell whether a participant can receive e-invoices",
    "get_analytics_payables": "Get figures of payables",
    "get_analytics_receivables": "Get figures of receivables",
    "get_analytics_credit_notes": "Get figures of credit notes",
}


ARGUMENTS: dict[str, str] = {
    # Query parameters that mean the same everywhere, and more than their type tells.
    "limit": "How many a page holds at most",
    "order": "Which end comes first",
    "sort": "What to sort by",
    "pagination_token": "Where to go on, as a page told; the API then knows the filters and ignores new ones",
}
"""What comes before the type in the description of a query parameter."""


UNCOUNTABLE: frozenset[str] = frozenset({"extra data"})
"""Words that have no plural, and no article."""


MIXINS: dict[str, str] = {
    "accounting_synced_records": "monite_async._waits:SyncedRecordsToWaitFor",
    "batch_payments": "monite_async._waits:BatchPaymentsToWaitFor",
    "data_exports": "monite_async._waits:DataExportsToWaitFor",
    "delivery_notes": "monite_async._waits:PdfOfDeliveryNotes",
    "ocr_tasks": "monite_async._waits:OcrTasksToWaitFor",
    "payable_credit_notes": "monite_async._waits:OcrOfCreditNotes",
    "payable_purchase_orders": "monite_async._waits:PdfOfPurchaseOrders",
    "payables": "monite_async._waits:OcrOfPayables",
    "receipts": "monite_async._waits:OcrOfReceipts",
    "receivables": "monite_async._waits:ReceivablesToWaitFor",
}
"""Hand-written methods of a resource, as ``module:Class``: a base of the class that has ``get``."""
