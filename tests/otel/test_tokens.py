"""What is told of tokens, of their store and of the rate limit, and how telling ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from examples.logging_tokens import MoodyStore
from monite_async import AsyncMonite, ClientClosedError, ConfigurationError, MoniteError, RequestTimeout, RetryPolicy
from monite_async._tokens.flight import Flight
from monite_async.emulator import Emulator
from monite_async.otel import instrument
from tests.otel.conftest import Telemetry, events, facts
from tests.scripted import Scripted, client

STORE = "monite.token_store.operation.duration"
NO_RETRY = RetryPolicy(max_retries=0)


async def test_hits_and_waits_are_counted_per_call(telemetry: Telemetry) -> None:
    """Calls that share a flight wait for it; those after it hit the token in memory."""
    async with AsyncMonite(**Emulator().client_options()) as monite:
        telemetry.watch(monite)
        await asyncio.gather(*(monite.request("GET", "/entities") for _ in range(5)))
        await asyncio.gather(*(monite.request("GET", "/entities") for _ in range(3)))
    assert telemetry.value("monite.token.wait.duration") == 5
    assert telemetry.value("monite.token.hits") == 3
    assert telemetry.value("monite.token.flight.duration", monite__token__outcome="succeeded") == 1
    assert telemetry.value("monite.token.events", monite__token__event="flight_succeeded") == 1
    stored = {"monite__token_store__operation": "commit"}
    assert telemetry.value("monite.token_store.operation.duration", **stored) == 1
    assert telemetry.value("http.client.request.duration", url__template="/entities") == 8


async def test_waits_for_the_rate_limit_are_measured(telemetry: Telemetry) -> None:
    """A call that the limiter holds back tells so, also when it cannot be let go in time and fails unsent."""
    async with AsyncMonite(**Emulator().client_options(), deadline=5.0) as monite:
        telemetry.watch(monite)
        await monite.tokens.warm()
        monite._core.engine.limiter.refused(60.0, None)
        with pytest.raises(RequestTimeout):
            await monite.request("GET", "/entities")
    assert telemetry.value("monite.limiter.wait.duration") == 1
    span = telemetry.span("GET /entities")
    assert facts(span, "monite.waited") == [{"monite.waited_for": "turn"}]
    assert events(span) == ["monite.waited"]
    assert (span.attributes or {})["error.type"] == "RequestTimeout"


async def test_a_flight_that_fails_says_with_what(telemetry: Telemetry) -> None:
    """The span and the duration of a failed flight bear the status, and so does the call that needed it."""
    emulator = Emulator()
    emulator.token_endpoint_down(401)
    async with AsyncMonite(**emulator.client_options()) as monite:
        telemetry.watch(monite)
        with pytest.raises(MoniteError):
            await monite.request("GET", "/entities")
    flight = telemetry.spans("monite.token")[-1]
    assert (flight.attributes or {})["error.type"] == "401"
    assert flight.status.status_code is StatusCode.ERROR
    outcome = {"monite__token__outcome": "failed", "error__type": "401"}
    assert telemetry.value("monite.token.flight.duration", **outcome) == 1
    assert events(telemetry.span("GET /entities")) == ["monite.waited"]


async def test_a_flight_that_is_cut_off_ends_its_span(telemetry: Telemetry) -> None:
    """Closing the client cuts off what hangs: its span ends as cancelled, and that of the waiting call too."""
    emulator = Emulator()
    held = emulator.fail("POST", "/auth/token", hold=True)
    monite = AsyncMonite(**emulator.client_options())
    telemetry.watch(monite)
    call = asyncio.create_task(monite.request("GET", "/entities"))
    await held.holding()
    for task in monite._core.issued()._running_tasks():
        task.cancel()
    with pytest.raises(MoniteError):
        await asyncio.gather(call, monite.aclose())
    assert telemetry.value("monite.token.flight.duration", monite__token__outcome="cancelled") == 1
    assert len(telemetry.spans("GET /entities")) == 1


async def test_a_flight_that_is_thrown_away_complains_of_nothing(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A flight whose loop is gone is closed by whoever collects it: its spans end, and no context is touched."""
    emulator = Emulator()
    emulator.fail("POST", "/auth/token", hold=True)
    monite = AsyncMonite(**emulator.client_options(), token_store=MoodyStore())
    telemetry.watch(monite)
    cache = monite._core.issued()
    assert cache.events.observer is not None
    flight = Flight(monite._key, 0, asyncio.get_running_loop(), refused=False)
    work = cache.events.observer.flight(cache._fly)(flight)

    async def begin() -> None:
        work.send(None)

    await asyncio.create_task(begin())
    work.close()
    assert "detach" not in caplog.text
    assert telemetry.value("monite.token.flight.duration", monite__token__outcome="cancelled") == 1
    await monite.aclose()


