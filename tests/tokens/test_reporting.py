"""Events, counters and what never appears in them (R33, R34)."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle

import pytest

from monite_async._errors import AuthenticationError, ServerError
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.events import TokenEvent
from monite_async._tokens.failure import from_kind
from monite_async._tokens.issuer import IssuedToken, PostResult, Wire, is_dead_token
from monite_async._tokens.static import StaticTokens
from tests.tokens.world import PARTNER, World, user
from tests.virtual import run_virtual


def test_listeners_hear_what_happens_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Every event reaches every listener; one that raises is logged and harms nobody, one that ended hears nothing."""
    heard: list[TokenEvent] = []

    async def main() -> None:
        world = World()

        def broken(event: TokenEvent) -> None:
            raise RuntimeError(event.kind)

        end_broken = world.cache.events.listen(broken)
        end = world.cache.events.listen(heard.append)
        await world.cache.get(PARTNER)
        end_broken()
        world.endpoint.failure = ServerError("down", status=503)
        await asyncio.gather(*(world.cache.get(user(1)) for _ in range(3)), return_exceptions=True)
        end()
        await asyncio.sleep(10)
        await asyncio.gather(world.cache.get(user(1)), return_exceptions=True)
        stats = world.cache.stats()
        assert stats.events["flight_joined"] == 2
        assert stats.events["flight_failed"] == 2

    with caplog.at_level(logging.DEBUG, "monite_async.tokens"):
        run_virtual(main())
    assert [event.kind for event in heard] == [
        "flight_started",
        "token_fetched",
        "flight_succeeded",
        "flight_started",
        "flight_failed",
    ]
    assert heard[1].seconds == heard[2].seconds == pytest.approx(0.05)
    assert heard[0].key == heard[1].key == heard[2].key != heard[3].key
    assert "ServerError 503" in heard[4].detail
    assert "a listener of token events failed" in caplog.text


def test_hits_are_counted() -> None:
    """The counter of hits survives the replacement of the token it was counted on."""

    async def main() -> None:
        world = World()
        await world.cache.get(PARTNER)
        for _ in range(10):
            await world.cache.get(PARTNER)
        await world.cache.invalidate(PARTNER)
        await world.cache.get(PARTNER)
        await world.cache.get(PARTNER)
        assert world.cache.stats().hits == 11
        assert world.cache.stats().cached == 1
        assert len(world.cache.in_use()) <= 1

    run_virtual(main())


def test_a_store_is_told_which_records_are_in_use() -> None:
    """``in_use`` names the records hit since it was last asked, and nothing idle."""

    async def main() -> None:
        world = World()
        await world.cache.warm([PARTNER, user(1)])
        await world.cache.get(user(1))
        expected = user(1).record_name(await world.endpoint.secret())
        assert list(world.cache.in_use()) == [expected]
        assert list(world.cache.in_use()) == []

    run_virtual(main())


def test_no_value_shows_itself() -> None:
    """Tokens, secrets and what holds them have constant texts and cannot be pickled or copied."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        things: list[object] = [
            token,
            world.cache,
            ClientCredentials("id", "hunter2-hunter2"),
            StaticTokens("hunter2-hunter2"),
            IssuedToken(b"Bearer hunter2-hunter2", 60.0),
            PostResult(200, {"authorization": "hunter2"}, b"hunter2"),
        ]
        for thing in things:
            text = f"{thing} {thing!r} {thing:>80}" if thing is token else f"{thing} {thing!r}"
            assert "hunter2" not in text
            assert token.value not in text
        for thing in things[:4]:
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(thing)
            with pytest.raises(TypeError, match="cannot be pickled"):
                copy.copy(thing)

    run_virtual(main())


def test_a_token_describes_itself_to_a_browser_component() -> None:
    """``value``, ``token_type``, ``expires_in`` and ``authorization`` are what a web backend passes on."""

    async def main() -> None:
        world = World()
        token = await world.cache.get(PARTNER)
        await asyncio.sleep(100)
        assert token.value == "token-000001-0123456789"
        assert token.token_type == "Bearer"
        assert token.authorization == "Bearer token-000001-0123456789"
        assert token.expires_in == 1699
        await asyncio.sleep(5000)
        assert token.expires_in == 0
        other = await world.cache.get(PARTNER)
        assert token != other
        assert token == token.as_stale()
        assert hash(token) == hash(token.as_stale())
        assert token != "token-000001-0123456789"

    run_virtual(main())


@pytest.mark.parametrize(
    ("status", "message", "dead"),
    [
        (401, "", True),
        (400, "The token has been revoked, expired or not found.", True),
        (403, "Token EXPIRED", True),
        (400, "amount must be positive", False),
        (403, "Action read for payable not allowed", False),
        (500, "expired", False),
    ],
)
def test_what_counts_as_a_dead_token(status: int, message: str, dead: bool) -> None:
    """401 always, 400 and 403 by their message, a plain 403 never."""
    assert is_dead_token(status, message) is dead
    assert Wire().is_dead_token(status, message) is dead


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        ("terminal:auth:401", AuthenticationError, 401),
        ("transient:server:503", ServerError, 503),
        ("?", AuthenticationError, None),
    ],
)
def test_a_failure_of_another_process_is_read_with_tolerance(
    kind: str, error: type[Exception], status: int | None
) -> None:
    """What another version of this library wrote into a store never raises anything but a token failure."""
    failure = from_kind(kind)
    assert type(failure.error) is error
    assert failure.error.status == status
    assert failure.transient == (not kind.startswith("terminal"))
