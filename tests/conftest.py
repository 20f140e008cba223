"""What tests share: patience with the machine, and a guard against calls that block an event loop."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.blocking import no_blocking_in

# How fast examples are drawn says more about what else the machine does than about the tests.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def no_blocking_calls() -> Iterator[None]:
    """Fail a test in which a module of this distribution blocks the event loop it runs in.

    For modules to ask for with ``pytestmark``. Not for tests of many threads with a loop each: the guard looks at every
    stack frame of every call that it watches, and they would run for minutes.
    """
    # Loaded on first use, when threads may wait for each other's import.
    importlib.import_module("monite_async.models._base")
    with no_blocking_in("monite_async", "monite_async_stores"):
        yield
