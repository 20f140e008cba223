"""A store from a URL, for configuration by environment."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from monite_async_stores._discreet import discreet
from monite_async_stores._memory import MemoryTokenStore
from monite_async_stores._protocol import TokenStore
from monite_async_stores._sealing import Keyring

__all__ = ["store_from_url"]

_OURS = ("namespace", "insecure", "cluster")
_DRIVE = re.compile(r"/[A-Za-z]:/")


@discreet
def store_from_url(url: str, *, keyring: Keyring | None = None) -> TokenStore:
    """Make the store that a URL names.

    Args:
        url: ``memory:`` for a ``MemoryTokenStore``; ``file:///path`` for an ``EncryptedFileTokenStore`` in that
            directory; ``redis://``, ``rediss://`` or ``unix://`` for a ``RedisTokenStore``, as its ``from_url`` reads
            them, with three options besides: ``?namespace=staging``, ``?insecure=true``, and ``?cluster=true`` when the
            address is that of one server of a Redis Cluster.
        keyring: Keys to seal values with; without one, keys are derived from the client secret. A store in memory
            seals nothing.

    Raises:
        ValueError: The scheme is not known, and the message shows the scheme only, since a URL may hold a password;
            or the directory cannot be used (``TokenDirectoryError``); or the URL of a Redis cannot be read, or asks
            for a connection without encryption.
        ImportError: The store needs a package that is not installed; the message says how to install it.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryTokenStore()
    if scheme == "file":
        return _file_store(urlsplit(url), keyring)
    if scheme in ("redis", "rediss", "unix"):
        return _redis_store(url, keyring)
    shown = scheme if ":" in url and scheme.isalnum() else ""
    raise ValueError(
        f"unknown token store scheme {shown!r}: use 'memory:', 'file:///path', 'redis://', 'rediss://' or 'unix://'"
    )


def _file_store(parts: SplitResult, keyring: Keyring | None) -> TokenStore:
    """Make the store of a URL as in RFC 8089; on Windows ``file:///C:/path``."""
    from monite_async_stores._file import EncryptedFileTokenStore

    if parts.netloc not in ("", "localhost") or not parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a token store in files needs a URL with three slashes and nothing but a path: file:///path")
    path = unquote(parts.path)
    return EncryptedFileTokenStore(path[1:] if _DRIVE.match(path) else path, keyring=keyring)


def _redis_store(url: str, keyring: Keyring | None) -> TokenStore:
    from monite_async_stores import RedisTokenStore  # says what to install if redis is missing

    address, _, query = url.partition("?")
    options = [option.partition("=") for option in query.split("&") if option]
    ours = {name: unquote(value) for name, _, value in options if name in _OURS}
    rest = "&".join("".join(option) for option in options if option[0] not in ours)
    return RedisTokenStore.from_url(
        f"{address}?{rest}" if rest else address,
        namespace=ours.get("namespace", "monite"),
        insecure=_is_set(ours.get("insecure", "")),
        cluster=_is_set(ours.get("cluster", "")),
        keyring=keyring,
    )


def _is_set(value: str) -> bool:
    return value.lower() in ("1", "true", "yes")
