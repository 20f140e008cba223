"""Threads for file calls: bounded in time and number, and nothing that a caller left behind is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from monite_async_stores import StoreError
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


async def test_calls_are_made_in_other_threads() -> None:
    """What a call returns or raises comes back, from a daemon thread that never is the loop's."""
    pool = FilePool()
    thread = await pool.run(threading.current_thread, limit=5)
    assert thread is not threading.current_thread()
    assert thread.daemon

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pool.run(fail, limit=5)
    pool.retire()


async def test_threads_are_few() -> None:
    """Any number of calls is made by at most as many threads as allowed."""
    pool, gate = FilePool(size=3), Gate()
    tasks = [asyncio.create_task(pool.run(gate, limit=60)) for _ in range(10)]
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
    thread = await pool.run(threading.current_thread, limit=5)
    await asyncio.to_thread(thread.join)
    patient = FilePool(idle=600)
    for _ in range(2):
        thread = await patient.run(threading.current_thread, limit=5)
        patient.retire()
        await asyncio.to_thread(thread.join)
    assert patient._threads == 0


async def test_a_slow_call_is_not_waited_for() -> None:
    """After its time limit the caller gets ``StoreError``; what the call returns in the end is undone."""
    pool, gate, undone = FilePool(), Gate(), list[int]()
    with pytest.raises(StoreError, match="did not answer in time"):
        await pool.run(gate, limit=0.01, undo=undone.append)
    gate.open.set()
    await _until(lambda: undone == [1])
    pool.retire()


async def test_hung_threads_are_told_at_once() -> None:
    """When every thread hangs in a call, further calls fail without waiting, until one comes back."""
    pool, gate = FilePool(size=2), Gate()
    for _ in range(2):
        with pytest.raises(StoreError, match="in time"):
            await pool.run(gate, limit=0.01)
        await gate.is_begun()
    with pytest.raises(StoreError, match="does not answer"):
        await pool.run(gate, limit=60)
    gate.open.set()
    await _until(lambda: gate.done == 2)
    assert await pool.run(lambda: "back", limit=60) == "back"
    pool.retire()


async def test_a_cancelled_call_is_undone() -> None:
    """A caller that is cancelled leaves nothing behind, whether its call is under way or done already."""
    pool, gate, undone = FilePool(), Gate(), list[int]()
    task = asyncio.create_task(pool.run(gate, limit=60, undo=undone.append))
    await gate.is_begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await _until(lambda: undone == [1])

    single, done = FilePool(size=1), threading.Event()
    task = asyncio.create_task(single.run(lambda: 2, limit=60, undo=undone.append))
    await asyncio.sleep(0)
    single.submit(done.set)
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
    first = asyncio.create_task(pool.run(gate, limit=60))
    await gate.is_begun()
    undoable = asyncio.create_task(pool.run(lambda: made.append("undoable"), limit=60, undo=lambda result: None))
    needed = asyncio.create_task(pool.run(lambda: made.append("needed"), limit=60))
    await asyncio.sleep(0)
    undoable.cancel()
    needed.cancel()
    await asyncio.gather(undoable, needed, return_exceptions=True)
    gate.open.set()
    await first
    await _until(lambda: bool(made))
    await pool.run(lambda: None, limit=60)
    assert made == ["needed"]
    pool.retire()


async def test_trouble_while_undoing_stays_inside() -> None:
    """What cannot be undone is left as it is."""
    pool, gate, tried = FilePool(), Gate(), list[int]()

    def undo(result: int) -> None:
        tried.append(result)
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError):
        await pool.run(gate, limit=0.01, undo=undo)
    gate.open.set()
    await _until(lambda: tried == [1])
    assert await pool.run(lambda: "alive", limit=60) == "alive"
    pool.retire()


def test_a_loop_that_is_gone_needs_no_answer() -> None:
    """When the caller's loop is closed under a call, its result is undone, and the thread goes on."""
    pool, gate, undone = FilePool(), Gate(), list[int]()
    loop = asyncio.new_event_loop()
    task = loop.create_task(pool.run(gate, limit=60, undo=undone.append))
    loop.run_until_complete(gate.is_begun())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gate.open.set()
    asyncio.run(_until(lambda: undone == [1]))
    assert not task.done()
    pool.retire()


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no threads, that is a ``StoreError`` too, and the call is not made later for nobody."""
    pool, made, gate = FilePool(), list[str](), Gate()

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(StoreError, match="no thread"):
            await pool.run(lambda: made.append("in vain"), limit=5)
    first = asyncio.create_task(pool.run(gate, limit=60))
    await gate.is_begun()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        second = asyncio.create_task(pool.run(lambda: made.append("by the first thread"), limit=60))
        await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, second)
    assert made == ["by the first thread"]
    pool.retire()


async def test_a_fork_begins_anew() -> None:
    """T12: in a forked child there are no threads yet, and the parent's work is not done a second time."""
    pool, gate = FilePool(size=1), Gate()
    tasks = [asyncio.create_task(pool.run(gate, limit=60)) for _ in range(2)]
    await gate.is_begun()
    gate.open.set()
    await asyncio.gather(*tasks)
    pool.retire()
    pool.after_fork_in_child()
    assert (pool._threads, len(pool._jobs)) == (0, 0)
    assert await pool.run(lambda: "here", limit=60) == "here"
    pool.retire()
