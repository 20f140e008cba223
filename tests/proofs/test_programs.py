"""T11 and T12 as whole programs: loops that come and go, threads, forks, closings; nothing may be said on stderr."""

from __future__ import annotations

import pytest

from tests.proofs.programs import emulating, run

LOOPS = {"asyncio": "asyncio.new_event_loop", "uvloop": "__import__('uvloop').new_event_loop"}

TWO_RUNS = """
monite = client()
for _ in range(3):
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        runner.run(calls(monite, 20))
    gc.collect()
"""

THREADS = """
monite = client()
together = threading.Barrier(4)
def work():
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        together.wait()
        for _ in range(3):
            runner.run(calls(monite, 20))
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
gc.collect()
"""

LEADER_DIES = """
monite = client()
loop = FACTORY()
async def lead():
    global task
    task = asyncio.ensure_future(monite.request("GET", "/entities"))
    while not monite.tokens.stats().events.get("flight_started"):
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0.001)
loop.run_until_complete(lead())
task._log_destroy_pending = False  # the caller is the program's own
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
with asyncio.Runner(loop_factory=FACTORY) as runner:
    runner.run(calls(monite, 20))
del task, loop
gc.collect()
"""

CLOSED_MIDWAY = """
async def main(turns):
    monite = client()
    running = [asyncio.ensure_future(monite.request("GET", "/entities")) for _ in range(50)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await monite.aclose()
    results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 5)
    kinds = {type(each).__name__ for each in results}
    assert kinds <= {"ClientClosedError", "dict"}, results
    assert len(asyncio.all_tasks()) == 1
for turns in (1, 8, 40):
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        runner.run(main(turns))
    gc.collect()
"""

CLOSED_FROM_ELSEWHERE = """
monite = client()
started = threading.Event()
async def there():
    running = [asyncio.ensure_future(monite.request("GET", "/entities")) for _ in range(50)]
    await asyncio.sleep(0)
    started.set()
    results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 10)
    kinds = {type(each).__name__ for each in results}
    assert kinds <= {"ClientClosedError", "dict"}, results
def work():
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        runner.run(there())
thread = threading.Thread(target=work)
thread.start()
started.wait()
with asyncio.Runner(loop_factory=FACTORY) as runner:
    runner.run(monite.aclose())
thread.join()
gc.collect()
"""

FORGOTTEN = """
async def main(turns):
    monite = client()
    running = [asyncio.ensure_future(monite.request("GET", "/entities")) for _ in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    del monite, running
    gc.collect()
for turns in (1, 8, 40):
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        runner.run(main(turns))
    gc.collect()
"""

ABANDONED = """
async def main(turns):
    running = [asyncio.ensure_future(client().request("GET", "/entities")) for _ in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
for turns in (1, 8, 40):
    with asyncio.Runner(loop_factory=FACTORY) as runner:
        runner.run(main(turns))
    gc.collect()
"""


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
async def test_one_client_in_many_loops(factory: str) -> None:
    """Run after run, and four threads at once, share one client and one token; the token of a loop that died is no loss."""
    async with emulating() as remote:
        await run(remote, (TWO_RUNS + THREADS).replace("FACTORY", factory))
        assert await remote.issued() == {"client_credentials": 2}
        held = await remote.fail("POST", "/auth/token", hold=True)
        await run(remote, LEADER_DIES.replace("FACTORY", factory))
        assert await held.hits() == 1
        assert (await remote.issued())["client_credentials"] <= 4


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
async def test_closing_and_forgetting_with_calls_in_flight(factory: str) -> None:
    """Closing from this loop or another, losing the client, and leaving the loop, with calls under way, end in silence."""
    async with emulating() as remote:
        await run(remote, (CLOSED_MIDWAY + FORGOTTEN + ABANDONED).replace("FACTORY", factory))
        held = await remote.fail("POST", "/auth/token", hold=True, times=None)
        await run(remote, CLOSED_FROM_ELSEWHERE.replace("FACTORY", factory))
        await held.remove()
        await run(remote, CLOSED_FROM_ELSEWHERE.replace("FACTORY", factory))


FORKS = """
import warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
monite = client()
asyncio.run(calls(monite, 10))

def child():
    code = 1
    try:
        for _ in range(3):
            asyncio.run(asyncio.wait_for(own_calls(monite, 30), 20))
        gc.collect()
        code = 0
    finally:
        os._exit(code)

stop = threading.Event()
async def load():
    while not stop.is_set():
        await calls(monite, 20)
failures = []
def parent():
    try:
        asyncio.run(load())
    except BaseException as exc:
        failures.append(exc)
thread = threading.Thread(target=parent)
thread.start()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        child()
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
stop.set()
thread.join()
assert codes == [0] * 4, codes
assert not failures, failures
asyncio.run(calls(monite, 10))
"""

PRELOAD = """
import multiprocessing
monite = client()

def work(number):
    asyncio.run(asyncio.wait_for(own_calls(monite, 50), 20))
    return os.getpid()

if __name__ == "__main__":
    asyncio.run(calls(monite, 10))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert len(pool.map(work, range(9), chunksize=1)) == 9
        asyncio.run(calls(monite, 10))
        pool.close()
        pool.join()
"""

RUNNING = """
# The fork happens inside a running coroutine with calls in flight, and the child starts a loop of its own.
monite = client()
async def main():
    await calls(monite, 1)
    running = [asyncio.ensure_future(calls(monite, 10)) for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio._set_running_loop(None)
            asyncio.run(asyncio.wait_for(own_calls(monite, 20), 20))
            code = 0
        finally:
            os._exit(code)
    await asyncio.gather(*running)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    await calls(monite, 10)
    await monite.aclose()
asyncio.run(main())
"""


@pytest.mark.parametrize("program", [FORKS, PRELOAD, RUNNING], ids=["fork", "preload", "running"])
async def test_forks_share_the_token_and_no_socket(program: str) -> None:
    """Children of a warmed-up client work under load with the parent's token, and the parent notices nothing.

    Two processes on one socket would read each other's answers: every call of every process checks its own.
    """
    async with emulating() as remote:
        await run(remote, program)
        assert await remote.issued() == {"client_credentials": 1}
        assert set(await remote.statuses()) == {200}
