"""Files to upload: where their bytes come from, and how they are read without holding up the event loop."""

from __future__ import annotations

import inspect
import io
import os
import re
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, TypeAlias, TypeGuard

import anyio.to_thread

from monite_async._errors import ConfigurationError
from monite_async_stores._value import frozen

__all__ = ["MAX_FILE_BYTES", "FileInput", "FilePart", "Upload", "file_part", "frames_of_the_file", "is_file"]

_CHUNK: Final = 256 * 1024
_BINARY: Final = "application/octet-stream"
_TYPES: Final = {
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".webp": "image/webp",
    ".xml": "application/xml",
    ".zip": "application/zip",
}
"""Types by name; a table of our own, because the one of ``mimetypes`` is read from files of the machine, on the loop."""
_MAGIC: Final = {
    b"%PDF-": ".pdf",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
}
"""Types by first bytes (WHATWG MIME Sniffing, section 6; TIFF 6.0), for content without a telling name: the API refuses
documents and images that are sent as ``application/octet-stream``."""
_MB: Final = 2**20
MAX_FILE_BYTES: Final[Mapping[str, int]] = {
    "/entities/{entity_id}/logo": 10 * _MB,
    "/files": 15 * _MB,
    "/payable_credit_notes/upload_from_file": 20 * _MB,
    "/payables/upload_from_file": 20 * _MB,
    "/payables/{payable_id}/attach_file": 20 * _MB,
}
"""Largest file by path template, in bytes (Monite: "Upload a payable from file", "Files", "Entity logo"). Monite says
megabytes and not which: this is the larger reading, so that nothing is refused here that the server would take."""
_HEAD: Final = max(map(len, _MAGIC))
_MEDIA_TYPE = re.compile(r"[!#$&^\w.+-]+/[!#$&^\w.+-]+(?:;[\x20-\x7e]*)?", re.ASCII)


@frozen
class Upload:
    """A file with the name and type that the server shall see.

    Attributes:
        content: Bytes, a path, an open binary file, or an async iterator of bytes (which can be sent only once).
        filename: Its name; by default that of the path or file object, else ``upload``.
        content_type: Its media type; by default guessed from the name, else from the first bytes (PDF and images; not
            those of an async iterator or a pipe, which cannot be looked at before they are sent).
    """

    content: bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]
    filename: str | None = None
    content_type: str | None = None

    def __repr__(self) -> str:
        return f"<Upload of {type(self.content).__name__}>"


FileInput: TypeAlias = bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes] | Upload
"""What an upload takes; a ``str`` is not among it, because it might be a path or the content."""


def is_file(given: object) -> TypeGuard[FileInput]:
    """Tell whether a value is a file to upload rather than a field of a form."""
    return isinstance(given, bytes | bytearray | memoryview | os.PathLike | AsyncIterable | Upload) or hasattr(
        given, "read"
    )


