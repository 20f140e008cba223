"""Answers that are files: read piece by piece, or written to where they shall be."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NoReturn, Self, TypeAlias, cast

import anyio
import anyio.to_thread

from monite_async._errors import ConfigurationError, MoniteError, ResponseValidationError
from monite_async._http.exchange import Lost, Opened
from monite_async._http.progress import Progress

__all__ = ["Download", "FileTarget", "StreamedResponse", "open_target", "save"]

FileTarget: TypeAlias = os.PathLike[str] | BinaryIO
"""Where a download goes: a path or a file open for writing in binary mode; not a ``str``, as for uploads."""

_BUFFER: Final = 256 * 1024
_MAX_DIGITS: Final = 20
_Opening: TypeAlias = Callable[[], Awaitable[tuple[Opened, Progress]]]


class StreamedResponse:
    """An answer that is read while it comes; ``async with scope.stream(...)`` gives it and closes it.

    Iterate it once, for its bytes in pieces of any size, decompressed. Up to the first of them a failed request is
    repeated as any call is; after that a failure is raised. Each piece has to come within the ``timeout`` of the call,
    and all of them within its ``deadline`` if one was given for this very call: a file may well take longer than what
    is set for all calls.
    """

    def __init__(self, opening: _Opening, *, bounded: bool) -> None:
        self._opening = opening
        self._bounded = bounded
        self._open: tuple[Opened, Progress] | None = None
        self._over = False

    def __repr__(self) -> str:
        return "<StreamedResponse>"

    async def __aenter__(self) -> Self:
        if self._open is not None or self._over:
            raise ConfigurationError("a stream can be entered once; ask for another one")
        self._open = await self._opening()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def _answer(self) -> Opened:
        return self._opened[0]

    @property
    def _opened(self) -> tuple[Opened, Progress]:
        if self._open is None:
            raise ConfigurationError("a stream is used inside of 'async with' only")
        return self._open

    @property
    def status(self) -> int:
        """HTTP status, a 2xx."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers; names are matched whatever their case."""
        return self._answer.headers

    @property
    def request_id(self) -> str | None:
        """The answer's ``x-request-id``: quote it to Monite's support."""
        return self.headers.get("x-request-id")

    @property
    def content_type(self) -> str | None:
        """The media type of the body, as the server calls it."""
        return self.headers.get("content-type")

    @property
    def content_length(self) -> int | None:
        """Length of the body in bytes, or None when the server does not say, or compresses it."""
        text = self.headers.get("content-length", "")
        plain = self.headers.get("content-encoding", "identity").lower() in {"", "identity"}
        return int(text) if plain and text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        answer, progress = self._opened
        if self._over:
            raise StopAsyncIteration
        until = progress.next_try() if self._bounded else progress.piece_until
        piece = await answer.read(until)
        if isinstance(piece, Lost):
            self._over = True
            error = progress.failure(piece, None)
            error.request_id, error.status = self.request_id, self.status
            raise error
        if not piece:
            self._over = True
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close the answer and, when something of it is unread, its connection; may be repeated."""
        opened, self._over = self._open, True
        if opened is not None:
            await opened[0].aclose()

    def refuse(self, error: MoniteError) -> NoReturn:
        """Raise an error about this answer."""
        self._opened[1].place(error)
        error.request_id, error.status = self.request_id, self.status
        raise error


# -- to a file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Download:
    """What was written.

    Attributes:
        size: How many bytes.
        content_type: Their media type, as the server calls it.
        request_id: The answer's ``x-request-id``.
    """

    size: int
    content_type: str | None
    request_id: str | None


class _Target:
    """A file that is being written, in threads; at a path it appears as a whole or not at all.

    Whoever is cancelled while a thread is at the disk leaves that thread behind. ``discard`` waits for it, and a thread
    that comes later finds that it is over: it opens nothing, and puts nothing in place.
    """

    def __init__(self, to: FileTarget) -> None:
        self._to = to
        self._lock = threading.Lock()
        self._over = False
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        self._held = bytearray()
        self.size = 0

    def open(self) -> None:
        """Open it, a path under another name in the same folder; called in a thread, as all that touches the disk."""
        with self._lock:
            if self._over:
                return
            if not isinstance(self._to, os.PathLike):
                self._file = self._to
                return
            path = Path(self._to)
            if path.is_dir():
                raise ConfigurationError("to is a folder; name the file in it")
            part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
            # Mode "x": it cannot be somebody else's file. The permissions are those that any new file gets. Without a
            # buffer, closing it has nothing to write, and so cannot fail when the disk is full.
            self._file = cast("BinaryIO", part.open("xb", buffering=0))
            self._part = part

    def take(self, piece: bytes) -> None:
        """Take some bytes, to be written later."""
        self._held += piece
        self.size += len(piece)

    async def relieve(self) -> None:
        """Write what was taken if it is enough to be worth a thread."""
        if len(self._held) >= _BUFFER:
            await anyio.to_thread.run_sync(self._flush)

    def _flush(self) -> None:
        with self._lock:
            self._write_held()

    def _write_held(self) -> None:
        view = memoryview(bytes(self._held))
        self._held.clear()
        while view and not self._over:
            assert self._file is not None  # noqa: S101 - opened before anything is written
            # A file without a buffer of its own may take less than it is given; what is only like a file tells nothing.
            taken = cast("int | None", self._file.write(view))
            if taken == 0:
                raise BlockingIOError("the file to write to takes no more")
            view = view[len(view) if taken is None else taken :]

    def finish(self) -> None:
        """Write the rest and let the file appear at its path."""
        with self._lock:
            self._write_held()
            if self._file is None or self._over:
                return
            self._file.flush()
            if self._part is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                # Over from outside while the disk was at it: whoever was cancelled finds the old file.
                if not self._over:
                    self._part.replace(self._part.with_name(Path(cast("os.PathLike[str]", self._to)).name))
                    self._part = None

    async def discard(self) -> None:
        """Remove what is not complete; nothing is written any more when it returns."""
        self._over = True
        # A thread is asked for at once, and does its work even if whoever waits for it is cancelled a second time.
        removed = asyncio.get_running_loop().run_in_executor(None, self._remove)
        with anyio.CancelScope(shield=True):
            await asyncio.shield(removed)

    def _remove(self) -> None:
        with self._lock:
            part, self._part = self._part, None
            if part is not None and self._file is not None:
                try:
                    self._file.close()
                finally:
                    part.unlink(missing_ok=True)


def open_target(to: object) -> _Target:
    """Check where a download shall go.

    Raises:
        ConfigurationError: It is neither a path nor a file open for writing in binary mode.
    """
    if isinstance(to, os.PathLike):
        return _Target(cast("os.PathLike[str]", to))
    write = getattr(to, "write", None)
    if not callable(write) or hasattr(to, "encoding") or inspect.iscoroutinefunction(write):
        raise ConfigurationError("to must be a pathlib.Path, or a file opened in mode 'wb'")
    return _Target(cast("BinaryIO", to))


async def save(response: StreamedResponse, target: _Target, max_bytes: int | None) -> Download:
    """Write an answer to a file.

    Raises:
        ResponseValidationError: It is longer than ``max_bytes``.
        MoniteError: It could not be had.
        OSError: It could not be written.
    """
    try:
        # Before anything is sent: a folder that does not exist is no reason to ask the server.
        await anyio.to_thread.run_sync(target.open)
        async with response:
            _check(response, response.content_length or 0, max_bytes)
            async for piece in response:
                target.take(piece)
                del piece  # or it stands in a traceback with locals when the disk, or the next one, fails
                _check(response, target.size, max_bytes)
                await target.relieve()
        await anyio.to_thread.run_sync(target.finish)
    except BaseException:
        await target.discard()
        raise
    return Download(target.size, response.content_type, response.request_id)


def _check(response: StreamedResponse, size: int, most: int | None) -> None:
    if most is not None and size > most:
        response.refuse(ResponseValidationError(f"the file is longer than max_bytes ({most})"))
