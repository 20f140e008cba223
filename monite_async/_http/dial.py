"""How a connection is made: names, addresses, TCP, TLS; and what each failure is called."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from monite_async._http.connection import Connection
from monite_async._http.failures import ConnectFailedError, ConnectTimeoutError
from monite_async._http.place import Origin
from monite_async._http.tls import default_context

__all__ = ["dial"]

_running_loop = asyncio.get_running_loop

_EYEBALLS_DELAY = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305, section 5)."""

_Address = tuple[socket.AddressFamily, Any]
"""A family and a socket address in that family's own form."""


async def dial(
    origin: Origin,
    make: Callable[[socket.socket], Connection],
    *,
    timeout: float | None,
    context: ssl.SSLContext | None,
    trust_env: bool = True,
) -> Connection:
    """Connect to an origin.

    Args:
        origin: Scheme, host and port.
        make: Makes the connection object for a connected socket.
        timeout: Seconds for all of it, names and TLS included, or None for no limit.
        context: TLS context, or None for the process's own.
        trust_env: Whether the environment may name the certificate authorities of the process's own.

    Raises:
        ConnectFailedError: It was refused, is unknown, cannot be reached, or its certificate is not accepted.
        ConnectTimeoutError: It took too long.
    """
    scheme, host, port = origin
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            if scheme == "https" and context is None:
                context = await default_context(trust_env=trust_env)
            sock = await _open(host, port)
            return await _attach(sock, make(sock), context if scheme == "https" else None, host)
    except TimeoutError as exc:
        limit = "" if timeout is None else f" within {timeout} s"
        raise ConnectTimeoutError(f"No connection to {where}{limit}: timed out") from exc
    except ssl.SSLCertVerificationError as exc:
        raise ConnectFailedError(f"The TLS certificate of {where} is not accepted: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise ConnectFailedError(f"The TLS handshake with {where} failed: {_reason(exc)}") from exc
    except socket.gaierror as exc:
        raise ConnectFailedError(f"The name {host!r} cannot be resolved: {exc.strerror}") from exc
    except OSError as exc:
        raise ConnectFailedError(f"No connection to {where}: {exc.strerror or type(exc).__name__}") from exc
    except ValueError as exc:
        raise ConnectFailedError(f"{host!r} is not the name of a host") from exc


def _reason(exc: ssl.SSLError) -> str:
    if exc.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return "the server does not speak TLS on this port"
    return (exc.reason or "unknown reason").lower().replace("_", " ")


async def _attach(sock: socket.socket, made: Connection, context: ssl.SSLContext | None, host: str) -> Connection:
    """Hand the socket to the loop, with TLS on top when there is a context; whatever fails, nothing stays open."""
    loop = _running_loop()
    try:
        transport, _ = await loop.create_connection(
            lambda: made, sock=sock, ssl=context, server_hostname=host if context is not None else None
        )
        _require_http11(transport)
    except BaseException:
        made.abort()
        raise
    return made


def _require_http11(transport: asyncio.Transport) -> None:
    """Refuse what a context that somebody else uses too, and for HTTP/2, has agreed upon."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() not in {None, "http/1.1"}:
        raise ConnectFailedError(
            "The ssl_context offers another protocol than HTTP/1.1, and the server chose it: pass http2=True, or a "
            "context that no HTTP/2 client uses"
        )


async def _open(host: str, port: int) -> socket.socket:
    """Return a socket connected to one of the host's addresses."""
    addresses = await _resolve(host, port)
    if len(addresses) == 1:
        return await _connect(addresses[0])
    return await _race(addresses)


async def _resolve(host: str, port: int) -> Sequence[_Address]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return [(family, (host, port))]
    found = await _running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[socket.AddressFamily, list[_Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    # Families alternate, the resolver's favourite first (RFC 8305, section 4).
    return [each for each in chain.from_iterable(zip_longest(*families.values())) if each is not None]


async def _connect(address: _Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: Sequence[_Address]) -> socket.socket:
    """Try addresses one beside the other, each with a head start, and keep the first that answers (RFC 8305).

    The loop's own happy eyeballs are not used: uvloop has none, and asyncio's lose a socket when cancelled late.
    """
    waiting = list(reversed(addresses))
    running: list[asyncio.Task[socket.socket]] = []
    pending: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    try:
        while waiting or pending:
            if waiting:
                running.append(asyncio.create_task(_connect(waiting.pop())))
                pending.add(running[-1])
            done, pending = await asyncio.wait(
                pending, timeout=_EYEBALLS_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    running.remove(task)
                    return task.result()
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)
    raise failure or OSError("no address")


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
