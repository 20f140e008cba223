"""What the examples of workers work on: an emulator, a company with users and payables, and what it all cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from monite_async import AsyncMonite
from monite_async.emulator import Remote, launch
from monite_async.permissions import Permissions

REDIS = os.environ.get("REDIS_URL", "redis://localhost:6379/0")


@dataclass(frozen=True, slots=True)
class Workload:
    """A company of an emulator.

    Attributes:
        emulator: The emulator, in a process of its own.
        entity_id: The company.
        users: The ids of its users.
    """

    emulator: Remote
    entity_id: str
    users: list[str]

    async def report(self, work: str, ideal: int) -> None:
        """Print how many tokens were asked for, beside how many there had to be."""
        posts = await self.emulator.count("POST", "/auth/token")
        print(f"{work}: {posts} token requests, ideal {ideal}")


@contextlib.asynccontextmanager
async def workload(users: int, payables: int) -> AsyncGenerator[Workload, None]:
    """Start an emulator with a company, and put what a client of it needs into the environment."""
    async with launch() as emulator:
        options = emulator.client_options()
        os.environ.update({f"MONITE_{name.upper()}": str(value) for name, value in options.items()})
        async with AsyncMonite(token_store=None, **options) as monite:
            entity = await monite.entities.create(
                type="individual",
                email="ann@acme.test",
                address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
                individual={"first_name": "Ann", "last_name": "Acker"},
            )
            acme = monite.entity(entity.id)
            reading = Permissions.build().payable(read="allowed").to_dict()
            role = await acme.roles.create(name="reader", permissions=reading)
            hired = [acme.entity_users.create(login=f"u{n}", first_name="U", role_id=role.id) for n in range(users)]
            people = await asyncio.gather(*hired)
        await emulator.seed_payables(entity.id, payables)
        await emulator.clear_log()
        os.environ["MONITE_TOKEN_STORE"] = REDIS
        yield Workload(emulator, entity.id, [person.id for person in people])


@contextlib.asynccontextmanager
async def workers(*command: str) -> AsyncGenerator[None, None]:
    """Run ``python -m command`` meanwhile, and have it end in good order."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
