"""A real uvicorn in the running loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

import uvicorn

__all__ = ["serving"]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the test."""
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, *, port: int = 0, tls: tuple[str, str] | None = None) -> AsyncGenerator[str, None]:
    """Serve an ASGI application on a socket of this machine.

    Yields:
        Where it is, without a slash at the end.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        certificate, key = tls or (None, None)
        config = uvicorn.Config(app, log_config=None, ssl_certfile=certificate, ssl_keyfile=key, lifespan="off")
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        scheme = "http" if tls is None else "https"
        try:
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
