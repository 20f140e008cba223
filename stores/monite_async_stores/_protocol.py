"""What a store of tokens is: named records with leases and generations.

A store knows no HTTP, no Monite and no token. It keeps one opaque *value* per name, says how long that value has to
live, hands out a *lease* to the one caller that should make a new value, and numbers every value with a *generation*
that only grows. All operations are atomic. The lease is an efficiency lock: two holders at once waste a fetch and
corrupt nothing, because ``commit`` lets the higher generation win, whoever holds the lease (fencing in the sense of
M. Kleppmann, "How to do distributed locking", 2016).

Lives travel as *milliseconds left*, never as a time of day: hosts need no common clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Final, Literal, Protocol, runtime_checkable

from monite_async_stores._value import frozen

__all__ = [
    "Busy",
    "Committed",
    "Granted",
    "Hit",
    "InspectableStore",
    "Negative",
    "RateBudget",
    "RecordName",
    "Resealed",
    "StoreBusyError",
    "StoreError",
    "StoreEvent",
    "StoredRecord",
    "TokenStore",
    "Watcher",
]

Resealed = Literal["resealed", "current", "unreadable", "gone"]
"""What came of sealing a value anew: done, not needed, no key at hand opens it, there is none or it just changed."""


class StoreError(Exception):
    """The store could not carry out an operation; the caller goes on without it.

    Its text is shown to whoever runs the client, so it says what to look at; it must never hold a value, a key or an
    address with a password in it.
    """


class StoreBusyError(StoreError):
    """The store is there, but has more to do than it can at the moment; the caller may ask again a little later."""


class RecordName:
    """The name of a record, and what a store that seals values derives its key from.

    Attributes:
        name: 32 lower-case hex characters; says nothing about whose record it is.
        sealing_secret: Input key material for sealing (RFC 5869); a store without sealing ignores it.
    """

    # By hand: every token in memory has one, and a dictionary of its own would make it four times as large.
    __slots__ = ("name", "sealing_secret")

    def __init__(self, name: str, sealing_secret: bytes = b"") -> None:
        self.name: Final = name
        self.sealing_secret: Final = sealing_secret

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, RecordName) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"RecordName(name={self.name!r})"

    def __reduce__(self) -> str:
        raise TypeError("a RecordName holds key material and cannot be pickled")


@frozen
class Hit:
    """There is a value, newer than the one the caller refused and with enough life left.

    Attributes:
        gen: Its generation.
        value: The bytes that were committed.
        lifetime_ms: Its whole life when it was made, in milliseconds.
        left_ms: What is left of it now, in milliseconds.
    """

    gen: int
    value: bytes = field(repr=False)
    lifetime_ms: int
    left_ms: int


@frozen
class Negative:
    """Making a value failed a moment ago; nobody should try again yet.

    Attributes:
        kind: What failed, as the failing process described it to ``fail``; never a secret.
        left_ms: How long to stay away, in milliseconds.
    """

    kind: str
    left_ms: int


@frozen
class Granted:
    """The caller holds the lease: it is the one to make a new value, and to commit it under this generation."""

    gen: int


@frozen
class Busy:
    """Somebody else holds the lease.

    Attributes:
        left_ms: When it runs out at the latest, in milliseconds; watch for an event and ask again.
    """

    left_ms: int


@frozen
class Committed:
    """The value was stored under the caller's generation."""


@frozen
class StoreEvent:
    """Something happened to a record. Events only speed things up: every rule holds with all of them lost.

    Attributes:
        kind: ``commit``, ``fail`` (also a lease given back), ``invalid``, ``purge``; ``seen`` is a store's periodic
            re-reading of a record in use, with ``gen`` 0 for one that the store knows nothing of: it was emptied, and
            whoever has the value may commit it again. One that was dropped is told as ``invalid``. ``recovered`` says
            that a store that could not be reached answers again, with an empty name.
        name: The record's name.
        gen: The generation that it is about: what was committed, invalidated or seen; for ``purge`` the floor.
    """

    kind: Literal["commit", "fail", "invalid", "purge", "seen", "recovered"]
    name: str
    gen: int


class Watcher(Protocol):
    """Who wants to know; both methods are called from any thread, must not block and must not raise."""

    def on_event(self, event: StoreEvent) -> None:
        """Take note of one event."""
        ...

    def in_use(self) -> Sequence[RecordName]:
        """Return the records used since the last call (at most 500), for a store that re-reads them now and then."""
        ...


