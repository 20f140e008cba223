"""Connections of one event loop, used so that no answer can ever reach the wrong caller.

Only the connection class of redis-py is used (sockets, TLS, AUTH, the protocol), not its pools and clients: a
connection goes back into the pool here only after exactly the answers to what was sent have been read. Whoever is
cancelled, timed out or cut off on the way leaves a connection that is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from monite_async_stores._loop_time import within

__all__ = ["Command", "Dialer", "Lines", "Wire"]

Command = tuple[str | bytes | int, ...]


class Wire(Protocol):
    """What is used of a ``redis.asyncio.Connection``."""

    async def connect(self) -> None:
        """Connect, authenticate and select the database, unless connected."""
        ...

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the socket; with ``nowait`` without waiting for it."""
        ...

    def pack_commands(self, commands: Sequence[Command]) -> list[bytes]:
        """Return the bytes to send."""
        ...

    async def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None:
        """Send bytes."""
        ...

    async def read_response(self) -> object:
        """Read one answer; an error answer is raised as ``ResponseError``."""
        ...


class Dialer:
    """Where the connections of one loop come from.

    Args:
        make: Makes a connection, not yet connected.
        close: Lets go of what it takes to find the server, if anything.
    """

    __slots__ = ("_close", "make")

    def __init__(self, make: Callable[[], Wire], close: Callable[[], Awaitable[None]] | None = None) -> None:
        self.make = make
        self._close = close

    async def aclose(self) -> None:
        """Let go of what is kept open besides the connections."""
        if self._close is not None:
            await self._close()


class Lines:
    """A pool of connections to one server.

    One connection is made at a time: until it is there, those that come back are shared by all who wait. So a burst
    of operations runs over few connections, instead of paying for a TLS handshake each.

    Args:
        dialer: Makes the connections.
    """

    __slots__ = ("_closed", "_dialer", "_dialling", "_idle", "_waiting")

    batch: ClassVar[int] = 32
    """How many commands may go over one connection at once."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: list[Wire] = []
        self._waiting: deque[asyncio.Future[Wire | None]] = deque()
        self._dialling = False
        self._closed = False

    async def run_all(self, commands: Sequence[tuple[str, Command]], *, limit: float) -> list[object]:
        """Send commands in one go and return their answers.

        Args:
            commands: What to send, each with a key that it works on; that says nothing here, but which server is meant
                in a cluster.
            limit: The time that all of it may take, in seconds.

        Returns:
            The answers; an error that is the answer to one command is a value.

        Raises:
            TimeoutError: It took too long.
            redis.exceptions.RedisError: It could not be sent, or was not answered.
        """
        async with within(limit):
            return await self.exchange([command for _, command in commands])

    def fresh(self) -> Wire:
        """Return a connection of one's own, not yet connected and not of the pool."""
        return self._dialer.make()

    async def exchange(self, commands: Sequence[Command]) -> list[object]:
        """Send commands on one connection and return their answers; error answers are values."""
        wire, is_used = await self._take()
        try:
            return await self._exchange(wire, commands)
        except (RedisConnectionError, OSError):
            if not is_used:
                raise
        # It died while it lay idle, and the others most likely did too. Scripts may run twice: each says who asks and
        # for which generation.
        await self.drop()
        wire, _ = await self._take()
        return await self._exchange(wire, commands)

    async def masters(self) -> list[Lines]:
        """Return the lines to every server that holds records: these.

        Raises:
            redis.exceptions.ResponseError: This is one server of a cluster, and others have records too.
        """
        (answer,) = await self.exchange([("CLUSTER", "SLOTS")])
        # An error says that it is no cluster, or that this user may not ask.
        ranges = cast("list[list[list[object]]]", answer if isinstance(answer, list) else [])
        if len({str(owned[2][:2]) for owned in ranges}) > 1:
            raise ResponseError("MOVED")
        return [self]

    async def drop(self) -> None:
        """Throw away the idle connections."""
        while self._idle:
            await _discard(self._idle.pop())

    async def aclose(self) -> None:
        """Close all connections, those in use when they are given back; idempotent."""
        self._closed = True
        while self._idle:
            with contextlib.suppress(Exception):
                await self._idle.pop().disconnect()
        with contextlib.suppress(Exception):
            await self._dialer.aclose()

    async def _take(self) -> tuple[Wire, bool]:
        """Return a connected connection, and whether it has been used before."""
        while not self._idle:
            if not self._dialling:
                return await self._dial(), False
            waiter: asyncio.Future[Wire | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                wire = await waiter
            except BaseException:
                if not waiter.cancelled():  # it was this one's turn
                    await self._pass_on(waiter.result())
                raise
            if wire is not None:
                return wire, True
        return self._idle.pop(), True

    async def _dial(self) -> Wire:
        self._dialling = True
        wire: Wire | None = None
        try:
            wire = self._dialer.make()
            await wire.connect()
        except BaseException:
            if wire is not None:
                await _discard(wire)
            raise
        else:
            return wire
        finally:
            self._dialling = False
            await self._pass_on(None)

    async def _exchange(self, wire: Wire, commands: Sequence[Command]) -> list[object]:
        sound = False
        try:
            await wire.send_packed_command(wire.pack_commands(commands), check_health=False)
            answers = [await _read(wire) for _ in commands]
            sound = not any(map(_is_of_replica, answers))  # else it leads to a server that is no longer the master
        finally:
            if not sound:
                await _discard(wire)
            await self._pass_on(wire if sound else None)
        if sound:
            return answers
        raise RedisConnectionError("the server became a replica")

    async def _pass_on(self, wire: Wire | None) -> None:
        """Hand a connection that is free, or without one the turn to make one, to whoever has waited longest.

        To nobody else: in a crowd those who come back at once for another exchange would leave nothing to the others.
        """
        if wire is not None and self._closed:
            await _discard(wire)
            wire = None
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(wire)
                return
        if wire is not None:
            self._idle.append(wire)


def _is_of_replica(answer: object) -> bool:
    """Tell whether a server refused to write for being no master; Redis 6 quotes that in the error of the script."""
    return isinstance(answer, ReadOnlyError) or (isinstance(answer, ResponseError) and "-READONLY " in str(answer))


async def _read(wire: Wire) -> object:
    try:
        return await wire.read_response()
    except ResponseError as error:  # a whole answer was read: the connection is in step
        return error


async def _discard(wire: Wire) -> None:
    with contextlib.suppress(Exception):
        await wire.disconnect(nowait=True)
