"""Records in Redis: shared by every process of a fleet."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from redis.exceptions import NoScriptError, TryAgainError

from monite_async_stores._breaker import Breaker
from monite_async_stores._discreet import discreet
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    Resealed,
    StoredRecord,
    StoreError,
    StoreEvent,
    Watcher,
)
from monite_async_stores._redis_cluster import ClusterLines
from monite_async_stores._redis_errors import is_about_keys, problem_of, store_error
from monite_async_stores._redis_look import Contested, look
from monite_async_stores._redis_scripts import (
    ACQUIRE,
    COMMIT,
    DRAW,
    FAIL,
    INVALIDATE,
    MEMORY_MS,
    PURGE,
    RESEAL,
    Names,
    Script,
    Sealed,
    integer,
    misread,
    sealed,
    text,
    words,
)
from monite_async_stores._redis_source import Client, Source, source_of, source_of_url
from monite_async_stores._redis_survey import describe, find_names, read
from monite_async_stores._redis_turns import Turns
from monite_async_stores._redis_watch import Board, Subscriber
from monite_async_stores._redis_wire import Command, Lines
from monite_async_stores._sealing import Keyring, Sealer

__all__ = ["RedisTokenStore"]

_MAX_AT_ONCE = 16

# What belongs to the event loops of a forked process's parent: kept, not freed. Closing it in the child would take the
# parent's sockets out of a selector that both share.
_abandoned: list[object] = []


@dataclass(frozen=True, slots=True)
class _Call:
    """A script to run, the key that says where, and what it is given."""

    key: str
    script: Script
    rest: Command

    def by_digest(self) -> tuple[str, Command]:
        """Return the command for a server that has the script."""
        return self.key, ("EVALSHA", self.script.digest, *self.rest)

    def in_full(self) -> tuple[str, Command]:
        """Return the command that brings the script along."""
        return self.key, ("EVAL", self.script.text, *self.rest)


@dataclass(frozen=True, slots=True)
class _Here:
    """What the store has open in one event loop."""

    lines: Lines | ClusterLines
    turns: Turns[_Call, object]


class RedisTokenStore:
    """Keeps records in Redis >= 5 (standalone, Sentinel or Cluster), sealed, for any number of processes.

    Every operation is one script and one round trip, atomic, and limited to ``timeout`` seconds. After two failures in
    a row the server is left alone for 2 to 5 seconds. Connections are made per event loop and process, with the
    settings of the client or URL but without its retries, and never used from another loop or across a fork. Of a crowd
    that asks at once, up to 32 share a round trip and 16 of these are under way at a time; the rest wait, and who has
    waited for four times the limit is told ``StoreBusyError``.

    The least rights that suffice, for the namespace ``monite`` (add ``+select`` for a database other than 0)::

        ACL SETUSER monite on >PASSWORD resetkeys ~{monite:* resetchannels &monite:events -@all
            +evalsha +eval +hmget +hget +get +pttl +time +set +del +hset +pexpire +publish +subscribe +ping +asking

    Before Redis 6.2 there are no rights on channels: leave ``resetchannels &monite:events`` away. ``names`` needs
    ``+scan`` besides, and in a cluster ``+cluster|slots``.

    Args:
        client: A ``redis.asyncio`` client whose settings to take over: ``Redis``, ``RedisCluster``, or what
            ``Sentinel.master_for()`` returns. It is not used itself, and may be closed.
        namespace: Begins every key and channel: 1 to 64 of ``A-Z a-z 0-9 _ . : -``. Also separates the keys that values
            are sealed with.
        keyring: Keys to seal values with; without one, keys are derived from the client secret.
        insecure: Allow a connection that leaves this machine without TLS.
        timeout: The time limit of one operation from when it is its turn, connecting included, in seconds; time in
            which the event loop was too busy to look for the answer does not count.

    Raises:
        ImportError: ``redis`` or ``cryptography`` is not installed.
        TypeError: The client is not one of ``redis.asyncio``.
        ValueError: Connections would not be encrypted, redis-py does not take the settings, a file of certificates is
            not there, or an argument is out of range.
    """

    __slots__ = (
        "__weakref__",
        "_board",
        "_breaker",
        "_contested",
        "_heres",
        "_lock",
        "_names",
        "_sealer",
        "_source",
        "_subscriber",
        "_timeout",
    )

    @discreet
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
    @discreet
    def from_url(
        cls,
        url: str,
        *,
        namespace: str = "monite",
        keyring: Keyring | None = None,
        insecure: bool = False,
        cluster: bool = False,
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
            cluster: The URL is that of one server of a Redis Cluster, which knows the others.
            timeout: See the class.

        Raises:
            ValueError: The URL cannot be read, an option in it is not known, a file of certificates is not there, or
                connections would not be encrypted; the message shows nothing of the URL but the option or the file.
        """
        self = cls.__new__(cls)
        self._set_up(source_of_url(url, insecure=insecure, cluster=cluster), namespace, keyring, timeout)
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
        self._contested = Contested()
        self._lock = threading.Lock()
        self._heres: dict[asyncio.AbstractEventLoop, _Here] = {}
        self._subscriber = Subscriber(
            self._board,
            self._names.channel,
            timeout,
            sender=secrets.token_hex(8),
            look=self._look,
            is_news=lambda name, key: self._contested.is_news(name, opens=self._sealer.knows(key)),
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
        self._sealer.learn(record)  # now, and not when a message comes of who else has sealed a value with it
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
        key = self._sealer.key_of(value)
        answer = await self._script(
            COMMIT, record, owner, gen, value, lifetime_ms, left_ms, MEMORY_MS, key, *self._message(record)
        )
        kind, rest = words(answer)
        if kind == "purged":
            return None
        # A connection that dies between command and answer has it sent again: then it finds what it has stored itself.
        if kind == "hit" and sealed(rest).blob != value:
            return self._open(record, sealed(rest))
        self._board.tell(StoreEvent("commit", record.name, gen))
        return Committed()

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

    async def draw(self, name: str, units: int, *, rate: float, burst: float) -> float:
        """See ``RateBudget.draw``."""
        interval = 1000.0 / rate
        arguments = (repr(interval), repr(interval * (burst - 1.0)), units)
        call = _Call(key := self._names.budget(name), DRAW, (1, key, *arguments))
        kind, rest = words(await self._here().turns.ask(call, urgent=False))
        if kind != "drawn":
            raise misread()
        return integer(rest[0]) / 1e6

    async def names(self) -> list[str]:
        """See ``InspectableStore.names``."""
        try:
            return await find_names(self._here().lines, self._names, limit=4 * self._timeout)
        except Exception as exc:  # noqa: BLE001 - sockets, TLS, rights: whatever it is, there is no list
            problem = store_error(exc)
        raise problem

    async def describe(self, names: Sequence[str]) -> list[StoredRecord]:
        """See ``InspectableStore.describe``."""
        return await describe(self._ask, self._names, names)

    async def reseal(self, record: RecordName) -> Resealed:
        """See ``InspectableStore.reseal``."""
        stored = await read(self._ask, self._names, record)
        if stored is None:
            return "gone"
        if self._sealer.key_of(stored.blob) == self._sealer.writes_with(record):
            return "current"
        value = self._sealer.open(record, stored.gen, stored.lifetime_ms, stored.blob)
        if value is None:
            return "unreadable"
        value = self._sealer.seal(record, stored.gen, stored.lifetime_ms, value)  # no longer in the clear
        written = await self._script(RESEAL, record, stored.blob, value, self._sealer.key_of(value))
        return "resealed" if integer(written) else "gone"

    async def _ask(self, commands: Sequence[tuple[str, Command]]) -> list[object]:
        return await self._exchange(self._here().lines, commands, 4 * self._timeout)

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
        with self._lock:
            here = self._heres.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.turns.aclose()
            await here.lines.aclose()

    def _open(self, record: RecordName, stored: Sealed) -> Hit | None:
        value = self._sealer.open(record, stored.gen, stored.lifetime_ms, stored.blob)
        return None if value is None else Hit(stored.gen, value, stored.lifetime_ms, stored.left_ms)

    def _message(self, record: RecordName) -> tuple[str, str, str]:
        """Return what a script needs to tell others of it."""
        return self._names.channel, record.name, self._subscriber.sender

    async def _script(self, script: Script, record: RecordName, *arguments: str | bytes | int) -> object:
        """Run a script when it is its turn.

        Raises:
            StoreError: It could not be done. What was raised underneath is not chained to it: it may quote addresses,
                and its frames hold what was sent.
        """
        here = self._here()
        self._subscriber.ensure(here.lines)
        keys = self._names.keys(record)
        # Whoever asks can wait; a value that is stored late is fetched by others too.
        return await here.turns.ask(
            _Call(keys[0], script, (len(keys), *keys, *arguments)), urgent=script is not ACQUIRE
        )

    async def _serve(self, lines: Lines | ClusterLines, calls: Sequence[_Call]) -> list[object | StoreError]:
        """Run scripts in one exchange; those that the server does not have, in another one."""
        answers = await self._exchange(lines, [call.by_digest() for call in calls], self._timeout)
        lost = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:  # a server that was restarted, or flushed its scripts; it is told each of them once
            told: set[str] = set()
            again: list[tuple[str, Command]] = []
            for call in (calls[number] for number in lost):
                again.append(call.by_digest() if call.script.digest in told else call.in_full())
                told.add(call.script.digest)
            for number, answer in zip(lost, await self._exchange(lines, again, self._timeout), strict=True):
                answers[number] = answer
        return [store_error(answer) if isinstance(answer, Exception) else answer for answer in answers]

    async def _look(self, records: Sequence[RecordName]) -> tuple[list[StoreEvent], list[RecordName]]:
        lines = self._here().lines
        limit = 4 * self._timeout
        return await look(lambda commands: self._exchange(lines, commands, limit), self._names, self._is_news, records)

    def _is_news(self, record: RecordName, key: str) -> bool:
        return self._contested.is_news(record.name, opens=self._sealer.knows_for(record, key))

    async def _exchange(
        self, lines: Lines | ClusterLines, commands: Sequence[tuple[str, Command]], limit: float
    ) -> list[object]:
        """Send commands, unless the server is given up, and return the answers; whatever goes wrong is a value."""
        answers: list[object]
        try:
            ticket = self._breaker.enter()
        except StoreError as exc:
            return [exc] * len(commands)
        try:
            answers = await lines.run_all(commands, limit=limit)
        except Exception as exc:  # noqa: BLE001 - sockets, TLS, name resolution: all of it means no answer
            answers = [exc] * len(commands)
        except BaseException:
            self._breaker.left(ticket)
            raise
        # While a slot of a cluster is migrated, a server says so of that one slot: it is neither well nor ill.
        wrong = [one for one in answers if isinstance(one, Exception) and not isinstance(one, TryAgainError)]
        if any(map(is_about_keys, answers)):
            if self._breaker.succeeded(ticket):
                self._board.tell(StoreEvent("recovered", "", 0))
        elif wrong:
            self._breaker.failed(ticket, problem_of(wrong[0]))
            await lines.drop()
        else:
            self._breaker.left(ticket)
        return answers

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._heres.get(loop)
        if here is None:
            with self._lock:
                for dead in [other for other in self._heres if other.is_closed()]:
                    del self._heres[dead]
                here = self._heres.setdefault(loop, self._new_here())
        return here

    def _new_here(self) -> _Here:
        lines = self._source(self._timeout)
        turns = Turns[_Call, object](
            lambda calls: self._serve(lines, calls),
            at_once=_MAX_AT_ONCE,
            batch=lines.batch,
            patience=4 * self._timeout,
        )
        return _Here(lines, turns)
