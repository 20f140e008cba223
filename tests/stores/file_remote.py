"""Stores that live in processes of their own, for tests to use like any other store."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from monite_async_stores import Busy, Committed, Granted, Hit, Negative, RecordName, StoreError, StoreEvent, Watcher

_SCRIPT = Path(__file__).with_name("file_worker.py")


class RemoteProcess:
    """A process that runs ``file_worker.py``."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._ears: dict[int, Watcher] = {}
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(60)

    def open(self, path: Path) -> RemoteStore:
        number = next(self._numbers)
        self.send(op="open", store=number, path=str(path))
        return RemoteStore(self, number)

    def advance(self, seconds: float) -> None:
        self.send(op="advance", ms=int(seconds * 1000))

    def send(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    async def ask(self, **command: object) -> list[Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send(id=number, **command)
        try:
            said: list[Any] = await answer
        finally:
            del self._waiting[number]
        return said

    def listen(self, store: int, watcher: Watcher) -> Callable[[], None]:
        number = next(self._numbers)
        self._ears[number] = watcher
        self.send(op="watch", store=store, ear=number, names=[record.name for record in watcher.in_use()])

        def end() -> None:
            self.send(op="unwatch", ear=number)

        return end

    def kill(self) -> None:
        """End the process as `kill -9` does, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def close(self) -> None:
        """End the process properly, and see that it had no complaint."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        killed = self.process.poll() is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0 or killed
        self._reader.join(60)
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if "ready" in said:
                self._ready.set()
            elif "event" in said:
                self._ears[said["ear"]].on_event(StoreEvent(*said["event"]))
            else:
                answer = self._waiting.get(said["id"])
                if answer is not None:
                    answer.get_loop().call_soon_threadsafe(_settle, answer, said)


def _settle(answer: asyncio.Future[list[Any]], said: dict[str, Any]) -> None:
    if answer.done():
        return
    if "error" in said:
        answer.set_exception(StoreError(said["error"]))
    else:
        answer.set_result(said["answer"])


class RemoteStore:
    """A store in another process."""

    def __init__(self, process: RemoteProcess, number: int) -> None:
        self._process = process
        self._number = number

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        options = {"lease_ms": lease_ms, "bad_gen": bad_gen, "min_left_ms": min_left_ms}
        answer = _rich(await self._ask("acquire", record, owner, options=options))
        assert answer is not None
        assert not isinstance(answer, Committed)
        return answer

    async def commit(
        self, record: RecordName, owner: str, gen: int, value: bytes, *, lifetime_ms: int, left_ms: int
    ) -> Committed | Hit | None:
        options = {"lifetime_ms": lifetime_ms, "left_ms": left_ms}
        answer = _rich(await self._ask("commit", record, owner, gen, value.hex(), options=options))
        assert answer is None or isinstance(answer, Committed | Hit)
        return answer

    async def fail(self, record: RecordName, owner: str, kind: str, *, ttl_ms: int) -> None:
        await self._ask("fail", record, owner, kind, options={"ttl_ms": ttl_ms})

    async def invalidate(self, record: RecordName, gen: int) -> bool:
        return cast("bool", (await self._ask("invalidate", record, gen))[0])

    async def purge(self, record: RecordName) -> None:
        await self._ask("purge", record)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return self._process.listen(self._number, watcher)

    async def aclose(self) -> None:
        await self._process.ask(op="aclose", store=self._number, args=[], options={})

    async def _ask(
        self, operation: str, record: RecordName, *args: object, options: dict[str, int] | None = None
    ) -> list[Any]:
        secret = record.sealing_secret.hex()
        return await self._process.ask(
            op=operation, store=self._number, name=record.name, secret=secret, args=args, options=options or {}
        )


def _rich(answer: list[Any]) -> Hit | Negative | Granted | Busy | Committed | None:
    """Return an answer as a store gives it."""
    kind, *rest = answer
    if kind == "Hit":
        return Hit(rest[0], bytes.fromhex(rest[1]), rest[2], rest[3])
    if kind is None:
        return None
    if kind == "Negative":
        return Negative(*rest)
    if kind == "Granted":
        return Granted(*rest)
    return Busy(*rest) if kind == "Busy" else Committed()
