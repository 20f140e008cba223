"""Uploads: every kind of file, read beside the loop, repeated when it can be, refused before anything is sent."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
import pytest

from monite_async import AsyncMonite, ConfigurationError, RetryPolicy, TransportError, Upload
from monite_async._files import MAX_FILE_BYTES, FilePart, _Reader, file_part
from monite_async._http.multipart import multipart_body
from monite_async.emulator import Emulator
from tests.scripted import Scripted, client

pytestmark = pytest.mark.usefixtures("no_blocking_calls")

BIG = bytes(range(256)) * 4096
FAST = RetryPolicy(base_wait=0.001, max_wait=0.001)
OK = httpx.Response(200, json={"id": "1"})
UNSENT = httpx.ConnectError("refused")


class Pipe(io.RawIOBase):
    """A file that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


async def stream(*chunks: Any) -> AsyncIterator[bytes]:
    """Yield chunks as an async iterator."""
    for chunk in chunks:
        yield chunk


def parts(request: httpx.Request) -> list[tuple[str | None, str | None, str, bytes]]:
    """Return name, file name, type and content of each part, as an independent parser reads them."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.content, policy=policy.HTTP)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            cast("bytes", part.get_payload(decode=True)),
        )
        for part in message.iter_parts()
    ]


async def upload(fields: dict[str, object], *replies: httpx.Response | Exception) -> Scripted:
    """Send one multipart call; returns the transport that saw it."""
    transport = Scripted(*(replies or (OK,)))
    async with client(transport, retry=FAST) as monite:
        await monite.request("POST", "/files", multipart=fields, cast_to=dict)
    return transport


async def content_of(part: FilePart) -> bytes:
    """Read a part to its end."""
    return b"".join([chunk async for chunk in part.chunks()])


async def test_every_kind_of_file(tmp_path: Path) -> None:
    """Bytes, paths, file objects, async iterators and named uploads all arrive as they are."""
    path = tmp_path / "bill.pdf"
    path.write_bytes(BIG)
    with path.open("rb") as opened:
        transport = await upload(
            {
                "bytes": b"abc",
                "array": bytearray(b"def"),
                "path": path,
                "object": opened,
                "memory": io.BytesIO(b"mem"),
                "pipe": Pipe(b"pipe"),
                "stream": stream(b"one", b"two"),
                "named": Upload(b"x", 'a"b\r\nc.png'),
                "typed": Upload(cast("Any", memoryview(b"y")), content_type="application/pdf"),
            }
        )
    request = transport.calls[0]
    assert request.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in request.headers
    assert parts(request) == [
        ("bytes", "upload", "application/octet-stream", b"abc"),
        ("array", "upload", "application/octet-stream", b"def"),
        ("path", "bill.pdf", "application/pdf", BIG),
        ("object", "bill.pdf", "application/pdf", BIG),
        ("memory", "upload", "application/octet-stream", b"mem"),
        ("pipe", "upload", "application/octet-stream", b"pipe"),
        ("stream", "upload", "application/octet-stream", b"onetwo"),
        ("named", "a%22b%0D%0Ac.png", "image/png", b"x"),
        ("typed", "upload", "application/pdf", b"y"),
    ]


@pytest.mark.parametrize(
    ("content", "filename", "content_type"),
    [
        (b"%PDF-1.7 bill", "upload.pdf", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\x00", "upload.png", "image/png"),
        (b"\xff\xd8\xff\xe0\x00", "upload.jpg", "image/jpeg"),
        (b"GIF89a\x00", "upload.gif", "image/gif"),
        (b"MM\x00*\x00", "upload.tif", "image/tiff"),
        (b"%PD", "upload", "application/octet-stream"),
        (b"", "upload", "application/octet-stream"),
    ],
    ids=["pdf", "png", "jpeg", "gif", "tiff", "short", "empty"],
)
@pytest.mark.parametrize("kind", ["bytes", "memory", "path", "named"])
async def test_content_without_a_telling_name_is_typed_by_its_first_bytes(
    tmp_path: Path, kind: str, content: bytes, filename: str, content_type: str
) -> None:
    """A document from memory is sent as what it is, from where it stands; the API takes no nameless binary."""
    path = tmp_path / "scan"
    path.write_bytes(content)
    memory = io.BytesIO(b"skip" + content)
    memory.seek(4)
    source: object = {"bytes": content, "memory": memory, "path": path, "named": Upload(content, "bill.bin")}[kind]
    transport = await upload({"file": source})
    name = {"path": "scan", "named": "bill.bin"}.get(kind, filename)
    assert parts(transport.calls[0]) == [("file", name, content_type, content)]


async def test_a_name_or_a_type_that_was_given_counts_more_than_the_content() -> None:
    """What the caller says is not overruled."""
    transport = await upload(
        {"a": Upload(b"%PDF-", "a.png"), "b": Upload(b"%PDF-", content_type="image/gif"), "c": Upload(b"%PDF-", "c")}
    )
    assert [part[1:3] for part in parts(transport.calls[0])] == [
        ("a.png", "image/png"), ("upload.pdf", "image/gif"), ("c", "application/pdf"),
    ]  # fmt: skip


async def test_a_payable_is_made_of_bytes() -> None:
    """The bytes of a document are all that an upload needs."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
            organization={"legal_name": "Acme"},
        )
        payable = await monite.entity(entity.id).payables.upload_from_file(file=b"%PDF-1.4 bill")
        assert payable.file is not None
        assert (payable.file.name, payable.file.mimetype) == ("upload.pdf", "application/pdf")


