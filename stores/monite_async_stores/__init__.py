"""Stores of short-lived tokens: named records with leases and generations.

This package knows no HTTP and no Monite. Use a ``MemoryTokenStore`` (the default of the client) for one process, an
``EncryptedFileTokenStore`` for the processes of one machine, a ``RedisTokenStore`` for a fleet; write your own store
against ``TokenStore`` and prove it with ``monite_async_stores.testing``.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from monite_async_stores._clock import Clock, SystemClock
from monite_async_stores._memory import MemoryTokenStore
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    InspectableStore,
    Negative,
    RateBudget,
    RecordName,
    Resealed,
    StoreBusyError,
    StoredRecord,
    StoreError,
    StoreEvent,
    TokenStore,
    Watcher,
)
from monite_async_stores._sealing import Keyring
from monite_async_stores._url import store_from_url

if TYPE_CHECKING:
    from monite_async_stores._file import EncryptedFileTokenStore
    from monite_async_stores._file_directory import TokenDirectoryError
    from monite_async_stores._redis import RedisTokenStore

__all__ = [
    "Busy",
    "Clock",
    "Committed",
    "EncryptedFileTokenStore",
    "Granted",
    "Hit",
    "InspectableStore",
    "Keyring",
    "MemoryTokenStore",
    "Negative",
    "RateBudget",
    "RecordName",
    "RedisTokenStore",
    "Resealed",
    "StoreBusyError",
    "StoreError",
    "StoreEvent",
    "StoredRecord",
    "SystemClock",
    "TokenDirectoryError",
    "TokenStore",
    "Watcher",
    "store_from_url",
]

# Stores that need other packages, or threads and files: imported when they are asked for (PEP 562).
_LAZY = {
    "EncryptedFileTokenStore": "monite_async_stores._file",
    "RedisTokenStore": "monite_async_stores._redis",
    "TokenDirectoryError": "monite_async_stores._file_directory",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value: object = getattr(import_module(module), name)
    except ImportError as exc:  # the file store's modules import nothing that may be missing
        raise ImportError(f"{name} needs the package redis, 5.0.1 or newer: pip install 'monite-async[redis]'") from exc
    globals()[name] = value
    return value
