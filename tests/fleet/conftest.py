"""What the tests of fleets share: members at hand, a Redis each, an endpoint each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.crew import Crew
from tests.fleet.endpoint import TokenEndpoint
from tests.stores.redis_server import RedisServer


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Members for all tests; in the end none of them may have complained of anything."""
    members = Crew()
    try:
        yield members
    finally:
        complaints = members.end()
    assert complaints == []


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    """A token endpoint."""
    with TokenEndpoint() as endpoint:
        yield endpoint
