"""Faults that tests order: what to strike, how often, and how."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from monite_async.emulator._app import Sight
from monite_async.emulator._message import Delivery, Response, as_list, as_object, dumps, json_response, loads

__all__ = ["Fault", "Faults", "OrderedFault"]

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and with which requests.

    A request must match all of ``method`` to ``entity_id`` that are given. Effects may be combined
    (``latency`` with ``status``); of several faults that match, the one ordered first strikes.

    Attributes:
        method: HTTP method; None stands for any.
        path: Path template (``/payables/{payable_id}``), path below ``/v1``, or a pattern of either with ``*``,
            which stands for anything, slashes included.
        operation: The contract's name of the operation.
        token: Kind of token: ``client_credentials``, ``entity_user`` or ``none``.
        user_id: The entity user of the token.
        entity_id: The entity header.
        skip: So many matching requests pass first.
        times: So many are struck; None: all, until the fault is removed.
        status: Answer with this status, and do not process the request.
        body: Body of that answer: JSON, or text as it stands when it is a string.
        headers: Headers to add to the answer.
        latency: Seconds to wait before the answer leaves; the request is processed at once.
        drop: ``refuse``: as if no connection could be made; ``before``: end the connection unprocessed;
            ``after``: process the request, then end the connection without an answer.
        truncate: Send so many bytes of the body, then end the connection.
        set_fields: Fields to add to or replace in a JSON answer, by dotted path (``data.*.status``): unknown fields,
            unknown enum values, wrong types.
        stream: Send a generated JSON body of so many bytes instead; it is never held in memory.
        redirect: Answer 307 to this address.
        hold: Keep the answer back until ``release``.

    Raises:
        ValueError: No request has this method.
    """

    method: str | None = None
    path: str | None = None
    operation: str | None = None
    token: Literal["client_credentials", "entity_user", "none"] | None = None
    user_id: str | None = None
    entity_id: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    latency: float = 0.0
    drop: Literal["refuse", "before", "after"] | None = None
    truncate: int | None = None
    set_fields: Mapping[str, object] = field(default_factory=dict[str, object])
    stream: int | None = None
    redirect: str | None = None
    hold: bool = False

    def __post_init__(self) -> None:
        if self.method is not None and self.method.upper() not in _METHODS:
            # A pattern would be taken for a name and never strike: a test that orders it would prove nothing.
            raise ValueError(f"Fault: method must be an HTTP method, or None for any, got {self.method!r}")

    def matches(self, sight: Sight) -> bool:
        """Tell whether the fault is meant for a request."""
        route = sight.route
        facts = (
            (self.method and self.method.upper(), sight.request.method),
            (self.operation, None if route is None else route.operation_id),
            (self.token, sight.token),
            (self.user_id, sight.user_id),
            (self.entity_id, sight.entity_id),
        )
        return all(wanted in {None, actual} for wanted, actual in facts) and self._on(sight)

    def _on(self, sight: Sight) -> bool:
        if self.path is None:
            return True
        paths = (sight.path, sight.request.path, sight.request.path.removeprefix("/v1"))
        return any(path == self.path or fnmatchcase(path, self.path) for path in paths)

    @property
    def processes(self) -> bool:
        """Whether the request is carried out all the same."""
        return self.status is None and self.redirect is None and self.drop not in {"refuse", "before"}

    def answer(self) -> Response:
        """Return the answer given instead of carrying the request out."""
        if self.redirect is not None:
            return Response(307, {"location": self.redirect, **self._lower()})
        status = self.status or 500
        if isinstance(self.body, str):
            return Response(status, {"content-type": "text/html", **self._lower()}, self.body.encode())
        plain = {"error": {"message": "The emulator was told to fail."}}
        response = json_response(status, plain if self.body is None else self.body)
        response.headers.update(self._lower())
        return response

    def alter(self, response: Response) -> Response:
        """Return an answer with headers added and fields set."""
        response.headers.update(self._lower())
        if self.set_fields and response.headers.get("content-type") == "application/json":
            content = loads(response.body)
            for path, value in self.set_fields.items():
                _set(content, path.split("."), value)
            response.body = dumps(content)
        return response

    def _lower(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}


