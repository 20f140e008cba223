"""What a call over this library's own connections does not load."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.http._servers import Server, answer, read_request
from tests.scripted import CLIENT_ID, CLIENT_SECRET

HEAVY = ("httpx", "httpcore", "anyio._backends", "urllib.request", "http.cookiejar", "mimetypes")
PROGRAM = """
import asyncio, sys
from monite_async import AsyncMonite

async def main():
    options = {"base_url": sys.argv[1], "client_id": sys.argv[2], "client_secret": sys.argv[3]}
    async with AsyncMonite(**options, transport=None if sys.argv[4] == "h11" else "fast") as monite:
        assert await monite.request("POST", "/things", json={"a": 1}) == {"id": "1"}

asyncio.run(main())
print(*sys.modules)
"""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    token = answer(b'{"access_token": "%s", "token_type": "Bearer", "expires_in": 1800}' % (b"t" * 40))
    while True:
        head, _ = await read_request(reader)
        writer.write(token if b"/auth/token" in head else answer(b'{"id": "1"}'))


def _loaded(out: bytes) -> list[str]:
    return [name for name in out.decode().split() if name.startswith(HEAVY)]


def test_the_engine_alone_loads_no_http_library() -> None:
    """Importing all that carries out calls loads neither httpx nor what comes with it, nor pydantic."""
    program = "import sys, monite_async._core; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert _loaded(done.stdout) == []
    assert b"pydantic" not in done.stdout


@pytest.mark.parametrize("engine", ["h11", "fast"])
async def test_a_whole_call_loads_no_http_library(engine: str) -> None:
    """A token and a call, from nothing to the parsed answer, load neither httpx nor a backend of anyio."""
    async with Server(_serve) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, f"{server.origin}/v1", CLIENT_ID, CLIENT_SECRET, engine,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert _loaded(out) == []
    assert (b" h11 " in out) is (engine == "h11")
