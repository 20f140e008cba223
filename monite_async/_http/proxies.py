"""Which proxy the environment names for a server: the rules of httpx, which has them from curl."""

from __future__ import annotations

import os
from typing import NoReturn
from urllib.parse import urlsplit

from monite_async._http.place import PORTS, Origin

__all__ = ["ProxyTable", "environment_proxies"]

_NAMES = ("http_proxy", "https_proxy", "all_proxy")


class ProxyTable:
    """Proxies by scheme, and the servers that are reached without; it never shows itself, a URL may hold a password.

    Args:
        proxies: URLs by ``http``, ``https`` or ``all``.
        direct: The entries of ``NO_PROXY``.

    Attributes:
        proxies: Those that are used at all, as complete URLs.
    """

    __slots__ = ("_direct", "proxies")

    def __init__(self, proxies: dict[str, str], direct: list[str]) -> None:
        self.proxies: dict[str, str] = {
            scheme: url if "://" in url else f"http://{url}" for scheme, url in proxies.items() if "*" not in direct
        }
        self._direct = direct

    def __repr__(self) -> str:
        return "<ProxyTable>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("proxies cannot be pickled: their URLs may hold passwords")

    def find(self, origin: Origin) -> str | None:
        """Return the URL of the proxy for a server, or None when it is reached directly."""
        if any(_matches(entry, origin) for entry in self._direct if entry):
            return None
        return self.proxies.get(origin[0]) or self.proxies.get("all")


def environment_proxies() -> ProxyTable | None:
    """Return what ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say, or None when no proxy is set."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _NAMES):
        return None
    from urllib.request import getproxies_environment  # which knows about either case, and about CGI

    found = getproxies_environment()
    direct = [entry.strip() for entry in found.pop("no", "").split(",")]
    proxies = {scheme: url for scheme, url in found.items() if scheme in {"http", "https", "all"}}
    return ProxyTable(proxies, direct)


def _matches(entry: str, origin: Origin) -> bool:
    """Tell whether an entry of ``NO_PROXY`` names a server: a host, a domain, either with a port, or a URL of one."""
    scheme, host, port = origin
    bare = entry.count(":") > 1 and not entry.startswith("[")  # an IPv6 address
    try:
        parts = urlsplit(entry if "://" in entry else f"all://[{entry}]" if bare else f"all://{entry}")
        named, number = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme not in {"all", scheme} or (number is not None and number != _shown(scheme, port)):
        return False
    if "://" in entry or named == "localhost" or _is_address(named):
        return host == named
    return host.endswith(named) if named.startswith(".") else host == named or host.endswith(f".{named}")


def _shown(scheme: str, port: int) -> int | None:
    return None if PORTS[scheme] == port else port


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
