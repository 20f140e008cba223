"""Work of the API waited for on the emulator: recognition, an export, and the file at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monite_async import AsyncMonite, EntityClient, WorkTimeout
from monite_async.emulator import Emulator

PDF = b"%PDF-1.7 a bill"


async def _acme(monite: AsyncMonite) -> EntityClient:
    entity = await monite.entities.create(
        type="organization",
        email="ap@acme.test",
        address={"city": "Berlin", "country": "DE", "line1": "Torstr. 1", "postal_code": "10119"},
        organization={"legal_name": "Acme"},
    )
    return monite.entity(entity.id)


async def test_an_upload_is_waited_for_until_it_is_read() -> None:
    """A wait that begins while the text is being read ends when it is, and one that is too short says how far it was."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        acme = await _acme(monite)
        payable = await acme.payables.upload_from_file(file=PDF)
        assert payable.ocr_status == "processing"
        with pytest.raises(WorkTimeout) as caught:
            await acme.payables.wait_for_ocr(payable.id, timeout=0.01)
        assert caught.value.state == "processing"
        waiting = asyncio.ensure_future(acme.payables.wait_for_ocr(payable.id, timeout=30))
        while not any(entry.operation == "get_payables_id" for entry in list(emulator.log)[-1:]):
            await asyncio.sleep(0)
        emulator.clock.advance(emulator.settings.ocr_seconds)
        assert (await waiting).ocr_status == "success"


async def test_an_export_is_waited_for_and_fetched(tmp_path: Path) -> None:
    """An export that is done has a link, and what is there can be downloaded."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        acme = await _acme(monite)
        made = await acme.data_exports.create(
            date_from="2024-01-01",
            date_to="2024-02-01",
            format="csv",
            objects=[{"name": "payable", "statuses": ["new"]}],
        )
        emulator.clock.advance(emulator.settings.export_seconds)
        export = await acme.data_exports.wait_for(made.id, timeout=30)
        assert export.source_url is not None
        got = await acme.download(export.source_url, to=tmp_path / "export.zip")
        assert got.size == (tmp_path / "export.zip").stat().st_size > 0


async def test_a_task_of_its_own_is_waited_for() -> None:
    """The recognition of a file that becomes no payable is waited for by its task."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        acme = await _acme(monite)
        task = await acme.ocr_tasks.upload_from_file(file=PDF)
        emulator.clock.advance(emulator.settings.ocr_seconds)
        assert (await acme.ocr_tasks.wait_for(task.id, timeout=30)).status == "success"