async def test_a_str_is_no_file() -> None:
    """A text where the file belongs could be a path or the content: it is refused instead of being sent as a field."""
    transport = Scripted(OK)
    async with client(transport) as monite:
        with pytest.raises(ConfigurationError, match="could be a path or the content"):
            await monite.request("POST", "/files", multipart={"file": "bill.pdf"})
    assert not transport.calls


async def test_fields_beside_files() -> None:
    """Plain fields go as text, lists repeat, UNSET is left out, and the length is known when it can be."""
    from monite_async import UNSET

    transport = await upload({"file": b"abc", "file_type": "attachments", "n": [1, True], "gone": UNSET, 'q"': "ü"})
    request = transport.calls[0]
    assert int(request.headers["content-length"]) == len(request.content)
    found = [(name, content) for name, _, _, content in parts(request)]
    assert found == [
        ("file", b"abc"), ("file_type", b"attachments"), ("n", b"1"), ("n", b"true"), ("q%22", "ü".encode()),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["bytes", "path", "object"])
async def test_what_can_be_read_again_is_sent_again(tmp_path: Path, kind: str) -> None:
    """Bytes, paths and seekable files are produced anew for a repeat, from where they stood."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"skip" + BIG)
    with path.open("rb") as opened:
        opened.seek(4)
        source: object = {"bytes": BIG, "path": path, "object": opened}[kind]
        transport = await upload({"file": source}, httpx.Response(429), httpx.Response(429), OK)
    expected = b"skip" + BIG if kind == "path" else BIG
    assert [parts(request)[0][3] for request in transport.calls] == [expected] * 3


@pytest.mark.parametrize("source", [lambda: stream(b"a"), lambda: Pipe(b"a")], ids=["stream", "pipe"])
async def test_what_can_be_read_once_is_sent_once(source: Any) -> None:
    """A one-shot body is never repeated after a byte was taken from it."""
    transport = Scripted(httpx.Response(429), OK)
    async with client(transport, retry=FAST) as monite:
        with pytest.raises(Exception, match="429"):
            await monite.request("POST", "/files", multipart={"file": source()})
    assert len(transport.calls) == 1


class Refusing(Scripted):
    """Refuses the first connection without touching the body."""

    def __init__(self) -> None:
        super().__init__(OK)
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/files") and not self.refused:
            self.refused += 1
            raise UNSENT
        return await super().handle_async_request(request)


async def test_an_untouched_stream_can_still_be_sent() -> None:
    """A one-shot body that no try has touched is as good as new."""
    transport = Refusing()
    async with client(transport, retry=FAST) as monite:
        await monite.request("POST", "/files", multipart={"file": stream(b"abc")}, cast_to=None)
    assert parts(transport.calls[0])[0][3] == b"abc"


class _Awaited:
    """A file as web frameworks hand them out: read with ``await``."""

    async def read(self, size: int = -1) -> bytes:
        return b"x"[:size]


def unreadable(kind: str, folder: Path) -> object:
    """Return something that cannot be uploaded."""
    closed = io.BytesIO(b"abc")
    closed.close()
    return {
        "missing": folder / "missing.pdf",
        "directory": folder,
        "device": Path("/dev/null"),
        "text mode": io.StringIO("text"),
        "bad type": Upload(b"x", content_type="evil\r\nx: y"),
        "string": Upload(cast("Any", "a string")),
        "closed": closed,
        "none": None,
        "mapping": {"nested": 1},
        "surrogate": "\ud800",
        "name that is none": Upload(b"x", filename=cast("Any", 5)),
        "file of a framework": _Awaited(),
    }[kind]


UNREADABLE = (
    "missing", "directory", "device", "text mode", "bad type", "string", "closed", "none", "mapping", "surrogate",
    "name that is none", "file of a framework",
)  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_cannot_be_read_is_refused_before_anything_is_sent(tmp_path: Path, kind: str) -> None:
    """A missing file, a directory, a file in text mode: a typed error that names the field, and no request."""
    transport = Scripted(OK)
    async with client(transport) as monite:
        with pytest.raises(ConfigurationError, match="scan") as caught:
            await monite.request("POST", "/files", multipart={"scan": unreadable(kind, tmp_path)})
    assert not transport.calls
    assert not transport.posts
    assert str(tmp_path) not in str(caught.value)


async def test_a_multipart_body_of_nothing_is_refused() -> None:
    """A form without a field is a mistake."""
    from monite_async import UNSET

    with pytest.raises(ConfigurationError, match="field"):
        await multipart_body({"a": UNSET})


async def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    """A file that got shorter since its length was announced is a typed error, not a broken request."""
    path = tmp_path / "log.txt"
    path.write_bytes(BIG)
    part = await file_part("file", path)
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="shorter"):
        await content_of(part)


async def test_a_file_that_grows_is_cut_at_its_announced_length(tmp_path: Path) -> None:
    """What is appended while a file is sent does not break the framing."""
    path = tmp_path / "log.txt"
    path.write_bytes(b"start")
    part = await file_part("file", path)
    path.write_bytes(b"start and more")
    assert await content_of(part) == b"start"


async def test_an_iterator_that_yields_text_is_refused() -> None:
    """A source of anything but bytes is told what is expected of it."""
    part = await file_part("file", stream("text"))
    with pytest.raises(ConfigurationError, match="bytes"):
        await content_of(part)


async def test_files_are_read_in_a_thread() -> None:
    """Reading a file never happens on the event loop's thread."""
    seen: set[int] = set()

    class Spy(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.add(threading.get_ident())
            return super().read(size)

    assert await content_of(await file_part("file", cast("BinaryIO", Spy(b"abc")))) == b"abc"
    assert seen
    assert threading.get_ident() not in seen


async def test_an_opened_path_is_closed_when_the_try_ends_early(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A try that stops half-way leaves no file open."""
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    body = await multipart_body({"file": path})
    opened = body.open()
    assert opened is not None
    chunks = aiter(opened)
    await anext(chunks)
    await anext(chunks)
    await opened.aclose()
    assert not recwarn.list


async def test_a_users_own_failure_comes_through() -> None:
    """What a caller's iterator raises reaches the caller as it is."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise LookupError("mine")

    transport = Scripted(OK)
    async with client(transport) as monite:
        with pytest.raises(LookupError, match="mine"):
            await monite.request("POST", "/files", multipart={"file": broken()})


async def test_texts_show_no_content(tmp_path: Path) -> None:
    """Files, parts and bodies show what kind of thing they are and nothing of what is in them."""
    upload_ = Upload(b"canary", "canary.pdf")
    part = await file_part("file", upload_)
    body = await multipart_body({"file": upload_})
    assert "canary" not in f"{upload_!r} {part!r} {body!r}"


async def test_a_failing_disk_is_a_transport_failure(tmp_path: Path) -> None:
    """A file that vanishes between being looked at and being sent ends in a typed error."""
    path = tmp_path / "gone.pdf"

    class Vanishing(Scripted):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/files"):
                await asyncio.to_thread(path.unlink, missing_ok=True)
            return await super().handle_async_request(request)

    path.write_bytes(b"abc")
    async with client(Vanishing(OK), retry=FAST) as monite:
        with pytest.raises(TransportError, match="FileNotFoundError"):
            await monite.request("POST", "/files", multipart={"file": path})


async def test_a_read_that_outlives_its_try_disturbs_nothing(tmp_path: Path) -> None:
    """A thread that is still at a file when its try is cut off does not move it under the next try, and closes it."""
    started, go_on = threading.Event(), threading.Event()
    parts_made: list[FilePart] = []

    class Slow(io.BytesIO):
        """Its first read that is to be sent takes until the test says so."""

        def read(self, size: int | None = -1, /) -> bytes:
            if parts_made and not started.is_set():
                started.set()
                go_on.wait()
            return super().read(size)

    part = await file_part("file", Slow(b"abc"))
    parts_made.append(part)
    first = asyncio.ensure_future(content_of(part))
    await asyncio.to_thread(started.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(content_of(part))
    await asyncio.sleep(0)
    go_on.set()
    assert await second == b"abc"


def test_a_file_opened_too_late_is_closed(tmp_path: Path) -> None:
    """A thread that gets to a path after its try has ended opens nothing; one that was at it closes what it opened."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    late = _Reader(threading.Lock(), path, 0)
    late.close()
    assert late.read(3) == b""
    assert late._file is None
    lock = threading.Lock()
    during = _Reader(lock, path, 0)
    assert during.read(1) == b"a"
    with lock:
        during.close()
    assert during._file is not None
    assert not during._file.closed
    assert during.read(1) == b""
    assert during._file.closed


# -- how large they may be


def sparse(path: Path, size: int) -> Path:
    """Make a file of zeros that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
@pytest.mark.parametrize("path", sorted(MAX_FILE_BYTES))
async def test_a_file_that_is_too_large_is_refused_before_anything_is_sent(
    path: str, kind: str, tmp_path: Path
) -> None:
    """The error names the limit of the operation; the largest file that it takes goes out."""
    limit = MAX_FILE_BYTES[path]
    params = {"entity_id": "e", "payable_id": "p"}
    transport = Scripted(OK)
    async with client(transport) as monite:
        for size in (limit + 1, limit):
            place = sparse(tmp_path / f"{size}.pdf", size)
            with place.open("rb") as file:
                content: Any = {"bytes": bytes(size) if kind == "bytes" else b"", "path": place, "file": file}[kind]
                call = monite.request("POST", path, path_params=params, multipart={"file": content}, cast_to=None)
                if size == limit:
                    await call
                    continue
                with pytest.raises(ConfigurationError, match=f"at most {limit // 2**20} MB here") as caught:
                    await call
            assert (caught.value.path, caught.value.attempts, len(transport.calls)) == (path, 0, 0)
    assert len(transport.calls) == 1


@pytest.mark.parametrize("kind", ["iterator", "pipe"])
async def test_a_source_that_does_not_know_its_length_is_stopped_at_the_limit(kind: str) -> None:
    """Where only reading tells the length, the call ends as soon as there is more than the API takes."""
    chunk = bytes(4 * 2**20)
    for count, fits in ((5, True), (6, False)):
        source: Any = stream(*[chunk] * count) if kind == "iterator" else Pipe(chunk * count)
        transport = Scripted(OK)
        async with client(transport) as monite:
            call = monite.request("POST", "/payables/upload_from_file", multipart={"file": source}, cast_to=None)
            if fits:
                await call
                continue
            with pytest.raises(ConfigurationError, match="at most 20 MB here"):
                await call


async def test_where_no_limit_is_known_none_is_set(tmp_path: Path) -> None:
    """An operation whose limit nobody published takes what it is given."""
    transport = Scripted(OK)
    async with client(transport) as monite:
        place = sparse(tmp_path / "x.pdf", 21 * 2**20)
        await monite.request("POST", "/receipts/upload_from_file", multipart={"file": place}, cast_to=dict)
    assert len(transport.calls) == 1
