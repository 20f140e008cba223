"""Processes that are killed, stopped and started again: the client recovers by itself, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

from monite_async import AsyncMonite, MoniteError, RequestTimeout, TransportError
from tests.proofs.programs import emulating, start, tell
from tests.proofs.stage import ONCE, brief, pool_of

JSON = dict[str, object]

KILLED = """
monite = client()
async def main():
    running = [asyncio.ensure_future(monite.request("GET", "/entities")) for _ in range(100)]
    print("ready", flush=True)
    await asyncio.gather(*running)
asyncio.run(main())
"""


async def recovers(work: Callable[[], Awaitable[object]], *, within: float) -> list[BaseException]:
    """Try until it works, at the latest so many seconds from now; return what failed before."""
    failures: list[BaseException] = []
    async with asyncio.timeout(within):
        while True:
            try:
                await work()
            except MoniteError as exc:
                failures.append(exc)
                await asyncio.sleep(0.02)
            else:
                return failures


async def test_a_client_killed_in_mid_flight_leaves_nothing_behind() -> None:
    """A client process that is killed while it waits for a token does not disturb the next one, nor the server."""
    async with emulating() as remote:
        held = await remote.fail("POST", "/auth/token", hold=True)
        process = await start(remote, KILLED)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        while not await held.held():
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        await held.remove()
        async with AsyncMonite(**remote.client_options()) as monite:
            assert await monite.request("GET", "/entities", cast_to=JSON, options=brief(10))
        assert await remote.issued() == {"client_credentials": 2}


async def test_a_server_killed_and_started_again() -> None:
    """With the server gone calls fail with typed errors; when it is back, the client works within its backoff of 5 s.

    The new server knows none of the old tokens: the client finds that out by itself, too.
    """
    async with emulating() as first:
        options = first.client_options()
        monite = AsyncMonite(**options, retry=ONCE)
        assert await monite.request("GET", "/entities", cast_to=JSON)
        running = [asyncio.ensure_future(monite.request("GET", "/entities")) for _ in range(200)]
        await asyncio.sleep(0)
        tell(first, signal.SIGKILL)
        results = await asyncio.gather(*running, return_exceptions=True)
        assert all(isinstance(result, dict | MoniteError) for result in results)
        for work in (monite.request("GET", "/entities"), monite.revoke_token()):
            failure = (await asyncio.gather(work, return_exceptions=True))[0]
            assert isinstance(failure, TransportError)
        port = options["base_url"].rpartition(":")[2].partition("/")[0]
    async with emulating("--port", port):
        failures = await recovers(lambda: monite.request("GET", "/entities", cast_to=JSON), within=6)
        assert all(isinstance(failure, TransportError) for failure in failures)
        stats = pool_of(monite).stats()
        assert (stats.open - stats.idle, stats.waiting) == (0, 0)
        await monite.aclose()


async def test_a_server_that_stands_still() -> None:
    """While the server is stopped every call ends at its deadline; when it goes on, so does the client at once."""
    async with emulating() as remote, AsyncMonite(**remote.client_options(), retry=ONCE) as monite:
        assert await monite.request("GET", "/entities", cast_to=JSON)
        user = monite.as_user("6f3e1c5a-2b7d-4c8e-9a10-5d2f4b6c8e99")
        tell(remote, signal.SIGSTOP)
        try:
            began = time.monotonic()
            calls = [
                *(monite.request("GET", "/entities", options=brief(1.0)) for _ in range(200)),
                *(user.request("GET", "/entity_users/me", options=brief(1.0)) for _ in range(50)),
            ]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(result) for result in results} == {RequestTimeout}
            assert time.monotonic() - began < 60  # no call waited for the server
        finally:
            tell(remote, signal.SIGCONT)
        assert await monite.request("GET", "/entities", cast_to=JSON)
        stats = pool_of(monite).stats()
        assert (stats.open - stats.idle, stats.waiting) == (0, 0)
        assert os.getpid() != remote.pid
