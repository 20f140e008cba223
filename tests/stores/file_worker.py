"""A process that works with token files when told to, for tests of several processes; run as a script.

Commands and answers are lines of JSON. Bytes travel as hex.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monite_async_stores import (
    Committed,
    EncryptedFileTokenStore,
    Granted,
    Hit,
    RecordName,
    StoreError,
    StoreEvent,
    TokenStore,
)
from monite_async_stores._bootclock import Moment, SystemBootClock

_out = threading.Lock()


def say(**line: object) -> None:
    """Write a line to the test."""
    with _out:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def plain(answer: object) -> object:
    """Return an answer of a store as JSON can hold it."""
    if isinstance(answer, Hit):
        return ["Hit", answer.gen, answer.value.hex(), answer.lifetime_ms, answer.left_ms]
    if isinstance(answer, Granted):
        return ["Granted", answer.gen]
    if isinstance(answer, Committed):
        return ["Committed"]
    if answer is None or isinstance(answer, bool):
        return [answer]
    return [type(answer).__name__, *(getattr(answer, slot) for slot in ("kind", "left_ms") if hasattr(answer, slot))]


class WorkerClock:
    """The machine's clocks, moved on by command."""

    def __init__(self) -> None:
        self._system = SystemBootClock()
        self.offset_ms = 0

    def now(self) -> Moment:
        return self._system.now().minus(-self.offset_ms)


class WorkerEar:
    """Passes events on."""

    def __init__(self, number: int, names: list[str]) -> None:
        self.number = number
        self.names = [RecordName(name, b"not needed to watch") for name in names]

    def on_event(self, event: StoreEvent) -> None:
        say(ear=self.number, event=[event.kind, event.name, event.gen])

    def in_use(self) -> Sequence[RecordName]:
        return self.names


class Worker:
    """What the commands do."""

    def __init__(self) -> None:
        self.clock = WorkerClock()
        self.stores: dict[int, TokenStore] = {}
        self.ends: dict[int, Callable[[], None]] = {}

    def now(self, command: dict[str, Any]) -> bool:
        """Do what needs no waiting; tell whether it was that."""
        if command["op"] == "open":
            self.stores[command["store"]] = EncryptedFileTokenStore(Path(command["path"]), clock=self.clock)
        elif command["op"] == "advance":
            self.clock.offset_ms += command["ms"]
        elif command["op"] == "watch":
            ear = WorkerEar(command["ear"], command["names"])
            self.ends[command["ear"]] = self.stores[command["store"]].watch(ear)
        elif command["op"] == "unwatch":
            self.ends.pop(command["ear"])()
        else:
            return False
        return True

    async def later(self, command: dict[str, Any]) -> None:
        store, operation = self.stores[command["store"]], command["op"]
        record = RecordName(command["name"], bytes.fromhex(command["secret"])) if "name" in command else None
        arguments: list[Any] = command["args"]
        if operation == "commit":
            arguments[2] = bytes.fromhex(arguments[2])
        try:
            call = getattr(store, operation)
            answer = await (call() if record is None else call(record, *arguments, **command["options"]))
            say(id=command["id"], answer=plain(answer))
        except StoreError as exc:
            say(id=command["id"], error=str(exc))


async def main() -> None:
    """Do what comes in, until nothing more does."""
    worker, tasks = Worker(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    say(ready=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if not worker.now(command):
            task = loop.create_task(worker.later(command))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())
