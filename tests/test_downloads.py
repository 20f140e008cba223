"""Files of the API written to the disk, whole or not at all."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    ConfigurationError,
    ResponseValidationError,
    TransportError,
)
from monite_async.emulator import Emulator
from tests.downloading import PDF, Slow, Wire, over, pdf
from tests.scripted import Chunks, client

pytestmark = pytest.mark.usefixtures("no_blocking_calls")


async def test_a_file_of_the_emulator_is_downloaded(tmp_path: Path) -> None:
    """What was uploaded comes back by the link in the answer, byte for byte."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"city": "Berlin", "country": "DE", "line1": "Torstr. 1", "postal_code": "10119"},
            organization={"legal_name": "Acme"},
        )
        acme = monite.entity(entity.id)
        payable = await acme.payables.upload_from_file(file=PDF)
        assert payable.file is not None
        assert payable.file.url is not None
        got = await acme.download(payable.file.url, to=tmp_path / "bill.pdf")
    assert (tmp_path / "bill.pdf").read_bytes() == PDF
    assert (got.size, got.content_type) == (len(PDF), "application/pdf")


async def test_a_file_appears_whole_in_place_of_another(tmp_path: Path) -> None:
    """Until the last byte is there the old file stands, and no piece of the new one stays beside it."""
    target = tmp_path / "x.pdf"
    target.write_bytes(b"old")
    monite, _ = over(pdf(*(PDF[at : at + 50_000] for at in range(0, len(PDF), 50_000))))
    got = await monite.download("/file", to=target)
    assert (got.size, got.request_id) == (len(PDF), "rq-5")
    assert target.read_bytes() == PDF
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdf"]


async def test_a_failed_download_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """After a failure in the middle the old file stands and nothing else does."""
    target = tmp_path / "x.pdf"
    target.write_bytes(b"old")
    monite, _ = over(httpx.Response(200, stream=Chunks(PDF, error=httpx.ReadError("reset"))))
    with pytest.raises(TransportError):
        await monite.download("/file", to=target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


async def test_a_cancelled_download_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Cancelling closes the answer and removes what was written so far."""
    body = Slow()
    monite = client(Wire(body))
    task = asyncio.ensure_future(monite.download("/file", to=tmp_path / "x.pdf"))
    while not await asyncio.to_thread(lambda: list(tmp_path.iterdir())):
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_a_file_object_is_written_and_left_open() -> None:
    """An open file takes the bytes where it stands, however few it takes at a time, and stays open."""

    class Small(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return super().write(data[:100_000])

    class Quiet(io.BytesIO):
        def write(self, data: Any, /) -> int:
            super().write(data)
            return cast("int", None)

    for file in (io.BytesIO(b"head:"), Small(b"head:"), Quiet(b"head:")):
        file.seek(5)
        monite, _ = over(pdf())
        assert (await monite.download("/file", to=file)).size == len(PDF)
        assert file.getvalue() == b"head:" + PDF
        assert not file.closed


async def test_a_file_that_takes_no_more_is_an_error() -> None:
    """A file that cannot be written to ends the download instead of holding it up for ever."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return 0

    monite, _ = over(pdf())
    with pytest.raises(BlockingIOError):
        await monite.download("/file", to=Full())


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_long_is_refused(tmp_path: Path, announced: bool) -> None:
    """``max_bytes`` holds whether or not the server tells the length; what was written is removed."""
    headers = {"content-length": str(len(PDF))} if announced else {}
    monite, _ = over(pdf(**headers))
    with pytest.raises(ResponseValidationError, match="longer than max_bytes") as caught:
        await monite.download("/file", to=tmp_path / "x", max_bytes=100)
    assert (caught.value.path, caught.value.request_id) == ("/file", "rq-5")
    assert list(tmp_path.iterdir()) == []
    monite, _ = over(pdf(**headers))
    assert (await monite.download("/file", to=tmp_path / "x", max_bytes=len(PDF))).size == len(PDF)


async def _coroutine(data: bytes) -> int:
    return len(data)


class _AsyncFile:
    write = staticmethod(_coroutine)


@pytest.mark.parametrize("to", ["x.pdf", None, io.StringIO(), _AsyncFile()], ids=lambda to: type(to).__name__)
async def test_a_target_that_is_none_is_refused(to: Any) -> None:
    """A ``str``, a text file and an asynchronous file are no targets; nothing is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match=r"to must be a pathlib\.Path"):
        await monite.download("/file", to=to)
    assert transport.calls == []


async def test_a_target_that_cannot_be_written_costs_no_request(tmp_path: Path) -> None:
    """A folder as the target, or one that is not there, is found out before anything is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match="is a folder"):
        await monite.download("/file", to=tmp_path)
    with pytest.raises(FileNotFoundError):
        await monite.download("/file", to=tmp_path / "no" / "x.pdf")
    assert transport.calls == []
