"""What the tests of the command share with those of the stores: one real Redis."""

from __future__ import annotations

from tests.stores.conftest import redis_server

__all__ = ["redis_server"]
