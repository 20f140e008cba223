"""What the tests of the command share with those of the stores: one real Redis; and that the command is measured."""

from __future__ import annotations

import pytest

from tests.stores.conftest import redis_server

__all__ = ["redis_server"]


@pytest.fixture(autouse=True)
def measured(measured_children: None) -> None:
    """Measure the command, which runs in programs of its own only."""
