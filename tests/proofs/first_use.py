"""A program whose threads all meet the library for the first time, and at once: each imports, calls and reads.

Run as ``python first_use.py <seed>``: the seed decides which thread starts with what. Writes ``done`` when all came
through; what a thread died of, or where they wait for each other, goes to stderr.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import random
import sys
import threading
import traceback

THREADS = 8
PATIENCE = 60.0
MODELS: tuple[str, ...] = (
    "counterparts",
    "entities",
    "payables",
    "products",
    "receivables",
    "_shared",
    "_lenient",
    "_reader",
)
LISTS: tuple[str, ...] = ("counterparts", "payables", "products", "receivables", "tags", "vat_rates")


async def _call(resources: list[str]) -> None:
    import httpx

    from monite_async import AsyncMonite, ResponseValidationError

    answers = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": [{"id": 1}]}))
    async with AsyncMonite(token="t" * 40, base_url="https://api.test/v1", transport=answers) as monite:
        for name in resources:
            found = await getattr(monite.entity("e"), name).list(options=_lenient())
            assert found.drift or not found.data[0].drift
            try:
                await getattr(monite.entity("e"), name).list()
            except ResponseValidationError:
                continue


def _lenient() -> object:
    from monite_async import RequestOptions

    return RequestOptions(lenient=True)


def _meet(seed: int, number: int, gate: threading.Barrier, failed: list[int]) -> None:
    order = random.Random(f"{seed} {number}")
    models, resources = list(MODELS), list(LISTS)
    order.shuffle(models)
    order.shuffle(resources)
    gate.wait()
    try:
        if number % 2:  # the others come to the models through their first call
            for name in models[:4]:
                importlib.import_module(f"monite_async.models.{name}")
        asyncio.run(_call(resources[:3]))
    except BaseException:
        traceback.print_exc()
        failed.append(number)


def main() -> None:
    """Run the threads, and tell how it went."""
    sys.setswitchinterval(1e-5)
    seed, failed, gate = int(sys.argv[1]), list[int](), threading.Barrier(THREADS)
    threads = [
        threading.Thread(target=_meet, args=(seed, number, gate, failed), daemon=True) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if any(thread.is_alive() for thread in threads):
        faulthandler.dump_traceback(all_threads=True)
    elif not failed:
        sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
