"""Delivers webhooks: signed requests to the subscribers, again after failures, and again on order.

Requests are made beside the emulator's own answers, several at a time and so in no certain order. What is to be sent,
and when, is part of the emulator's memory; here is only what is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monite_async.emulator._due import settle_due
from monite_async.emulator._events import DELIVERIES, EVENTS, SUBSCRIPTIONS, is_loopback
from monite_async.emulator._message import dumps
from monite_async.emulator._state import Record, World

if TYPE_CHECKING:
    import httpx

__all__ = ["Courier"]

_AT_ONCE = 16
_KEPT_OF_ANSWERS = 1000


@dataclass(frozen=True, slots=True, repr=False)
class _Letter:
    url: str
    body: bytes
    secret: str

    def signature(self) -> str:
        """Sign it now, by the clock of this machine: that is what receivers compare with.

        What is signed is inferred: the time, a full stop, the body, as in the header's model at Stripe.
        """
        now = str(int(time.time()))
        digest = hmac.new(self.secret.encode(), now.encode() + b"." + self.body, hashlib.sha256).hexdigest()
        return f"t={now},v1={digest}"


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: int | None
    text: str

    @property
    def was_successful(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Courier:
    """Carries the outbox of an emulator from one event loop, between ``start`` and ``stop``."""

    def __init__(self, world: Callable[[], World], lock: threading.RLock) -> None:
        self._world = world
        self._lock = lock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._flying: dict[str, asyncio.Task[None]] = {}
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._awake = asyncio.Event()
        self._settled = asyncio.Event()

    def start(self) -> bool:
        """Begin to deliver from the running loop; False if that is done already, by this loop or another."""
        if self._task is not None:
            return False
        self._loop = asyncio.get_running_loop()
        self._awake, self._settled = asyncio.Event(), asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="emulator webhooks")
        return True

    async def stop(self) -> None:
        """End; requests under way are cut off, and count as not made."""
        tasks = [*self._flying.values(), *([] if self._task is None else [self._task])]
        self._task = self._loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def wake(self) -> None:
        """Have it look at the outbox; from any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._awake.set)

    async def settled(self) -> None:
        """Wait until nothing is due and nothing under way; what is to be sent again later is not waited for."""
        loop = self._loop
        if loop is None:
            return
        waiting = asyncio.run_coroutine_threadsafe(self._wait(), loop)
        await asyncio.wrap_future(waiting)

    async def _wait(self) -> None:
        self._settled.clear()
        self._awake.set()
        await self._settled.wait()

    async def _run(self) -> None:
        stop = self._world().clock.watch(self.wake)
        try:
            while True:
                self._awake.clear()
                delay = self._send_due()
                if not self._flying:
                    self._settled.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._awake.wait()
        finally:
            stop()
            self._settled.set()

    def _send_due(self) -> float | None:
        """Send what is due; return the real seconds until something else will be, None when nothing will by itself."""
        with self._lock:
            world = self._world()
            settle_due(world)
            now = world.clock.now()
            waiting = {name: due for name, due in world.state.outbox.items() if name not in self._flying}
            for name, due in waiting.items():
                if due <= now and len(self._flying) < _AT_ONCE:
                    self._flying[name] = asyncio.create_task(self._deliver(name))
            coming = [due for _, due in world.state.due.values()]
            later = [due for due in (*waiting.values(), *coming) if due > now]
        if not later or world.clock.frozen:
            return None
        return (min(later) - now).total_seconds()

    async def _deliver(self, name: str) -> None:
        try:
            with self._lock:
                letter = self._letter(name)
            if letter is not None:
                self._note(name, await self._send(letter))
        finally:
            del self._flying[name]
            self._awake.set()

    def _letter(self, name: str) -> _Letter | None:
        """Return what is to be sent; None, and nothing more will be, if its subscription is not in force any more."""
        state = self._world().state
        row = state.table(DELIVERIES).get(name)
        subscription = None if row is None else state.table(SUBSCRIPTIONS).get(str(row.private["subscription"]))
        event = None if row is None else state.table(EVENTS).get(row.text("event_id"))
        if subscription is None or event is None or subscription.data["status"] != "enabled":
            state.outbox.pop(name, None)
            return None
        body = dumps({**event.view(), "webhook_subscription_id": subscription.id})
        return _Letter(subscription.text("url"), body, str(subscription.private["secret"]))

    async def _send(self, letter: _Letter) -> _Outcome:
        import httpx

        headers = {"content-type": "application/json", "monite-signature": letter.signature()}
        seconds = self._world().settings.webhook_timeout
        try:
            async with asyncio.timeout(seconds):
                client = self._client(letter.url)
                response = await client.post(letter.url, content=letter.body, headers=headers, timeout=seconds)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            return _Outcome(None, type(error).__name__)
        # Not by the charset that the answer names: a strange one would fail here, and what failed would be sent for ever.
        text = response.content[: 4 * _KEPT_OF_ANSWERS].decode(errors="replace")
        return _Outcome(response.status_code, text[:_KEPT_OF_ANSWERS])

    def _client(self, url: str) -> httpx.AsyncClient:
        """Return a client that follows no redirect; certificates count everywhere but on this machine."""
        import httpx

        verify = not is_loopback(urlsplit(url).hostname or "")
        if verify not in self._clients:
            # No connection outlives its request: one that a receiver closed meanwhile would count as a failure of it.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._clients[verify] = httpx.AsyncClient(verify=verify, trust_env=False, limits=limits)
        return self._clients[verify]

    def _note(self, name: str, outcome: _Outcome) -> None:
        with self._lock:
            world = self._world()
            row = world.state.table(DELIVERIES).get(name)
            if row is None:  # the emulator was reset meanwhile
                return
            row.change(
                None,
                requests_made_count=row.number("requests_made_count") + 1,
                response=outcome.text,
                response_status_code=outcome.status,
                was_successful=outcome.was_successful,
            )
            self._plan(world, row, again=not outcome.was_successful)

    def _plan(self, world: World, row: Record, *, again: bool) -> None:
        failures = int(str(row.private.get("failures", 0)))
        retries = world.settings.webhook_retries
        if again and failures < len(retries):
            row.private["failures"] = failures + 1
            world.state.outbox[row.id] = world.clock.now() + timedelta(seconds=retries[failures])
        else:
            world.state.outbox.pop(row.id, None)
