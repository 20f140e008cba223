"""What tests share: patience with the machine, work that need not be done, and a guard against calls that block."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.blocking import no_blocking_in

# How fast examples are drawn says more about what else the machine does than about the tests.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the garbage collector away from what is there before the first test.

    Hundreds of tests have all garbage collected, to see that nothing is left behind; looking each time through the
    thousands of tests and every module besides took them a fifth of a second each.
    """
    gc.collect()
    gc.freeze()


_MEASURING = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}
"""What has coverage measure the programs that a measured program starts."""


@pytest.fixture(scope="session", autouse=True)
def unmeasured_children() -> Iterator[None]:
    """Leave the coverage of programs that tests start alone: it doubles their work, and hardly anything runs only there.

    Not before the first test: the workers of pytest-xdist are such programs, too, and are to be measured.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in _MEASURING:
            patch.delenv(name)
        yield


@pytest.fixture
def measured_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the programs that a test starts: it is about them."""
    for name, value in _MEASURING.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Leave coverage out of a test that does a thousand times what shorter ones do: it trebles the time.

    For what lives on numbers, a flood or random rounds: ``pytestmark`` or a mark on the test asks for it.
    """
    measuring = Coverage.current()
    if measuring is not None:
        measuring.stop()
    yield
    if measuring is not None:
        measuring.start()


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
