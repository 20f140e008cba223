"""Hears every command that a Redis carries out (MONITOR), and knows whose it was."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.stores.redis_server import Admin, RedisServer, until

__all__ = ["Monitor", "member_url"]

_LINE = re.compile(r"\+[\d.]+ \[\d+ ([^\]]+)\] (.*)")
_CHANNEL = "&monite:events"
_RIGHTS = "evalsha eval hmget hget get pttl time set del hset pexpire publish subscribe ping asking"


def member_url(server: RedisServer, number: int, *, publish: bool = True) -> str:
    """Make a user for one process, with just the rights that suffice, and return the URL of the server for it.

    Without ``publish`` its scripts cannot tell anyone of anything.
    """
    rights = [f"+{command}" for command in _RIGHTS.split(" ") if publish or command != "publish"]
    user = f"member-{number}"
    server.admin(
        "ACL", "SETUSER", user, "reset", "on", ">password", "~{monite:*", "resetchannels", _CHANNEL, "-@all", *rights
    )
    return f"redis://{user}:password@127.0.0.1:{server.port}/0"


class Monitor:
    """Listens for the length of a ``with`` block.

    Attributes:
        lines: What was carried out, as Redis shows it.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.lines: list[str] = []
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        self._thread.start()
        until(lambda: bool(self.lines), "the monitor to listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def text(self) -> str:
        """Return all that was heard up to now."""
        mark = secrets.token_hex(8)
        admin = Admin(self._server.port)
        admin("ECHO", mark)
        admin.close()
        until(lambda: any(mark in line for line in self.lines[-50:]), "the monitor to catch up")
        return "\n".join(self.lines)

    def per_user(self) -> Counter[str]:
        """Return how many commands each user sent; those inside scripts are not counted, they were not sent."""
        whose: dict[str, str] = {}
        for line in self._server.admin.text("CLIENT", "LIST").splitlines():
            facts = {name: value for name, _, value in (fact.partition("=") for fact in line.split())}
            whose[facts["addr"]] = facts["user"]
        return Counter(whose.get(source, "gone") for source, _ in self._commands() if source != "lua")

    def sources(self) -> dict[str, set[str]]:
        """Return the processes that each connection was used by, as the owners of leases name them."""
        found: dict[str, set[str]] = {}
        for source, command in self._commands():
            owner = re.search(r' "([0-9a-f]{16}):\d+" ', command)
            if source != "lua" and owner is not None:
                found.setdefault(source, set()).add(owner.group(1))
        return found

    def _commands(self) -> list[tuple[str, str]]:
        matches = [_LINE.fullmatch(line) for line in self.text().splitlines()]
        return [(match.group(1), match.group(2)) for match in matches if match is not None]

    def _read(self) -> None:
        with self._socket.makefile("r", encoding="latin-1", newline="\r\n") as lines:
            for line in lines:
                self.lines.append(line.rstrip("\r\n"))
