"""Downloads and the disk: a thread that outlives its caller, and a disk that is full."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from monite_async import _downloads
from tests.downloading import over, pdf


@pytest.mark.parametrize("step", ["open", "finish", "fsync"])
async def test_a_thread_left_behind_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Cancelled while a thread is at the disk: it neither puts the file in place nor leaves a part of it behind."""
    (tmp_path / "x.pdf").write_bytes(b"old")
    reached, left, go_on = asyncio.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    owner: Any = os if step == "fsync" else _downloads._Target
    original = getattr(owner, step)

    def held(*args: Any) -> Any:
        loop.call_soon_threadsafe(reached.set)
        go_on.wait()
        try:
            return original(*args)
        finally:
            loop.call_soon_threadsafe(left.set)

    monkeypatch.setattr(owner, step, held)
    monite, _ = over(pdf())
    task = asyncio.ensure_future(monite.download("/file", to=tmp_path / "x.pdf"))
    await reached.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
        task.cancel()  # somebody who is in a hurry does not hinder the cleaning up
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await left.wait()
    await loop.shutdown_default_executor()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.downloading import over, pdf

async def main(target):
    monite, _ = over(pdf(b"x" * 5000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        await monite.download("/file", to=target)
    except OSError:
        print([path.name for path in target.parent.iterdir()])

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """When the disk takes only a part of the file, that part is removed and the error is the disk's."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-B", "-c", FULL_DISK, str(tmp_path / "x.pdf")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == "[]"
