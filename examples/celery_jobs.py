"""Celery: forked children, and a fresh event loop for every task.

    REDIS_URL=redis://localhost:6379/0 python -m examples.celery_jobs

gives four children 200 tasks of 10 users of an emulator, and tells what that cost in token requests. On its own the
worker is started with ``celery -A examples.celery_jobs worker --pool prefork``.
"""

from __future__ import annotations

import asyncio
import functools

from celery import Celery, group

from examples.workload import REDIS, workers, workload
from monite_async import AsyncMonite

app = Celery("examples.celery_jobs", broker=REDIS, backend=REDIS)
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


@functools.cache
def client() -> AsyncMonite:
    """Return the client of this process: it outlives the loops that it is used in, and may even be made before a fork.

    Its tokens stay with it from task to task. Its connections belong to a loop, and end with that.
    """
    return AsyncMonite.from_env()


@app.task(name="count_payables")
def count_payables(entity_id: str, user_id: str) -> int:
    """Count the payables that a user may see, with that user's token."""

    async def count() -> int:
        scope = client().entity(entity_id).as_user(user_id)
        return len(await scope.payables.list(limit=100).collect())

    return asyncio.run(count())


async def main() -> None:
    """Run 200 tasks of 10 users in four children."""
    worker = ("celery", "-q", "-A", "examples.celery_jobs", "worker", "--pool", "prefork", "-c", "4", "-l", "ERROR")
    async with workload(users=10, payables=30) as work, workers(*worker):
        tasks = group(count_payables.s(work.entity_id, work.users[number % 10]) for number in range(200))
        counts: list[int] = await asyncio.to_thread(lambda: tasks.apply_async().get(timeout=60))
        await work.report(f"200 tasks of 10 users, {sum(counts)} payables", ideal=10)


if __name__ == "__main__":
    asyncio.run(main())
