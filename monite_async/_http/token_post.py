"""How token requests travel: first in line, over connections of their own, tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from monite_async._errors import ClientClosedError, RequestTimeout
from monite_async._http.body import BytesBody
from monite_async._http.decode import Answer
from monite_async._http.engine import USER_AGENT
from monite_async._http.exchange import Bearer, Carrier, Head, Lost, Outgoing
from monite_async._http.limits import Limiter, WouldWaitTooLongError
from monite_async._http.place import Place
from monite_async._tokens.issuer import PostResult
from monite_async_stores import Clock, SystemClock

__all__ = ["TokenPost"]

_MAX_ANSWER: Final = 1024 * 1024
_MAX_WAIT: Final = 60.0


class TokenPost:
    """The ``Post`` of the issuer: no retries, no redirects, at most 1 MiB of answer.

    Attributes:
        place: Where the API is.
        carrier: What carries the requests; not the pool of the API calls, so that those cannot starve them.
        limiter: The client's limiter; token requests go first in it.
        token_header: Carries the token of a flow in which one token is asked for with another.
        clock: Where time comes from.
        closed: The client was closed.
    """

    __slots__ = ("carrier", "clock", "closed", "limiter", "place", "token_header")

    def __init__(
        self,
        place: Place,
        carrier: Carrier,
        limiter: Limiter,
        token_header: bytes = b"authorization",
        *,
        clock: Clock | None = None,
    ) -> None:
        self.place: Place = place
        self.carrier: Carrier = carrier
        self.limiter: Limiter = limiter
        self.token_header: bytes = token_header
        self.clock: Clock = clock or SystemClock()
        self.closed: bool = False

    def __repr__(self) -> str:
        return "<TokenPost>"

    async def __call__(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        timeout: float,
        method: str = "POST",
        token: Bearer | None = None,
        media_type: bytes = b"application/json",
        at_root: bool = False,
    ) -> PostResult:
        """Send one POST; see ``Sender``.

        Args:
            path: Below the base URL, or below the root of its host.
            body: What to send.
            headers: Further headers.
            timeout: Seconds that it may take.
            method: Another method, where a flow wants one.
            token: A token to send along.
            media_type: What the body is.
            at_root: Whether the path is below the root of the host instead of the base URL.

        Raises:
            TransportError: No complete answer arrived.
            ResponseValidationError: The answer is longer than 1 MiB.
            ClientClosedError: The client was closed.
        """
        outgoing = self._outgoing(method, path, BytesBody(body, media_type), headers, at_root=at_root)
        del body  # it holds the client secret, and a traceback may show the variables of its frames
        now = asyncio.get_running_loop().time
        until = now() + timeout
        outcome = await self.carrier.exchange(outgoing, token, until=until, max_bytes=_MAX_ANSWER)
        if isinstance(outcome, Lost):
            if self.closed:
                raise ClientClosedError("the client was closed; make a new one")
            elapsed = now() - until + timeout
            raise outcome.error(outcome.text, method=method, path=path, attempts=1, elapsed=elapsed)
        return PostResult(outcome.status, outcome.headers, outcome.content, self._asked(outcome))

    def _asked(self, answer: Answer) -> float | None:
        """Return for how many seconds the server asks to stay away, and let all calls do so after a 429."""
        if answer.status != 429:
            self.limiter.heard(answer.headers)
        if 200 <= answer.status < 300:
            return None
        from monite_async._http.retry import rate_limit, retry_after

        asked = retry_after(answer.status, answer.headers, wall=self.clock.wall())
        if answer.status == 429:
            self.limiter.refused(asked, rate_limit(answer.headers))
        return asked

    async def turn(self) -> None:
        """Wait until the limiter lets a token request go; a flight does so before its time for an attempt begins.

        Raises:
            RequestTimeout: That would take longer than a minute.
        """
        if self.limiter.active:
            try:
                await self.limiter.turn(within=_MAX_WAIT, priority=True)
            except WouldWaitTooLongError as exc:
                wait = exc.wait
            else:
                return
            raise RequestTimeout("too many requests are waiting for the rate limit", method="POST", retry_after=wait)

    def _outgoing(
        self, method: str, path: str, body: BytesBody, headers: Mapping[str, str], *, at_root: bool
    ) -> Outgoing:
        head = [
            (b"host", self.place.authority),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"gzip"),
            (b"user-agent", USER_AGENT.encode("ascii")),
        ]
        head += [
            (name.lower().encode("ascii"), value.encode("ascii"))
            for name, value in headers.items()
            if name.lower() not in _OWN
        ]
        target = (("" if at_root else self.place.prefix) + path).encode("ascii")
        return Outgoing(method, self.place, target, Head(tuple(head)), body, self.token_header)


_OWN: Final = frozenset({"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"})
