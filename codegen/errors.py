"""The one failure of the generator."""

from __future__ import annotations

__all__ = ["ContractError"]


class ContractError(Exception):
    """The contract holds something that the generator does not understand."""
