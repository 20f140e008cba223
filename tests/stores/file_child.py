"""Processes that work on token files until they are told, or made, to stop; run as a script with the task first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from monite_async._tokens.cache import TokenCache
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async_stores import EncryptedFileTokenStore, Granted, Hit, RecordName, StoreEvent
from monite_async_stores._bootclock import SystemBootClock
from monite_async_stores._file_directory import TokenDirectory
from monite_async_stores._file_format import State
from monite_async_stores._file_lock import FILES, Flock
from monite_async_stores._file_records import FileRecords
from monite_async_stores._sealing import Sealer

SECRET = b"client secret"
NAME = RecordName("ab" * 16, SECRET)
OTHER = RecordName("cd" * 16, SECRET)
KEY = TokenKey("https://api.sandbox.monite.com/v1", "28c10852-7e78-43cf-abfb-efeed1834963", "client_credentials")


def say(**line: object) -> None:
    """Write a line to the test."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def open_records(path: Path) -> FileRecords:
    """Return the blocking half of a store."""

    def tell(event: StoreEvent, state: State) -> None: ...

    return FileRecords(TokenDirectory(path, "monite"), Sealer("monite"), Flock(), SystemBootClock(), tell)


def ask(records: FileRecords, owner: str, record: RecordName = NAME, *, bad_gen: int = 0) -> object:
    """Ask for a value, or a lease that does not run out by itself."""
    return records.acquire(record, owner, lease_ms=600_000, bad_gen=bad_gen, min_left_ms=0)


def store(records: FileRecords, value: bytes, record: RecordName = NAME, *, bad_gen: int = 0) -> int:
    """Store a value."""
    granted = ask(records, "maker", record, bad_gen=bad_gen)
    assert isinstance(granted, Granted), granted
    records.commit(record, "maker", granted.gen, value, lifetime_ms=600_000, left_ms=600_000)
    return granted.gen


def newest(records: FileRecords) -> int:
    """Return the generation of the value that is there."""
    found = ask(records, "maker")
    assert isinstance(found, Hit)
    return found.gen


# Torn reads.


def value_of(number: int) -> bytes:
    """Return a value that shows whether it is whole."""
    return (b"%06d" % number) * (number % 700 + 1)


def write(path: Path, count: str) -> None:
    """Store values one after the other."""
    records = open_records(path)
    gen = newest(records)
    for number in range(int(count) + 1):
        gen = store(records, value_of(number), bad_gen=gen)
    say(written=int(count))


def read(path: Path, count: str) -> None:
    """Read values until the last one comes, and report those that were not whole or went back."""
    records, reads, torn, back, gen, number = open_records(path), 0, 0, 0, 0, -1
    while number < int(count):
        found = ask(records, "reader")
        reads += 1
        if not isinstance(found, Hit) or found.value != value_of(int(found.value[:6])):
            torn += 1
            continue
        back += found.gen < gen
        gen, number = found.gen, int(found.value[:6])
    say(reads=reads, torn=torn, back=back)


# SIGKILL before every line of an operation.


