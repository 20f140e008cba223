"""What the contract does not say and a person decided: data only, each entry with its reason.

Adding the rest of the API means adding tags here; nothing else in the generator knows a tag or a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["BODY_TAGS", "FIXES", "METHOD_NAMES", "MOVES", "SCOPES", "TAGS", "Fix", "Scope", "ScopeRule"]

Scope: TypeAlias = Literal["partner", "entity", "entity_user", "user"]

TAGS: tuple[str, ...] = ("Entities", "Entity users", "Payables", "Roles")
"""Tags with a resource of their own in the client."""

BODY_TAGS: tuple[str, ...] = TAGS
"""Tags whose request bodies the emulator checks."""

MOVES: dict[str, str] = {
    # Tagged "Entities", but they sit below /entity_users and speak of the user who calls: people look for them there.
    "get_entity_users_my_entity": "Entity users",
    "patch_entity_users_my_entity": "Entity users",
}
"""Operations that belong to the resource of another tag than the contract's."""

METHOD_NAMES: dict[str, str] = {
    # Two things are done under one word: by the id of the account, and by the token of the verification.
    "post_bank_accounts_id_complete_verification": "complete_verification_of",
    # PUT and PATCH side by side: PATCH is the update, PUT (deprecated) replaces.
    "put_entities_id_onboarding_data": "replace",
    # The deprecated twin names the entity in its path instead of the header.
    "get_entities_id_onboarding_requirements": "get_of_entity",
}
"""Method names by operation, where the rule of ``plan.py`` gives a bad one."""


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
        ("/settings", "/webhook_subscriptions*", "/webhook_deliveries*"),
        ("partner",),
        "Settings and subscriptions belong to the partner project, not to an entity.",
    ),
    ScopeRule(
        ("/auth/*",),
        (),
        "Tokens are got and revoked by the token engine, never by a typed call.",
    ),
)


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
)
"""Corrections applied before reading."""
