"""A process that forks with connections, a subscription and operations under way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import a_name

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, os, sys, threading
from monite_async_stores import Granted, Hit, RecordName, RedisTokenStore

url, client_name, stem, way = sys.argv[1:]
store = RedisTokenStore.from_url(f"{url}?client_name={client_name}", namespace=client_name, timeout=5)

class Ear:
    def __init__(self):
        self.heard = []
    def on_event(self, event):
        self.heard.append(event)
    def in_use(self):
        return ()

def name(number):
    return RecordName(f"{stem}{number:04d}", b"secret")

async def ask(number, owner):
    return await store.acquire(name(number), owner, lease_ms=20_000, bad_gen=0, min_left_ms=0)

async def wait_until(condition):
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise SystemExit("waited in vain")

async def child():
    ear = Ear()
    store.watch(ear)
    answers = await asyncio.gather(*(ask(number, "child") for number in range(100, 150)))
    assert all(isinstance(answer, Granted) for answer in answers)
    hit = await ask(1, "child")
    assert isinstance(hit, Hit) and hit.value == b"of the parent"
    os.write(ready, b"r")
    await wait_until(lambda: any(event.kind == "purge" and event.name == name(2).name for event in ear.heard))
    await store.aclose()

async def before():
    store.watch(ear)
    granted = await ask(1, "parent")
    await store.commit(name(1), "parent", granted.gen, b"of the parent", lifetime_ms=60_000, left_ms=60_000)
    under_way.extend(asyncio.ensure_future(ask(number, "parent")) for number in range(200, 240))
    for _ in range(3):
        await asyncio.sleep(0)

def fork():
    global ready, from_child
    from_child, ready = os.pipe()
    pid = os.fork()
    if pid:
        return pid
    # A thread, because in the child of a fork from within a coroutine a loop seems to run in this one.
    thread = threading.Thread(target=lambda: asyncio.run(child()))
    thread.start()
    thread.join()
    status = 1 if failures else 0
    if way == "inside":
        os._exit(status)
    sys.exit(status)

async def after(pid):
    assert all(isinstance(answer, Granted) for answer in await asyncio.gather(*under_way))
    assert await asyncio.to_thread(os.read, from_child, 1) == b"r"
    await asyncio.to_thread(check_connections)
    await store.purge(name(2))
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert status == 0, status
    # What the child did with its copies, and its end, have hurt nobody here.
    for number in range(300, 320):
        assert isinstance(await ask(number, "parent"), Granted)
    other = RedisTokenStore.from_url(url, namespace=client_name, timeout=5)
    await other.purge(name(3))
    await wait_until(lambda: any(event.kind == "purge" and event.name == name(3).name for event in ear.heard))
    await other.aclose()
    await store.aclose()
    print("done")

async def all_inside():
    await before()
    await after(fork())

def check_connections():
    from tests.stores.redis_server import Admin
    admin = Admin(int(url.rpartition(":")[2].partition("/")[0]))
    clients = [line for line in admin.text("CLIENT", "LIST").splitlines() if f"name={client_name}" in line]
    assert len({line.split(" addr=")[1].split()[0] for line in clients}) == len(clients)
    _, listening = admin.items("PUBSUB", "NUMSUB", f"{client_name}:events")
    assert listening == 2, "one subscription each"
    admin.close()

failures, under_way, ear = [], [], Ear()
threading.excepthook = lambda arguments: (failures.append(arguments), threading.__excepthook__(arguments))
if way == "inside":
    asyncio.run(all_inside())
else:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(before())
    loop.run_until_complete(after(fork()))
    loop.close()
"""


@pytest.mark.parametrize("way", ["inside", "between"])
def test_a_forked_child_uses_connections_of_its_own(way: str, redis_server: RedisServer) -> None:
    """Forked within a coroutine, or between two runs of a loop and ended in good order, parent and child both go on.

    Each has its own connections and subscription, and operations under way in the parent get their answers there.
    """
    stem = a_name().name[:28]
    command = [sys.executable, "-c", PROGRAM, redis_server.url, f"fork-{stem}", stem, way]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert "Exception ignored" not in done.stderr
    assert "never retrieved" not in done.stderr
