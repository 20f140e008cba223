"""What the contract does not say and a person decided: data only, each entry with its reason.

Names of methods and places of resources are in ``choices_names.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FIXES", "INTERNAL", "READS", "SCOPES", "SECRETS", "Fix", "Scope", "ScopeRule"]

Scope: TypeAlias = Literal["partner", "entity", "entity_user", "user"]


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """Operations that fewer callers may use than their headers suggest.

    Attributes:
        paths: Path templates; one that ends in ``*`` stands for all that begin so.
        scopes: Who may call them.
        reason: Where that comes from.
    """

    paths: tuple[str, ...]
    scopes: tuple[Scope, ...]
    reason: str


SCOPES: tuple[ScopeRule, ...] = (
    ScopeRule(
        ("/entity_users/me", "/entity_users/my_entity", "/entity_users/my_role", "/entities/me"),
        ("entity_user", "user"),
        "The identity is read from the token of an entity user; a partner token has none.",
    ),
    ScopeRule(
        (
            "/entities",
            "/entities/{entity_id}",
            "/entities/{entity_id}/activate",
            "/entities/{entity_id}/deactivate",
            "/entities/{entity_id}/partner_metadata",
        ),
        ("partner",),
        "Managing entities is the partner's; only an entity's logo and settings are open to its users as well.",
    ),
    ScopeRule(
        ("/settings", "/webhook_subscriptions*"),
        ("partner",),
        "Settings and subscriptions belong to the partner project, not to an entity.",
    ),
    ScopeRule(
        ("/auth/*",),
        ("partner",),
        "They take the client's own id and secret, which is what the partner's client is made of.",
    ),
)


INTERNAL: tuple[str, ...] = ("/frontend/", "/internal/", "/portal/")
"""Paths that the served document may hold and that are for the API's own pages, not for partners."""


READS: dict[str, str] = {
    # Asked with POST because the question is long; nothing is changed by it, so it may be asked again.
    "post_receivables_search": "A list with its filters in the body.",
    "post_mailboxes_search": "A list with its filter in the body.",
    "post_mail_templates_preview": "Renders a template and keeps nothing.",
    "post_receivables_id_preview": "Renders the mail of a document and keeps nothing.",
    "post_payable_purchase_orders_id_preview": "Renders the mail of an order and keeps nothing.",
}
"""Operations that are sent with POST and safe to repeat all the same, each with the reason."""


SECRETS: frozenset[str] = frozenset(
    {"access_token", "client_secret", "connect_token", "link_token", "public_token", "secret", "session_token", "token"}
)
"""Fields of answers that give access to something: the ``repr`` of a model leaves them out, for it ends up in logs."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A place where the published contract is wrong.

    Attributes:
        pointer: Keys from the root of the document to the value.
        value: What should stand there; None removes the key.
        reason: How it is known.
    """

    pointer: tuple[str, ...]
    value: object
    reason: str


FIXES: tuple[Fix, ...] = (
    Fix(
        ("paths", "/payables/{payable_id}/suggestions", "delete", "responses", "200", "content"),
        None,
        "The schema of the answer is empty: there is nothing to read in it, and it may not be there at all.",
    ),
    *(
        Fix(
            ("components", "schemas", f"Counterpart{kind.capitalize()}RootResponse", "properties", "type"),
            {"type": "string", "const": kind},
            "Both kinds name the enum of the two words, yet each requires the object of its own: requests pin the word.",
        )
        for kind in ("individual", "organization")
    ),
)
"""Corrections applied before reading."""
