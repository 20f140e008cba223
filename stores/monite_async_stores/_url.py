"""A store from a URL, for configuration by environment."""

from __future__ import annotations

from urllib.parse import urlsplit

from monite_async_stores._memory import MemoryTokenStore
from monite_async_stores._protocol import TokenStore

__all__ = ["store_from_url"]


def store_from_url(url: str) -> TokenStore:
    """Make the store that a URL names.

    Args:
        url: ``memory:`` for a ``MemoryTokenStore``.

    Raises:
        ValueError: The scheme is not known; the message shows the scheme only, since a URL may hold a password.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme == "memory":
        return MemoryTokenStore()
    raise ValueError(f"unknown token store scheme {scheme!r}: use 'memory:'")
