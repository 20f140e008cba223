"""Records in Redis: shared by every process of a fleet."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeVar

from redis.exceptions import NoScriptError, TryAgainError

from monite_async_stores._breaker import Breaker
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._loop_time import within
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreError,
    StoreEvent,
    Watcher,
)
from monite_async_stores._redis_cluster import ClusterLines
from monite_async_stores._redis_scripts import (
    ACQUIRE,
    COMMIT,
    FAIL,
    INVALIDATE,
    MEMORY_MS,
    PURGE,
    Names,
    Script,
    Sealed,
    integer,
    sealed,
    text,
    words,
)
from monite_async_stores._redis_source import Client, Source, source_of, source_of_url
from monite_async_stores._redis_watch import Board, Subscriber
from monite_async_stores._redis_wire import Command, Lines
from monite_async_stores._sealing import Keyring, Sealer

__all__ = ["RedisTokenStore"]

_MAX_AT_ONCE = 16

T = TypeVar("T")

# What belongs to the event loops of a forked process's parent: kept, not freed. Closing it in the child would take the
# parent's sockets out of a selector that both share.
_abandoned: list[object] = []


class _Here:
    """What the store has open in one event loop."""

    __slots__ = ("lines", "turns")

    def __init__(self, lines: Lines | ClusterLines) -> None:
        self.lines = lines
        self.turns = asyncio.Semaphore(_MAX_AT_ONCE)


class RedisTokenStore:
    """Keeps records in Redis >= 5 (standalone, Sentinel or Cluster), sealed, for any number of processes.

    Every operation is one script and one round trip, atomic, and limited to ``timeout`` seconds. After two failures in
    a row the server is left alone for 2 to 5 seconds. Connections are made per event loop and process, with the
    settings of the client or URL but without its retries, and never used from another loop or across a fork.

    The least rights that suffice, for the namespace ``monite`` (add ``+select`` for a database other than 0)::

        ACL SETUSER monite on >PASSWORD resetkeys ~{monite:* resetchannels &monite:events -@all
            +evalsha +eval +hmget +hget +get +pttl +time +set +del +hset +pexpire +publish +subscribe +ping +asking

    Before Redis 6.2 there are no rights on channels: leave ``resetchannels &monite:events`` away.

    Args:
        client: A ``redis.asyncio`` client whose settings to take over: ``Redis``, ``RedisCluster``, or what
            ``Sentinel.master_for()`` returns. It is not used itself, and may be closed.
        namespace: Begins every key and channel: 1 to 64 of ``A-Z a-z 0-9 _ . : -``. Also separates the keys that values
            are sealed with.
        keyring: Keys to seal values with; without one, keys are derived from the client secret.
        insecure: Allow a connection that leaves this machine without TLS.
        timeout: The time limit of one operation, connecting included, in seconds; time in which the event loop was
            too busy to look for the answer does not count.

    Raises:
        ImportError: ``redis`` or ``cryptography`` is not installed.
        TypeError: The client is not one of ``redis.asyncio``.
        ValueError: Connections would not be encrypted, or an argument is out of range.
    """

    __slots__ = (
        "__weakref__",
        "_board",
        "_breaker",
        "_heres",
        "_lock",
        "_names",
        "_sealer",
        "_source",
        "_subscriber",
        "_timeout",
    )

    def __init__(
        self,
        client: Client,
        *,
        namespace: str = "monite",
        keyring: Keyring | None = None,
        insecure: bool = False,
        timeout: float = 0.25,
    ) -> None:
        self._set_up(source_of(client, insecure=insecure), namespace, keyring, timeout)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        namespace: str = "monite",
        keyring: Keyring | None = None,
        insecure: bool = False,
        timeout: float = 0.25,
    ) -> RedisTokenStore:
        """Make a store for a URL; nothing is connected yet.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it: user, password, database, and
                options such as ``?ssl_ca_certs=/etc/ssl/own.pem``. The host name of a certificate is checked unless
                ``ssl_check_hostname=false`` is given.
            namespace: See the class.
            keyring: See the class.
            insecure: See the class.
            timeout: See the class.

        Raises:
            ValueError: The URL cannot be read, or connections would not be encrypted; the message shows nothing of it.
        """
        self = cls.__new__(cls)
        self._set_up(source_of_url(url, insecure=insecure), namespace, keyring, timeout)
        return self

    def _set_up(self, source: Source, namespace: str, keyring: Keyring | None, timeout: float) -> None:
        if not 0 < timeout <= 60:
            raise ValueError(f"timeout must be above 0 and at most 60 seconds, got {timeout}")
        self._source = source
        self._timeout = timeout
        self._names = Names(namespace)
        self._sealer = Sealer(namespace, keyring)
        self._breaker = Breaker()
        self._board = Board()
        self._lock = threading.Lock()
        self._heres: dict[asyncio.AbstractEventLoop, _Here] = {}
        self._subscriber = Subscriber(
            self._board,
            self._names.channel,
            timeout,
            sender=secrets.token_hex(8),
            read_gens=self._read_gens,
            teardown=self._close_here,
        )
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<RedisTokenStore namespace={self._names.namespace!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RedisTokenStore holds keys and connections and cannot be pickled")

    def after_fork_in_child(self) -> None:
        """Begin anew: no connection, subscription or lock of the parent is ever used."""
        _abandoned.append((self._heres, self._subscriber.after_fork_in_child(secrets.token_hex(8))))
        self._heres = {}
        self._lock = threading.Lock()
        self._board.renew_lock()
        self._breaker.renew_lock()

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """See ``TokenStore.acquire``; a value that does not open counts as refused."""
        while True:
            answer = await self._script(ACQUIRE, record, owner, lease_ms, bad_gen, min_left_ms, MEMORY_MS)
            kind, rest = words(answer)
            if kind == "granted":
                return Granted(integer(rest[0]))
            if kind == "busy":
                return Busy(integer(rest[0]))
            if kind == "negative":
                return Negative(text(rest[0]), integer(rest[1]))
            stored = sealed(rest)
            hit = self._open(record, stored)
            if hit is not None:
                return hit
            bad_gen = stored.gen

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        """See ``TokenStore.commit``; None also when a newer value is stored that does not open."""
        value = self._sealer.seal(record, gen, lifetime_ms, value)  # from here on no frame holds it in the clear
        answer = await self._script(
            COMMIT, record, owner, gen, value, lifetime_ms, left_ms, MEMORY_MS, *self._message(record)
        )
        kind, rest = words(answer)
        if kind == "committed":
            self._board.tell(StoreEvent("commit", record.name, gen))
            return Committed()
        return None if kind == "purged" else self._open(record, sealed(rest))

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        """See ``TokenStore.fail``."""
        answer = await self._script(FAIL, record, owner, kind, ttl_ms, *self._message(record))
        if integer(answer):
            self._board.tell(StoreEvent("fail", record.name, 0))

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        """See ``TokenStore.invalidate``."""
        answer = await self._script(INVALIDATE, record, gen, MEMORY_MS, *self._message(record))
        self._board.tell(StoreEvent("invalid", record.name, gen))
        return bool(integer(answer))

    async def purge(self, record: RecordName) -> None:
        """See ``TokenStore.purge``."""
        answer = await self._script(PURGE, record, MEMORY_MS, *self._message(record))
        self._board.tell(StoreEvent("purge", record.name, integer(answer)))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """See ``TokenStore.watch``; listening starts with the next operation."""
        end = self._board.add(watcher)

        def stop() -> None:
            end()
            self._subscriber.stop_if_idle()

        return stop

    async def aclose(self) -> None:
        """End the subscription if it runs in this loop, and close the connections of this loop."""
        await self._subscriber.aclose()
        await self._close_here()

    async def _close_here(self) -> None:
        here = self._heres.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.lines.aclose()

    def _open(self, record: RecordName, stored: Sealed) -> Hit | None:
        value = self._sealer.open(record, stored.gen, stored.lifetime_ms, stored.blob)
        return None if value is None else Hit(stored.gen, value, stored.lifetime_ms, stored.left_ms)

    def _message(self, record: RecordName) -> tuple[str, str, str]:
        """Return what a script needs to tell others of it."""
        return self._names.channel, record.name, self._subscriber.sender

    async def _script(self, script: Script, record: RecordName, *arguments: str | bytes | int) -> object:
        keys = self._names.keys(record)
        rest: Command = (len(keys), *keys, *arguments)

        async def run(lines: Lines | ClusterLines) -> object:
            try:
                return await lines.run(keys[0], ("EVALSHA", script.digest, *rest), limit=self._timeout)
            except NoScriptError:  # a server that was restarted, or flushed its scripts
                return await lines.run(keys[0], ("EVAL", script.text, *rest), limit=self._timeout)

        return await self._attempt(run)

    async def _read_gens(self, records: Sequence[RecordName]) -> list[int]:
        """Return the generations stored for some records, in one go; 0 where there is none."""
        if not records:
            return []
        commands: list[tuple[str, Command]] = []
        for record in records:
            key = self._names.keys(record)[0]
            commands.append((key, ("HGET", key, "gen")))
        answers = await self._attempt(lambda lines: lines.run_all(commands, limit=4 * self._timeout))
        return [int(answer) if isinstance(answer, bytes) and answer.isdigit() else 0 for answer in answers]

    async def _attempt(self, work: Callable[[Lines | ClusterLines], Awaitable[T]]) -> T:
        """Do some work on the connections of this loop, when it is its turn and the server is not given up.

        Raises:
            StoreError: It could not be done. What was raised underneath is not chained to it: it may quote addresses,
                and its frames hold what was sent.
        """
        here = self._here()
        self._subscriber.ensure(here.lines)
        problem = ""
        try:
            async with within(4 * self._timeout):
                await here.turns.acquire()
        except TimeoutError:
            problem = "too many operations wait for redis in this process"
        if problem:
            raise StoreError(problem)
        try:
            return await self._try(here, work)
        finally:
            here.turns.release()

    async def _try(self, here: _Here, work: Callable[[Lines | ClusterLines], Awaitable[T]]) -> T:
        ticket = self._breaker.enter()
        counts = True
        try:
            answer = await work(here.lines)
        except Exception as exc:  # noqa: BLE001 - sockets, TLS, name resolution: all of it means no answer
            problem = type(exc).__name__
            counts = not isinstance(exc, TryAgainError)  # it says so of one slot, for as long as that is migrated
        except BaseException:
            self._breaker.left(ticket)
            raise
        else:
            if self._breaker.succeeded(ticket):
                self._board.tell(StoreEvent("recovered", "", 0))
            return answer
        if counts:
            self._breaker.failed(ticket)
            await here.lines.drop()
        else:
            self._breaker.left(ticket)
        raise StoreError(f"redis did not answer as it should: {problem}")

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._heres.get(loop)
        if here is None:
            with self._lock:
                for dead in [other for other in self._heres if other.is_closed()]:
                    del self._heres[dead]
                here = self._heres.setdefault(loop, _Here(self._source(self._timeout)))
        return here
