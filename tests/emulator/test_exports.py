"""Exports of data: ordered, ready later, in the formats of the contract."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from tests.emulator.drive import driving


async def test_exports_take_their_time() -> None:
    """An export is ordered, and ready with its file after some seconds of the emulator's clock."""
    async with driving() as (emulator, driver):
        emulator.clock.set(datetime(2026, 3, 1, tzinfo=UTC))
        await driver.make_payable()
        await driver.make_payable()
        objects = [{"name": "payable", "statuses": ["new"]}, {"name": "receivable", "statuses": ["draft"]}]
        body = {"date_from": "2026-01-01", "date_to": "2026-12-31", "format": "csv", "objects": objects}
        path = f"/data_exports/{(await driver.ask('POST', '/data_exports', body))['id']}"
        early = await driver.ask("GET", path)
        assert (early["status"], early["source_url"]) == ("processing", None)
        emulator.clock.advance(6)
        ready = await driver.ask("GET", path)
        assert (ready["status"], ready["count"]) == ("succeeded", 2)
        table = await driver.http.get(str(ready["source_url"]))
        assert table.headers["content-type"] == "text/csv"
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [(row["status"], row["total_amount"], row["tags"]) for row in rows] == [("new", "10000", "[]")] * 2


async def test_an_export_holds_what_was_created_on_its_days() -> None:
    """Both days count, and what was created before the first or after the last is not in it."""
    async with driving() as (emulator, driver):
        objects = [{"name": "payable", "statuses": ["new"]}]
        for day in range(1, 6):
            emulator.clock.set(datetime(2026, 3, day, 23, 59, tzinfo=UTC))
            await driver.make_payable()
        body = {"date_from": "2026-03-02", "date_to": "2026-03-04", "format": "csv", "objects": objects}
        path = f"/data_exports/{(await driver.ask('POST', '/data_exports', body))['id']}"
        emulator.clock.advance(6)
        assert (await driver.ask("GET", path))["count"] == 3


async def test_exports_have_the_formats_of_the_contract() -> None:
    """A PDF is ordered like a table; which formats there are is told, and no others are taken."""
    async with driving() as (emulator, driver):
        formats = await driver.send("GET", "/data_exports/supported_formats")
        told = [(entry["object_type"], entry["available_types"]) for entry in formats.json()]
        assert told == [(name, {"csv": ["csv", "csv_xero"], "pdf": ["pdf"]}) for name in ("payable", "receivable")]
        body = {"date_from": "2026-01-01", "date_to": "2026-12-31", "format": "pdf", "objects": list[str]()}
        path = f"/data_exports/{(await driver.ask('POST', '/data_exports', body))['id']}"
        emulator.clock.advance(6)
        file = await driver.http.get(str((await driver.ask("GET", path))["source_url"]))
        assert (file.headers["content-type"], file.content[:5]) == ("application/pdf", b"%PDF-")
        await driver.ask("POST", "/data_exports", {**body, "format": "xlsx"}, expect=422)
