"""Leases and generations under random interleavings, in files: what is stored never gets older (T4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from monite_async_stores import EncryptedFileTokenStore, TokenStore
from tests.stores.file_bench import MovableClock
from tests.stores.test_generations import LEASE_MS, Leaders


@pytest.mark.usefixtures("unmeasured")
def test_generations_in_files(tmp_path: Path) -> None:
    """T4: however three leaders interleave, the file store keeps the highest generation and hands out higher ones."""

    class FileLeaders(Leaders):
        def make_store(self) -> TokenStore:
            self.clock = MovableClock()
            return EncryptedFileTokenStore(tmp_path, clock=self.clock)

        def expire_lease(self) -> None:
            self.clock.advance(LEASE_MS / 1000 + 0.001)

    run_state_machine_as_test(FileLeaders, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))
