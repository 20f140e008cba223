"""What the emulator remembers, and the world in which a request is answered."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from monite_async.emulator._clock import Clock
from monite_async.emulator._message import dumps
from monite_async.emulator._settings import EmulatorSettings

__all__ = ["STAMPS", "Record", "State", "Table", "Token", "TokenKind", "World", "iso"]

TokenKind = Literal["client_credentials", "entity_user", "none"]
STAMPS = ("created_at", "updated_at")


def iso(moment: datetime) -> str:
    """Return a time as the API writes it: UTC, with microseconds and offset."""
    return moment.isoformat(timespec="microseconds")


@dataclass(slots=True)
class Record:
    """One stored object.

    Attributes:
        id: Its id.
        group: The id of what it belongs to: an entity, a payable, or nothing.
        sequence: Its place in the order of creation.
        created_at: When it was created.
        updated_at: When it was last changed.
        created_by: The entity user who created it, None for the partner.
        data: Its further fields as the API shows them.
        private: What the API does not show.
        stamps: Which of its two times the API shows.
    """

    id: str
    group: str
    sequence: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None
    data: dict[str, object]
    private: dict[str, object] = field(default_factory=dict[str, object])
    stamps: tuple[str, ...] = STAMPS
    _encoded: bytes | None = None

    def view(self) -> dict[str, object]:
        """Return the object as the API shows it."""
        times = {"created_at": iso(self.created_at), "updated_at": iso(self.updated_at)}
        return {"id": self.id, **{name: times[name] for name in self.stamps}, **self.data}

    def encoded(self) -> bytes:
        """Return the object as JSON; kept until the next change."""
        if self._encoded is None:
            self._encoded = dumps(self.view())
        return self._encoded

    def change(self, now: datetime | None, **fields: object) -> None:
        """Set fields; with a time, that is the time of the change."""
        self.data.update(fields)
        if now is not None:
            self.updated_at = now
        self._encoded = None

    def text(self, name: str) -> str:
        """Return a field as text, empty when it is null or absent."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Return a field as a whole number, 0 when it is null or absent."""
        value = self.data.get(name)
        return value if isinstance(value, int) else 0


class Table:
    """Records by id, and by what they belong to in order of creation."""

    __slots__ = ("_groups", "_rows")

    def __init__(self) -> None:
        self._rows: dict[str, Record] = {}
        self._groups: dict[str, dict[str, Record]] = {}

    def add(self, record: Record) -> Record:
        """Store a record."""
        self._rows[record.id] = record
        self._groups.setdefault(record.group, {})[record.id] = record
        return record

    def get(self, record_id: str, group: str | None = None) -> Record | None:
        """Return a record; with a group, only if it belongs to that one."""
        record = self._rows.get(record_id)
        return record if record is not None and group in {None, record.group} else None

    def of(self, group: str, *, backwards: bool = False) -> Iterable[Record]:
        """Return the records of a group, oldest first, or latest first."""
        records = self._groups.get(group, {}).values()
        return reversed(records) if backwards else records

    def groups(self) -> tuple[str, ...]:
        """Return what records belong to."""
        return tuple(self._groups)

    def remove(self, record: Record) -> None:
        """Forget a record."""
        del self._rows[record.id]
        del self._groups[record.group][record.id]
        if not self._groups[record.group]:
            del self._groups[record.group]


@dataclass(slots=True)
class Token:
    """An issued token; the token itself is not kept, only its digest, as key of the table."""

    kind: TokenKind
    client_id: str
    user_id: str | None
    expires_at: float
    revoked: bool = False

    @property
    def key(self) -> str:
        """What the token is for: ``client_credentials`` or ``entity_user:<id>``."""
        return self.kind if self.user_id is None else f"{self.kind}:{self.user_id}"


@dataclass(slots=True)
class State:
    """Everything that ``snapshot`` and ``reset`` are about.

    Attributes:
        due: What goes on by itself, by the id of what it happens to: its collection, and when something is next to happen.
        outbox: When the next request of a webhook delivery is due, by its id.
    """

    entities: Table = field(default_factory=Table)
    users: Table = field(default_factory=Table)
    roles: Table = field(default_factory=Table)
    payables: Table = field(default_factory=Table)
    line_items: Table = field(default_factory=Table)
    events: Table = field(default_factory=Table)
    others: dict[str, Table] = field(default_factory=dict[str, Table])
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]], repr=False)
    tokens: dict[str, Token] = field(default_factory=dict[str, Token], repr=False)
    issued: dict[str, int] = field(default_factory=dict[str, int])
    partner: dict[str, object] = field(default_factory=dict[str, object])
    required_fields: list[str] | None = None
    due: dict[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])
    outbox: dict[str, datetime] = field(default_factory=dict[str, datetime])
    sequence: int = 0

    def table(self, path: str) -> Table:
        """Return the records of a collection of the API, by its path template."""
        return self._own().get(path) or self.others.setdefault(path, Table())

    def _own(self) -> dict[str, Table]:
        return {
            "/entities": self.entities,
            "/entity_users": self.users,
            "/roles": self.roles,
            "/payables": self.payables,
            "/payables/{payable_id}/history": self.events,
            "/payables/{payable_id}/line_items": self.line_items,
        }

    def forget(self, path: str, record: Record) -> None:
        """Forget a record of a collection of the API, and what is part of it."""
        self.table(path).remove(record)
        for inner, table in {**self._own(), **self.others}.items():
            if inner.startswith(f"{path}/{{"):
                for part in list(table.of(record.id)):
                    table.remove(part)

    def find(self, record_id: str) -> Record | None:
        """Return whatever has this id."""
        tables = (self.entities, self.users, self.roles, self.payables, self.line_items, *self.others.values())
        return next((found for table in tables if (found := table.get(record_id)) is not None), None)

    def owner(self, record: Record) -> str:
        """Return the id of the entity that a record belongs to, itself or by what it is a part of; else nothing."""
        whole: Record | None = record
        while whole is not None and whole.group and self.entities.get(whole.group) is None:
            whole = self.find(whole.group)
        return "" if whole is None else whole.group

    def copy(self) -> State:
        """Return an independent copy."""
        return copy.deepcopy(self)


@dataclass(slots=True)
class World:
    """Settings, clock and memory: all that an answer depends on besides the request.

    Attributes:
        settings: The settings in force.
        clock: The clock.
        state: The memory.
        origin: Scheme and authority under which the emulator is reached, for addresses of files.
        page_secret: Key under which page tokens are signed.
    """

    settings: EmulatorSettings
    clock: Clock
    state: State
    origin: str
    page_secret: bytes = field(default_factory=lambda: uuid.uuid4().bytes, repr=False)

    def record(
        self,
        group: str,
        data: dict[str, object],
        *,
        created_by: str | None = None,
        stamps: tuple[str, ...] = STAMPS,
    ) -> Record:
        """Return a new record that is not stored yet."""
        self.state.sequence += 1
        now = self.clock.now()
        return Record(str(uuid.uuid4()), group, self.state.sequence, now, now, created_by, data, stamps=stamps)
