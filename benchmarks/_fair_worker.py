"""One process of a fleet that keeps to a rate limit: makes all its calls at once when told to, and tells what became."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import warnings

from benchmarks._fair_systems import Place, make
from benchmarks._measure import allow_many_sockets


async def main(name: str, place: Place, calls: int) -> None:
    """Make one call to get ready, wait for a line, make the calls."""
    system = make(name, place)
    loop = asyncio.get_running_loop()
    await system.call()  # what is imported and connected on first use is no part of this
    print(json.dumps({"ready": True}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    waits: list[float] = []
    failed = 0
    begun = time.monotonic()

    async def call() -> None:
        nonlocal failed
        try:
            await system.call()
        except Exception:
            failed += 1
        else:
            waits.append(time.monotonic() - begun)

    await asyncio.gather(*(call() for _ in range(calls)))
    ended = time.monotonic()
    await system.aclose()
    print(json.dumps({"failed": failed, "waits": waits, "begun": begun, "ended": ended}), flush=True)


if __name__ == "__main__":
    allow_many_sockets()
    logging.disable(logging.CRITICAL)  # nobody reads what peers log
    warnings.simplefilter("ignore")
    asyncio.run(main(sys.argv[1], Place(**json.loads(sys.argv[2])), int(sys.argv[3])))
