"""The test's side of a fleet: starts members, gives orders, stops and kills, and keeps the living for the next test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, cast

from tests.fleet.endpoint import CLIENT_ID, SECRET, TokenEndpoint

__all__ = ["Answer", "Crew", "Member", "all_of", "one_token"]

_ROOT = Path(__file__).parents[2]
_SECONDS = 60.0

Answer = dict[str, Any]


class Member:
    """One process.

    Attributes:
        number: Which one, for passwords and the like.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        descriptor, path = tempfile.mkstemp()
        Path(path).unlink()
        self._errors: IO[str] = os.fdopen(descriptor, "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.member"],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answers: dict[int, Future[Answer]] = {}
        self._news: dict[str, threading.Event] = {name: threading.Event() for name in ("ready", "halted", "watching")}
        self._killed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def do(self, what: str, **order: object) -> Future[Answer]:
        """Give an order; the answer comes."""
        answer: Future[Answer] = Future()
        number = len(self._answers)
        self._answers[number] = answer
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, "id": number, **order}) + "\n")
        self.process.stdin.flush()
        return answer

    def open(
        self,
        store: str,
        endpoint: TokenEndpoint,
        *,
        patches: dict[str, object] | None = None,
        halt: str = "",
    ) -> Future[Answer]:
        """Have it make a client of the endpoint, on a Redis (a URL) or on files (a path)."""
        for news in ("halted", "watching"):
            self._news[news].clear()
        return self.do(
            "open",
            store=store,
            base_url=endpoint.base_url,
            client_id=CLIENT_ID,
            secret=SECRET,
            patches=patches or {},
            halt=halt,
        )

    def crowd(self, size: int, users: Sequence[int] = (0,)) -> Future[Answer]:
        """Have so many callers per user ask at once; user 0 is the partner."""
        return self.do("crowd", size=size, users=list(users))

    def ask(self, what: str, **order: object) -> Answer:
        """Give an order and wait for the answer."""
        return self.do(what, **order).result(_SECONDS)

    def events(self) -> dict[str, int]:
        """Return how often each event happened."""
        return cast("dict[str, int]", self.ask("stats")["events"])

    def wait_for(self, news: str) -> None:
        """Wait until it has told something."""
        if not self._news[news].wait(_SECONDS):
            raise TimeoutError(f"no word of {news}")

    def stop(self) -> None:
        """Stop it where it stands."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it without warning."""
        self._killed = True
        self.process.kill()
        self.process.wait(_SECONDS)

    def terminate(self) -> int:
        """Ask it to end, and return its status."""
        self._killed = True
        self.process.terminate()
        return self.process.wait(_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether it can still be used."""
        return not self._killed and self.process.poll() is None

    def end(self) -> str:
        """End it, and return what it complained of."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            self.process.stdin.close()
        try:
            self.process.wait(_SECONDS)
        finally:
            self.process.kill()
            self.process.wait(_SECONDS)
            self._reader.join(_SECONDS)
            self.process.stdout.close()
        with self._errors as errors:
            errors.seek(0)
            return errors.read()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = cast("Answer", json.loads(line))
            if "news" in said:
                self._news[said["news"]].set()
                continue
            answer = self._answers[said.pop("id")]
            if "failed" in said:
                answer.set_exception(AssertionError(said["failed"]))
            else:
                answer.set_result(said)
        for answer in list(self._answers.values()):
            if not answer.done():
                answer.set_exception(ConnectionError("the process is gone"))


class Crew:
    """Members at hand: starting a Python takes longer than most tests."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._ended: list[Member] = []
        self._free: list[Member] = []

    def take(self, count: int) -> list[Member]:
        """Return members that nobody uses."""
        while len(self._free) < count:
            member = Member(len(self._members))
            self._members.append(member)
            self._free.append(member)
        taken, self._free = self._free[:count], self._free[count:]
        for member in taken:
            member.wait_for("ready")
        return taken

    @contextlib.contextmanager
    def fleet(self, count: int) -> Generator[list[Member], None, None]:
        """Lend members; those still alive are closed and kept in the end."""
        members = self.take(count)
        try:
            yield members
        finally:
            for member in members:
                if member.is_alive:
                    member.resume()
            closing = [(member, member.do("close")) for member in members if member.is_alive]
            for member, closed in closing:
                closed.result(_SECONDS)
                self._free.append(member)

    def end(self) -> list[str]:
        """End everyone, and return what they complained of."""
        for member in self._members:
            if member.process.poll() is None:
                member.resume()
        return [text for text in [member.end() for member in self._members] if text]


def all_of(answers: Sequence[Future[Answer]]) -> list[Answer]:
    """Wait for several answers."""
    return [answer.result(_SECONDS) for answer in answers]


def one_token(answers: Sequence[Answer], user: str = "") -> str:
    """Assert that everyone was served, all with one token; return its fingerprint and generation."""
    assert [answer["errors"] for answer in answers] == [[] for _ in answers]
    found = {token for answer in answers for token in answer["tokens"][user]}
    assert len(found) == 1, found
    return str(found.pop())
