"""A member of a fleet: a process with a client, which does what it is told on its standard input.

Orders and answers are lines of JSON. Tokens never leave the process: answers show fingerprints and generations.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any

from monite_async import AsyncMonite
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.keys import TokenKey
from monite_async_stores import EncryptedFileTokenStore, RedisTokenStore, TokenStore

Order = dict[str, Any]
Answer = dict[str, Any]

_output = threading.Lock()


def say(**line: object) -> None:
    """Write one line."""
    with _output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class MovableClock:
    """Both clocks of the machine, ahead by so many seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead


class Halting:
    """A store whose ``commit`` never begins: the last moment at which a process can die with a token in hand."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *_: object, **__: object) -> None:
        await halted()


async def halted() -> None:
    """Tell that this is where the process is to die, and wait for that."""
    say(news="halted")
    await asyncio.Event().wait()


def user_id(number: int) -> str:
    """Return the id of one user; the partner's number is 0."""
    return str(uuid.UUID(int=number)) if number else ""


class Member:
    """What the orders do."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self._patched: list[tuple[Any, str, object]] = []
        self._store: TokenStore | None = None
        self._client: AsyncMonite | None = None

    @property
    def client(self) -> AsyncMonite:
        assert self._client is not None
        return self._client

    @property
    def cache(self) -> TokenCache:
        return self.client._core.issued()

    async def open(self, order: Order) -> Answer:
        """Make a client; ``patches`` are module attributes to set while it lives, ``halt`` is where it shall stop."""
        await self.close(order)
        for name, value in order["patches"].items():
            path, _, attribute = name.rpartition(".")
            module = import_module(path)
            self._patched.append((module, attribute, getattr(module, attribute)))
            setattr(module, attribute, value)
        where = order["store"]
        store: Any = RedisTokenStore.from_url(where) if "://" in where else None
        self._store = store = store or EncryptedFileTokenStore(where)
        if order["halt"] == "commit":
            store = Halting(store)
        self._client = AsyncMonite(
            client_id=order["client_id"], client_secret=order["secret"], base_url=order["base_url"], token_store=store
        )
        self.clock.ahead = 0.0
        core = self._client._core
        cache = core.issued()
        for end in cache._unwatch:
            end()
        turn: Callable[[], Awaitable[None]] = halted if order["halt"] == "turn" else core.post.turn
        core.cache = core.engine.tokens = TokenCache(store, cache.issuer, clock=self.clock, turn=turn)
        return {}

    async def close(self, _: Order) -> Answer:
        """Close the client and its store, and undo patches."""
        if self._client is not None and self._store is not None:
            await self._client.aclose()
            await self._store.aclose()
            self._client = self._store = None
        while self._patched:
            setattr(*self._patched.pop())
        return {}

    async def crowd(self, order: Order) -> Answer:
        """Let ``size`` callers for each of some users ask for a token at once."""
        begin, worst = time.perf_counter(), 0.0
        errors: list[str] = []
        tokens: dict[str, set[str]] = {}

        async def call(user: str) -> None:
            nonlocal worst
            scope = self.client.as_user(user) if user else self.client
            try:
                token = await scope.token()
            except Exception as exc:
                errors.append(f"{type(exc).__name__}: {exc}")
            else:
                tokens.setdefault(user, set()).add(f"{token.fingerprint} {token.gen}")
            worst = max(worst, time.perf_counter() - begin)

        users = [user_id(number) for number in order["users"]]
        await asyncio.gather(*(call(user) for _ in range(order["size"]) for user in users))
        served = order["size"] * len(users) - len(errors)
        told = {user: sorted(found) for user, found in tokens.items()}
        return {"served": served, "errors": sorted(Counter(errors)), "tokens": told, "worst": worst}

    async def stats(self, _: Order) -> Answer:
        """Return the counters."""
        stats = self.client.tokens.stats()
        return {"hits": stats.hits, "cached": stats.cached, "events": dict(stats.events)}

    async def advance(self, order: Order) -> Answer:
        """Move the clocks of the client on."""
        self.clock.ahead += order["seconds"]
        return {}

    async def revoke(self, _: Order) -> Answer:
        """Revoke the partner's token; return when it began."""
        begin = time.monotonic()
        await self.client.revoke_token()
        return {"begun": begin}

    async def await_drop(self, _: Order) -> Answer:
        """Use the partner's token until it is no longer served, if it is; return when that was."""
        key, peek = self._partner(), self.cache.peek
        first = peek(key)
        say(news="watching")
        while first is not None and peek(key) is first:
            await asyncio.sleep(0.001)
        return {"dropped": time.monotonic()}

    async def name(self, order: Order) -> Answer:
        """Return the name of a record in the store."""
        key = self.client._core.key(user_id(order["user"]) or None)
        return {"name": key.record_name(order["secret"].encode()).name, "owner": self.cache._process}

    def _partner(self) -> TokenKey:
        return self.client._core.key()

    async def carry_out(self, order: Order) -> None:
        """Do one order and answer."""
        try:
            answer = await getattr(self, order["do"])(order)
        except Exception as exc:
            answer = {"failed": f"{type(exc).__name__}: {exc}"}
        say(id=order["id"], **answer)


def complain(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Write what the event loop is told of where the test looks."""
    sys.stderr.write(f"{context.get('message')} {context.get('exception')!r}\n")
    sys.stderr.flush()


async def main() -> None:
    """Carry out orders until there are no more, or a SIGTERM ends everything."""
    loop, member = asyncio.get_running_loop(), Member()
    tasks: set[asyncio.Task[None]] = set()
    own = asyncio.current_task()
    assert own is not None
    loop.set_exception_handler(complain)
    loop.add_signal_handler(signal.SIGTERM, own.cancel)
    ended = asyncio.Event()

    def take(line: str) -> None:
        task = loop.create_task(member.carry_out(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(take, line)
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    say(news="ready")
    try:
        await ended.wait()
    finally:
        await member.close({})


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        sys.exit(0)
