"""Which tokens the server issued, and which of them were needed.

The ledger does not ask the client: it looks at the server's own count of issued tokens again and again, and notes
between which two moments each new token of a key was issued. A token was *needed* when

- it was the first of its key, or
- the one before it may have come due by then (it was old enough for the renewal window to have begun), or
- the one before it had been revoked.

Any other token is a waste. Each age is taken as the longest that fits what was seen, so a slow machine can hide a waste
of the same instant as a renewal, but never turns a needed token into a waste.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["KeyAccount", "Ledger"]


@dataclass(slots=True)
class KeyAccount:
    """The tokens of one key.

    Attributes:
        issued: How many the server issued.
        needed: How many of them were needed.
        not_before: A moment before the last needed token was issued; the age counts from here.
        not_after: A moment after the last token was issued.
    """

    issued: int = 0
    needed: int = 0
    not_before: float = 0.0
    not_after: float = 0.0


class Ledger:
    """Keeps the account of every key.

    Args:
        due: Age in seconds from which a token may be renewed.
    """

    def __init__(self, due: float) -> None:
        self.accounts: dict[str, KeyAccount] = {}
        self._due = due
        self._looked = 0.0
        self._revoked: dict[str, int] = {}

    def revoked(self, key: str) -> None:
        """Note that the token of a key is about to be revoked: one more is needed."""
        self._revoked[key] = self._revoked.get(key, 0) + 1

    def look(self, issued: Mapping[str, int], *, asked: float, answered: float) -> None:
        """Take note of the server's count of issued tokens.

        Args:
            issued: Tokens issued so far, by key.
            asked: The moment before the server was asked, in seconds of any clock that does not jump.
            answered: The moment after it answered.
        """
        for key, count in issued.items():
            account = self.accounts.setdefault(key, KeyAccount())
            for _ in range(count - account.issued):
                self._enter(key, account, answered)
        self._looked = asked

    def _enter(self, key: str, account: KeyAccount, answered: float) -> None:
        account.issued += 1
        account.not_after = answered
        first = account.issued == 1
        if not first and answered - account.not_before < self._due:
            if not self._revoked.get(key):
                return
            self._revoked[key] -= 1
        account.needed += 1
        account.not_before = self._looked

    def of(self, key: str) -> KeyAccount:
        """Return the account of a key."""
        return self.accounts.get(key, KeyAccount())
