"""What is in the files: a sealed entry in ``.tok`` and ``.neg``, the state of a record in ``.lock``.

An entry is ``magic (4) | kind (1) | gen (8) | lifetime (8) | boot (16) | boot time (8) | wall time (8) | sealed value``.
All that stands before the sealed value is authenticated with it, so nothing in a file can be altered, and no file can
take another's place. Numbers are big-endian, times are milliseconds.

The state holds no secret, only numbers. It lies behind the byte that Windows locks, is overwritten in place under the
lock, and ends in a CRC-32: a reader without the lock may meet a half-written one, which then reads as none.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
from dataclasses import dataclass, field, replace
from typing import Literal

from monite_async_stores._bootclock import NO_BOOT, Moment, elapsed_ms
from monite_async_stores._protocol import RecordName
from monite_async_stores._sealing import Sealer

__all__ = [
    "STATE_OFFSET",
    "STATE_SIZE",
    "Entry",
    "Kind",
    "Lease",
    "State",
    "claimed",
    "claimed_left_ms",
    "key_of",
    "open_entry",
    "owner_id",
    "seal_entry",
]

Kind = Literal[b"T", b"N"]

_ENTRY_MAGIC = b"MTF1"
_ENTRY = struct.Struct(">4scQQ16sqq")
_STATE_MAGIC = b"MTL2"
_STATE = struct.Struct(">4sQQQ4sQQ16s16sQ16sqq")
_CRC = struct.Struct(">I")

STATE_OFFSET = 1
STATE_SIZE = _STATE.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Entry:
    """A value, or a failure to make one, and when its life began.

    Attributes:
        gen: The generation it was stored under.
        lifetime_ms: Its whole life, in milliseconds.
        began: When its life began.
        value: What was stored.
    """

    gen: int
    lifetime_ms: int
    began: Moment
    value: bytes = field(repr=False)

    def left_ms(self, now: Moment) -> int:
        """Return the milliseconds of life left, at most the lifetime; 0 also when the clocks make no sense."""
        passed = elapsed_ms(self.began, now)
        return 0 if passed is None else max(0, self.lifetime_ms - passed)


def seal_entry(sealer: Sealer, record: RecordName, kind: Kind, entry: Entry) -> bytes:
    """Return the content of a file."""
    began = entry.began
    head = _ENTRY.pack(_ENTRY_MAGIC, kind, entry.gen, entry.lifetime_ms, began.boot, began.boot_ms, began.wall_ms)
    return head + sealer.seal(record, entry.gen, entry.lifetime_ms, entry.value, context=head)


def open_entry(sealer: Sealer, record: RecordName, kind: Kind, content: bytes) -> Entry | None:
    """Return what a file holds, or None when it is not the sealed entry of this record and kind."""
    head = content[: _ENTRY.size]
    if len(head) < _ENTRY.size:
        return None
    magic, found, gen, lifetime_ms, boot, boot_ms, wall_ms = _ENTRY.unpack(head)
    if magic != _ENTRY_MAGIC or found != kind:
        return None
    value = sealer.open(record, gen, lifetime_ms, content[_ENTRY.size :], context=head)
    return None if value is None else Entry(gen, lifetime_ms, Moment(boot, boot_ms, wall_ms), value)


def key_of(content: bytes) -> bytes:
    """Return the id of the key that a file's value was sealed with."""
    return bytes.fromhex(Sealer.key_of(content[_ENTRY.size :]))


def claimed(content: bytes) -> Entry | None:
    """Return what a file claims of its value, without proof and without the value, or None when it is no entry."""
    head = content[: _ENTRY.size]
    if len(head) < _ENTRY.size or head[:4] != _ENTRY_MAGIC:
        return None
    _, _, gen, lifetime_ms, boot, boot_ms, wall_ms = _ENTRY.unpack(head)
    return Entry(gen, lifetime_ms, Moment(boot, boot_ms, wall_ms), b"")


def claimed_left_ms(content: bytes, now: Moment) -> int | None:
    """Return the life left that a file claims, without proof, or None when it is no entry; good enough to sweep by."""
    entry = claimed(content)
    return None if entry is None else entry.left_ms(now)


def owner_id(owner: str) -> bytes:
    """Return 16 bytes that stand for an owner of a lease."""
    return hashlib.sha256(owner.encode()).digest()[:16]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may make the next value, and for how long.

    Attributes:
        owner: ``owner_id()`` of who holds it.
        process: Which process (rather: which store in it) that owner lives in; see ``Pulse``.
        lease_ms: How long it holds, in milliseconds.
        began: Since when.
    """

    owner: bytes
    process: bytes
    lease_ms: int
    began: Moment

    def left_ms(self, now: Moment) -> int:
        """Return the milliseconds until it runs out; 0 also when the clocks make no sense."""
        passed = elapsed_ms(self.began, now)
        return 0 if passed is None else max(0, self.lease_ms - passed)


_NO_LEASE = Lease(bytes(16), bytes(16), 0, Moment(NO_BOOT, 0, 0))


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a record besides its value.

    Attributes:
        high: The highest generation handed out, stored or refused.
        floor: Generations up to here are refused, because of a purge.
        committed: The generation committed last.
        invalid: The highest generation that was invalidated.
        fails: How often a lease was given back without a value.
        lease: Who holds the lease; one without ``lease_ms`` is nobody's.
        key: The id of the key that the value committed last was sealed with; it is no secret.
    """

    high: int = 0
    floor: int = 0
    committed: int = 0
    invalid: int = 0
    fails: int = 0
    lease: Lease = _NO_LEASE
    key: bytes = bytes(4)

    def pack(self) -> bytes:
        """Return the state as a file holds it."""
        lease, began = self.lease, self.lease.began
        body = _STATE.pack(
            _STATE_MAGIC,
            self.high,
            self.floor,
            self.committed,
            self.key,
            self.invalid,
            self.fails,
            lease.owner,
            lease.process,
            lease.lease_ms,
            began.boot,
            began.boot_ms,
            began.wall_ms,
        )
        return body + _CRC.pack(binascii.crc32(body))

    @staticmethod
    def unpack(content: bytes) -> State | None:
        """Return the state that a file holds, or None for anything that is none."""
        body, crc = content[: _STATE.size], content[_STATE.size :]
        if len(content) != STATE_SIZE or crc != _CRC.pack(binascii.crc32(body)):
            return None
        magic, high, floor, committed, key, invalid, fails, *lease_fields = _STATE.unpack(body)
        if magic != _STATE_MAGIC:
            return None
        owner, process, lease_ms, boot, boot_ms, wall_ms = lease_fields
        lease = Lease(owner, process, lease_ms, Moment(boot, boot_ms, wall_ms))
        return State(high, floor, committed, invalid, fails, lease, key)

    def without_lease(self) -> State:
        """Return the state with the lease given back."""
        return replace(self, lease=_NO_LEASE)
