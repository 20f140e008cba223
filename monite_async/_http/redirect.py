"""Which redirects are followed: only to where the token may go anyway."""

from __future__ import annotations

from typing import Final

import httpx

from monite_async._config import is_loopback
from monite_async._http.decode import Answer
from monite_async._http.exchange import Outgoing

__all__ = ["MAX_REDIRECTS", "is_protected", "origin", "redirect_target"]

MAX_REDIRECTS: Final = 3
_SAFE: Final = frozenset({"GET", "HEAD"})
_ANY_METHOD: Final = frozenset({307, 308})
_SAFE_ONLY: Final = frozenset({301, 302, 303})
_PORTS: Final = {"http": 80, "https": 443}


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port (RFC 6454); a token of one origin is never sent to another."""
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def redirect_target(answer: Answer, outgoing: Outgoing) -> httpx.URL | None:
    """Return where to send the request instead, or None when the redirect is not to be followed.

    GET and HEAD follow any redirect of their own origin; other methods only 307 and 308, which keep method and body
    (RFC 9110, section 15.4), and only with a body that can be produced again. A public request, which carries no token,
    follows to other hosts as well.
    """
    safe = outgoing.method in _SAFE
    if not (answer.status in _ANY_METHOD or (safe and answer.status in _SAFE_ONLY)) or not outgoing.body.replayable:
        return None
    location = answer.headers.get("location")
    if not location:
        return None
    try:
        target = outgoing.url.join(location)
    except httpx.InvalidURL:
        return None
    # Without a token there is nothing to lose to another host; in the clear the file itself would be.
    allowed = is_protected(target) if outgoing.public else origin(target) == origin(outgoing.url)
    return target if allowed and not target.userinfo else None


def is_protected(url: httpx.URL) -> bool:
    """Tell whether what is fetched from a URL cannot be read on its way: https, or this machine."""
    return bool(url.host) and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host)))
