"""A Redis for each of the tests that run examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores.redis_server import RedisServer


@pytest.fixture
def redis_url() -> Iterator[str]:
    """Where an empty Redis is."""
    with RedisServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"
