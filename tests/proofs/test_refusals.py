"""T7 and T8 over HTTP: refused tokens and a dead token endpoint, on real sockets, with the clocks moved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from monite_async import AsyncMonite, ForbiddenError, MoniteError, ServerError, UnauthorizedError
from tests.proofs.stage import Moved, Stage, brief, staged
from tests.tokens.world import user

JSON = dict[str, object]
DEAD = {"error": {"message": "The token has been expired."}}


def posts(stage: Stage) -> int:
    """Return how many token requests there were."""
    return stage.emulator.log.count("POST", "/auth/token")


async def aged(stage: Stage, seconds: float = 10.0) -> tuple[AsyncMonite, Moved]:
    """Return a client with a token that old by its own clock, and the clock."""
    monite = stage.monite
    clock = Moved(monite)
    await monite.token()
    clock.ahead += seconds
    return monite, clock


async def test_a_hundred_staggered_refusals_cost_one_request() -> None:
    """Refusals that arrive before, while and after the token is replaced cost one token request between them."""
    async with staged() as stage:
        monite, _ = await aged(stage)
        stage.emulator.revoke_tokens()
        for step in range(10):
            stage.emulator.fail("GET", "/entities", latency=0.02 * step, times=10)
        answers = await asyncio.gather(*(monite.request("GET", "/entities", cast_to=JSON) for _ in range(100)))
        assert len(answers) == 100
        assert posts(stage) == 2
        assert stage.emulator.log.count("GET", "/entities", status=401) == 100
        assert stage.emulator.log.count("GET", "/entities", status=200) == 100


async def test_refusals_for_ever_cost_two_sends_each_and_twelve_tokens_a_minute() -> None:
    """An API that refuses everything for a minute gets each call at most twice, and 12 token requests at most."""
    async with staged() as stage:
        monite, clock = await aged(stage)
        stage.emulator.fail("GET", "/entities", status=401, body=DEAD, times=None)
        before = posts(stage)
        failures: list[object] = []
        end = clock.monotonic() + 60
        while clock.monotonic() < end:  # a second for each round, and what the machine takes for it
            failures += await asyncio.gather(
                *(monite.request("GET", "/entities") for _ in range(5)), return_exceptions=True
            )
            clock.ahead += 1.0
        assert {type(failure) for failure in failures} == {UnauthorizedError}
        assert {failure.attempts for failure in failures if isinstance(failure, MoniteError)} == {1, 2}
        assert stage.emulator.log.count("GET", "/entities") <= 2 * len(failures)
        assert 10 <= posts(stage) - before <= 12


@pytest.mark.parametrize(("status", "kind"), [(401, UnauthorizedError), (403, ForbiddenError)])
async def test_what_a_new_token_would_not_help_costs_none(status: int, kind: type[MoniteError]) -> None:
    """A 401 on a token one second old, and a 403 on any, cost no token request."""
    async with staged() as stage:
        monite, _ = await aged(stage, 1.0 if status == 401 else 100.0)
        stage.emulator.fail("GET", "/entities", status=status, body={"error": {"message": "no"}}, times=None)
        for _ in range(5):
            with pytest.raises(kind) as caught:
                await monite.request("GET", "/entities")
            assert caught.value.attempts == 1
        assert posts(stage) == 1


@pytest.mark.parametrize(("version", "status"), [("2024-01-31", 400), ("2024-05-25", 401)])
async def test_an_expired_token_is_replaced_whatever_the_version_calls_it(version: str, status: int) -> None:
    """When the server's clock says that a token is over, the call is sent again with another, body and all."""
    async with staged(api_version=version) as stage:
        monite, _ = await aged(stage)
        acme = monite.entity(stage.entity_id)
        stage.emulator.clock.advance(3600)
        role = await acme.request(
            "POST", "/roles", json={"name": "payer", "permissions": {}}, cast_to=dict[str, object]
        )
        assert role["name"] == "payer"
        assert stage.emulator.log.filter("POST", "/roles")[-2].status == status
        assert stage.emulator.log.count("POST", "/roles") == 2
        assert posts(stage) == 2


async def test_an_upload_that_can_be_sent_once_is_not_sent_twice() -> None:
    """A stream that is gone is not sent again; the refusal stands, and the next call has a good token."""
    taken: list[int] = []

    async def once() -> AsyncIterator[bytes]:
        taken.append(1)
        yield b"%PDF-1.4 bill"

    async with staged() as stage:
        monite, _ = await aged(stage)
        acme = monite.entity(stage.entity_id)
        stage.emulator.revoke_tokens()
        with pytest.raises(UnauthorizedError) as caught:
            await acme.request("POST", "/payables/upload_from_file", multipart={"file": once()})
        assert (caught.value.attempts, len(taken), posts(stage)) == (1, 1, 1)
        assert await acme.request("GET", "/payables", cast_to=JSON)
        assert posts(stage) == 2


