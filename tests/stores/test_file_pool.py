"""Threads for file calls: bounded in time and number, and nothing that a caller left behind is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from monite_async_stores import StoreBusyError, StoreError
from monite_async_stores import _file_jobs as module
from monite_async_stores._file_jobs import Once, Steps
from monite_async_stores._file_lock import LockTakenError
from monite_async_stores._file_pool import FilePool

pytestmark = pytest.mark.usefixtures("no_blocking_calls")


class Gate:
    """A call that waits until it is let through, in threads and in the test alike."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.done = 0

    def __call__(self) -> int:
        self.begun.release()
        assert self.open.wait(60)
        self.done += 1
        return self.done

    async def is_begun(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def _beat(pool: FilePool, times: int) -> None:
    """Let the time pass for this loop in which it is free; pools that are given this much time do not see it pass."""
    for _ in range(times):
        pool._beats_here()._tick()


PATIENT = 1e6


async def test_calls_are_made_in_other_threads() -> None:
    """What a call returns or raises comes back, from a daemon thread that never is the loop's."""
    pool = FilePool()
    thread = await pool.run(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pool.run(fail)
    pool.retire()


async def test_threads_are_few() -> None:
    """Any number of calls is made by at most as many threads as allowed."""
    pool, gate = FilePool(size=3), Gate()
    tasks = [asyncio.create_task(pool.run(gate)) for _ in range(10)]
    for _ in range(3):
        await gate.is_begun()
    assert pool._threads == 3
    assert not gate.begun.acquire(blocking=False)
    gate.open.set()
    assert sorted(await asyncio.gather(*tasks)) == list(range(1, 11))
    assert pool._threads == 3
    pool.retire()


async def test_idle_threads_end() -> None:
    """Threads end when there was no work for a while, or at once when the pool retires; more work starts new ones."""
    pool = FilePool(idle=0.01)
    thread = await pool.run(threading.current_thread)
    await asyncio.to_thread(thread.join)
    patient = FilePool(idle=600)
    for _ in range(2):
        thread = await patient.run(threading.current_thread)
        patient.retire()
        await asyncio.to_thread(thread.join)
    assert patient._threads == 0


async def test_a_slow_call_is_not_waited_for() -> None:
    """After its time limit the caller gets ``StoreError``; what the call returns in the end is undone."""
    pool, gate, undone = FilePool(limit=0.01), Gate(), list[int]()
    with pytest.raises(StoreError, match="did not answer in time"):
        await pool.run(gate, undo=undone.append)
    gate.open.set()
    await _until(lambda: undone == [1])
    pool.retire()


async def test_hung_threads_are_told_at_once() -> None:
    """When every thread hangs in a call, further calls fail without waiting, until one comes back."""
    pool, gate = FilePool(size=2, limit=0.01), Gate()
    for _ in range(2):
        with pytest.raises(StoreError, match="in time"):
            await pool.run(gate)
        await gate.is_begun()
    with pytest.raises(StoreError, match="does not answer"):
        await pool.run(gate)
    gate.open.set()
    await _until(lambda: gate.done == 2)
    assert await pool.run(lambda: "back") == "back"
    pool.retire()


async def test_a_cancelled_call_is_undone() -> None:
    """A caller that is cancelled leaves nothing behind, whether its call is under way or done already."""
    pool, gate, undone = FilePool(), Gate(), list[int]()
    task = asyncio.create_task(pool.run(gate, undo=undone.append))
    await gate.is_begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await _until(lambda: undone == [1])

    single, done = FilePool(size=1), threading.Event()
    task = asyncio.create_task(single.run(lambda: 2, undo=undone.append))
    await asyncio.sleep(0)
    single.submit(Once(done.set), urgent=False)
    while not done.is_set():  # the result is on its way to a loop that does not look
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: undone == [1, 2])
    for used in (pool, single):
        used.retire()


async def test_a_call_that_nobody_awaits_is_not_begun() -> None:
    """A call that waits for a thread when its caller goes is not made, if it could be undone; others are made."""
    pool, gate, made = FilePool(size=1), Gate(), list[str]()
    first = asyncio.create_task(pool.run(gate))
    await gate.is_begun()
    undoable = asyncio.create_task(pool.run(lambda: made.append("undoable"), undo=lambda result: None))
    needed = asyncio.create_task(pool.run(lambda: made.append("needed")))
    await asyncio.sleep(0)
    undoable.cancel()
    needed.cancel()
    await asyncio.gather(undoable, needed, return_exceptions=True)
    gate.open.set()
    await first
    await _until(lambda: bool(made))
    await pool.run(lambda: None)
    assert made == ["needed"]
    pool.retire()


async def test_trouble_while_undoing_stays_inside() -> None:
    """What cannot be undone is left as it is."""
    pool, gate, tried = FilePool(limit=0.01), Gate(), list[int]()

    def undo(result: int) -> None:
        tried.append(result)
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError):
        await pool.run(gate, undo=undo)
    gate.open.set()
    await _until(lambda: tried == [1])
    assert await pool.run(lambda: "alive") == "alive"
    pool.retire()


