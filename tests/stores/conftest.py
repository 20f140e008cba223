"""What the tests of stores share: one real Redis for all that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that all tests share; each works on names of its own."""
    with RedisServer() as server:
        yield server
