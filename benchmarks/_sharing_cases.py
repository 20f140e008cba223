"""What happens to a fleet: one key, many keys, a leader that is killed, a Redis that is gone, a revocation."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from benchmarks._scenarios import Figures
from benchmarks._sharing_systems import FILES, OURS
from benchmarks._token_server import Endpoint
from tests.stores.redis_server import RedisServer, free_port

__all__ = ["CASES", "FETCH", "EndedError", "Fleet", "Sizes"]

FETCH = 0.3
_LONG_FETCH = 2.0
_SLOW = 4.0
_PEERS_CROWDS = 3
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked for.

    Attributes:
        processes: Processes.
        callers: Coroutines of each, on one key.
        keys: Keys, with ten coroutines of each process for each.
        limit: Seconds until a case is given up.
        rounds: Rounds in which hits are measured.
        crowds: Rounds in which all ask for one key, of this library; of the peers three at most.
    """

    processes: int = 8
    callers: int = 1000
    keys: int = 100
    limit: float = 16.0
    rounds: int = 25
    crowds: int = 5


class EndedError(Exception):
    """A process of a fleet is no more."""


class _Process:
    """One process of a fleet."""

    def __init__(self, system: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._sharing_worker", system],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[Figures | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, what: str, **order: object) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **order}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as exc:
            raise EndedError from exc

    def hear(self, until: float) -> Figures:
        """Return the next thing it says; raises ``queue.Empty`` when the time is up, ``EndedError`` when it ended."""
        line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        if line is None:
            raise EndedError
        return line

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # it was closed
            for line in self._process.stdout:
                self._lines.put(cast("Figures", json.loads(line)))
        self._lines.put(None)


class Fleet:
    """The processes of one system; those of a case that was given up are replaced for the next.

    Args:
        system: What to measure.
        endpoint: Where tokens come from.
        sizes: How much is asked for.
    """

    def __init__(self, system: str, endpoint: Endpoint, sizes: Sizes) -> None:
        self.system = system
        self.endpoint = endpoint
        self.sizes = sizes
        self._processes: list[_Process] = []

    def end(self) -> None:
        """End all processes."""
        while self._processes:
            self._processes.pop().kill()

    def run(self, case: Callable[[Fleet, RedisServer], Figures]) -> Figures:
        """Run a case on an empty Redis; one that takes too long, or fails, is ended and told by its POSTs alone.

        Raises:
            EndedError: A process of this library failed.
        """
        with RedisServer() as server:
            try:
                return case(self, server)
            except queue.Empty:
                self.end()
                return {"stopped": self.sizes.limit, "posts": self.endpoint.counts().posts}
            except EndedError:
                self.end()
                if self.system in (OURS, FILES):
                    raise
                return {"failed to run": 1.0, "posts": self.endpoint.counts().posts}

    @contextlib.contextmanager
    def opened(self, redis: int, count: int, *, delay: float = FETCH) -> Generator[list[_Process], None, None]:
        """Have so many processes with a system that has no token yet."""
        fresh = [_Process(self.system) for _ in range(count - len(self._processes))]
        self._processes += fresh
        until = time.monotonic() + 60
        for process in fresh:
            process.hear(until)
        processes = self._processes[:count]
        self.endpoint.set(delay=delay)
        ports = (self.endpoint.port, self.endpoint.orders)
        with tempfile.TemporaryDirectory() as directory:
            for process in processes:
                process.tell("open", ports=ports, redis=redis, directory=f"{directory}/tokens")
            for process in processes:
                process.hear(until)
            yield processes
            left = [process for process in processes if process in self._processes]
            for process in left:
                process.tell("close")
            for process in left:
                process.hear(time.monotonic() + self.sizes.limit)

    def kill(self, process: _Process) -> None:
        """Kill one process."""
        self._processes.remove(process)
        process.kill()

    def crowd(self, processes: Sequence[_Process], size: int, users: Sequence[int] = (0,)) -> Figures:
        """Let all ask at once; return sums, the worst wait and the POSTs."""
        for process in processes:
            process.tell("crowd", size=size, users=list(users))
        return self.gather(processes)

    def gather(self, processes: Sequence[_Process]) -> Figures:
        """Sum up the answers of a crowd."""
        until = time.monotonic() + self.sizes.limit
        answers = [process.hear(until) for process in processes]
        return {
            "served": sum(answer["served"] for answer in answers),
            "failed": sum(answer["failed"] for answer in answers),
            "worst": max(answer["worst"] for answer in answers),
            "ended": max(answer["ended"] for answer in answers),
            "posts": self.endpoint.counts().posts,
        }


def _commands(server: RedisServer) -> int:
    """Return the commands carried out so far, those inside scripts included."""
    lines = server.admin.text("INFO", "commandstats").splitlines()
    counts = {line.partition(":")[0]: int(line.partition("calls=")[2].partition(",")[0]) for line in lines[1:] if line}
    return sum(count for name, count in counts.items() if not name.startswith(("cmdstat_info", "cmdstat_config")))


def one_key(fleet: Fleet, server: RedisServer) -> Figures:
    """Let all coroutines of all processes ask for one token at once.

    Several times, each with new clients and no token: the worst wait is the least of the rounds, because whatever else
    the machine does adds to it; all that is counted is the most of the rounds.
    """
    sizes = fleet.sizes
    found: Figures = {}
    for _ in range(sizes.crowds if fleet.system in (OURS, FILES) else min(_PEERS_CROWDS, sizes.crowds)):
        server.admin("FLUSHALL")
        with fleet.opened(server.port, sizes.processes) as processes:
            server.admin("CONFIG", "RESETSTAT")
            figures = fleet.crowd(processes, sizes.callers)
            figures["commands"] = _commands(server) / sizes.processes
        worst = min(figures["worst"], found.get("worst", figures["worst"]))
        served = min(figures["served"], found.get("served", figures["served"]))
        found = {name: max(value, found.get(name, value)) for name, value in figures.items()}
        found |= {"worst": worst, "served": served}
        if figures["worst"] > _SLOW:
            break  # the others would be no better by much
    return found


def many_keys(fleet: Fleet, server: RedisServer) -> Figures:
    """Let ten coroutines of each process ask for each of many tokens at once."""
    sizes = fleet.sizes
    with fleet.opened(server.port, sizes.processes) as processes:
        server.admin("CONFIG", "RESETSTAT")
        figures = fleet.crowd(processes, 10, range(1, sizes.keys + 1))
        figures["commands"] = _commands(server) / sizes.processes
    return figures


def killed(fleet: Fleet, server: RedisServer) -> Figures:
    """Kill the process that fetches, while three others wait for its token."""
    with fleet.opened(server.port, 4, delay=_LONG_FETCH) as (leader, *followers):
        leader.tell("crowd", size=1, users=[0])
        deadline = time.monotonic() + fleet.sizes.limit
        while not fleet.endpoint.counts().posts:
            if time.monotonic() > deadline:
                raise queue.Empty
        for process in followers:
            process.tell("crowd", size=50, users=[0])
        time.sleep(0.5)  # in which they begin to wait; there is no way to ask a peer whether it does
        begin = time.monotonic()
        fleet.kill(leader)
        before = fleet.endpoint.counts().posts
        fleet.endpoint.set(delay=FETCH)
        figures = fleet.gather(followers)
        figures["posts"] += before
        figures["after"] = figures["ended"] - begin
    return figures


def refused(fleet: Fleet, server: RedisServer) -> Figures:
    """Ask with no Redis at all."""
    del server
    with fleet.opened(free_port(), 4) as processes:
        return fleet.crowd(processes, 100)


def frozen(fleet: Fleet, server: RedisServer) -> Figures:
    """Ask with a Redis that accepts connections and never answers."""
    with fleet.opened(server.port, 4) as processes:
        server.freeze()
        try:
            return fleet.crowd(processes, 100)
        finally:
            server.thaw()


def hits(fleet: Fleet, server: RedisServer, systems: Sequence[str]) -> Figures:
    """Measure what a token that is there costs: all systems in one process, in turn."""
    with fleet.opened(server.port, 1, delay=0.0) as (process,), tempfile.TemporaryDirectory() as directory:
        ports, tokens = (fleet.endpoint.port, fleet.endpoint.orders), f"{directory}/tokens"
        process.tell(
            "hits",
            ports=ports,
            redis=server.port,
            directory=tokens,
            rounds=fleet.sizes.rounds,
            systems=list(systems),
        )
        return process.hear(time.monotonic() + 4 * fleet.sizes.limit)


def revoked(fleet: Fleet, server: RedisServer) -> Figures:
    """Revoke in one process; measure until the last of the others no longer serves the token."""
    with fleet.opened(server.port, fleet.sizes.processes, delay=0.0) as processes:
        fleet.crowd(processes, 1)
        first, *others = processes
        until = time.monotonic() + fleet.sizes.limit
        for process in others:
            process.tell("await_drop")
        for process in others:
            process.hear(until)
        first.tell("revoke")
        begun = first.hear(until)["begun"]
        return {"seconds": max(process.hear(until)["dropped"] for process in others) - begun}


_Case: TypeAlias = Callable[[Fleet, RedisServer], Figures]
CASES: dict[str, _Case] = {
    "one_key": one_key,
    "many_keys": many_keys,
    "refused": refused,
    "frozen": frozen,
    "killed": killed,
}
