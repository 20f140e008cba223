"""A token endpoint in memory, and a cache on virtual time in front of it."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from monite_async._errors import MoniteError
from monite_async._http.limits import Limiter
from monite_async._http.reply import ReplyHeaders
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.issuer import IssuedToken
from monite_async._tokens.keys import TokenKey
from monite_async_stores import MemoryTokenStore, TokenStore
from tests.virtual import VirtualClock, VirtualLoop

PARTNER = TokenKey("https://api.sandbox.monite.com/v1", "28c10852-7e78-43cf-abfb-efeed1834963", "client_credentials")
SECRET = b"615b3cfa-646b-41d9-b768-521f09315ac5"


def user(number: int) -> TokenKey:
    """Return the key of one entity user."""
    return TokenKey(PARTNER.base_url, PARTNER.client_id, "entity_user", f"{number:08x}-7e78-43cf-abfb-efeed1834963")


class Endpoint:
    """An issuer that counts; `plan` holds what the next requests meet, after it `failure` holds for all.

    Attributes:
        latency: Seconds a request takes.
        lifetime: What the next tokens live, in seconds.
        posts: When each request started, on the loop's clock.
        per_key: Requests by key.
        revoked: Tokens revoked.
    """

    def __init__(self, *, latency: float = 0.05, lifetime: float = 1800.0) -> None:
        self.latency = latency
        self.lifetime = lifetime
        self.plan: list[MoniteError | float | None] = []
        self.failure: MoniteError | None = None
        self.posts: list[float] = []
        self.per_key: Counter[str] = Counter()
        self.revoked: list[str] = []
        self.secrets = [SECRET]
        self.secret_reads = 0
        self.on_issue: Callable[[], Awaitable[None]] | None = None

    async def secret(self, *, refresh: bool = False) -> bytes:
        if refresh:
            self.secret_reads += 1
            if len(self.secrets) > 1:
                self.secrets.pop(0)
        return self.secrets[0]

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        self.posts.append(asyncio.get_running_loop().time())
        self.per_key[key.id] += 1
        number = len(self.posts)
        step = self.plan.pop(0) if self.plan else self.failure
        if self.on_issue is not None:
            await self.on_issue()
        await asyncio.sleep(self.latency)
        if isinstance(step, MoniteError):
            raise step.again()
        return IssuedToken(f"Bearer token-{number:06d}-0123456789".encode(), self.lifetime if step is None else step)

    async def revoke(self, token: str, *, timeout: float) -> None:
        self.revoked.append(token)


class World:
    """A virtual loop's clock, an endpoint, a store and a cache. Make it inside the running loop."""

    def __init__(
        self,
        endpoint: Endpoint | None = None,
        *,
        store: TokenStore | None = None,
        draw: float = 0.5,
        max_records: int = 10_000,
        rate_limit: float | None = None,
    ) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        self.clock = VirtualClock(loop)
        self.endpoint = endpoint or Endpoint()
        self.store = store or MemoryTokenStore(clock=self.clock)
        self.draw = draw
        self._max = max_records
        limiter = Limiter(rate_limit, burst=1, clock=self.clock)
        if rate_limit is None:
            limiter.heard(ReplyHeaders([]))  # as after the first answer of a server that tells no limit
        self._turn = functools.partial(limiter.turn, within=60, priority=True)
        self.cache = self.another()

    def another(self) -> TokenCache:
        """Return one more cache on the same store and endpoint: another process, as far as the store can tell."""
        return TokenCache(
            self.store,
            self.endpoint,
            clock=self.clock,
            random=lambda: self.draw,
            max_records=self._max,
            turn=self._turn,
        )

    @property
    def posts(self) -> int:
        return len(self.endpoint.posts)
