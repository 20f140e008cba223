"""Stores of short-lived tokens: named records with leases and generations.

This package knows no HTTP and no Monite. Use a ``MemoryTokenStore`` (the default of the client) for one process; write
your own store against ``TokenStore`` and prove it with ``monite_async_stores.testing``.
"""

from __future__ import annotations

from monite_async_stores._clock import Clock, SystemClock
from monite_async_stores._memory import MemoryTokenStore
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreError,
    StoreEvent,
    TokenStore,
    Watcher,
)
from monite_async_stores._sealing import Keyring
from monite_async_stores._url import store_from_url

__all__ = [
    "Busy",
    "Clock",
    "Committed",
    "Granted",
    "Hit",
    "Keyring",
    "MemoryTokenStore",
    "Negative",
    "RecordName",
    "StoreError",
    "StoreEvent",
    "SystemClock",
    "TokenStore",
    "Watcher",
    "store_from_url",
]
