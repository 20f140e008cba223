"""A token endpoint for other processes to ask: it counts, and answers when and as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast

from tests.stores.redis_server import until

__all__ = ["CLIENT_ID", "SECRET", "Post", "TokenEndpoint"]

CLIENT_ID = "7c1d7a52-93f1-4b0a-9f3e-0d6a2b1c4e55"
SECRET = "canary-secret-Zq3vX9kLw2"
_TOKEN = "canary-token-{number:06d}-Jr8sYp5TnB"


@dataclass(frozen=True, slots=True)
class Post:
    """A request for a token.

    Attributes:
        user: The entity user, or empty for the partner.
        at: When it came, on the monotonic clock.
    """

    user: str
    at: float


class TokenEndpoint:
    """Serves ``/auth/token`` and ``/auth/revoke`` in threads of this process, for the length of a ``with`` block.

    Attributes:
        delay: Seconds until an answer.
        lifetime: What tokens live, in seconds.
        status: What requests are answered with.
        posts: The requests for tokens so far.
        revoked: The tokens revoked so far.
    """

    def __init__(self, *, delay: float = 0.0, lifetime: float = 1800.0) -> None:
        self.delay = delay
        self.lifetime = lifetime
        self.status = 200
        self.posts: list[Post] = []
        self.revoked: list[str] = []
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="token endpoint")

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def tokens(self) -> list[str]:
        """All tokens that may have been issued."""
        return [_TOKEN.format(number=number) for number in range(1, len(self.posts) + 1)]

    def per_user(self) -> Counter[str]:
        """Return the requests by user."""
        return Counter(post.user for post in self.posts)

    def wait_for_posts(self, count: int) -> None:
        """Wait until so many requests for tokens have come."""
        until(lambda: len(self.posts) >= count, f"{count} token requests")

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, object]]:
        """Answer one request."""
        asked = cast("dict[str, str]", json.loads(body))
        assert asked["client_secret"] == SECRET
        if path.endswith("/auth/revoke"):
            self.revoked.append(asked["token"])
            return 200, {"message": "ok"}
        delay = self.delay  # of now: a test that sees the request may set that of the next one
        with self._server.lock:
            self.posts.append(Post(asked.get("entity_user_id", ""), time.monotonic()))
            number = len(self.posts)
        status, lifetime = self.status, self.lifetime
        self._closed.wait(delay)
        if status != 200:
            return status, {"error": {"message": "out of order"}}
        return 200, {"access_token": _TOKEN.format(number=number), "token_type": "Bearer", "expires_in": lifetime}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    endpoint: TokenEndpoint

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that are killed hang up in the middle of everything."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status, answer = cast("_Server", self.server).endpoint.answer(self.path, body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""
