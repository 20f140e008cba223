"""What a look at the records in use finds: what is stored, what was dropped, and what was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import cast

from monite_async_stores._protocol import RecordName, StoreEvent
from monite_async_stores._redis_errors import is_wrong_type, store_error
from monite_async_stores._redis_scripts import Names, number
from monite_async_stores._redis_wire import Command

__all__ = ["Contested", "look"]

_CONTESTED_SECONDS = 600.0
_MAX_CONTESTED = 2000

_Ask = Callable[[Sequence[tuple[str, Command]]], Awaitable[list[object]]]


class Contested:
    """The records in which others stored a value that nobody here can open, for ten minutes since the last one.

    Deployments without a key in common replace each other's values. A value that somebody here could open is most
    likely gone again when it is asked for: as news it would only lead to another one, and that to the next.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def is_news(self, name: str, *, opens: bool) -> bool:
        """Take note of a value, and tell whether it is of interest here."""
        if opens:
            return self._until.get(name, 0.0) <= monotonic()
        self._until.pop(name, None)
        self._until[name] = monotonic() + _CONTESTED_SECONDS
        if len(self._until) > _MAX_CONTESTED:
            self._until.pop(next(iter(self._until)), None)
        return False


async def look(
    ask: _Ask, names: Names, is_news: Callable[[RecordName, str], bool], records: Sequence[RecordName]
) -> tuple[list[StoreEvent], list[RecordName]]:
    """Look at some records, in one go or two.

    A record that is there is told by its generation, unless it is of no interest because nobody here can open it:
    then only what was refused before it is. Of one that is not there, its memory of generations tells whether it was dropped (or
    ended), or the store was emptied. An error says nothing of a record: it is left out.

    Args:
        ask: Sends commands and returns the answers, with errors as values.
        names: The names of keys.
        is_news: Tells whether values of a record that are sealed with a key are of interest here.
        records: What to look at.

    Returns:
        What to tell the watchers, and the records of which nothing can be said for now.

    Raises:
        StoreError: Nothing can be said of any.
    """
    if not records:
        return [], []
    events: list[StoreEvent] = []
    doubtful: list[tuple[RecordName, bool]] = []
    stored = await ask([(key, ("HMGET", key, "gen", "key")) for key in (names.keys(record)[0] for record in records)])
    errors: dict[RecordName, Exception] = {}
    for record, answer in zip(records, stored, strict=True):
        if isinstance(answer, Exception) and not is_wrong_type(answer):
            errors[record] = answer
            continue
        gen, key = _two(answer)
        if not number(gen):
            doubtful.append((record, True))
        elif isinstance(key, bytes) and not is_news(record, key.decode("ascii", "replace")):
            doubtful.append((record, False))
        else:
            events.append(StoreEvent("seen", record.name, number(gen)))
    if doubtful:
        keys = [names.keys(record)[3] for record, _ in doubtful]
        memories = await ask([(key, ("HMGET", key, "floor", "high")) for key in keys])
        for (record, is_gone), answer in zip(doubtful, memories, strict=True):
            if isinstance(answer, Exception) and not is_wrong_type(answer):
                errors[record] = answer
                continue
            floor, high = map(number, _two(answer))
            known = max(floor, high) if is_gone else floor
            if known or is_gone:
                events.append(StoreEvent("invalid" if known else "seen", record.name, known))
    if len(errors) == len(records):
        raise store_error(errors[records[0]])
    return events, list(errors)


def _two(answer: object) -> tuple[object, object]:
    """Return the two fields that were asked for; None for each where the key is of another type."""
    fields = cast("list[object]", answer) if isinstance(answer, list) else []
    return (fields[0], fields[1]) if len(fields) == 2 else (None, None)
