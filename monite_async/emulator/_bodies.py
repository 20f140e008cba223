"""Request bodies of the emulated operations for which the generated table has none: auth, settings, line items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from monite_async.emulator._contract.bodies import BODIES
from monite_async.emulator._settings import VERSIONS

__all__ = ["ALL_BODIES"]


def _known(version: str) -> str:
    if version not in VERSIONS:
        raise ValueError(f"Input should be one of {', '.join(VERSIONS)}")
    return version


ApiVersion = Annotated[str, AfterValidator(_known)]
Text = Annotated[str, Field(min_length=1)]
Object = dict[str, JsonValue]


# These are built on import, unlike the generated ones: pydantic looks for its plugins on disk before it builds its
# first model, and that must not happen in the middle of somebody's event loop.
class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Lax(BaseModel):
    model_config = ConfigDict(extra="ignore")


class ObtainToken(_Strict):
    """What ``POST /auth/token`` takes; any further key is refused."""

    client_id: UUID
    client_secret: str
    grant_type: Literal["client_credentials", "entity_user"]
    entity_user_id: UUID | None = None


class RevokeToken(_Strict):
    """What ``POST /auth/revoke`` takes."""

    client_id: UUID
    client_secret: str
    token: str


class MailSettings(_Lax):
    """How mails of the partner look."""

    attach_documents_as_pdf: bool = True
    from_email_username: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    from_name: Annotated[str, Field(min_length=1, max_length=30)] | None = None


class PayableSettings(_Lax):
    """The partner's defaults for payables."""

    allow_cancel_duplicates_automatically: bool | None = False
    allow_counterpart_autocreation: bool | None = False
    allow_counterpart_autolinking: bool | None = False
    allow_credit_note_autolinking: bool | None = False
    approve_page_url: Text
    default_state: str | None = None
    enable_line_items: bool = True
    skip_approval_for_paid_invoice: bool | None = False


class ReceivableSettings(_Lax):
    """The partner's defaults for receivables."""

    create_without_personal_info: bool
    deduction_title: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class Unit(_Lax):
    """A unit of measure."""

    designation: Text
    name: Text


class PartnerSettings(_Lax):
    """What ``PATCH /settings`` takes."""

    api_version: ApiVersion | None = None
    commercial_conditions: list[str] | None = None
    currency: Object | None = None
    default_role: Object | None = None
    mail: MailSettings | None = None
    payable: PayableSettings | None = None
    payments: Object | None = None
    receivable: ReceivableSettings | None = None
    units: list[Unit] | None = None
    website: str | None = None


class LineItem(_Strict):
    """One line of a payable, as created or changed alone."""

    accounting_tax_rate_id: UUID | None = None
    description: str | None = None
    ledger_account_id: UUID | None = None
    name: str | None = None
    quantity: Annotated[float, Field(ge=0)] | None = None
    tax: Annotated[int, Field(ge=0, le=10_000)] | None = None
    unit: str | None = None
    unit_price: int | None = None


class ReplacedLineItem(LineItem):
    """One line of a payable, as sent with all the others."""

    subtotal: int | None = None
    total: int | None = None


class LineItems(_Lax):
    """All lines of a payable."""

    data: list[ReplacedLineItem]


_OWN: Mapping[str, type[BaseModel]] = {
    "post_auth_token": ObtainToken,
    "post_auth_revoke": RevokeToken,
    "patch_settings": PartnerSettings,
    "post_payables_id_line_items": LineItem,
    "patch_payables_id_line_items_id": LineItem,
    "put_payables_id_line_items": LineItems,
}

ALL_BODIES: Mapping[str, type[BaseModel]] = {**_OWN, **BODIES}
"""Request models by operation id; the generated ones win."""
