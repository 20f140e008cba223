"""A server of one payable in a process of its own: raw HTTP/1.1 on uvloop, so that what is measured is the client.

Each of its ports is a twin of the first: behind TLS, 50 ms late, with answers that are held back, with faults. The last
is for orders. Every answer carries the headers of a rate limit that is never reached, as the answers of the API do.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import random
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, cast

from benchmarks._measure import allow_many_sockets, pin
from benchmarks._token_server import BACKLOG, LIFETIME, Requests, ask, end_with_parent, http_reply, make_token

__all__ = ["DELAY", "FAULTS", "HOST", "PayableServer", "Ports", "answer", "body"]

HOST = "127.0.0.1"
DELAY = 0.05
"""Seconds that the late twin takes for each answer."""
FAULTS = ("reset", "truncated", "slow", "stalled", "503")
"""What the twin with faults does, each to one request in a thousand."""
_FAULT_SHARE = 0.001
_SLOW, _PIECES = 0.05, 5
_SERVER_CORE = 1


def body() -> bytes:
    """Return the payable that it answers with, as compact as an API sends it."""
    from benchmarks._payloads import payable

    return json.dumps(payable(), separators=(",", ":")).encode()


def answer() -> bytes:
    """Return all bytes of its answer."""
    content = body()
    head = (
        "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\ncontent-type: application/json\r\n"
        "ratelimit-limit: 1000000\r\nratelimit-remaining: 999999\r\nratelimit-reset: 1\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    return head.encode("ascii") + content


@dataclass(slots=True)
class _State:
    payable: bytes
    token: bytes
    opened: int = 0
    open: int = 0
    requests: int = 0
    faults: int = 0
    hold: int = 0
    held: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    dice: random.Random = field(default_factory=lambda: random.Random(2026))

    def reset(self, hold: int) -> None:
        self.opened = self.requests = self.faults = 0
        self.hold = hold


class _Payables(Requests):
    """Answers at once."""

    def __init__(self, state: _State) -> None:
        super().__init__()
        self.state = state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.state.opened += 1
        self.state.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.state.open -= 1

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET ") and data.endswith(b"\r\n\r\n"):  # the usual case costs next to nothing
            self.state.requests += 1
            self.answer()
        else:
            super().data_received(data)

    def take(self, body: bytes) -> None:
        if body:
            self.reply(self.state.token)
        else:
            self.state.requests += 1
            self.answer()

    def answer(self) -> None:
        """Answer a request for the payable."""
        self.reply(self.state.payable)


class _Late(_Payables):
    def answer(self) -> None:
        asyncio.get_running_loop().call_later(DELAY, super().answer)


class _Held(_Payables):
    """Answers nobody before as many wait as were ordered, so that each has a connection of its own."""

    def answer(self) -> None:
        state = self.state
        state.held.append(super().answer)
        if len(state.held) >= state.hold:
            held, state.held, state.hold = state.held, [], 0
            for answer in held:
                answer()


class _Faulty(_Payables):
    def answer(self) -> None:
        turn = self.state.dice.random() / _FAULT_SHARE
        if turn >= len(FAULTS):
            super().answer()
            return
        self.state.faults += 1
        getattr(self, f"_{FAULTS[int(turn)]}")()

    def _reset(self) -> None:
        assert self.transport is not None
        self.transport.abort()

    def _truncated(self) -> None:
        self.reply(self.state.payable[:2_000])
        assert self.transport is not None
        self.transport.close()

    def _slow(self) -> None:
        whole = self.state.payable
        size = -(-len(whole) // _PIECES)
        for number in range(_PIECES):
            piece = whole[number * size : (number + 1) * size]
            asyncio.get_running_loop().call_later(number * _SLOW, self.reply, piece)

    def _stalled(self) -> None:
        """Never answer; the client has to give up."""

    def _503(self) -> None:
        self.reply(http_reply(503, b'{"error":{"message":"out of order"}}'))


class _Orders(Requests):
    def __init__(self, state: _State) -> None:
        super().__init__()
        self._state = state

    def take(self, body: bytes) -> None:
        state = self._state
        names = ("opened", "open", "requests", "faults")
        self.reply(http_reply(200, json.dumps({name: getattr(state, name) for name in names}).encode()))
        if body:
            state.reset(cast("dict[str, int]", json.loads(body))["hold"])


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the twins of a server are.

    Attributes:
        plain: The first.
        tls: The same behind TLS.
        late: The same, but each answer takes ``DELAY`` seconds.
        held: The same, but nobody is answered before as many wait as were ordered.
        faulty: The same, but some requests meet one of ``FAULTS``.
        orders: Port for orders.
        authority: File of the certificate authority to trust.
    """

    plain: int
    tls: int
    late: int
    held: int
    faulty: int
    orders: int
    authority: str

    def reset(self, hold: int = 0) -> None:
        """Count anew; the twin that holds answers back waits for so many requests once."""
        ask(self.orders, json.dumps({"hold": hold}).encode())

    def counts(self) -> dict[str, int]:
        """Return ``opened`` connections, ``requests`` and ``faults`` since the last reset, and connections ``open``."""
        return ask(self.orders, b"")


class PayableServer:
    """Runs the server in another process, on another core, for the length of a ``with`` block."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
            text=True,
        )
        assert self._process.stdout is not None
        self.ports = Ports(**cast("dict[str, Any]", json.loads(self._process.stdout.readline())))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()


def _certificate(folder: Path) -> ssl.SSLContext:
    trustme: Any = import_module("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return context


async def _serve(folder: Path) -> None:
    token = {"access_token": make_token(1), "token_type": "Bearer", "expires_in": LIFETIME}
    state, loop = _State(answer(), http_reply(200, json.dumps(token).encode())), asyncio.get_running_loop()
    twins: dict[str, type[_Payables | _Orders]] = {
        "plain": _Payables, "tls": _Payables, "late": _Late, "held": _Held, "faulty": _Faulty, "orders": _Orders
    }  # fmt: skip
    ports: dict[str, object] = {"authority": str(folder / "authority.pem")}
    servers: list[asyncio.Server] = []
    for name, twin in twins.items():
        tls = _certificate(folder) if name == "tls" else None
        server = await loop.create_server(lambda twin=twin: twin(state), "127.0.0.1", 0, backlog=BACKLOG, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
        servers.append(server)
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the certificate of the authority is written")
    options = parser.parse_args()
    allow_many_sockets()
    pin(_SERVER_CORE)
    threading.Thread(target=end_with_parent, daemon=True).start()
    factory: Any = import_module("uvloop").new_event_loop if importlib.util.find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(options.folder))


if __name__ == "__main__":
    _main()
