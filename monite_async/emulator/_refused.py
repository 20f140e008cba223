"""What the emulator refuses with 501, and why: the honest answer is nobody's to give here."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REFUSED"]

_BANK = "The answer comes from a bank through a third party's verification."
_LENDER = "The answer is the decision of a lender, or a token of his."
_ASSISTANT = "There is no assistant here that could answer, nor an answer of his to judge."

REFUSED: Mapping[str, str] = {
    "post_ai_conversations_id_messages": _ASSISTANT,
    "post_ai_message_feedbacks": _ASSISTANT,
    "post_ai_message_feedbacks_commentary": _ASSISTANT,
    "post_bank_accounts_complete_verification": _BANK,
    "post_bank_accounts_start_verification": _BANK,
    "post_bank_accounts_id_complete_verification": _BANK,
    "post_bank_accounts_id_refresh_verification": _BANK,
    "get_bank_accounts_id_verifications": _BANK,
    "get_financing_offers": _LENDER,
    "post_financing_invoices": _LENDER,
    "post_financing_tokens": _LENDER,
}
"""Reasons by operation id."""
