"""Which redirects are followed: those of links, which carry no token, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monite_async._config import is_loopback
from monite_async._http.body import EMPTY
from monite_async._http.exchange import Head, Outgoing
from monite_async._http.place import place_of

if TYPE_CHECKING:
    import httpx

    from monite_async._http.decode import Answer
    from monite_async._http.exchange import Fields

__all__ = ["MAX_REDIRECTS", "link_request", "redirected"]

MAX_REDIRECTS: Final = 3
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_ANYWHERE: Final = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"range"})
"""Header fields that any host may see: they say what is wanted. What else a caller gave was meant for the host it named."""


def redirected(answer: Answer, outgoing: Outgoing) -> Outgoing | None:
    """Return the request to send instead of that of a link, or None when the redirect is not to be followed.

    A link is fetched with GET, and whoever has it has the file; so it may lead to other hosts, but not to plain http. The
    caller's own headers do not go along to another one, whatever they are called: any of them may be a key.
    """
    location = answer.headers.get("location")
    if answer.status not in _FOLLOWED or not location:
        return None
    import httpx

    try:
        url = httpx.URL(outgoing.place.root + outgoing.target.decode("ascii")).join(location)
        place = place_of(url) if _allowed(url) else None
    except (httpx.InvalidURL, ValueError):  # the latter for a host name with a broken international form
        return None
    if place is None:
        return None
    moved = outgoing.to(place, url.raw_path)
    if place.origin != outgoing.place.origin:
        moved.head = Head(tuple(field for field in moved.head.fields if field[0] in _ANYWHERE))
    return moved


def link_request(text: str, fields: Fields) -> Outgoing | None:
    """Return the request for what a link leads to, or None when it is none that may be followed.

    Args:
        text: The link.
        fields: The header fields of the request, but for ``Host``.
    """
    import httpx

    try:
        url = httpx.URL(text)
        place = place_of(url) if _allowed(url) else None
    except (httpx.InvalidURL, TypeError, ValueError):  # see ``redirected``
        return None
    if place is None:
        return None
    return Outgoing("GET", place, url.raw_path, Head(((b"host", place.authority), *fields)), EMPTY, public=True)


def _allowed(url: httpx.URL) -> bool:
    """Tell whether what is fetched cannot be read on its way: over https, or from this machine."""
    protected = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
    return bool(url.host) and protected and not url.userinfo
