"""A process that forks while its client has a flight, a lease and a subscription under way; run as a script.

Arguments: the URL of the Redis, the base URL, client id and secret. Says what happened as one line of JSON, its own and
its child's, when told to go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings

from monite_async import AsyncMonite
from monite_async._tokens.keys import TokenKey
from monite_async_stores import RedisTokenStore


def say(**line: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Forker:
    """A client, before and after the fork."""

    def __init__(self, url: str, base_url: str, client_id: str, secret: str) -> None:
        self._store = RedisTokenStore.from_url(url)
        self._client = AsyncMonite(
            client_id=client_id, client_secret=secret, base_url=base_url, token_store=self._store
        )
        self._cache = self._client._core.issued()

    async def parent(self) -> None:
        """Hold one token, fork while another is on its way, and get that too."""
        held = await self._client.token()
        reader, loop = sys.stdin, asyncio.get_running_loop()
        await loop.run_in_executor(None, reader.readline)  # from now on a token takes its time
        flight = asyncio.create_task(self._client.as_user("00000000-0000-4000-8000-000000000001").token())
        await loop.run_in_executor(None, reader.readline)  # its request has come
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about is what is tested
            child = os.fork()
        if child == 0:
            self._in_child()
        arrived = await flight
        _, status = await loop.run_in_executor(None, os.waitpid, child, 0)
        again = await self._client.token()
        self._say("parent", held.gen == again.gen, arrived.fingerprint, status)
        await self._client.aclose()
        await self._store.aclose()

    def _in_child(self) -> None:
        """Work in a loop of its own, as a worker of a pre-forking server does; never returns."""
        try:
            asyncio.run(self._child())
        except BaseException as exc:
            say(who="child", failed=repr(exc))
        finally:
            os._exit(0)

    async def _child(self) -> None:
        kept = self._cache.peek(self._key()) is not None
        token = await self._client.as_user("00000000-0000-4000-8000-000000000001").token()
        self._say("child", kept, token.fingerprint, 0)
        await self._client.aclose()
        await self._store.aclose()

    def _key(self) -> TokenKey:
        return self._client._core.key()

    def _say(self, who: str, kept: bool, fingerprint: str, status: int) -> None:
        say(who=who, kept=kept, token=fingerprint, status=status, process=self._cache._process)


if __name__ == "__main__":
    asyncio.run(Forker(*sys.argv[1:]).parent())
