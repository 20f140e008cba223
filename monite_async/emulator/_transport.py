"""The front end without a socket: an ``httpx`` transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, cast

import httpx

from monite_async.emulator._message import Delivery, Request, decoded_path, wire_headers

if TYPE_CHECKING:
    from monite_async.emulator._emulator import Emulator

__all__ = ["EmulatorTransport"]


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer, whole, generated, or broken off as ``httpx`` reports it over a socket."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._delivery.chunks():
            yield chunk
            if self._delivery.stream is not None:
                await asyncio.sleep(0)
        if self._delivery.truncate is not None:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


class EmulatorTransport(httpx.AsyncBaseTransport):
    """Leads requests to an emulator in the same process; latency and read timeouts work as over a socket."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body = await request.aread()
        # As over a socket, other tasks get their turn between sending and being answered.
        await asyncio.sleep(0)
        delivery = self._emulator.exchange(_request(request, body))
        if delivery.drop == "refuse":
            raise httpx.ConnectError("Connection refused", request=request)
        timeout = _read_timeout(request)
        try:
            await asyncio.wait_for(_wait(delivery), timeout)
        except TimeoutError:
            raise httpx.ReadTimeout("The emulator took its time", request=request) from None
        if delivery.drop is not None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        headers = wire_headers(delivery.response.headers)
        if delivery.response.status != 204:
            headers.append((b"content-length", str(delivery.length).encode("ascii")))
        return httpx.Response(delivery.response.status, headers=headers, stream=_Body(delivery))


async def _wait(delivery: Delivery) -> None:
    if delivery.gate is not None:
        await delivery.gate.passed()
    if delivery.delay:
        await asyncio.sleep(delivery.delay)


def _read_timeout(request: httpx.Request) -> float | None:
    timeouts = cast("Mapping[str, float | None]", request.extensions.get("timeout", {}))
    return timeouts.get("read")


def _request(request: httpx.Request, body: bytes) -> Request:
    raw = request.url.raw_path.partition(b"?")[0].decode("ascii")
    return Request(
        method=request.method.upper(),
        path=decoded_path(raw),
        query=tuple(request.url.params.multi_items()),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
