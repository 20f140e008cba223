"""A store from a URL, for configuration by environment."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from monite_async_stores._memory import MemoryTokenStore
from monite_async_stores._protocol import TokenStore

__all__ = ["store_from_url"]

_DRIVE = re.compile(r"/[A-Za-z]:/")


def store_from_url(url: str) -> TokenStore:
    """Make the store that a URL names.

    Args:
        url: ``memory:`` for a ``MemoryTokenStore``; ``file:///path`` for an ``EncryptedFileTokenStore`` in that
            directory.

    Raises:
        ValueError: The scheme is not known, and the message shows the scheme only, since a URL may hold a password;
            or the directory cannot be used (``TokenDirectoryError``).
        ImportError: The store needs a package that is not installed.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme == "memory":
        return MemoryTokenStore()
    if scheme == "file":
        return _file_store(parts)
    raise ValueError(f"unknown token store scheme {scheme!r}: use 'memory:' or 'file:///path'")


def _file_store(parts: SplitResult) -> TokenStore:
    """Make the store of a URL as in RFC 8089; on Windows ``file:///C:/path``."""
    from monite_async_stores._file import EncryptedFileTokenStore

    if parts.netloc not in ("", "localhost") or not parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a token store in files needs a URL with three slashes and nothing but a path: file:///path")
    path = unquote(parts.path)
    return EncryptedFileTokenStore(path[1:] if _DRIVE.match(path) else path)
