"""A proxy and an HTTP/2 server, small and real."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Any, cast

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from tests.http._servers import Handler

TOKEN = b'{"access_token": "%s", "token_type": "Bearer", "expires_in": 1800}' % (b"t" * 40)


def server_side(certificate: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    """Return the TLS context of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(list(protocols) or ["http/1.1"])
    cast("Any", certificate).configure_cert(context)  # typed for pyOpenSSL too, which is not here
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts one authority."""
    context = ssl.create_default_context()
    cast("Any", authority).configure_trust(context)
    return context


class Proxy:
    """Serves CONNECT and absolute-form requests.

    Attributes:
        seen: The request lines that came.
        allowed: What ``Proxy-Authorization`` has to say, if anything.
    """

    def __init__(self, allowed: str | None = None) -> None:
        self.seen: list[str] = []
        self.allowed = None if allowed is None else b"basic " + base64.b64encode(allowed.encode())

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        method, target, _ = line.decode().split(" ")
        self.seen.append(f"{method} {target}")
        if self.allowed is not None and self.allowed.lower() not in fields.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            place, _, path = target.removeprefix("http://").partition("/")
            host, _, port = place.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            back.write(b"%b /%b HTTP/1.1\r\n%b" % (method.encode(), path.encode(), fields))
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_pipe(reader, back)), asyncio.ensure_future(_pipe(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            back.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


def http2(body: bytes, seen: list[str]) -> Handler:
    """Serve tokens and one object over HTTP/2; note what was asked for."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        paths: dict[int, str] = {}
        while True:
            writer.write(connection.data_to_send())
            data = await reader.read(65536)
            if not data:
                return
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    fields = {bytes(name): bytes(value) for name, value in event.headers}
                    paths[event.stream_id] = fields[b":path"].decode()
                elif isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    path = paths.pop(event.stream_id)
                    seen.append(path)
                    connection.send_headers(event.stream_id, [(":status", "200")])
                    connection.send_data(event.stream_id, TOKEN if "/auth/" in path else body, end_stream=True)

    return handler
