"""Redis Cluster: which server holds a key, learned from the servers' own redirections.

Redis Cluster specification: a key's slot is CRC16 modulo 16384 of what stands in its braces; ``MOVED`` names the
owner of a slot for good, ``ASK`` for the next command only, while the slot is being migrated. No map of the cluster is
fetched: that saves a command, the right to use it, and the time after a failover in which it is wrong.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError, TryAgainError

from monite_async_stores._loop_time import within
from monite_async_stores._redis_wire import Command, Dialer, Lines, Wire

__all__ = ["Address", "ClusterLines"]

Address = tuple[str, int]

_AT_ONCE = 16
_MAX_REDIRECTIONS = 5
_MAX_TRIES_AGAIN = 8
_TRY_AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _Redirection:
    kind: Literal["MOVED", "ASK", "TRYAGAIN"]
    slot: int = -1
    address: Address = ("", 0)


class ClusterLines:
    """The connections of one loop to the servers of a cluster.

    Args:
        dialer: Makes connections to an address; raises if it may not be connected to.
        addresses: Servers to begin with.
    """

    __slots__ = ("_addresses", "_dialer", "_lines", "_owners")

    batch: ClassVar[int] = 1

    def __init__(self, dialer: Callable[[Address], Dialer], addresses: Sequence[Address]) -> None:
        self._dialer = dialer
        self._addresses = tuple(addresses)
        self._lines: dict[Address, Lines] = {}
        self._owners: dict[int, Address] = {}

    async def run_all(self, commands: Sequence[tuple[str, Command]], *, limit: float) -> list[object]:
        """See ``Lines.run_all``; in a cluster each command goes its own way, and may fail alone."""
        answers: list[object] = []
        async with within(limit):
            for start in range(0, len(commands), _AT_ONCE):
                some = commands[start : start + _AT_ONCE]
                ways = (self._follow(key, command) for key, command in some)
                answers += await asyncio.gather(*ways, return_exceptions=True)
        return answers

    def fresh(self) -> Wire:
        """See ``Lines.fresh``: messages reach subscribers of every server."""
        return self._dialer(random.choice(self._known())).make()

    async def masters(self) -> list[Lines]:
        """Return the lines to every server that holds slots, as one of the servers knows them (CLUSTER SLOTS).

        Raises:
            redis.exceptions.RedisError: That server refused, or could not be reached.
        """
        asked = random.choice(self._known())
        answer = await self._exchange(asked, ("CLUSTER", "SLOTS"), asking=False)
        if isinstance(answer, Exception):
            raise answer
        ranges = cast("list[tuple[object, object, tuple[bytes | None, int]]]", answer)
        # A server that does not know its own address leaves it out: it is the one that was asked.
        owners = {((place[0] or b"").decode() or asked[0], place[1]) for _, _, place, *_ in ranges}
        return [self._lines_to(owner) for owner in sorted(owners)]

    async def drop(self) -> None:
        """Throw away the idle connections, and what is known of the cluster."""
        self._owners.clear()
        for lines in list(self._lines.values()):
            await lines.drop()

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        while self._lines:
            await self._lines.popitem()[1].aclose()

    async def _follow(self, key: str, command: Command) -> object:
        slot = key_slot(key.encode())
        address = self._owners.get(slot) or random.choice(self._known())
        asking = False
        redirections = tries = 0
        while True:
            try:
                answer = await self._exchange(address, command, asking=asking)
            except (RedisError, OSError):
                self._forget(address)
                raise
            redirection = _redirection(answer)
            if redirection is None or redirections == _MAX_REDIRECTIONS or tries == _MAX_TRIES_AGAIN:
                return answer
            if redirection.kind == "TRYAGAIN":
                # While a slot is migrated, some keys of a record may be here already and some still there.
                tries += 1
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
                continue
            redirections += 1
            asking = redirection.kind == "ASK"
            address = (redirection.address[0] or address[0], redirection.address[1])
            if not asking:
                self._owners[redirection.slot] = address

    async def _exchange(self, address: Address, command: Command, *, asking: bool) -> object:
        commands: list[Command] = [("ASKING",), command] if asking else [command]
        return (await self._lines_to(address).exchange(commands))[-1]

    def _lines_to(self, address: Address) -> Lines:
        lines = self._lines.get(address)
        if lines is None:
            lines = self._lines[address] = Lines(self._dialer(address))
        return lines

    def _known(self) -> list[Address]:
        return [*{*self._addresses, *self._owners.values()}]

    def _forget(self, address: Address) -> None:
        for slot in [slot for slot, owner in self._owners.items() if owner == address]:
            del self._owners[slot]


def _redirection(answer: object) -> _Redirection | None:
    """Return what an error answer redirects to, whichever way this version of redis-py tells it."""
    if not isinstance(answer, ResponseError):
        return None
    text = str(answer.args[0]) if answer.args else ""
    kind, _, rest = text.partition(" ")
    if isinstance(answer, TryAgainError) or kind == "TRYAGAIN":
        return _Redirection("TRYAGAIN")
    if isinstance(answer, AskError):
        kind, rest = ("MOVED" if isinstance(answer, MovedError) else "ASK"), text
    if kind not in ("MOVED", "ASK"):
        return None
    slot, _, address = rest.partition(" ")
    host, _, port = address.rpartition(":")
    return _Redirection("MOVED" if kind == "MOVED" else "ASK", int(slot), (host, int(port)))