async def test_a_store_that_is_away_shows_while_it_is(telemetry: Telemetry) -> None:
    """Failed operations bear their error, the gauge counts the clients that do without, and goes back with the store."""
    store = MoodyStore()
    async with AsyncMonite(**Emulator().client_options(), token_store=store) as monite:
        undo = telemetry.watch(monite)
        await monite.request("GET", "/entities")
        assert telemetry.value("monite.token_store.degraded") == 1
        flight = telemetry.spans("monite.token")[-1]
        failed = telemetry.span("monite.token_store acquire")
        assert (failed.attributes or {})["error.type"] == "StoreError"
        assert failed.status.description is None
        assert "monite.token.store_degraded" in events(flight)
        undo()
        assert telemetry.value("monite.token_store.degraded") == 0
        telemetry.watch(monite)
        assert telemetry.value("monite.token_store.degraded") == 1, "it was away before"
        store.away = False
        await monite.tokens.invalidate()
        assert telemetry.value("monite.token_store.degraded") == 0
        assert telemetry.value("monite.token.events", monite__token__event="store_recovered") == 1
        assert telemetry.value("monite.token_store.operation.duration", error__type="StoreError") == 1
        await monite.request("GET", "/entities")
        await monite.revoke_token()
    names = {str(labels["monite.token_store.operation"]) for labels, _ in telemetry.points()[STORE]}
    assert names == {"acquire", "commit", "purge"}


async def test_a_client_that_is_closed_does_without_nothing(telemetry: Telemetry) -> None:
    """Closing ends the watching: a client that ended while its store was away is not counted for ever after."""
    for _ in range(3):  # as workers that make a client per job
        async with AsyncMonite(**Emulator().client_options(), token_store=MoodyStore()) as monite:
            undo = telemetry.watch(monite)
            await monite.request("GET", "/entities")
            assert telemetry.value("monite.token_store.degraded") == 1
        assert telemetry.value("monite.token_store.degraded") == 0
        assert monite._core.engine.observer is None
        undo()
        assert telemetry.value("monite.token_store.degraded") == 0
        with pytest.raises(ClientClosedError):
            telemetry.watch(monite)


async def test_what_a_flight_waits_for_the_rate_limit_is_measured(telemetry: Telemetry) -> None:
    """A token request that the limiter holds back explains a long flight; one that goes at once says nothing."""
    async with AsyncMonite(**Emulator().client_options()) as monite:
        telemetry.watch(monite)
        await monite.tokens.warm()
        assert events(telemetry.spans("monite.token")[-1]) == ["monite.token.token_fetched"]
        await monite.tokens.invalidate()
        monite._core.engine.limiter.refused(0.02, None)
        await monite.tokens.warm()
    flight = telemetry.spans("monite.token")[-1]
    assert flight.name == "monite.token"
    assert facts(flight, "monite.waited") == [{"monite.waited_for": "turn"}]
    assert telemetry.value("monite.limiter.wait.duration") == 1


async def test_an_operation_of_an_unknown_name_is_not_told_by_it(telemetry: Telemetry) -> None:
    """What a store of somebody else's calls its coroutines becomes no label."""
    async with AsyncMonite(**Emulator().client_options()) as monite:
        telemetry.watch(monite)
        landed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        landed.set_result(1)
        assert await monite._core.issued().guard.run(landed) == 1
    assert [span.name for span in telemetry.spans()] == ["monite.token_store other"]


