"""A guard against calls that block an event loop."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from blockbuster import blockbuster_ctx

__all__ = ["no_blocking_in"]


@contextlib.contextmanager
def no_blocking_in(*packages: str) -> Generator[None, None, None]:
    """Fail when a module of these packages, the emulator excepted, blocks the event loop that it runs in."""
    with blockbuster_ctx(list(packages), excluded_modules=["monite_async.emulator"]) as guard:
        for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            guard.functions[name].can_block_in("coverage/collector.py", "lock_data")  # it measures, in every thread
        yield
