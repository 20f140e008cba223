"""The emulator itself: one state machine, whatever front end the requests come through."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypedDict

from monite_async.emulator import _control
from monite_async.emulator._app import Sight, finish, handle, look
from monite_async.emulator._auth import revoke_key
from monite_async.emulator._checked import checked
from monite_async.emulator._clock import Clock
from monite_async.emulator._courier import Courier
from monite_async.emulator._dialect import answered, understood
from monite_async.emulator._due import settle_due
from monite_async.emulator._entities import seed_entity
from monite_async.emulator._events import redeliver
from monite_async.emulator._faults import Fault, Faults, OrderedFault
from monite_async.emulator._log import Entry, RequestLog
from monite_async.emulator._message import Delivery, Request
from monite_async.emulator._payable_base import seed
from monite_async.emulator._rate import RateLimiter
from monite_async.emulator._router import BASE
from monite_async.emulator._settings import EmulatorSettings
from monite_async.emulator._state import State, World

if TYPE_CHECKING:
    import httpx

__all__ = ["ClientOptions", "Emulator", "Snapshot"]

_ORIGIN = "https://emulator.test"


class ClientOptions(TypedDict):
    """What a client needs to talk to the emulator in process."""

    client_id: str
    client_secret: str
    base_url: str
    transport: httpx.AsyncBaseTransport


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The memory of an emulator at one moment; opaque, and good for any number of restores."""

    _state: State = field(repr=False)
    _time: datetime = field(repr=False)