def test_a_loop_that_is_gone_needs_no_answer() -> None:
    """When the caller's loop is closed under a call, its result is undone, and the thread goes on."""
    pool, gate, undone = FilePool(), Gate(), list[int]()
    loop = asyncio.new_event_loop()
    task = loop.create_task(pool.run(gate, undo=undone.append))
    loop.run_until_complete(gate.is_begun())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gate.open.set()
    asyncio.run(_until(lambda: undone == [1]))
    assert asyncio.run(pool.run(lambda: "alive")) == "alive"
    assert len(pool._beats) == 1, "nothing is kept of a loop that is gone"
    assert not task.done()
    pool.retire()


def test_a_call_of_another_loop_may_hang_too() -> None:
    """A thread that hangs in a call of a loop that is gone is found missing by the loops that are there."""
    pool, gate = FilePool(size=1, limit=PATIENT), Gate()
    loop = asyncio.new_event_loop()
    task = loop.create_task(pool.run(gate))
    loop.run_until_complete(gate.is_begun())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()

    async def wait() -> None:
        waiting = asyncio.create_task(pool.run(lambda: None))
        await asyncio.sleep(0)
        _beat(pool, 21)
        with pytest.raises(StoreError, match="does not answer"):
            await waiting

    asyncio.run(wait())
    gate.open.set()
    asyncio.run(_until(lambda: not pool._running))
    assert not task.done()
    pool.retire()


async def test_everyone_hears_of_a_directory_that_hangs() -> None:
    """When all threads hang, all who wait are told, whether they wait for a thread or for a lock, and as an outage."""
    pool, gates = FilePool(size=2, limit=PATIENT), [Gate(), Gate()]
    tries: list[int] = []

    def taken() -> None:
        tries.append(1)
        raise LockTakenError

    waiting: list[asyncio.Task[object]] = [asyncio.create_task(pool.run(taken))]
    await _until(lambda: bool(tries))
    waiting += [asyncio.create_task(pool.run(gate)) for gate in gates]
    for gate in gates:
        await gate.is_begun()
    waiting += [asyncio.create_task(pool.run(lambda: None)) for _ in range(100)]
    await asyncio.sleep(0)
    _beat(pool, 20)
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    _beat(pool, 2)
    assert {type(end) for end in await asyncio.gather(*waiting, return_exceptions=True)} == {StoreError}
    for gate in gates:
        gate.open.set()
    await _until(lambda: not pool._running)
    pool.retire()


async def test_waiting_for_ones_turn_is_no_outage() -> None:
    """Whoever waits long behind calls that succeed is asked to come again; nobody takes that for a dead directory."""
    pool, gates = FilePool(size=1, limit=PATIENT), [Gate(), Gate(), Gate()]
    tasks = [asyncio.create_task(pool.run(gate)) for gate in gates]
    late = asyncio.create_task(pool.run(lambda: "in time"))
    for gate in gates[:2]:
        await gate.is_begun()
        _beat(pool, 10)
        gate.open.set()
    await gates[2].is_begun()
    assert not late.done()
    _beat(pool, 5)
    with pytest.raises(StoreBusyError, match="too much to do"):
        await late
    latest = asyncio.create_task(pool.run(lambda: "again"))
    gates[2].open.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await latest == "again"
    pool.retire()


async def test_a_busy_loop_is_not_held_against_the_disk() -> None:
    """R27: an answer that comes after ten times the limit still counts if the loop was busy all the while."""
    pool, gate = FilePool(limit=0.05), Gate()
    task = asyncio.create_task(pool.run(gate))
    await gate.is_begun()
    loop = asyncio.get_running_loop()
    for _ in range(10):
        end = loop.time() + 0.05
        while loop.time() < end:
            pass
        await asyncio.sleep(0)
    gate.open.set()
    assert await task == 1
    pool.retire()


