"""What bounds one try: its time, in virtual time over real sockets, whoever is slow; and the room for its answer."""

from __future__ import annotations

import asyncio
import gzip
import math
import random
import ssl
from collections.abc import AsyncGenerator, Callable

import pytest

from monite_async._errors import ConnectError, RequestTimeout
from monite_async._http.body import EMPTY, Body
from monite_async._http.decode import Answer, Inflater
from monite_async._http.exchange import SLICE, Fields, Head, Lost, Outgoing
from monite_async._http.native import Native, _inflate
from monite_async._http.place import Place
from tests.http._servers import Server, read_request
from tests.virtual import run_virtual


class Source:
    """A body from a source of the test's."""

    fields: Fields = ((b"transfer-encoding", b"chunked"),)
    wire = b"transfer-encoding: chunked\r\n"
    content = b""
    length = None
    replayable = False

    def __init__(self, pieces: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        self.open = pieces


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def _to(origin: str, body: Body = EMPTY) -> Outgoing:
    place = Place.parse(origin)
    return Outgoing("POST", place, b"/", Head(((b"host", place.authority),)), body)


def test_a_source_that_stalls_does_not_stretch_a_try() -> None:
    """A body whose source gives nothing more ends the try when its time is up, and is closed."""
    closed: list[bool] = []

    async def stalls() -> AsyncGenerator[bytes, None]:
        try:
            yield b"x"
            await asyncio.sleep(1000)
        finally:
            closed.append(True)

    async def main() -> None:
        native = Native()
        async with Server(_silent) as server:
            start = _now()
            outcome = await native.exchange(_to(server.origin, Source(stalls)), None, until=start + 5, max_bytes=9)
            assert isinstance(outcome, Lost)
            assert (outcome.error, outcome.unsent, _now() - start) == (RequestTimeout, False, 5)
            assert native.stats().open == 0
            await native.aclose()

    run_virtual(main())
    assert closed == [True]


def test_a_timeout_of_the_source_is_not_taken_for_that_of_the_try() -> None:
    """What the source of a body raises reaches the caller as it is, a ``TimeoutError`` too."""

    async def fails() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise TimeoutError("the source's own")

    async def main() -> None:
        native = Native()
        async with Server(_silent) as server:
            with pytest.raises(TimeoutError, match="the source's own"):
                await native.exchange(_to(server.origin, Source(fails)), None, until=_now() + 5, max_bytes=9)
            assert native.stats().open == 0
            await native.aclose()

    run_virtual(main())


def test_waiting_in_line_and_connecting_share_one_time() -> None:
    """Who was given a slot late has only the rest of the try's time to connect."""

    async def main() -> None:
        native = Native(max_connections=1, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

        async def leaves(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await read_request(reader)
            await asyncio.sleep(8)

        async with Server(leaves) as server, Server(_silent) as hole:
            start = _now()
            first = asyncio.create_task(native.exchange(_to(server.origin), None, until=start + 50, max_bytes=9))
            while not server.open:
                await asyncio.sleep(0)
            tls = hole.origin.replace("http:", "https:")
            outcome = await native.exchange(_to(tls), None, until=start + 10, max_bytes=9)
            assert isinstance(outcome, Lost)
            assert (outcome.error, outcome.unsent, _now() - start) == (ConnectError, True, 10)
            assert isinstance(await first, Lost)
            await native.aclose()

    run_virtual(main())


@pytest.mark.parametrize("idle", [0, 2])
@pytest.mark.parametrize("times", [(5, 9), (9, 5), (5, 5), (50, 5, 9), (5, math.inf, 9)], ids=str)
def test_a_connection_that_is_used_again_keeps_the_time_of_each_try(times: tuple[float, ...], idle: float) -> None:
    """Whatever the tries before it were given, and however long it was idle, a try ends exactly when its time is up."""

    async def main() -> None:
        native = Native(keepalive_expiry=1000)
        answered = 0

        async def serves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal answered
            while await read_request(reader):
                answered += 1
                if answered < len(times):
                    await asyncio.sleep(min(times[answered - 1], 100) - 1)
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

        async with Server(serves) as server:
            for seconds in times[:-1]:
                outcome = await native.exchange(_to(server.origin), None, until=_now() + seconds, max_bytes=9)
                assert isinstance(outcome, Answer)
                await asyncio.sleep(idle)
            start = _now()
            outcome = await native.exchange(_to(server.origin), None, until=start + times[-1], max_bytes=9)
            assert isinstance(outcome, Lost)
            assert (outcome.error, _now() - start, native.stats().opened) == (RequestTimeout, times[-1], 1)
            await native.aclose()

    run_virtual(main())


def test_what_is_too_long_is_not_decompressed_to_its_end() -> None:
    """Of a large packed piece, no further slice is looked at once there is too much."""
    pieces: list[bytes] = []
    packed = gzip.compress(random.Random(5).randbytes(3 * SLICE))
    assert _inflate(Inflater("gzip"), packed, 10, pieces) == 11
    assert len(pieces) == 1
