"""A token endpoint in a process of its own: raw HTTP/1.1, counts POSTs, answers when and as it is told.

It shares no code with what is measured. Every POST to the first port gets a token, in JSON that all systems here
understand; the second port is for orders, so that they are heard behind ten thousand connections too.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, cast

__all__ = [
    "BACKLOG",
    "LIFETIME",
    "Counts",
    "Endpoint",
    "Requests",
    "TokenServer",
    "ask",
    "end_with_parent",
    "http_reply",
    "make_token",
]

LIFETIME = 86_400
TOKEN_BYTES = 600
BACKLOG = 16_384


def make_token(number: int) -> str:
    """Return 600 characters that look like a signed JWT, different for each number."""
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{number:012d}.".ljust(TOKEN_BYTES, "s")


@dataclass(slots=True)
class _State:
    delay: float = 0.0
    status: int = 200
    posts: int = 0
    running: int = 0
    peak: int = 0
    serial: int = 0
    bodies: set[bytes] = field(default_factory=set[bytes])

    def reset(self, delay: float, status: int) -> None:
        self.delay, self.status = delay, status
        self.posts = self.running = self.peak = 0
        self.bodies.clear()

    def answer(self) -> bytes:
        self.serial += 1
        if self.status != 200:
            return http_reply(self.status, b'{"error":{"message":"out of order"}}')
        token = {"access_token": make_token(self.serial), "token_type": "Bearer", "expires_in": LIFETIME}
        return http_reply(200, json.dumps(token).encode())


def http_reply(status: int, body: bytes) -> bytes:
    """Return an answer in JSON, ready to be sent."""
    head = f"HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class Requests(asyncio.Protocol):
    """Splits what arrives into requests with a Content-Length, or none."""

    def __init__(self) -> None:
        self._buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = 0
            for line in self._buffer[:end].split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self.take(body)

    def take(self, body: bytes) -> None:
        """Answer a request that has arrived whole."""
        raise AssertionError(f"a request of {len(body)} bytes that nobody takes")

    def reply(self, data: bytes) -> None:
        """Send bytes, unless the client has gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class _Tokens(Requests):
    def __init__(self, state: _State) -> None:
        super().__init__()
        self._state = state

    def take(self, body: bytes) -> None:
        state = self._state
        state.posts += 1
        state.running += 1
        state.peak = max(state.peak, state.running)
        state.bodies.add(body)
        asyncio.get_running_loop().call_later(state.delay, self._answer)

    def _answer(self) -> None:
        self._state.running -= 1
        self.reply(self._state.answer())


class _Orders(Requests):
    def __init__(self, state: _State) -> None:
        super().__init__()
        self._state = state

    def take(self, body: bytes) -> None:
        state = self._state
        counts = {"posts": state.posts, "peak": state.peak, "bodies": len(state.bodies)}
        if body:
            order = cast("dict[str, float]", json.loads(body))
            state.reset(order["delay"], int(order["status"]))
        self.reply(http_reply(200, json.dumps(counts).encode()))


@dataclass(frozen=True, slots=True)
class Counts:
    """What an endpoint saw since it was last set.

    Attributes:
        posts: Token requests.
        peak: Most of them at once; 1 means that they came one after the other.
        bodies: Different ones among them.
    """

    posts: int
    peak: int
    bodies: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a token server is, for whoever may ask or order it.

    Attributes:
        port: Port of the token endpoint on 127.0.0.1.
        orders: Port for orders.
    """

    port: int
    orders: int

    @property
    def url(self) -> str:
        """The token endpoint, for clients that take any address."""
        return f"http://127.0.0.1:{self.port}/v1/auth/token"

    def set(self, *, delay: float, status: int = 200) -> None:
        """Forget the counts; from now on answer after ``delay`` seconds with ``status``."""
        ask(self.orders, json.dumps({"delay": delay, "status": status}).encode())

    def counts(self) -> Counts:
        """Return what it saw since it was last set."""
        return Counts(**ask(self.orders, b""))


def ask(port: int, order: bytes) -> dict[str, int]:
    """Give a server of benchmarks an order, at its port for orders; return the counts that it answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/", order)
        return cast("dict[str, int]", json.loads(connection.getresponse().read()))
    finally:
        connection.close()


class TokenServer:
    """Runs a token endpoint in another process for the length of a ``with`` block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
            text=True,
        )
        assert self._process.stdout is not None
        ports = self._process.stdout.readline().split()
        self.endpoint = Endpoint(int(ports[0]), int(ports[1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


async def _serve() -> None:
    state, loop = _State(), asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: _Tokens(state), "127.0.0.1", 0, backlog=BACKLOG),
        await loop.create_server(lambda: _Orders(state), "127.0.0.1", 0),
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


def end_with_parent() -> None:
    """End this process when its standard input ends, which its parent holds open."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    from benchmarks._measure import allow_many_sockets

    allow_many_sockets()
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(_serve())
