"""What the emulator can be told: credentials, lifetimes, and an answer to everything the documents leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from uuid import UUID

__all__ = ["VERSIONS", "EmulatorSettings"]

VERSIONS: tuple[str, ...] = (
    "2022-11-16",
    "2023-02-07",
    "2023-03-01",
    "2023-03-14",
    "2023-04-12",
    "2023-06-04",
    "2023-09-01",
    "2024-01-31",
    "2024-05-25",
    "2025-06-23",
)
"""The dated versions of the API, oldest first."""

_STATUS_FIELDS = (
    "bad_credentials_status",
    "unknown_user_status",
    "missing_authorization_status",
    "dead_token_status",
    "denial_status",
    "audience_status",
    "entity_mismatch_status",
    "unknown_entity_status",
    "inactive_entity_status",
    "bad_page_token_status",
    "bad_limit_status",
    "duplicate_login_status",
    "duplicate_role_status",
    "role_in_use_status",
    "wrong_state_status",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """Settings of an emulator; every default is either documented by Monite or a plausible guess, said so below.

    Attributes:
        dialect: Whose header names and token endpoint are spoken: Monite's, or those of Tesouro FinOps (experimental).
        client_id: The client id that is accepted.
        client_secret: Its secret.
        other_clients: Further client ids of the same project with their secrets (a project may have several).
        partner_lifetime: Seconds that a ``client_credentials`` token lives (seen: 1800).
        user_lifetime: Seconds that an ``entity_user`` token lives (seen: 86400).
        jwt_tokens: Whether tokens look like a JWT (documents) or are random text (the contract's example).
        issue_revokes_older: Whether a new token ends the older ones of its key (guess: no).
        deleted_user_keeps_tokens: Whether tokens of a deleted entity user go on working (guess: no).
        bad_credentials_status: Answer to a wrong secret or unknown client; None: 401 (contract) from 2024-05-25 and 400
            before it.
        unknown_user_status: Answer to an unknown or deleted ``entity_user_id`` (guess: 400).
        missing_authorization_status: Answer to a missing or garbled Authorization header (guess: 401).
        dead_token_status: Answer to an expired, revoked or unknown token; None: 401 from 2024-05-25, 400 before it, as
            the release notes say.
        expiry_message: Text of that answer.
        www_authenticate: Value of ``WWW-Authenticate`` on 401, None leaves it out (guess: none).
        revoke_needs_bearer: Whether ``/auth/revoke`` wants an Authorization header too (the sources disagree).
        revoke_unknown_status: Answer to the revocation of an unknown token (RFC 7009: 200).
        revoke_message: Text of the answer to a revocation (guess).
        version_required_on_auth: Whether ``/auth/*`` refuses a request without version header (contract: yes).
        versions: Dated versions that are served; a date between two of them is served by the earlier one.
        denial_status: Answer when the role does not allow the action (contract: 403; seen: 409).
        denial_message: Its text, with ``{action}`` and ``{object_type}`` filled in.
        audience_status: Answer when the kind of token is wrong for the operation (guess: 403).
        entity_mismatch_status: Answer when the entity header contradicts the user's token (guess: 403).
        unknown_entity_status: Answer when the entity header names no entity (guess: 404).
        inactive_entity_status: Answer to calls for a deactivated entity; None: they go on working (guess: 403).
        infer_entity: Whether a user's token stands in for a missing entity header (guess: no).
        bad_page_token_status: Answer to a page token that is garbled or of another list (guess: 406).
        bad_limit_status: Answer to ``limit`` outside its range (contract: 422; documents: 416).
        limit_remembered: Whether a page token remembers ``limit`` (most operations: yes).
        page_token_lifetime: Seconds that a page token lives; None: for ever (guess).
        refuse_unknown_query: Whether an unknown query parameter is a 422, which finds typing errors (guess: yes).
        duplicate_login_status: Answer to a login that the entity has already (guess: 409).
        duplicate_role_status: Answer to a role name that the entity has already (guess: 409).
        role_in_use_status: Answer to the deletion of a role that users hold (documented: 409).
        wrong_state_status: Answer to an action that the status of the payable forbids (guess: 409; also plausible: 400).
        payable_status: Status of a payable created complete (``new``) unless the partner's settings say otherwise.
        ocr_seconds: Seconds that OCR of an uploaded file takes.
        pdf_seconds: Seconds until the PDF of an issued document is there.
        export_seconds: Seconds that an export of data takes.
        payment_seconds: Seconds that a batch of payments takes.
        sync_seconds: Seconds that a record takes to be pushed to the accounting system.
        rate_limit: Requests per second and client; the default is far above the documented 30, so that nobody is
            limited unasked; None: no limit and no headers.
        rate_limit_reset: Whether ``RateLimit-Reset`` holds seconds (``delta``) or a time (``epoch``): sources disagree.
        max_body: Largest accepted body, in bytes; more is the gateway's 413.
        log_size: How many requests the log keeps.
    """

    dialect: Literal["monite", "finops"] = "monite"
    client_id: str = "6f3e1c5a-2b7d-4c8e-9a10-5d2f4b6c8e01"
    client_secret: str = field(default="emulator-secret", repr=False)
    other_clients: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    partner_lifetime: int = 1800
    user_lifetime: int = 86_400
    jwt_tokens: bool = True
    issue_revokes_older: bool = False
    deleted_user_keeps_tokens: bool = False
    bad_credentials_status: int | None = None
    unknown_user_status: int = 400
    missing_authorization_status: int = 401
    dead_token_status: int | None = None
    expiry_message: str = "The token has been revoked, expired or not found."
    www_authenticate: str | None = None
    revoke_needs_bearer: bool = False
    revoke_unknown_status: int = 200
    revoke_message: str = "Token has been revoked."
    version_required_on_auth: bool = True
    versions: tuple[str, ...] = VERSIONS
    denial_status: int = 403
    denial_message: str = "Action {action} for {object_type} not allowed"
    audience_status: int = 403
    entity_mismatch_status: int = 403
    unknown_entity_status: int = 404
    inactive_entity_status: int | None = 403
    infer_entity: bool = False
    bad_page_token_status: int = 406
    bad_limit_status: int = 422
    limit_remembered: bool = True
    page_token_lifetime: float | None = None
    refuse_unknown_query: bool = True
    duplicate_login_status: int = 409
    duplicate_role_status: int = 409
    role_in_use_status: int = 409
    wrong_state_status: int = 409
    payable_status: Literal["draft", "new"] = "new"
    ocr_seconds: float = 5.0
    pdf_seconds: float = 2.0
    export_seconds: float = 5.0
    payment_seconds: float = 5.0
    sync_seconds: float = 2.0
    rate_limit: int | None = 100_000
    rate_limit_reset: Literal["delta", "epoch"] = "delta"
    max_body: int = 30 * 1024 * 1024
    log_size: int = 200_000

    def __post_init__(self) -> None:
        faults = [*self._bad_values(), *self._bad_statuses()]
        if faults:
            raise ValueError("EmulatorSettings: " + "; ".join(faults))

    def _bad_values(self) -> list[str]:
        faults: list[str] = []
        for client_id in (self.client_id, *self.other_clients):
            try:
                UUID(client_id)
            except ValueError:
                faults.append(f"client id {client_id!r} is not a UUID")
        for version in self.versions:
            try:
                date.fromisoformat(version)
            except ValueError:
                faults.append(f"version {version!r} is not a date")
        if not self.versions:
            faults.append("at least one version is needed")
        positive = ("partner_lifetime", "user_lifetime", "max_body", "log_size")
        faults.extend(f"{name} must be positive" for name in positive if getattr(self, name) <= 0)
        if self.rate_limit is not None and self.rate_limit <= 0:
            faults.append("rate_limit must be positive or None")
        durations = ("ocr_seconds", "pdf_seconds", "export_seconds", "payment_seconds", "sync_seconds")
        faults.extend(f"{name} must not be negative" for name in durations if getattr(self, name) < 0)
        return faults

    def _bad_statuses(self) -> list[str]:
        statuses = ((name, getattr(self, name)) for name in _STATUS_FIELDS)
        return [f"{name} must be 400..599" for name, value in statuses if value is not None and not 400 <= value <= 599]

    def secret_of(self, client_id: str) -> str | None:
        """Return the secret of a client id, None for an unknown one."""
        return self.client_secret if client_id == self.client_id else self.other_clients.get(client_id)
