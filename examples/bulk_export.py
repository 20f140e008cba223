"""A bulk job in plain asyncio: every payable of ten companies into files; it can be stopped and taken up again.

    python -m examples.bulk_export 50000 export

Each company's list is read page by page, four companies at once. What was read is appended to a file, and then where
the list goes on is written beside it: a job that ends in the middle goes on with the page that it had not written.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from monite_async import AsyncMonite, EntityClient
from monite_async.emulator import Emulator

COMPANIES, AT_ONCE, DONE = 10, 4, "done"


class Progress:
    """Counts, and says so now and then."""

    payables = pages = 0

    def add(self, payables: int) -> None:
        """Count a page."""
        self.payables, self.pages = self.payables + payables, self.pages + 1
        if self.pages % 100 == 0:
            print(self.payables, "payables")


async def export(acme: EntityClient, folder: Path, progress: Progress) -> None:
    """Write the payables of one company, from where an earlier run left off."""
    output, mark = folder / f"{acme.entity_id}.jsonl", folder / f"{acme.entity_id}.mark"
    cursor, size = json.loads(mark.read_text()) if mark.exists() else (None, 0)
    if cursor == DONE:
        return
    bills = acme.payables.list(limit=100)
    pages = (bills if cursor is None else bills.resume(cursor)).prefetch().pages()
    with output.open("ab") as file:
        file.truncate(size)  # a page whose mark was never written is read again
        async for page in pages:
            file.writelines(bill.model_dump_json().encode() + b"\n" for bill in page.data)
            file.flush()
            new = mark.with_suffix(".new")
            new.write_text(json.dumps([pages.cursor or DONE, file.tell()]))
            new.replace(mark)
            progress.add(len(page.data))


async def export_all(monite: AsyncMonite, companies: list[str], folder: Path) -> Progress:
    """Write the payables of all companies, a few companies at once."""
    turns, progress = asyncio.Semaphore(AT_ONCE), Progress()

    async def one(company: str) -> None:
        async with turns:
            await export(monite.entity(company), folder, progress)

    async with asyncio.TaskGroup() as group:
        for company in companies:
            group.create_task(one(company))
    return progress


async def main(count: int, folder: Path) -> None:
    """Export so many payables of an emulator."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        companies = [emulator.seed_entity(payables=count // COMPANIES) for _ in range(COMPANIES)]
        progress = await export_all(monite, companies, folder)
        posts = emulator.log.count("POST", "/auth/token")
        print(f"{progress.payables} payables in {progress.pages} pages: {posts} token requests, ideal 1")


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(int(sys.argv[1]), target))
