"""Where a request goes: scheme, host and port, without any library of URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

__all__ = ["Origin", "Place", "place_of"]

Origin = tuple[str, str, int]
"""Scheme, host and port (RFC 6454): what a connection can be used for, and how far a token may go."""

PORTS: Final = {"http": 80, "https": 443}


class Place:
    """A server, and where on it paths begin.

    Attributes:
        origin: Scheme, host and port.
        authority: Value of the ``Host`` header.
        prefix: The path of the base URL, without a slash at its end.
    """

    __slots__ = ("authority", "origin", "prefix")

    def __init__(self, origin: Origin, authority: bytes, prefix: str = "") -> None:
        self.origin: Origin = origin
        self.authority: bytes = authority
        self.prefix: str = prefix

    def __str__(self) -> str:
        return self.root + self.prefix

    def __repr__(self) -> str:
        return f"<Place {self}>"

    @property
    def root(self) -> str:
        """Its URL without any path."""
        return f"{self.origin[0]}://{self.authority.decode('ascii')}"

    @classmethod
    def parse(cls, base_url: str) -> Place:
        """Return the place of a base URL that was checked already: ASCII, without user, query and fragment."""
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        port = parts.port or PORTS[parts.scheme]
        authority = f"[{host}]" if ":" in host else host
        if port != PORTS[parts.scheme]:
            authority += f":{port}"
        return cls((parts.scheme, host, port), authority.encode("ascii"), parts.path.rstrip("/"))


def place_of(url: httpx.URL) -> Place | None:
    """Return the place of a URL, or None when it is not one of http or https that names a host and a port there is."""
    port = PORTS.get(url.scheme) if url.port is None else url.port
    if url.scheme not in PORTS or port is None or not 0 < port < 65_536 or not url.raw_host:
        return None
    return Place((url.scheme, url.raw_host.decode("ascii"), port), url.netloc)