def die_at(line: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that kills this process before the given line of the file store is run."""
    left = [line]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if "monite_async_stores" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def operate(records: FileRecords, operation: str, record: RecordName, gen: int) -> Callable[[], object]:
    """Prepare an operation on a record that has a value, and return it."""
    if operation == "acquire":
        return lambda: ask(records, "victim", record, bad_gen=gen)
    if operation == "invalidate":
        return lambda: records.invalidate(record, gen)
    if operation == "purge":
        return lambda: records.purge(record)
    granted = ask(records, "victim", record, bad_gen=gen)
    assert isinstance(granted, Granted)
    if operation == "commit":
        return lambda: records.commit(record, "victim", granted.gen, b"new", lifetime_ms=60_000, left_ms=60_000)
    return lambda: records.fail(record, "victim", "transient:server:503", ttl_ms=60_000)


def survive(path: Path, operation: str) -> None:
    """Kill a process before every line of an operation, and see each time what the next one finds."""
    found, refused, line, survivor = Counter[str](), Counter[str](), 0, open_records(path)
    while True:
        line += 1
        record = RecordName(f"{line:032x}", SECRET)
        gen = store(survivor, b"old", record)
        pid = os.fork()
        if not pid:
            victim = operate(open_records(path), operation, record, gen)
            sys.settrace(die_at(line))
            victim()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        answer = ask(survivor, "next", record)
        found[answer.value.decode() if isinstance(answer, Hit) else type(answer).__name__] += 1
        best = answer.gen if isinstance(answer, Hit | Granted) else 0
        refused[type(ask(survivor, "next", record, bad_gen=best)).__name__] += 1
    say(lines=line - 1, found=found, refused=refused)


# One token for many processes and threads.


class Issuer:
    """A token endpoint; each request adds a byte to a file that all processes share."""

    def __init__(self, posts: Path) -> None:
        self._posts = posts

    async def secret(self, *, refresh: bool = False) -> bytes:
        return SECRET

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        fd = os.open(self._posts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, b".")
        os.close(fd)
        await asyncio.sleep(0.2)
        return IssuedToken(f"Bearer token-of-{os.getpid()}-0123456789".encode(), 1800.0)

    async def revoke(self, token: str, *, timeout: float) -> None:
        """Do nothing."""


def share(path: Path, posts: str) -> None:
    """Get a token in many coroutines of several threads, at the moment at which all other processes do."""
    cache = TokenCache(EncryptedFileTokenStore(path), Issuer(Path(posts)))
    tokens: set[str] = set()

    async def get() -> None:
        for token in await asyncio.gather(*(cache.get(KEY) for _ in range(100))):
            tokens.add(token.value)

    threads = [threading.Thread(target=asyncio.run, args=(get(),)) for _ in range(4)]
    say(ready=True)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(cache.aclose())
    say(tokens=sorted(tokens), degraded=cache.stats().events.get("store_degraded", 0))


# Forks and locks.


class Ear:
    """Says what it hears of one record."""

    def on_event(self, event: StoreEvent) -> None:
        if event.kind in ("invalid", "fail"):
            say(pid=os.getpid(), heard=event.kind)

    def in_use(self) -> list[RecordName]:
        return [OTHER]


def fork(path: Path) -> None:
    """Hold a lease, fork, and let the child use the same store."""
    shared = EncryptedFileTokenStore(path)
    shared.watch(Ear())

    async def use(record: RecordName) -> object:
        return await shared.acquire(record, "the owner", lease_ms=600_000, bad_gen=0, min_left_ms=0)

    held = asyncio.run(use(NAME))
    pid = os.fork()
    if pid:
        say(parent=type(held).__name__)
        os.waitpid(pid, 0)
        return
    sys.stdin.readline()  # nothing is done here but watching
    say(child=type(asyncio.run(use(RecordName("ef" * 16, SECRET)))).__name__)
    sys.stdin.readline()
    os._exit(0)


def hold(path: Path, *names: str) -> None:
    """Hold the locks of records."""
    for name in names or (NAME.name,):
        assert Flock().try_lock(FILES.open(path / f"monite-{name}.lock", os.O_RDWR | os.O_CREAT))
    say(held=True)
    sys.stdin.readline()


def litter(path: Path) -> None:
    """Write until killed."""
    records = open_records(path)
    gen = newest(records)
    say(begun=True)
    while True:
        gen = store(records, value_of(int(time.time() * 1000) % 1000), bad_gen=gen)


if __name__ == "__main__":
    task, directory, *arguments = sys.argv[1:]
    tasks: dict[str, Callable[..., None]] = {
        "write": write,
        "read": read,
        "survive": survive,
        "share": share,
        "fork": fork,
        "hold": hold,
        "litter": litter,
    }
    tasks[task](Path(directory), *arguments)