@runtime_checkable
class TokenStore(Protocol):
    """Named records with leases and generations; see ``monite_async_stores.testing`` for the rules as a test suite.

    Every operation may be called from any event loop and thread, is atomic, keeps its own time limit, and raises
    ``StoreError`` (or returns late) at worst: the caller then goes on with its own process alone.
    """

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """Ask for a value or for the right to make one.

        In this order: a value with ``gen > bad_gen`` and more than ``min_left_ms`` of life is a ``Hit``; a failure
        still in force is ``Negative``; a lease held by another owner is ``Busy``; otherwise the caller gets (or, as
        its owner, renews) the lease for ``lease_ms`` and a generation higher than any handed out, stored or refused
        before for this name: at least the store's time in milliseconds, ``stored gen + 1`` and ``bad_gen + 1``.

        Args:
            record: Whose value.
            owner: Who asks; unique per flight of a process.
            lease_ms: How long the lease holds without renewal, in milliseconds.
            bad_gen: The newest generation the caller will not take; 0 takes any.
            min_left_ms: Life that a value must have left to be worth taking, in milliseconds.
        """
        ...

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """Store a value; the generation decides, not the lease.

        Returns:
            ``Committed``; or the stored value with the same or a higher generation, which the caller should adopt;
            or None when the record was purged after this generation was handed out: ask again.
        """
        ...

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """Give the lease back and, for ``ttl_ms`` milliseconds, answer everyone ``Negative(kind)``.

        Only the holder of the lease may; for anyone else nothing happens. With ``ttl_ms`` 0 the lease is given back
        and nothing is remembered.
        """
        ...

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        """Drop the value if it has exactly this generation (compare-and-delete), and tell the watchers either way."""
        ...

    async def purge(self, record: RecordName) -> None:
        """Drop whatever there is, refuse every generation handed out so far, and tell the watchers."""
        ...

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell this watcher of events from now on; no I/O happens here. Returns what ends it."""
        ...

    async def aclose(self) -> None:
        """Let go of connections, tasks and files of the running loop; the store may be used again afterwards."""
        ...


@runtime_checkable
class RateBudget(Protocol):
    """A rate that several processes share; a store may offer it besides what it keeps, as ``RedisTokenStore`` does."""

    async def draw(self, name: str, units: int, *, rate: float, burst: float) -> float:
        """Reserve units of a budget that fills evenly, whoever draws from it.

        Each unit belongs to a moment, one interval (``1 / rate``) after the one before. In any stretch of time all
        who draw get at most ``rate`` times its length, and ``burst`` more. What was reserved is used up, also by a
        process that dies.

        Args:
            name: Which budget; it begins with its full burst when nobody drew from it for a while.
            units: How many to reserve, 1 or more. Whoever asks for few at a time leaves others theirs.
            rate: Units per second of the whole budget; who gives a lower one than the others slows all of them down.
            burst: How many may be used at once after a pause, 1 or more.

        Returns:
            In how many seconds the first of them may be used; below 0 if it might have been before.

        Raises:
            StoreError: The budget cannot be reached; the caller goes on without it.
        """
        ...


@frozen
class StoredRecord:
    """What a store can tell of a value without opening it.

    Attributes:
        name: The record's name.
        gen: Its generation.
        lifetime_ms: Its whole life when it was made, in milliseconds.
        left_ms: What is left of it now, in milliseconds.
        key: The id of the key that it is sealed with, as 8 hex characters; it is no secret.
    """

    name: str
    gen: int
    lifetime_ms: int
    left_ms: int
    key: str


@runtime_checkable
class InspectableStore(TokenStore, Protocol):
    """A store of several processes that whoever runs them can look into; the client itself needs none of this."""

    async def names(self) -> list[str]:
        """Return the names of all records, also of those that hold a failure, a lease or a memory only.

        Raises:
            StoreError: The store did not answer, or whoever asks may not list it.
        """
        ...

    async def describe(self, names: Sequence[str]) -> list[StoredRecord]:
        """Return what is known of the values of some records; those without a value that lives are left out.

        Raises:
            StoreError: The store did not answer.
        """
        ...

    async def reseal(self, record: RecordName) -> Resealed:
        """Seal a value with the first key of the keyring, unless it is; its generation and its life stay.

        Raises:
            StoreError: The store did not answer, or there is nothing to seal with.
        """
        ...
