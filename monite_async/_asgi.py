"""The little of ASGI that the applications of this package share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from monite_async._config import Hidden

__all__ = ["TOO_LONG", "Message", "Receive", "Scope", "Send", "header", "is_http", "read_body", "respond"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

TOO_LONG: Final = object()


async def is_http(scope: Scope, receive: Receive, send: Send) -> bool:
    """Tell whether this is a request; answer what an application is asked besides, so that it can stand alone.

    Raises:
        ValueError: A kind of scope that ASGI did not have when this was written, as its specification wants it.
    """
    if scope["type"] == "http":
        return True
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return False
    if scope["type"] == "websocket":
        await receive()  # the connect that has to come before the answer to it
        await send({"type": "websocket.close"})
        return False
    raise ValueError(f"this application answers HTTP requests only, not {scope['type']!r}")


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of this lower-case name."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), None)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes | object | None:
    """Return the body of a request; ``TOO_LONG`` above the limit in bytes, None when the sender went away."""
    announced = header(scope, b"content-length") or ""
    if announced.isdecimal() and int(announced[:20]) > limit:
        return TOO_LONG
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            return TOO_LONG
        more = message.get("more_body", False)
    return bytes(body)


async def respond(
    send: Send,
    status: int,
    content: object = None,
    *,
    headers: Iterable[tuple[str, str]] = (),
    head: bool = False,
) -> None:
    """Send an answer with a JSON body, or without one for None; ``head`` keeps the body back and its length.

    Content that is a secret comes hidden, and this frame shows none of it when ``send`` fails.
    """
    shown = content.value if isinstance(content, Hidden) else content
    encoded = b"" if shown is None else json.dumps(shown).encode()
    fields = [*headers, ("content-length", str(len(encoded)))] if status != 204 else [*headers]
    if shown is not None:
        fields.append(("content-type", "application/json"))
    body = Hidden(b"" if head else encoded)
    del shown, encoded
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body.value})