async def test_a_late_refusal_of_a_replaced_token_costs_nothing() -> None:
    """A refusal that was on its way while the token was replaced makes the call go again, and no token request."""
    async with staged() as stage:
        monite, clock = await aged(stage)
        stage.emulator.revoke_tokens()
        held = stage.emulator.fail("GET", "/entities", hold=True)
        late = asyncio.ensure_future(monite.request("GET", "/entities", cast_to=JSON))
        await held.holding()
        assert await monite.request("GET", "/entities", cast_to=JSON)
        clock.ahead += 60.0
        held.release()
        assert await late
        assert posts(stage) == 2


async def test_a_revocation_behind_the_clients_back_goes_unnoticed() -> None:
    """Tokens of partner and users revoked while calls are under way: no caller sees it, one new token per key."""
    async with staged() as stage:
        monite, clock = await aged(stage)
        ann = monite.entity(stage.entity_id).as_user(stage.user_id)
        await ann.token()
        clock.ahead += 10.0
        for _ in range(3):
            calls = [
                *(monite.request("GET", "/entities", cast_to=JSON) for _ in range(50)),
                *(ann.request("GET", "/entity_users/me", cast_to=JSON) for _ in range(50)),
            ]
            running = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)
            stage.emulator.revoke_tokens()
            assert len(await asyncio.gather(*running)) == 100
            clock.ahead += 10.0
        assert stage.emulator.issued == {"client_credentials": 5, f"entity_user:{stage.user_id}": 4}


# -- the token endpoint is down


async def test_a_thousand_callers_of_a_dead_token_endpoint() -> None:
    """All fail at once with errors of their own and one cause, for at most three requests; then nobody asks for a while."""
    async with staged() as stage:
        monite, clock = stage.monite, Moved(stage.monite)
        stage.emulator.token_endpoint_down()
        results = await asyncio.gather(
            *(monite.request("GET", "/entities") for _ in range(1000)), return_exceptions=True
        )
        errors = [error for error in results if isinstance(error, ServerError)]
        assert len(errors) == len({id(error) for error in errors}) == 1000
        assert len({id(error.__cause__) for error in errors}) == 1
        assert posts(stage) <= 3
        asked = posts(stage)
        for _ in range(100):
            with pytest.raises(ServerError):
                await monite.request("GET", "/entities")
        assert posts(stage) == asked
        stage.emulator.faults.clear()
        clock.ahead += 5.0  # the longest backoff of callers without a token
        assert await monite.request("GET", "/entities", cast_to=JSON)


@pytest.mark.parametrize("age", [1600.0, 1780.0], ids=["soft", "hard"])
async def test_valid_tokens_outlast_a_dead_token_endpoint(age: float, caplog: pytest.LogCaptureFixture) -> None:
    """As long as the old token lives nobody notices an outage, and it is logged once per backoff step."""
    async with staged() as stage:
        monite, clock = await aged(stage, age)
        down = stage.emulator.token_endpoint_down()
        caplog.set_level(logging.WARNING, "monite_async")
        answers = await asyncio.gather(*(monite.request("GET", "/entities", cast_to=JSON) for _ in range(1000)))
        assert len(answers) == 1000
        event = asyncio.Event()
        monite.tokens.listen(lambda _: event.set())
        while len(caplog.records) < 1:  # the flight that fails in the background
            await event.wait()
            event.clear()
        assert len(await asyncio.gather(*(monite.request("GET", "/entities", cast_to=JSON) for _ in range(100)))) == 100
        flights = monite.tokens.stats().events["flight_failed"]
        assert len(caplog.records) == flights
        assert down.hits <= 3 * flights
        old = await monite.token()
        down.remove()
        clock.ahead += 10.0  # past the backoff, and short of the old token's end
        while (await monite.token()).gen == old.gen:
            await asyncio.sleep(0)
        assert posts(stage) == down.hits + 2


async def test_one_user_who_is_refused_does_not_disturb_the_others() -> None:
    """A key whose token cannot be had fails alone, whoever asks for others beside it."""
    async with staged() as stage:
        monite = stage.monite
        stranger = monite.as_user(user(7).entity_user_id)
        ann = monite.entity(stage.entity_id).as_user(stage.user_id)
        results = await asyncio.gather(
            *(each.request("GET", "/entity_users/me", options=brief(10)) for each in (ann, stranger) * 50),
            return_exceptions=True,
        )
        assert sum(isinstance(result, MoniteError) for result in results) == 50
        assert sum(isinstance(result, dict) for result in results) == 50
        assert posts(stage) == 2
