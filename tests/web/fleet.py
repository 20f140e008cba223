"""What the tests of examples share: an emulator with users, a Redis, and servers of several processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monite_async import AsyncMonite
from monite_async.emulator import Remote

__all__ = ["ROOT", "Company", "Served", "children", "environment", "hire", "served"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Company:
    """An entity and its users."""

    entity: str
    users: list[str]


async def hire(remote: Remote, users: int) -> Company:
    """Create an entity with users and a few payables; tokens for it are issued to a client of its own."""
    async with AsyncMonite(**remote.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        acme = monite.entity(entity.id)
        actions = [{"action_name": name, "permission": "allowed"} for name in ("read", "create")]
        permissions: Any = {"objects": [{"object_type": "payable", "actions": actions}]}
        role = await acme.roles.create(name="clerk", permissions=permissions)
        creating = [acme.entity_users.create(login=f"u{n}", first_name="U", role_id=role.id) for n in range(users)]
        hired = await asyncio.gather(*creating)
    await remote.seed_payables(entity.id, 10)
    return Company(entity.id, [user.id for user in hired])


def environment(remote: Remote, redis: str, **more: str) -> dict[str, str]:
    """Return the environment of a backend."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MONITE_")}
    options = remote.client_options()
    return {
        **kept,
        "MONITE_CLIENT_ID": options["client_id"],
        "MONITE_CLIENT_SECRET": options["client_secret"],
        "MONITE_BASE_URL": options["base_url"],
        "MONITE_TOKEN_STORE": redis,
        "PYTHONPATH": str(ROOT),
        **more,
    }


def children(pid: int, name: str) -> set[int]:
    """Return the child processes with this in their command line."""
    found: set[int] = set()
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            stat = (directory / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == pid and stat[0] != "Z" and name in (directory / "cmdline").read_text():
                found.add(int(directory.name))
    return found


class Served:
    """A server of several processes."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def output(self) -> str:
        """What all its processes have written so far."""
        return self._output.read_text()

    async def says(self, text: str, times: int = 1) -> None:
        """Wait until it has written something so many times."""
        async with asyncio.timeout(60):
            while self.output.count(text) < times:
                if self.process.returncode is not None:
                    raise AssertionError(f"ended: {self.output}")
                await asyncio.sleep(0.02)

    async def stop(self) -> int:
        """Ask it to end, and return its status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@contextlib.asynccontextmanager
async def served(arguments: Sequence[str], env: dict[str, str]) -> AsyncGenerator[Served, None]:
    """Run ``python -m ...`` until the end of the block."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "output"
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments, cwd=ROOT, env=env, stdout=file, stderr=file
            )
        server = Served(process, output)
        try:
            yield server
        finally:
            if process.returncode is None:
                await server.stop()
