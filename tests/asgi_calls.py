"""ASGI by hand: one request to an application, as a server would put it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from monite_async.asgi import Application, Message, Scope

__all__ = ["Answer", "ask", "scope_of"]


class Answer(NamedTuple):
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


def scope_of(method: str, headers: Mapping[str, str] | None = None, **more: object) -> Scope:
    """Return the scope of a request."""
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "method": method, "path": "/x", "headers": raw, **more}


async def ask(
    app: Application,
    method: str = "POST",
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    chunks: int = 1,
    gone: bool = False,
    **more: object,
) -> Answer | None:
    """Send a request, its body in several chunks; with ``gone`` the sender goes away before the last one.

    Returns:
        The answer; None when there was none.
    """
    size = max(1, -(-len(body) // chunks))
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    queue: asyncio.Queue[Message] = asyncio.Queue()
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        if not (last and gone):
            queue.put_nowait({"type": "http.request", "body": piece, "more_body": not last})
    queue.put_nowait({"type": "http.disconnect"})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(method, headers, **more), queue.get, send)
    if not sent:
        return None
    head, *rest = sent
    fields = {name.decode(): value.decode() for name, value in head["headers"]}
    return Answer(head["status"], fields, b"".join(part["body"] for part in rest))
