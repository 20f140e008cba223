"""Requests that this library's own connections cannot carry: through a proxy, or over HTTP/2.

These go over ``httpx.AsyncHTTPTransport``, everything else does not.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator

import httpx

from monite_async._errors import ConnectError
from monite_async._http.adapter import HttpxCarrier
from monite_async._http.decode import Answer
from monite_async._http.exchange import Bearer, Carrier, Lost, Opened, Outgoing
from monite_async._http.failures import ClosedError
from monite_async._http.native import Native, affordable, lost
from monite_async._http.place import Origin
from monite_async._http.proxies import ProxyTable
from monite_async._http.tls import default_context
from monite_async_stores._fork import renew_after_fork

__all__ = ["Routes"]

_Ways = dict[str | None, HttpxCarrier]
_ORPHANS: list[object] = []
"""What a parent process opened; kept, because collecting it would close, or warn of, connections that are not ours."""


class Routes:
    """Finds the way for each request; a ``Carrier``. It never shows itself: the URL of a proxy may hold a password.

    In a forked child it starts anew and leaves the parent's connections alone; their descriptors, which httpx keeps to
    itself, stay open until the child ends.

    Args:
        native: Carries what needs neither.
        proxies: Which proxy is for which server.
        http2: Speak HTTP/2 where the server does.
        ssl_context: TLS context; None takes one that the whole process shares.
        trust_env: Whether ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are honoured.
    """

    __slots__ = (
        "__weakref__", "_closed", "_context", "_guards", "_http2", "_loops", "_native", "_proxies", "_trust_env"
    )  # fmt: skip

    def __init__(
        self,
        native: Native,
        *,
        proxies: ProxyTable,
        http2: bool,
        ssl_context: ssl.SSLContext | None,
        trust_env: bool,
    ) -> None:
        self._native = native
        self._proxies = proxies
        self._http2 = http2
        self._context = ssl_context
        self._trust_env = trust_env
        self._closed = False
        # httpx's connections belong to the loop that opened them; each loop has transports of its own.
        self._loops: dict[asyncio.AbstractEventLoop, _Ways] = {}
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}
        renew_after_fork(self)

    def __repr__(self) -> str:
        return "<Routes>"

    async def exchange(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Lost:
        """See ``Carrier.exchange``."""
        carrier = await self._way(outgoing.place.origin, until)
        if isinstance(carrier, Lost):
            return carrier
        return await carrier.exchange(outgoing, token, until=until, max_bytes=max_bytes)

    async def open(
        self, outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int
    ) -> Answer | Opened | Lost:
        """See ``Carrier.open``."""
        carrier = await self._way(outgoing.place.origin, until)
        if isinstance(carrier, Lost):
            return carrier
        return await carrier.open(outgoing, token, until=until, max_bytes=max_bytes)

    async def aclose(self) -> None:
        """Close all connections of the running loop, and let no new ones be opened; may be repeated."""
        self._closed = True
        await self._native.aclose()
        guard = self._guards.pop(asyncio.get_running_loop(), None)
        if guard is not None:
            await guard.aclose()

    async def _way(self, origin: Origin, until: float) -> Carrier | Lost:
        if self._closed:
            return lost(ClosedError("the client was closed"), sent=False)
        proxy = self._proxies.find(origin)
        if proxy is None and not self._http2:
            return self._native
        loop = asyncio.get_running_loop()
        ways = self._loops.get(loop)
        if ways is None:
            for other in [other for other in list(self._loops) if other.is_closed()]:  # and without a farewell
                self._loops.pop(other, None)
                self._guards.pop(other, None)
            ways = self._loops[loop] = {}
            guard = self._guards[loop] = self._until_loop_ends(loop, ways)
            await anext(guard)
        if proxy not in ways:
            try:
                async with asyncio.timeout_at(until):
                    context = self._context or await default_context(trust_env=self._trust_env, http2=self._http2)
            except OSError as exc:  # a timeout is one too
                return Lost(ConnectError, f"no TLS context could be made: {exc.strerror or 'timed out'}", unsent=True)
            # Another call may have been here while this one waited.
            ways[proxy] = ways.get(proxy) or HttpxCarrier(self._transport(proxy, context))
        return ways[proxy]

    def after_fork_in_child(self) -> None:
        """Start anew in a forked child."""
        _ORPHANS.append((self._loops, self._guards))
        self._loops, self._guards = {}, {}

    def _transport(self, proxy: str | None, context: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
        most = affordable()
        return httpx.AsyncHTTPTransport(
            verify=context,
            http2=self._http2,
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=15.0),
            proxy=None if proxy is None else httpx.Proxy(proxy, ssl_context=_for_proxy(proxy, context)),
        )

    async def _until_loop_ends(self, loop: asyncio.AbstractEventLoop, ways: _Ways) -> AsyncGenerator[None, None]:
        """Be told of the loop's end: it closes the generators that it has seen (``loop.shutdown_asyncgens``)."""
        try:
            yield
        finally:
            self._loops.pop(loop, None)
            for way in ways.values():
                await way.aclose()


def _for_proxy(proxy: str, context: ssl.SSLContext) -> ssl.SSLContext | None:
    return context if proxy.startswith("https:") else None