class Emulator:
    """A Monite to run against: it keeps state, checks tokens, scopes and roles, and fails when told to.

    Use it in process (``client_options``, no socket) or behind a socket (``serve``). It may be used from several
    threads and event loops; every request is carried out whole before the next.

    Attributes:
        clock: The clock of tokens, rate limits and timestamps, for tests to move.
        faults: The faults in force.
        log: The requests so far.
        transport: An ``httpx`` transport that leads here without a socket.
    """

    def __init__(
        self, settings: EmulatorSettings | None = None, *, clock: Clock | None = None, origin: str = _ORIGIN
    ) -> None:
        """Start with nothing stored.

        Args:
            settings: Credentials, lifetimes and choices.
            clock: A clock of one's own; default: one that ticks from now.
            origin: Scheme and authority under which the emulator is reached.
        """
        from monite_async.emulator._transport import EmulatorTransport

        self.clock: Clock = clock or Clock()
        self.faults: Faults = Faults()
        self._world = World(settings or EmulatorSettings(), self.clock, State(), origin)
        self.log: RequestLog = RequestLog(self._world.settings.log_size)
        self.transport: httpx.AsyncBaseTransport = EmulatorTransport(self)
        self._limiter = RateLimiter()
        self._lock = threading.RLock()
        self._snapshots: dict[str, Snapshot] = {}
        self._courier = Courier(lambda: self._world, self._lock)
        self._delivers = False

    async def __aenter__(self) -> Self:
        self._delivers = self._courier.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.clear()
        if self._delivers:
            await self._courier.stop()

    @contextlib.asynccontextmanager
    async def delivering(self) -> AsyncGenerator[None, None]:
        """Deliver webhooks for as long as this lasts, unless that is done already.

        So do ``async with emulator`` and ``listen``; an emulator in neither of them delivers none.
        """
        started = self._courier.start()
        try:
            yield
        finally:
            if started:
                await self._courier.stop()

    async def webhooks_settled(self) -> None:
        """Wait until every webhook that is due was delivered, or has failed and waits for its next time."""
        await self._courier.settled()

    def webhooks_waiting(self) -> Mapping[str, int]:
        """Return how many deliveries are ``due`` or under way, and how many are to be tried again ``later``."""
        with self._lock:
            settle_due(self._world)
            now = self.clock.now()
            due = sum(moment <= now for moment in self._world.state.outbox.values())
            return {"due": due, "later": len(self._world.state.outbox) - due}

    def redeliver(self, event_id: str | None = None) -> int:
        """Deliver an event once more to everyone it was for, or all events; return how many deliveries that are."""
        with self._lock:
            ordered = redeliver(self._world, event_id)
        self._courier.wake()
        return ordered

    @property
    def settings(self) -> EmulatorSettings:
        """The settings in force; assign others to change them."""
        return self._world.settings

    @settings.setter
    def settings(self, settings: EmulatorSettings) -> None:
        with self._lock:
            self._world.settings = settings

    @property
    def origin(self) -> str:
        """Scheme and authority under which the emulator is reached."""
        return self._world.origin

    @origin.setter
    def origin(self, origin: str) -> None:
        self._world.origin = origin

    @property
    def base_url(self) -> str:
        """The base URL for clients."""
        return self._world.origin + BASE

    @property
    def issued(self) -> dict[str, int]:
        """How many tokens were issued per key: ``client_credentials`` or ``entity_user:<id>``."""
        return dict(self._world.state.issued)

    def client_options(self) -> ClientOptions:
        """Return the arguments with which a client talks to this emulator in process."""
        return ClientOptions(
            client_id=self.settings.client_id,
            client_secret=self.settings.client_secret,
            base_url=self.base_url,
            transport=self.transport,
        )

    def order(self, fault: Fault) -> OrderedFault:
        """Put a fault in force."""
        return self.faults.add(fault)

    def fail(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        operation: str | None = None,
        token: Literal["client_credentials", "entity_user", "none"] | None = None,
        user_id: str | None = None,
        entity_id: str | None = None,
        skip: int = 0,
        times: int | None = 1,
        status: int | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        latency: float = 0.0,
        drop: Literal["refuse", "before", "after"] | None = None,
        truncate: int | None = None,
        set_fields: Mapping[str, object] | None = None,
        stream: int | None = None,
        redirect: str | None = None,
        hold: bool = False,
    ) -> OrderedFault:
        """Order a fault; see ``Fault`` for what each argument means.

        Returns:
            The fault in force: its ``hits``, ``remove()``, ``release()`` and ``holding()``.

        Raises:
            ValueError: No request has this method.
        """
        return self.order(
            Fault(
                method=method,
                path=path,
                operation=operation,
                token=token,
                user_id=user_id,
                entity_id=entity_id,
                skip=skip,
                times=times,
                status=status,
                body=body,
                headers=headers or {},
                latency=latency,
                drop=drop,
                truncate=truncate,
                set_fields=set_fields or {},
                stream=stream,
                redirect=redirect,
                hold=hold,
            )
        )

    def token_endpoint_down(self, status: int | None = 503, *, times: int | None = None) -> OrderedFault:
        """Take ``POST /auth/token`` down until the fault is removed.

        Args:
            status: What it answers; None: no connection can be made.
            times: How many requests fail; None: all.
        """
        refused: Literal["refuse"] | None = "refuse" if status is None else None
        return self.fail("POST", "/auth/token", status=status, drop=refused, times=times)

    def revoke_tokens(self, key: str | None = None) -> int:
        """Revoke the living tokens of a key as in ``issued``, or all, behind the clients' backs; return how many."""
        with self._lock:
            return revoke_key(self._world, key)

    def snapshot(self) -> Snapshot:
        """Return a copy of everything stored, tokens and clock included."""
        with self._lock:
            return Snapshot(self._world.state.copy(), self.clock.now())

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; settings, faults and log stay."""
        with self._lock:
            self._world.state = snapshot._state.copy()
            self.clock.set(snapshot._time)
            self._limiter.clear()

    def reset(self) -> None:
        """Forget everything stored, all faults and the log; settings and clock stay."""
        with self._lock:
            self._world.state = State()
            self._limiter.clear()
            self.faults.clear()
            self.log.clear()

    def reset_rate_limit(self) -> None:
        """Fill every client's bucket up again."""
        with self._lock:
            self._limiter.clear()

    def seed_payables(self, entity_id: str, count: int, **fields: object) -> list[str]:
        """Store many payables of an entity at once, without events, and return their ids.

        Args:
            entity_id: The entity.
            count: How many.
            **fields: Fields of each, as the API shows them, unchecked; the rest is plausible.

        Raises:
            ValueError: There is no such entity.
        """
        with self._lock:
            if self._world.state.entities.get(entity_id) is None:
                raise ValueError(f"there is no entity {entity_id!r}")
            return seed(self._world, entity_id, count, fields)

    def seed_entity(self, *, payables: int = 0, **fields: object) -> str:
        """Store an entity at once, without events, and return its id.

        Args:
            payables: How many payables it has, as by ``seed_payables``.
            **fields: Fields of the entity, as for its creation; the rest is plausible.
        """
        with self._lock:
            entity = seed_entity(self._world, fields)
            seed(self._world, entity.id, payables, {})
        return entity.id

    def stored_file(self, file_id: str) -> tuple[str, bytes] | None:
        """Return media type and content of a stored file."""
        return self._world.state.files.get(file_id)

    def keep_snapshot(self, name: str) -> None:
        """Take a snapshot and keep it under a name, for callers that cannot hold one."""
        self._snapshots[name] = self.snapshot()

    def kept_snapshot(self, name: str) -> Snapshot | None:
        """Return a snapshot kept under a name."""
        return self._snapshots.get(name)

    def exchange(self, request: Request) -> Delivery:
        """Answer one request; the heart of both front ends."""
        started = time.perf_counter()
        if request.path.startswith(_control.PREFIX):
            return Delivery(_control.control(self, request))
        with self._lock:
            delivery = self._exchange(request, started)
        if self._world.state.outbox or self._world.state.due:
            self._courier.wake()
        return delivery

    def _exchange(self, asked: Request, started: float) -> Delivery:
        request = understood(self._world, asked)
        sight = look(self._world, request)
        ordered = self.faults.strike(sight)
        if ordered is None:
            response = finish(handle(self._world, sight, self._limiter), request, started)
            response = answered(self._world, asked, response)
            self._record(sight, response.status, None)
            return Delivery(response)
        processes = ordered.fault.processes
        response = handle(self._world, sight, self._limiter) if processes else ordered.fault.answer()
        response = answered(self._world, asked, finish(ordered.fault.alter(response), request, started))
        self._record(sight, 0 if ordered.fault.drop else response.status, ordered.id)
        return ordered.delivery(response)

    def _record(self, sight: Sight, status: int, fault: int | None) -> None:
        entry = Entry(
            method=sight.request.method,
            path=sight.path,
            operation=None if sight.route is None else sight.route.operation_id,
            entity_id=sight.entity_id,
            token=sight.token,
            user_id=sight.user_id,
            fingerprint=sight.fingerprint,
            status=status,
            time=self.clock.timestamp(),
            fault=fault,
        )
        self.log.add(entry)

    def configure(self, changes: Mapping[str, object]) -> EmulatorSettings:
        """Change some settings by name and return them all.

        Raises:
            ValueError: A setting that does not exist, or a value that it cannot have.
        """
        current = {item.name: getattr(self.settings, item.name) for item in fields(self.settings)}
        self.settings = checked(EmulatorSettings, {**current, **changes})
        return self.settings
