"""Deliveries to a receiver, as a server would put them."""

from __future__ import annotations

import json
from typing import Any

from monite_async.webhooks import Event, Receiver, sign
from tests.asgi_calls import Answer, ask

__all__ = ["SECRET", "delivery", "noting", "post"]

SECRET = "whsec_canary-of-a-secret"


def delivery(event_id: str = "1", kind: str = "payable", action: str = "payable.approved") -> bytes:
    """Return a body."""
    facts = {"id": event_id, "action": action, "object_type": kind, "entity_id": "e", "object": {"iban": "canary"}}
    return json.dumps(facts).encode()


async def post(receiver: Receiver, body: bytes | None = None, *, secret: str = SECRET, **more: Any) -> Answer:
    """Deliver a signed body as a server would."""
    content = delivery() if body is None else body
    answer = await ask(receiver, body=content, headers={"Monite-Signature": sign(content, secret)}, **more)
    assert answer is not None
    assert "canary" not in f"{answer.headers}{answer.body!r}"
    return answer


def noting(receiver: Receiver, *where: Any) -> list[Event]:
    """Register a handler, and return what it will have been called with."""
    seen: list[Event] = []

    @receiver.on(*where)
    async def handler(event: Event) -> None:
        seen.append(event)

    return seen
