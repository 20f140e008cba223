"""A process of its own that gets all deliveries: ``python -m tests.web.deliverer STORE_URL HOW_MANY``.

It begins when it is told to, and prints the events that fell to it; of each the first attempt of all processes fails.
"""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import uuid4

from monite_async.webhooks import Event, Receiver, StoreReplayGuard, sign
from monite_async_stores import store_from_url

SECRET = "whsec_of-a-test"


async def main(url: str, count: int) -> None:
    """Deliver every event to this process until it was handled here or elsewhere."""
    store = store_from_url(url)
    receiver = Receiver(SECRET, guard=StoreReplayGuard(store))
    failed = StoreReplayGuard(store)

    @receiver.on()
    async def handle(event: Event) -> None:
        name = f"failure of {event.id}"
        if await failed.claim(name, owner=str(uuid4()), lease=60) == "claimed":
            raise LookupError
        sys.stdout.write(f"{event.id}\n")

    async def deliver(number: int) -> None:
        body = json.dumps({"id": f"e{number}", "action": "a", "object_type": "o", "entity_id": "e"}).encode()
        outcome = ""
        while outcome not in {"handled", "duplicate"}:
            try:
                outcome = await receiver.handle(body, sign(body, SECRET))
            except LookupError:
                outcome = "failed"
            await asyncio.sleep(0.005)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(deliver(number) for number in range(count)))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