async def test_a_result_on_its_way_is_in_time() -> None:
    """A call that was made in time is not given up because its caller's loop was slow to hear of it."""
    pool, done = FilePool(size=1, limit=PATIENT), threading.Event()
    task = asyncio.create_task(pool.run(lambda: "made"))
    await asyncio.sleep(0)
    pool.submit(Once(done.set), urgent=False)
    while not done.is_set():
        pass
    _beat(pool, 30)
    assert await task == "made"
    work = Once(done.clear)
    pool.note_stuck(work)  # by a beat that saw it running a moment ago
    assert await pool.run(lambda: "alive") == "alive"
    pool.retire()


async def test_what_is_urgent_goes_first() -> None:
    """A crowd that asks does not hold up the commit that it waits for."""
    pool, gate, made = FilePool(size=1), Gate(), list[str]()
    first = asyncio.create_task(pool.run(gate))
    await gate.is_begun()
    asking = [asyncio.create_task(pool.run(lambda: made.append("ask"))) for _ in range(50)]
    await asyncio.sleep(0)
    commit = asyncio.create_task(pool.run(lambda: made.append("commit"), urgent=True))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, commit, *asking)
    assert made == ["commit"] + ["ask"] * 50
    pool.retire()


async def test_nobody_waits_for_a_lock_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds a lock taken is made again until it is free, and the only thread serves others meanwhile."""
    monkeypatch.setattr(module, "_PATIENCE", PATIENT)
    pool, taken = FilePool(size=1), threading.Event()
    taken.set()

    def call() -> str:
        if taken.is_set():
            raise LockTakenError
        return "mine"

    task = asyncio.create_task(pool.run(call))
    for _ in range(50):
        assert await pool.run(lambda: "somebody else's") == "somebody else's"
    assert not task.done()
    pool.retire()
    taken.clear()
    assert await task == "mine"


async def test_a_lock_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that stays taken ends in ``StoreError``; a caller that gives up before is not tried for any more."""
    pool, tries = FilePool(size=1), list[int]()

    def call() -> None:
        tries.append(1)
        raise LockTakenError("another process kept the lock of a record")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_PATIENCE", 0.02)
        with pytest.raises(StoreError, match="another process kept") as caught:
            await pool.run(call)
    assert not isinstance(caught.value, StoreBusyError)
    assert len(tries) > 5
    monkeypatch.setattr(module, "_PATIENCE", PATIENT)
    task = asyncio.create_task(pool.run(call, undo=lambda result: None))
    tries.clear()
    await _until(lambda: len(tries) > 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await _until(lambda: not pool._later and not pool._running)
    pool.retire()


async def test_long_work_goes_in_steps() -> None:
    """Between the steps of work that nobody waits for there is room for others, and trouble ends it quietly."""
    pool, gone, made = FilePool(size=1), threading.Event(), list[int]()

    def steps(trouble: Exception | None) -> Iterator[None]:
        try:
            for number in range(3):
                made.append(number)
                yield
            if trouble is not None:
                raise trouble
        finally:
            gone.set()

    for trouble in (None, OSError(5, "Input/output error"), StoreError("gone")):
        pool.submit(Steps(steps(trouble)), urgent=False)
        await _until(lambda: bool(made))
        assert await pool.run(lambda: "meanwhile") == "meanwhile"
        await asyncio.to_thread(gone.wait)
        assert made == [0, 1, 2]
        gone.clear()
        made.clear()
    assert await pool.run(lambda: "alive") == "alive"
    pool.retire()


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no threads, that is a ``StoreError`` too, and the call is not made later for nobody."""
    pool, made, gate = FilePool(), list[str](), Gate()

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(StoreError, match="no thread"):
            await pool.run(lambda: made.append("in vain"))
    first = asyncio.create_task(pool.run(gate))
    await gate.is_begun()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        second = asyncio.create_task(pool.run(lambda: made.append("by the first thread")))
        await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, second)
    assert made == ["by the first thread"]
    pool.retire()


async def test_a_fork_begins_anew() -> None:
    """T12: in a forked child there are no threads yet, and the parent's work is not done a second time."""
    pool, gate = FilePool(size=1), Gate()
    tasks = [asyncio.create_task(pool.run(gate)) for _ in range(2)]
    await gate.is_begun()
    gate.open.set()
    await asyncio.gather(*tasks)
    pool.retire()
    await _until(lambda: pool._threads == 0)  # where there was a fork, there is no other thread
    pool.submit(Once(gate.open.clear))
    await _until(lambda: not gate.open.is_set())
    pool.retire()
    await _until(lambda: pool._threads == 0)
    pool._jobs.append(Once(gate.open.set))
    pool.after_fork_in_child()
    assert (pool._threads, len(pool._jobs)) == (0, 0)
    assert await pool.run(lambda: "here") == "here"
    assert not gate.open.is_set()
    pool.retire()
