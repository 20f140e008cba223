"""What whoever runs a fleet asks of its Redis: which records there are, what is known of them, and to seal them anew."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

from monite_async_stores._loop_time import within
from monite_async_stores._protocol import RecordName, StoredRecord
from monite_async_stores._redis_cluster import ClusterLines
from monite_async_stores._redis_errors import is_wrong_type, store_error
from monite_async_stores._redis_scripts import Names, Sealed, number
from monite_async_stores._redis_wire import Command, Lines

__all__ = ["describe", "find_names", "read"]

_Ask = Callable[[Sequence[tuple[str, Command]]], Awaitable[list[object]]]

_AT_ONCE: Final = 250
"""Records per round trip when they are described; two commands each."""

_SCANNED: Final = 1000
"""Keys that a server looks at per step (Redis: SCAN, COUNT): well under a millisecond of its time."""


async def find_names(lines: Lines | ClusterLines, names: Names, *, limit: float) -> list[str]:
    """Return the names of all records of a namespace, from every master of a cluster.

    Args:
        lines: Where to ask.
        names: The names of keys.
        limit: The time that one step may take, in seconds.

    Raises:
        TimeoutError: A server did not answer in time.
        redis.exceptions.RedisError: A server refused, or could not be reached.
    """
    async with within(limit):
        masters = await lines.masters()
    found: set[str] = set()
    for master in masters:
        cursor: object = b"0"
        while True:
            step: Command = ("SCAN", cast("bytes", cursor), "MATCH", names.pattern, "COUNT", _SCANNED)
            async with within(limit):
                (answer,) = await master.exchange([step])
            if isinstance(answer, Exception):
                raise answer
            cursor, keys = cast("list[object]", answer)
            found.update(match[1] for key in cast("list[bytes]", keys) if (match := names.found_in(key)))
            if cursor == b"0":
                break
    return sorted(found)


async def describe(ask: _Ask, names: Names, records: Sequence[str]) -> list[StoredRecord]:
    """Return what Redis tells of the values of some records without handing out the values.

    Args:
        ask: Sends commands and returns the answers, with errors as values.
        names: The names of keys.
        records: Names of records.

    Raises:
        StoreError: A server did not answer.
    """
    found: list[StoredRecord] = []
    for start in range(0, len(records), _AT_ONCE):
        some = records[start : start + _AT_ONCE]
        keys = [names.stem(name) + ":t" for name in some]
        questions: list[tuple[str, Command]] = [(key, ("HMGET", key, "gen", "lifetime", "key")) for key in keys]
        answers = await ask([*questions, *((key, ("PTTL", key)) for key in keys)])
        for name, fields, left in zip(some, answers[: len(some)], answers[len(some) :], strict=True):
            for answer in (fields, left):
                if isinstance(answer, Exception) and not is_wrong_type(answer):
                    raise store_error(answer)
            record = _record(name, fields, left)
            if record is not None:
                found.append(record)
    return found


async def read(ask: _Ask, names: Names, record: RecordName) -> Sealed | None:
    """Return a record as it lies in Redis, its life left out, or None when there is none.

    Raises:
        StoreError: The server did not answer.
    """
    key = names.keys(record)[0]
    (fields,) = await ask([(key, ("HMGET", key, "gen", "lifetime", "value"))])
    if isinstance(fields, Exception) and not is_wrong_type(fields):
        raise store_error(fields)
    gen, lifetime, blob = cast("list[object]", fields) if isinstance(fields, list) else (None, None, None)
    if number(gen) and number(lifetime) and isinstance(blob, bytes):
        return Sealed(number(gen), number(lifetime), 0, blob)
    return None


def _record(name: str, fields: object, left: object) -> StoredRecord | None:
    """Return a record out of two answers, or None when it is half a record, or none."""
    gen, lifetime, key = cast("list[object]", fields) if isinstance(fields, list) else (None, None, None)
    if number(gen) and number(lifetime) and isinstance(left, int) and left > 0:
        shown = key.decode("ascii", "replace") if isinstance(key, bytes) else ""
        is_id = re.fullmatch("[0-9a-f]{8}", shown) is not None
        return StoredRecord(name, number(gen), number(lifetime), min(left, number(lifetime)), shown if is_id else "")
    return None