def _set(target: object, path: list[str], value: object) -> None:
    """Set a field by its path; ``*`` means every element, a missing object on the way means nothing to set."""
    head, rest = path[0], path[1:]
    items = as_list(target)
    places = range(len(items)) if head == "*" else [int(head)] if head.isdigit() else []
    for index in places:
        if index < len(items) and rest:
            _set(items[index], rest, value)
        elif index < len(items):
            items[index] = value
    fields = as_object(target)
    if rest:
        _set(fields.get(head), rest, value)
    else:
        fields[head] = value


class OrderedFault:
    """A fault that is in force, or was.

    Attributes:
        id: Its number, as in the log.
        fault: What it does.
        hits: How many requests it has struck.
    """

    def __init__(self, number: int, fault: Fault, owner: Faults) -> None:
        self.id = number
        self.fault = fault
        self.hits: int = 0
        self.seen: int = 0
        self._owner = owner
        self._open = False
        self._lock = threading.Lock()
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def strike(self, sight: Sight) -> bool:
        """Tell whether the fault strikes this request, and count it."""
        if not self.fault.matches(sight) or (self.fault.times is not None and self.hits >= self.fault.times):
            return False
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        self.hits += 1
        return True

    def remove(self) -> None:
        """Take the fault out of force, and let go of what it holds."""
        self._owner.remove(self)

    def release(self) -> None:
        """Let all held answers leave, and hold none any more."""
        with self._lock:
            self._open = True
            held, self._held = self._held, []
        for loop, future in held:
            _wake(loop, future)

    async def passed(self) -> None:
        """Return once the answer may leave."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._open:
                return
            self._held.append((loop, future))
            watching = [watcher for watcher in self._watchers if watcher[0] <= len(self._held)]
        for _, other, watched in watching:
            _wake(other, watched)
        try:
            await future
        finally:
            with self._lock:
                self._held = [entry for entry in self._held if entry[1] is not future]

    async def holding(self, count: int = 1) -> None:
        """Wait until at least so many answers are held back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if len(self._held) >= count:
                return
            self._watchers.append((count, loop, future))
        try:
            await future
        finally:
            with self._lock:
                self._watchers = [watcher for watcher in self._watchers if watcher[2] is not future]

    @property
    def held(self) -> int:
        """How many answers are held back now."""
        return len(self._held)

    def delivery(self, response: Response) -> Delivery:
        """Return how an answer travels under this fault."""
        fault = self.fault
        drop: Literal["refuse", "drop"] | None = None if fault.drop is None else "drop"
        return Delivery(
            response,
            delay=fault.latency,
            drop="refuse" if fault.drop == "refuse" else drop,
            truncate=fault.truncate,
            stream=fault.stream,
            gate=self if fault.hold else None,
        )


def _wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Resolve a future of any loop, from any thread; a loop that is closed has nobody waiting."""

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    if not loop.is_closed():
        loop.call_soon_threadsafe(resolve)


class Faults:
    """The faults in force, in the order in which they were ordered."""

    def __init__(self) -> None:
        self._ordered: list[OrderedFault] = []
        self._lock = threading.Lock()
        self._number = 0

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[OrderedFault]:
        return iter(list(self._ordered))

    def add(self, fault: Fault) -> OrderedFault:
        """Put a fault in force."""
        with self._lock:
            self._number += 1
            ordered = OrderedFault(self._number, fault, self)
            self._ordered.append(ordered)
        return ordered

    def get(self, number: int) -> OrderedFault | None:
        """Return a fault in force by its number."""
        return next((ordered for ordered in self._ordered if ordered.id == number), None)

    def strike(self, sight: Sight) -> OrderedFault | None:
        """Return the fault that strikes a request, None when none does."""
        return next((ordered for ordered in list(self._ordered) if ordered.strike(sight)), None)

    def remove(self, ordered: OrderedFault) -> None:
        """Take a fault out of force; does nothing when it is not."""
        with self._lock:
            self._ordered = [entry for entry in self._ordered if entry is not ordered]
        ordered.release()

    def clear(self) -> None:
        """Take all faults out of force."""
        for ordered in list(self._ordered):
            self.remove(ordered)