async def test_undoing_ends_it_at_once_and_may_be_repeated(telemetry: Telemetry) -> None:
    """After the undo nothing is told; a second undo does nothing, not even to what was instrumented after it."""
    async with AsyncMonite(**Emulator().client_options()) as monite:
        undo = telemetry.watch(monite)
        with pytest.raises(ConfigurationError, match="already"):
            telemetry.watch(monite)
        undo()
        await monite.request("GET", "/entities")
        assert (telemetry.spans(), telemetry.points()) == ([], {})
        again = telemetry.watch(monite)
        undo()
        await monite.request("GET", "/entities")
        assert len(telemetry.spans("GET")) == 1
        again()
        core = monite._core
        assert (core.engine.observer, core.issued().events.observer, core.issued().events._listeners) == (
            None,
            None,
            (),
        )


async def test_a_token_from_elsewhere_has_calls_only(telemetry: Telemetry) -> None:
    """A client with a static token issues none: its calls are told, and undoing works."""
    async with AsyncMonite(token="canary-token", base_url="https://api.monite.test/v1", transport=Scripted()) as monite:
        undo = telemetry.watch(monite)
        await monite.request("GET", "/entities")
        undo()
    assert [span.name for span in telemetry.spans()] == ["GET /entities"]
    assert "canary" not in telemetry.everything()


async def test_the_global_providers_are_the_default() -> None:
    """Without an SDK everything works and nothing is told: the API of OpenTelemetry alone does nothing."""
    async with AsyncMonite(**Emulator().client_options()) as monite:
        instrument(monite)
        await monite.request("GET", "/entities")
        assert not trace.get_current_span().is_recording()


SECRETS: dict[str, Callable[[AsyncMonite], Any]] = {
    "path": lambda monite: monite.entities.get("canary-7d1e0a6c"),
    "path by hand": lambda monite: monite.request("GET", "/entities/canary-7d1e0a6c"),
    "query": lambda monite: monite.request("GET", "/entities", query={"email": "canary@acme.test"}),
    "header": lambda monite: monite.with_options(headers={"x-mine": "canary"}).request("GET", "/entities"),
    "body": lambda monite: monite.request("POST", "/entities", json={"email": "canary@acme.test"}),
    "user": lambda monite: monite.as_user("canary-user").request("GET", "/entity_users/me"),
    "entity": lambda monite: monite.entity("canary-entity").request("GET", "/payables"),
}


@pytest.mark.parametrize("call", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("status", [200, 400, 502])
async def test_no_span_and_no_metric_sings(
    call: Callable[[AsyncMonite], Any], status: int, telemetry: Telemetry
) -> None:
    """Neither what is sent nor what comes back, neither token nor secret nor id is in what leaves the process."""
    body = {"id": "canary-id", "error": {"message": "canary@acme.test is not acceptable"}}
    script = Scripted(httpx.Response(status, json=body, headers={"x-secret": "canary", "x-request-id": "rq-1"}))
    async with client(script, retry=NO_RETRY) as monite:
        telemetry.watch(monite)
        try:
            await call(monite)
        except MoniteError:
            assert (status >= 400) or telemetry.spans("GET")
    text = telemetry.everything()
    assert script.calls
    assert "rq-1" in text
    assert "canary" not in text


async def test_token_events_are_logged_with_their_facts_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A log record of a token event has the four facts of the event as fields, and nothing else of this library."""
    caplog.set_level("DEBUG", logger="monite_async.tokens")
    async with client(Scripted()) as monite:
        await monite.request("GET", "/entities")
    logged = [vars(record) for record in caplog.records if record.name == "monite_async.tokens"]
    assert [fields["monite_event"] for fields in logged] == ["flight_started", "token_fetched", "flight_succeeded"]
    for fields in logged:
        assert {name for name in fields if name.startswith("monite")} == {
            "monite_event",
            "monite_key",
            "monite_seconds",
            "monite_detail",
        }
        assert "canary" not in str(fields)


@pytest.mark.checkout
def test_the_page_names_every_logger() -> None:
    """Whoever wants to hear, or to silence, a part of the library finds what its logger is called."""
    root = Path(__file__).parents[2]
    sources = [*root.glob("monite_async/**/*.py"), *root.glob("stores/monite_async_stores/*.py")]
    named = {name for path in sources for name in re.findall(r'getLogger\("([\w.]+)"\)', path.read_text("utf-8"))}
    page = (root / "docs" / "observability.md").read_text("utf-8")
    assert len(named) > 3
    assert {name for name in named if f"`{name}`" not in page} == set()
