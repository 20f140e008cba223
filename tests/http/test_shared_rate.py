"""Who shares a limiter: clients of one process that learn, and processes with a ``SharedRate``."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import httpx
import pytest

from monite_async import AsyncMonite, ConfigurationError, SharedRate
from monite_async._core import Core
from monite_async.emulator import Emulator, EmulatorSettings
from monite_async_stores import RedisTokenStore
from tests.scripted import CLIENT_ID, CLIENT_SECRET, Scripted, client
from tests.stores.redis_server import RedisServer, free_port


def core(monite: AsyncMonite) -> Core:
    """Return the shared part of a client."""
    return monite._core


def test_clients_that_learn_share_what_they_learn() -> None:
    """One client id at one API over one transport is one to the server, however many clients there are."""
    transport = Scripted()
    first, second = client(transport), client(transport)
    assert core(first).engine.limiter is core(second).engine.limiter is core(second).post.limiter
    others = [
        client(Scripted()),
        client(transport, base_url="https://other.test/v1"),
        client(transport, client_id="99999999-7e78-43cf-abfb-efeed1834963"),
        client(transport, rate_limit=30),
        client(transport, rate_limit=30),
        client(transport, client_id=None, client_secret=None, token="x" * 20),
        client(transport, client_id=None, client_secret=None, token="x" * 20),
    ]
    limiters = [core(first).engine.limiter, *(core(other).engine.limiter for other in others)]
    assert len(set(map(id, limiters))) == len(limiters)


def test_the_default_pools_share_too() -> None:
    """Clients without a transport of their own are one to the server as well."""
    clients = [AsyncMonite(client_id=CLIENT_ID, client_secret=CLIENT_SECRET) for _ in range(2)]
    assert core(clients[0]).engine.limiter is core(clients[1]).engine.limiter


@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan, True, "30"])
def test_a_shared_rate_is_a_positive_number(limit: float) -> None:
    """Anything else is an error before there is a client."""
    with pytest.raises(ConfigurationError, match="positive number"):
        SharedRate(limit)


def test_a_shared_rate_says_what_it_is() -> None:
    """It shows its number, if it has one."""
    assert (repr(SharedRate(30)), repr(SharedRate())) == ("SharedRate(30)", "SharedRate()")
    assert (SharedRate(30).limit, SharedRate().limit) == (30.0, None)


@pytest.mark.parametrize("options", [{}, {"client_id": None, "client_secret": None, "token": "x" * 20}])
def test_a_shared_rate_needs_a_store_with_a_budget(options: dict[str, str | None]) -> None:
    """A store that cannot share it, or no store at all, is told before anything is sent."""
    with pytest.raises(ConfigurationError, match="offers a budget"):
        client(Scripted(), rate_limit=SharedRate(30), **options)


def test_processes_share_a_rate_through_the_store_of_their_tokens() -> None:
    """Calls draw from one budget; what lies in Redis for it shows neither the client nor its secret."""

    async def main(server: RedisServer) -> None:
        async with Emulator(EmulatorSettings(rate_limit=500)) as emulator:
            for shared in (SharedRate(500), SharedRate()):
                store = RedisTokenStore.from_url(server.url, timeout=5.0)
                options = emulator.client_options()
                async with (
                    AsyncMonite(**options, rate_limit=shared, token_store=store) as one,
                    AsyncMonite(**options, rate_limit=shared, token_store=store) as two,
                ):
                    await asyncio.gather(*(each.entities.list() for each in (one, two) for _ in range(20)))
                await store.aclose()
            assert emulator.log.statuses() == {200: 81}
            (key,) = [key for key in server.admin.items("KEYS", "*") if str(key).endswith(":b'")]
            assert isinstance(key, bytes)
            assert emulator.settings.client_id.encode() not in key
            assert len(key) == len("{monite:}:b") + 32

    with RedisServer() as server:
        asyncio.run(main(server))


def test_without_redis_every_call_is_made_all_the_same() -> None:
    """A store that cannot be reached slows calls down to what one process may have, and fails none."""

    async def main() -> None:
        async with Emulator(EmulatorSettings(rate_limit=200)) as emulator:
            store = RedisTokenStore.from_url(f"redis://127.0.0.1:{free_port()}/0")
            options = emulator.client_options()
            async with AsyncMonite(**options, rate_limit=SharedRate(200), token_store=store) as monite:
                await asyncio.gather(*(monite.entities.list() for _ in range(20)))
            await store.aclose()
            assert emulator.log.statuses() == {200: 21}

    asyncio.run(main())


async def test_a_link_without_a_token_teaches_nothing(tmp_path: Path) -> None:
    """What a file server tells of its own limit is not the API's."""
    transport = Scripted(
        httpx.Response(200, headers={"ratelimit-limit": "1", "ratelimit-remaining": "0"}, content=b"x")
    )
    async with client(transport) as monite:
        limiter = core(monite).engine.limiter
        before = limiter._supply.rate
        await monite.download("https://files.test/x", to=tmp_path / "x")
        assert limiter._supply.rate == before
