"""The real command, run as a process against an emulator; whatever it prints is searched for secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from monite_async.emulator import Emulator, EmulatorSettings, listen

SECRET = "canary-secret-6b1f0c9e8d7a5432"
PASSWORD = "canary-password-3c2b1a0f9e8d"
KEYS = ("canary-key-one-" + "a1" * 16, "canary-key-two-" + "b2" * 16)
CLIENT_ID = EmulatorSettings().client_id


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def data(self) -> Any:
        """Return what it printed as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line in which it told its failure."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")


@dataclass
class Command:
    """Runs ``python -m monite_async`` in an environment of its own.

    Attributes:
        emulator: What it talks to.
        env: The ``MONITE_...`` variables that it is given.
        canaries: Texts that it must never print.
    """

    emulator: Emulator
    env: dict[str, str]
    canaries: set[str] = field(default_factory=lambda: {SECRET, PASSWORD, *KEYS})

    async def __call__(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str | None] | None = None, may_reveal: bool = False
    ) -> Ended:
        """Run a command to its end.

        Args:
            arguments: Its command line.
            stdin: What it reads.
            env: Variables that differ; None takes one away.
            may_reveal: Whether it was told to show a token.
        """
        process = await self.start(*arguments, env=env)
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        assert process.returncode is not None
        ended = Ended(process.returncode, out.decode("utf-8", "replace"), err.decode())
        self.check(ended.out + ended.err, may_reveal=may_reveal)
        return ended

    async def start(
        self, *arguments: str, env: Mapping[str, str | None] | None = None, **streams: int
    ) -> asyncio.subprocess.Process:
        """Start a command; its streams are pipes unless said otherwise."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "monite_async", *arguments),
            env=self.surroundings(env or {}),
            **cast("Any", {"stdin": pipe, "stdout": pipe, "stderr": pipe, **streams}),
        )

    def surroundings(self, env: Mapping[str, str | None]) -> dict[str, str]:
        """Return the environment of a process: this one's, with none of its settings, and with ours."""
        rest = {name: value for name, value in os.environ.items() if not name.startswith(("MONITE_", "SSL_CERT"))}
        changed = {name: value for name, value in {**self.env, **env}.items() if value is not None}
        return {**rest, "NO_COLOR": "", "TERM": "xterm-256color", **changed}

    def check(self, text: str, *, may_reveal: bool = False) -> None:
        """Fail if a secret or a traceback is in a text; a token, too (a JWT), unless one was asked for."""
        tokens = set[str]() if may_reveal else {"eyJ"}
        for canary in self.canaries | tokens:
            assert canary not in text
        assert "Traceback" not in text


@contextlib.asynccontextmanager
async def commanding(
    *, store: str | None = None, tls: ssl.SSLContext | None = None, **env: str
) -> AsyncGenerator[Command]:
    """Serve an emulator on a socket, and give what runs commands against it.

    Args:
        store: URL of the token store.
        tls: Serve HTTPS.
        env: Further variables.
    """
    emulator = Emulator(EmulatorSettings(client_secret=SECRET))
    async with listen(emulator, tls=tls) as base_url:
        settings = {"MONITE_BASE_URL": base_url, "MONITE_CLIENT_ID": CLIENT_ID, "MONITE_CLIENT_SECRET": SECRET}
        if store is not None:
            settings["MONITE_TOKEN_STORE"] = store
        yield Command(emulator, {**settings, **env})
