"""What all tests share: no blocking call of this library in an event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail a test in which a module of this distribution blocks the event loop it runs in."""
    with blockbuster_ctx(["monite_async", "monite_async_stores"], excluded_modules=["monite_async.emulator"]):
        yield
