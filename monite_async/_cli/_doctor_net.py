"""What lies between here and the API: the name, TLS, and the two clocks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from monite_async._cli._exits import Exit
from monite_async._cli._findings import Finding, fail, good, warn
from monite_async._cli._output import duration
from monite_async._http.place import Place
from monite_async._http.proxies import environment_proxies
from monite_async._http.tls import default_context

__all__ = ["look_at_clock", "look_at_name", "look_at_tls", "proxy_of"]

_SOON = 14 * 86400.0
"""A certificate with fewer seconds left than this is worth a word: most are renewed a month before their end."""

_SKEW = 10.0
"""Seconds between two clocks that are told; ``Date`` is exact to one, and the way there takes time too."""


_PORTS = {"https": 443, "http": 80}


def proxy_of(base_url: str) -> str | None:
    """Return the URL of the proxy that the environment names for the API, as the client reads it; it may hold a password."""
    table = environment_proxies()
    return None if table is None else table.find(Place.parse(base_url).origin)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1080)


async def look_at_name(base_url: str, limit: float, proxy: str | None = None) -> Finding:
    """Look up the addresses of the API, or of the proxy, which looks up those of the API itself."""
    _, host, port = _origin(proxy or base_url)
    try:
        async with asyncio.timeout(limit):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return fail("DNS", Exit.NETWORK, f"{host}: no answer within {limit:g} s", "check the resolver of this machine")
    except (OSError, UnicodeError) as exc:  # the latter for a name with a part of more than 63 characters
        text = f"{host}: {getattr(exc, 'strerror', 'no name that a host can have')}"
        return fail("DNS", Exit.NETWORK, text, "check the environment, the base URL and the resolver")
    addresses = sorted({str(address[0]) for *_, address in found})
    return good("DNS", f"{'the proxy ' if proxy else ''}{host}: {', '.join(addresses)}")


async def look_at_tls(base_url: str, limit: float, proxy: str | None = None) -> Finding:
    """Connect to the API and look at its certificate; or connect to the proxy, through which the next look goes."""
    scheme, host, port = _origin(proxy or base_url)
    where = f"{'the proxy ' if proxy else ''}{host}:{port}"
    try:
        async with asyncio.timeout(limit):
            context = await default_context() if scheme == "https" else None
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        return fail("TLS", Exit.NETWORK, f"{where}: no connection within {limit:g} s", "check firewalls on the way")
    except ssl.SSLCertVerificationError as exc:
        advice = "if a proxy of yours opens TLS, set SSL_CERT_FILE to its authority; else do not go on"
        return fail("TLS", Exit.NETWORK, f"{where}: certificate not accepted: {exc.verify_message}", advice)
    except ssl.SSLError as exc:
        return fail("TLS", Exit.NETWORK, f"{where}: {exc.reason}", "check the base URL: this port may speak no TLS")
    except OSError as exc:
        text = f"{where}: {exc.strerror or type(exc).__name__}"
        return fail("TLS", Exit.NETWORK, text, "check the base URL, SSL_CERT_FILE, and firewalls on the way")
    made: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    if proxy is not None:
        return good("TLS", f"{where}: connected; the connection to the API goes through it, as the environment says")
    if made is None:
        return good("TLS", f"{where}: connected; plain http, which is for this machine only")
    ends = str((made.getpeercert() or {}).get("notAfter", ""))
    left = ssl.cert_time_to_seconds(ends) - time.time()
    text = f"{where}: {made.version()}, certificate good for {duration(left)}"
    if left < _SOON:
        return warn("TLS", text, "whoever runs the server should renew it")
    return good("TLS", text)


async def look_at_clock(base_url: str, limit: float, proxy: str | None = None) -> Finding:
    """Compare the clock of this machine with that of the server, as its answer to an empty request tells it."""
    context = await default_context()
    try:
        async with (
            asyncio.timeout(limit),
            httpx.AsyncClient(verify=context, trust_env=False, timeout=limit, proxy=proxy) as http,
        ):
            before = time.time()
            async with http.stream("GET", base_url) as answer:
                pass  # its head is all that is looked at
    except (httpx.HTTPError, TimeoutError) as exc:
        text = f"no answer over HTTP: {type(exc).__name__}"
        return fail("clock", Exit.NETWORK, text, "check the base URL, and proxies and firewalls on the way")
    middle = (before + time.time()) / 2
    try:
        skew = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - middle
    except ValueError:
        return warn("clock", "the server does not tell its time", "compare the clock of this machine with another")
    if abs(skew) > _SKEW:
        text = f"{duration(abs(skew))} {'behind' if skew > 0 else 'ahead of'} the server's"
        advice = "synchronise it: tokens do not mind, but certificates and signatures of webhooks do"
        return warn("clock", text, advice)
    return good("clock", "agrees with the server's")
