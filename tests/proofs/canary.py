"""Canaries: secrets with a text that is searched for in everything that leaves the library besides its requests."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import monite_async

_PACKAGE = str(Path(monite_async.__file__).parent)
_EMULATOR = str(Path(_PACKAGE) / "emulator")


class Canaries:
    """The secrets of one test, and what they must not be found in."""

    def __init__(self) -> None:
        self.secrets: list[str] = []

    def add(self, secret: str) -> str:
        """Take note of a secret and return it."""
        self.secrets.append(secret)
        return secret

    def forms(self) -> Iterator[str]:
        """Give each secret as it is, its end, and what is certain of it in base64 wherever it starts."""
        for secret in self.secrets:
            yield secret
            yield secret[-20:]
            for shift in range(3):
                encoded = base64.b64encode(b"x" * shift + secret.encode())
                yield encoded[4:-4].decode()
                yield encoded[4:-4].decode().replace("+", "-").replace("/", "_")

    def check(self, texts: Iterable[str]) -> None:
        """Fail if any secret is in any of the texts."""
        whole = "\n".join(texts)
        for form in set(self.forms()):
            at = whole.find(form)
            assert at < 0, f"a canary sings: ...{whole[max(0, at - 600) : at + 80]}..."


def shown(thing: object) -> Iterator[str]:
    """Give every text that can be had of an object."""
    yield repr(thing)
    yield str(thing)
    yield f"{thing}"
    yield repr(getattr(thing, "__dict__", ""))
    yield "%s %r" % (thing, thing)  # noqa: UP031 - that is how logging does it
    for protocol in (2, 5):
        try:
            yield pickle.dumps(thing, protocol).decode("latin-1")
        except (TypeError, AttributeError, RecursionError, pickle.PicklingError) as exc:
            yield str(exc)
    yield json.dumps([thing, getattr(thing, "__dict__", None)], default=repr)


def told(error: BaseException) -> Iterator[str]:
    """Give what an error says, and what a traceback with locals shows of it, its causes and contexts.

    Of frames only those count that are not the test's own: a test has to hold the secrets that it looks for.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if not type(current).__module__.startswith(("httpx", "httpcore")):  # those hold their request, by design
            yield from shown(current)
        waiting += [current.__cause__, current.__context__]
        waiting += cast("tuple[BaseException, ...]", getattr(current, "exceptions", ()))  # of a group
        told_with_locals = traceback.TracebackException.from_exception(current, capture_locals=True)
        for frame in told_with_locals.stack:
            if is_ours(frame.filename):
                yield f"{frame.filename} {frame.name} {frame.locals}"


def is_ours(filename: str) -> bool:
    """Tell whether a frame belongs to the client or to the standard library below it."""
    if filename.startswith(_EMULATOR):
        return False
    return filename.startswith(_PACKAGE) or "monite_async_stores" in filename or "/asyncio/" in filename


def logged(records: Iterable[logging.LogRecord]) -> Iterator[str]:
    """Give all texts of log records."""
    for record in records:
        yield record.getMessage()
        yield repr(record.args)
        yield repr(vars(record))
        if record.exc_info and record.exc_info[1] is not None:
            yield from told(record.exc_info[1])
