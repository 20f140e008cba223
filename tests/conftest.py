"""What tests share: a guard against calls of this library that block an event loop."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture
def no_blocking_calls() -> Iterator[None]:
    """Fail a test in which a module of this distribution blocks the event loop it runs in.

    For modules to ask for with ``pytestmark``. Not for tests of many threads with a loop each: the guard looks at every
    stack frame of every call that it watches, and they would run for minutes.
    """
    # Loaded on first use, when threads may wait for each other's import.
    importlib.import_module("monite_async.models._base")
    with blockbuster_ctx(["monite_async", "monite_async_stores"], excluded_modules=["monite_async.emulator"]):
        yield