class FilePart:
    """One file of a call: ready to be read once per try.

    Attributes:
        filename: What the server sees as its name.
        content_type: What the server sees as its type.
        size: Its length in bytes, or None when only reading it will tell.
        limit: Most bytes that may be sent, or None.
        ready: Whether it can be read (once more); False for good once a one-shot source was touched.
    """

    __slots__ = ("_lock", "_one_shot", "_source", "_start", "content_type", "filename", "limit", "ready", "size")

    def __init__(
        self, upload: Upload, size: int | None, *, head: bytes = b"", one_shot: bool = False, start: int = 0
    ) -> None:
        self._source = upload.content
        self._start = start
        self._one_shot = one_shot
        self._lock = threading.Lock()
        self.ready = True
        suffix = next((suffix for magic, suffix in _MAGIC.items() if head.startswith(magic)), "")
        self.filename = upload.filename or _name_of(upload.content) or f"upload{suffix}"
        named = _TYPES.get(Path(self.filename).suffix.lower())
        self.content_type = upload.content_type or named or _TYPES.get(suffix, _BINARY)
        self.size = size
        self.limit: int | None = None

    def __repr__(self) -> str:
        return f"<FilePart of {type(self._source).__name__}>"

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield its bytes; close the iterator when done with it, that is what closes a file opened here.

        Raises:
            ConfigurationError: The file became shorter meanwhile, its source yields something else than bytes, or more
                of them than may be sent and only reading it told.
        """
        source = self._source
        self.ready = not self._one_shot
        if isinstance(source, bytes):
            yield source
        elif isinstance(source, AsyncIterable):
            sent = 0
            async for chunk in source:
                sent = _counted(sent + len(_checked(chunk)), self.limit)
                yield chunk
                del chunk  # or it stands in a traceback with locals when the next one fails
        else:
            reader = _Reader(self._lock, source, None if self._one_shot else self._start)
            try:
                left, sent = self.size, 0
                while left != 0:
                    size = _CHUNK if left is None else min(_CHUNK, left)
                    chunk = _checked(await anyio.to_thread.run_sync(reader.read, size))
                    if not chunk:
                        break
                    left = None if left is None else left - len(chunk)
                    sent = _counted(sent + len(chunk), self.limit)
                    yield chunk
                    del chunk
            finally:
                reader.close()
            if left:
                raise ConfigurationError("a file to upload became shorter while it was being sent")


class _Reader:
    """Reads a file in threads, for one try.

    A try may be cut off while a thread still opens or reads. Whatever that thread does then, it neither moves the file
    under the next try nor leaves a file open.
    """

    __slots__ = ("_file", "_lock", "_over", "_source", "_start")

    def __init__(self, lock: threading.Lock, source: os.PathLike[str] | BinaryIO, start: int | None) -> None:
        self._lock = lock
        self._source = source
        self._file: BinaryIO | None = None
        self._start = start
        self._over = False

    def read(self, size: int) -> bytes:
        """Read at most so many bytes; called in a thread."""
        try:
            with self._lock:
                return b"" if self._over else self._read(size)
        finally:
            if self._over:
                self._release()

    def _read(self, size: int) -> bytes:
        if self._file is None:
            self._file = _open(self._source) if isinstance(self._source, os.PathLike) else self._source
            if self._start is not None:
                self._file.seek(self._start)
        return self._file.read(size)

    def close(self) -> None:
        """Let go of the file; a thread that is at it does so when it is done."""
        self._over = True
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._release()

    def _release(self) -> None:
        if self._file is not None and isinstance(self._source, os.PathLike):
            self._file.close()


def _open(path: os.PathLike[str]) -> BinaryIO:
    return Path(path).open("rb")


def _checked(chunk: object) -> bytes:
    if not isinstance(chunk, bytes):
        raise ConfigurationError(f"a file to upload must yield bytes, not {type(chunk).__name__}; open it in mode 'rb'")
    return chunk


def _counted(size: int, limit: int | None) -> int:
    """Return a number of bytes that may be sent."""
    if limit is not None and size > limit:
        raise ConfigurationError(
            f"the file is too large: the API takes at most {limit // _MB} MB here ({limit:,} bytes)"
        )
    return size


def _name_of(source: bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]) -> str:
    name: object = os.fspath(source) if isinstance(source, os.PathLike) else getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else ""


async def file_part(name: str, value: FileInput, *, limit: int | None = None) -> FilePart:
    """Return a file ready to be sent; paths and file objects are looked at in a thread, not on the loop.

    Args:
        name: The field, for messages.
        value: The file.
        limit: Most bytes that may be sent; a source that does not know its length is stopped when it exceeds them.

    Raises:
        ConfigurationError: There is no such file, it is not a regular one, is open in text mode, or too large.
    """
    part = await _part(name, value)
    part.limit = limit
    _counted(part.size or 0, limit)
    return part


async def _part(name: str, value: FileInput) -> FilePart:
    upload = value if isinstance(value, Upload) else Upload(_plain(value))
    if upload.content_type is not None and not _MEDIA_TYPE.fullmatch(upload.content_type):
        raise ConfigurationError(f"the content_type of {name} must be a media type like 'application/pdf'")
    if not isinstance(upload.filename, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"the filename of {name} must be a string, got {type(upload.filename).__name__}")
    source = _plain(upload.content)
    if source is not upload.content:
        upload = Upload(source, upload.filename, upload.content_type)
    if isinstance(source, bytes):
        return FilePart(upload, len(source), head=source[:_HEAD])
    if isinstance(source, os.PathLike):
        size, head = await anyio.to_thread.run_sync(_look_at, name, source)
        return FilePart(upload, size, head=head)
    if isinstance(source, AsyncIterable):
        return FilePart(upload, None, one_shot=True)
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read):
        # What web frameworks hand out: the plain file is inside of it, and can be read in a thread.
        raise ConfigurationError(f"{name} is read with await; pass the plain file that it wraps (upload.file)")
    if isinstance(source, io.TextIOBase) or not callable(read):
        raise ConfigurationError(
            f"{name} must be bytes, a path, a file opened in mode 'rb', or an async iterator of bytes"
        )
    if getattr(source, "closed", False) is True:
        raise ConfigurationError(f"{name} is a file that was closed before it could be sent")
    start, length, head = await anyio.to_thread.run_sync(_measure, source)
    return FilePart(upload, length, head=head, one_shot=length is None, start=start)


def _plain(value: bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]) -> (
    bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]
):  # fmt: skip
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def _look_at(name: str, path: os.PathLike[str]) -> tuple[int, bytes]:
    """Return the length and the first bytes of a file."""
    try:
        found = Path(path).stat()
        # Asked before opening: opening a pipe would wait for whoever writes to it.
        if stat.S_ISREG(found.st_mode):
            with Path(path).open("rb") as file:
                return found.st_size, file.read(_HEAD)
        problem = "not a regular file"
    except OSError as exc:
        problem = exc.strerror or type(exc).__name__
    raise ConfigurationError(f"{name} cannot be read from its path: {problem}")


def _measure(file: BinaryIO) -> tuple[int, int | None, bytes]:
    """Return where a file stands, how much follows and how that begins; 0, None and nothing if it cannot be rewound."""
    try:
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
        head = _checked(file.read(_HEAD))
        file.seek(start)
    except (OSError, AttributeError):
        return 0, None, b""
    return start, max(0, end - start), head


def frames_of_the_file(error: BaseException) -> TracebackType | None:
    """Return the part of a traceback that lies in the caller's own file object; None when it did not fail there."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code is not _measure.__code__:
        frame = frame.tb_next
    return None if frame is None else frame.tb_next
