"""What can go wrong, what is repeated for you, and what an error tells.

    python examples/errors_and_retries.py

It runs against the emulator only, because it makes the server fail on purpose.
"""

from __future__ import annotations

import asyncio

from monite_async import (
    AsyncMonite,
    MoniteError,
    NotFoundError,
    RequestOptions,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
)
from monite_async.emulator import Emulator

NOBODY = "00000000-0000-4000-8000-000000000000"


async def refusals(monite: AsyncMonite) -> None:
    """An error is a class per status, and knows the message, the call and the request id."""
    try:
        await monite.entities.get(NOBODY)
    except NotFoundError as error:
        print(f"not found: {error.message} (the support asks for the request id: {error.request_id})")
    try:
        await monite.request("POST", "/entities", json={"type": "organization"})
    except UnprocessableEntityError as error:
        print("not acceptable:", ", ".join(sorted(error.errors)))


async def repeats(monite: AsyncMonite, emulator: Emulator) -> None:
    """Reads are repeated after a failure of the server, within the deadline; creating is not, it might pay twice."""
    emulator.fail("GET", "/entities", status=502, times=2)
    page = await monite.entities.list()
    print(f"a read that failed twice: {len(page.data)} entities, {emulator.log.count('GET', '/entities')} requests")

    emulator.fail("GET", "/entities", status=502, times=1)
    impatient = monite.with_options(retry=RetryPolicy(max_retries=0), deadline=5)
    try:
        await impatient.entities.list()
    except ServerError as error:
        print(f"without repeats: status {error.status} after {error.attempts} attempt")

    emulator.fail("POST", "/entities", status=500)
    try:
        await monite.request("POST", "/entities", json={"type": "individual"})
    except ServerError as error:
        print(f"a creation is sent {error.attempts} time: whether it was carried out is for you to find out")


async def limits(monite: AsyncMonite, emulator: Emulator) -> None:
    """A 429 is waited for as long as the server asks, whatever the call: nothing was carried out."""
    emulator.fail("GET", "/entities", status=429, headers={"Retry-After": "1"})
    await monite.entities.list(options=RequestOptions(deadline=10))
    print("a call that was limited went through a second later")


async def main() -> None:
    """Fail in many ways."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        await refusals(monite)
        await repeats(monite, emulator)
        await limits(monite, emulator)
    try:
        await monite.entities.list()
    except MoniteError as error:
        print(f"after the end: {type(error).__name__}")


if __name__ == "__main__":
    asyncio.run(main())
