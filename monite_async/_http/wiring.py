"""Which carrier a client gets: what its caller said about connections, checked and put into effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from monite_async._config import Hidden
from monite_async._http.native import Native

if TYPE_CHECKING:
    import ssl

    import httpx

    from monite_async._http.exchange import Carrier
    from monite_async._http.framing import MakeFraming
    from monite_async._http.proxies import ProxyTable

__all__ = ["Wiring", "carriers", "check_wiring"]

_TOKEN_CONNECTIONS: Final = 100
"""Enough for the first tokens of many users at once: a flight that queues for a connection burns its own time limit."""
_PROXY_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


class Wiring(NamedTuple):
    """What a caller said about connections.

    Attributes:
        transport: A transport, or the name of an engine.
        proxy: URL of a proxy for all requests; hidden, since it may hold a password.
        http2: Speak HTTP/2 where the server does.
        ssl_context: TLS context.
        trust_env: Whether the environment names proxies and certificate authorities.
    """

    transport: object = None
    proxy: Hidden = Hidden(None)
    http2: object = False
    ssl_context: object = None
    trust_env: object = True


def check_wiring(faults: list[str], wiring: Wiring) -> None:
    """Note everything that is wrong with what a caller said about connections."""
    transport, proxy, http2, context, _ = wiring
    for name, value in (("http2", http2), ("trust_env", wiring.trust_env)):
        if not isinstance(value, bool):
            faults.append(f"{name} must be True or False, got {type(value).__name__}")
    if context is not None:
        import ssl

        if not isinstance(context, ssl.SSLContext):
            faults.append(f"ssl_context must be an ssl.SSLContext, got {type(context).__name__}")
    _check_proxies(faults, wiring)
    if http2 is True and not _installed("h2"):
        faults.append("http2=True needs h2: install monite-async[http2]")
    if transport == "fast":
        _llhttp(faults)
        if http2 is True:
            faults.append("give either transport='fast' or http2=True: the fast engine speaks HTTP/1.1")
    elif transport is not None:
        _check_transport(faults, transport)
        if proxy.value is not None or http2 is True or context is not None:
            faults.append("a transport that is passed has its own proxy, ssl_context and http2: set them there")


def _check_transport(faults: list[str], transport: object) -> None:
    import httpx

    if isinstance(transport, str):
        faults.append("transport must be an httpx.AsyncBaseTransport or 'fast'")
    elif not isinstance(transport, httpx.AsyncBaseTransport):
        faults.append(f"transport must be an httpx.AsyncBaseTransport or 'fast', got {type(transport).__name__}")


def _check_proxies(faults: list[str], wiring: Wiring) -> None:
    if wiring.proxy.value is not None:
        _check_proxy(faults, wiring.proxy)
    elif (wiring.transport is None or wiring.transport == "fast") and (table := _proxies(wiring)) is not None:
        for scheme, url in table.proxies.items():
            _check_proxy(faults, Hidden(url), f"{scheme.upper()}_PROXY of the environment (or pass trust_env=False)")


def _check_proxy(faults: list[str], proxy: Hidden, name: str = "proxy") -> None:
    """Note what is wrong with the URL of a proxy; httpx would say so at the first call, and in its own words."""
    import httpx

    try:
        url = httpx.URL(proxy.value) if isinstance(proxy.value, str) else None
        good = url is not None and url.scheme in _PROXY_SCHEMES and bool(url.host) and 0 < _port(url) < 65_536
    except (httpx.InvalidURL, ValueError):  # the latter for a host name with a broken international form
        good = False
    if not good:
        faults.append(f"{name} must be a URL like 'http://proxy.example:8080' (http, https, socks5 or socks5h)")
    elif str(proxy.value).startswith("socks") and not _installed("socksio"):
        faults.append(f"{name}: a SOCKS proxy needs socksio: install httpx[socks]")


def _port(url: httpx.URL) -> int:
    return 1 if url.port is None else url.port


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _llhttp(faults: list[str]) -> MakeFraming | None:
    """Return what reads answers for the fast engine, or note that it is not installed."""
    try:
        from monite_async._http.framing_llhttp import LlhttpFraming
    except ImportError:
        faults.append("transport='fast' needs httptools: install monite-async[fast]")
        return None
    return LlhttpFraming


def carriers(wiring: Wiring) -> tuple[Carrier, Carrier, bool]:
    """Return what carries calls, what carries token requests, and whether both are the client's own to close.

    Args:
        wiring: What ``check_wiring`` found nothing wrong with.
    """
    transport = wiring.transport
    if transport is not None and transport != "fast":
        given = _given(cast("httpx.AsyncBaseTransport", transport))
        return given, given, False
    framing = None if transport is None else _llhttp([])
    context, trust_env = cast("ssl.SSLContext | None", wiring.ssl_context), wiring.trust_env is True
    calls = Native(framing=framing, ssl_context=context, trust_env=trust_env)
    tokens = Native(framing=framing, ssl_context=context, trust_env=trust_env, max_connections=_TOKEN_CONNECTIONS)
    proxies = _proxies(wiring)
    if proxies is None and wiring.http2 is not True:
        return calls, tokens, True
    from monite_async._http.proxies import ProxyTable
    from monite_async._http.routes import Routes

    table = proxies or ProxyTable({}, [])
    http2 = wiring.http2 is True
    return (
        Routes(calls, proxies=table, http2=http2, ssl_context=context, trust_env=trust_env),
        Routes(tokens, proxies=table, http2=http2, ssl_context=context, trust_env=trust_env),
        True,
    )


def _given(transport: httpx.AsyncBaseTransport) -> Carrier:
    """Return what carries requests over a transport that the caller brought."""
    from monite_async._http.adapter import HttpxCarrier
    from monite_async._http.transport import PooledTransport

    # A subclass may do something to each request, so it is to see them all.
    return transport.native if type(transport) is PooledTransport else HttpxCarrier(transport)


def _proxies(wiring: Wiring) -> ProxyTable | None:
    """Return the proxies to use: the one that was given, else those of the environment, if it may say."""
    from monite_async._http.proxies import ProxyTable, environment_proxies

    if wiring.proxy.value is not None:
        return ProxyTable({"all": str(wiring.proxy.value)}, [])
    return environment_proxies() if wiring.trust_env is True else None
