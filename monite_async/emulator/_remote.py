"""Driving an emulator in another process: the same names as on ``Emulator``, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import urlsplit

import httpx

from monite_async.emulator._checked import checked
from monite_async.emulator._log import Entry
from monite_async.emulator._message import as_list, as_object, loads

__all__ = ["Remote", "RemoteClock", "RemoteFault", "RemoteOptions", "launch"]


class RemoteOptions(TypedDict):
    """What a client needs to talk to an emulator over its socket."""

    client_id: str
    client_secret: str
    base_url: str


class Remote:
    """The controls of an emulator that serves on a socket.

    Attributes:
        base_url: The base URL for clients.
        clock: Its clock.
    """

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str = "",
        client_secret: str = "",
        pid: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Talk to the emulator at a base URL.

        Args:
            base_url: The base URL for clients, as the server printed it.
            client_id: For ``client_options``.
            client_secret: For ``client_options``.
            pid: The server's process id, if known.
            transport: Another way there than a socket.
        """
        parts = urlsplit(base_url)
        self.base_url = base_url
        self.pid = pid
        self.clock: RemoteClock = RemoteClock(self)
        self._client_id = client_id
        self._client_secret = client_secret
        self._http = httpx.AsyncClient(
            base_url=f"{parts.scheme}://{parts.netloc}/_emulator", transport=transport, trust_env=False, timeout=30.0
        )

    def __repr__(self) -> str:
        return f"Remote({self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the connections to the controls; the emulator goes on."""
        await self._http.aclose()

    def client_options(self) -> RemoteOptions:
        """Return the arguments with which a client talks to the emulator."""
        return RemoteOptions(client_id=self._client_id, client_secret=self._client_secret, base_url=self.base_url)

    async def call(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """Use one control; see ``monite_async.emulator._control``.

        Raises:
            ValueError: The emulator refused, and why.
        """
        response = await self._http.request(method, path, json=body, params=query)
        answer = as_object(loads(response.content)) if response.content else {}
        if response.is_error:
            raise ValueError(str(as_object(answer.get("error")).get("message", response.status_code)))
        return answer

    async def fail(self, method: str | None = None, path: str | None = None, **fault: object) -> RemoteFault:
        """Order a fault; the fields are those of ``Fault``."""
        answer = await self.call("POST", "/faults", {"method": method, "path": path, **fault})
        return RemoteFault(self, int(str(answer["id"])))

    async def token_endpoint_down(self, status: int | None = 503, *, times: int | None = None) -> RemoteFault:
        """Take ``POST /auth/token`` down until the fault is removed; with None, connections to it are cut."""
        drop = "refuse" if status is None else None
        return await self.fail("POST", "/auth/token", status=status, drop=drop, times=times)

    async def clear_faults(self) -> None:
        """Take all faults out of force."""
        await self.call("DELETE", "/faults")

    async def count(self, method: str | None = None, path: str | None = None, **facts: str | int) -> int:
        """Return how many requests there were of a method, path and further facts."""
        answer = await self.call("GET", "/log", query={**_query(method, path, facts), "limit": "0"})
        return int(str(answer["count"]))

    async def log(
        self, method: str | None = None, path: str | None = None, *, limit: int = 1000, **facts: str | int
    ) -> list[Entry]:
        """Return the latest requests of a method, path and further facts, oldest first."""
        answer = await self.call("GET", "/log", query={**_query(method, path, facts), "limit": str(limit)})
        return [checked(Entry, as_object(entry)) for entry in as_list(answer["data"])]

    async def clear_log(self) -> None:
        """Forget all requests."""
        await self.call("DELETE", "/log")

    async def issued(self) -> dict[str, int]:
        """Return how many tokens were issued per key."""
        stats = await self.call("GET", "/stats")
        return {key: int(str(count)) for key, count in as_object(stats["issued"]).items()}

    async def statuses(self) -> dict[int, int]:
        """Return how often each status was answered."""
        stats = await self.call("GET", "/stats")
        return {int(status): int(str(count)) for status, count in as_object(stats["statuses"]).items()}

    async def revoke_tokens(self, key: str | None = None) -> int:
        """Revoke the living tokens of a key as in ``issued``, or all, behind the clients' backs; return how many."""
        return int(str((await self.call("POST", "/revoke", {"key": key}))["revoked"]))

    async def redeliver(self, event_id: str | None = None) -> int:
        """Deliver an event once more to everyone it was for, or all events; return how many deliveries that are."""
        return int(str((await self.call("POST", "/webhooks", {"redeliver": event_id}))["redelivered"]))

    async def webhooks_waiting(self) -> dict[str, int]:
        """Return how many deliveries are ``due`` or under way, and how many are to be tried again ``later``."""
        return {name: int(str(count)) for name, count in (await self.call("GET", "/webhooks")).items()}

    async def seed_payables(self, entity_id: str, count: int, **fields: object) -> int:
        """Store many payables of an entity at once, without events, and return how many."""
        answer = await self.call("POST", "/payables", {"entity_id": entity_id, "count": count, **fields})
        return int(str(answer["created"]))

    async def settings(self) -> dict[str, object]:
        """Return all settings but the secrets."""
        return await self.call("GET", "/settings")

    async def configure(self, **changes: object) -> dict[str, object]:
        """Change some settings and return them all."""
        return await self.call("PATCH", "/settings", changes)

    async def snapshot(self) -> str:
        """Keep a snapshot in the emulator and return its id."""
        return str((await self.call("POST", "/snapshot"))["id"])

    async def restore(self, snapshot: str) -> None:
        """Go back to a snapshot."""
        await self.call("POST", "/restore", {"id": snapshot})

    async def reset(self) -> None:
        """Forget everything stored, all faults and the log."""
        await self.call("POST", "/reset")


class RemoteClock:
    """The clock of an emulator in another process."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def now(self) -> datetime:
        """Return the time."""
        return _moment(await self._remote.call("GET", "/clock"))

    async def advance(self, seconds: float) -> datetime:
        """Move the time by so many seconds and return it."""
        return _moment(await self._remote.call("POST", "/clock", {"advance": seconds}))

    async def set(self, moment: datetime) -> datetime:
        """Set the time and return it."""
        return _moment(await self._remote.call("POST", "/clock", {"set": moment.isoformat()}))

    async def freeze(self) -> datetime:
        """Stop the clock and return its time."""
        return _moment(await self._remote.call("POST", "/clock", {"freeze": True}))

    async def unfreeze(self) -> datetime:
        """Let the clock tick again and return its time."""
        return _moment(await self._remote.call("POST", "/clock", {"freeze": False}))


class RemoteFault:
    """A fault in an emulator in another process."""

    def __init__(self, remote: Remote, number: int) -> None:
        self._remote = remote
        self.id = number

    async def _number(self, name: str) -> int:
        return int(str((await self._remote.call("GET", f"/faults/{self.id}"))[name]))

    async def hits(self) -> int:
        """Return how many requests it has struck."""
        return await self._number("hits")

    async def held(self) -> int:
        """Return how many answers it holds back now."""
        return await self._number("held")

    async def release(self) -> None:
        """Let all held answers leave, and hold none any more."""
        await self._remote.call("POST", f"/faults/{self.id}/release")

    async def remove(self) -> None:
        """Take the fault out of force."""
        await self._remote.call("DELETE", f"/faults/{self.id}")


def _moment(answer: Mapping[str, object]) -> datetime:
    return datetime.fromisoformat(str(answer["now"]))


def _query(method: str | None, path: str | None, facts: Mapping[str, str | int]) -> dict[str, str]:
    given = {"method": method, "path": path, **facts}
    return {name: str(value) for name, value in given.items() if value is not None}


@contextlib.asynccontextmanager
async def launch(arguments: Sequence[str] = ("--port", "0")) -> AsyncGenerator[Remote, None]:
    """Start an emulator in a process of its own, and end it afterwards.

    Args:
        arguments: As for ``python -m monite_async.emulator``.

    Yields:
        Its controls; ``client_options()`` of them are for a client.

    Raises:
        RuntimeError: The server ended before it was ready; its words are on standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monite_async.emulator", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None or not (line := await process.stdout.readline()):
            raise RuntimeError(f"the emulator ended with status {await process.wait()} before it was ready")
        ready = as_object(json.loads(line))
        remote = Remote(
            str(ready["base_url"]),
            client_id=str(ready["client_id"]),
            client_secret=str(ready["client_secret"]),
            pid=process.pid,
        )
        async with remote:
            yield remote
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
