"""taskiq: one event loop and one client per worker process, and a Redis that they share.

    REDIS_URL=redis://localhost:6379/0 python -m examples.taskiq_jobs

gives two workers 200 jobs of 10 users of an emulator, and tells what that cost in token requests. On their own the
workers are started with ``taskiq worker examples.taskiq_jobs:broker``.
"""

from __future__ import annotations

import asyncio

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from examples.workload import REDIS, workers, workload
from monite_async import AsyncMonite

results: RedisAsyncResultBackend[int] = RedisAsyncResultBackend(REDIS, result_ex_time=600)
broker = ListQueueBroker(REDIS, socket_timeout=None).with_result_backend(results)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_client(state: TaskiqState) -> None:
    """Make the client of this process; credentials and store come from the environment."""
    state.monite = AsyncMonite.from_env()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_client(state: TaskiqState) -> None:
    """Close it once the last job is done."""
    await state.monite.aclose()


@broker.task("count_payables")
async def count_payables(entity_id: str, user_id: str) -> int:
    """Count the payables that a user may see, with that user's token."""
    monite: AsyncMonite = broker.state.monite
    return len(await monite.entity(entity_id).as_user(user_id).payables.list(limit=100).collect())


async def main() -> None:
    """Run 200 jobs of 10 users in two workers."""
    async with (
        workload(users=10, payables=30) as work,
        workers("taskiq", "worker", "examples.taskiq_jobs:broker", "--workers", "2", "--log-level", "ERROR"),
    ):
        await broker.startup()
        jobs = [await count_payables.kiq(work.entity_id, work.users[number % 10]) for number in range(200)]
        counts = [(await job.wait_result(check_interval=0.02, timeout=60)).return_value for job in jobs]
        await broker.shutdown()
        await work.report(f"200 jobs of 10 users, {sum(counts)} payables", ideal=10)


if __name__ == "__main__":
    asyncio.run(main())
