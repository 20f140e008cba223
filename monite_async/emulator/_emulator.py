"""The emulator itself: one state machine, whatever front end the requests come through."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypedDict

from monite_async.emulator import _control
from monite_async.emulator._app import Sight, finish, handle, look
from monite_async.emulator._auth import revoke_key
from monite_async.emulator._checked import checked
from monite_async.emulator._clock import Clock
from monite_async.emulator._dialect import answered, understood
from monite_async.emulator._faults import Fault, Faults, OrderedFault
from monite_async.emulator._log import Entry, RequestLog
from monite_async.emulator._message import Delivery, Request
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.clear()

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
            return self._exchange(request, started)

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
