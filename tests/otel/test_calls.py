"""What the span of a call tells: tries, waits, replaced tokens, failures, and how spans hang together."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import url_attributes as developing
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, url_attributes
from opentelemetry.semconv.metrics import http_metrics
from opentelemetry.trace import SpanKind, StatusCode

from monite_async import AsyncMonite, ConfigurationError, MoniteError, RetryPolicy
from monite_async.emulator import Emulator
from tests.http.test_call_token import DEAD, OK, aged
from tests.otel.conftest import Telemetry, events, facts, id_of
from tests.scripted import Scripted, client

QUICK = RetryPolicy(base_wait=0.001)


@pytest.fixture
def emulator() -> Emulator:
    """Give a Monite to call."""
    return Emulator()


@pytest.fixture
async def monite(emulator: Emulator, telemetry: Telemetry) -> AsyncIterator[AsyncMonite]:
    """Give a client that is watched."""
    async with AsyncMonite(**emulator.client_options(), retry=QUICK) as monite:
        telemetry.watch(monite)
        yield monite


async def test_a_call_that_is_repeated_is_one_span_with_its_tries_as_events(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """Tries, waits and the final status stand in one client span, named by method and path template."""
    entity = emulator.seed_entity()
    emulator.fail("GET", "/entities/{entity_id}", status=502)
    await monite.entities.get(entity)
    span = telemetry.span("GET /entities/{entity_id}")
    attributes = dict(span.attributes or {})
    assert attributes.pop("monite.request_id")
    assert attributes == {
        "http.request.method": "GET",
        "url.template": "/entities/{entity_id}",
        "url.full": f"{emulator.base_url}/entities/{{entity_id}}",
        "server.address": monite._core.engine.place.origin[1],
        "server.port": monite._core.engine.place.origin[2],
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
    }
    assert events(span) == ["monite.waited", "monite.attempt", "monite.retry", "monite.attempt"]
    assert facts(span, "monite.waited") == [{"monite.waited_for": "token"}]
    assert facts(span, "monite.attempt") == [
        {"monite.attempt": 1, "http.response.status_code": 502},
        {"monite.attempt": 2, "http.response.status_code": 200},
    ]
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)


async def test_the_span_of_a_flight_is_linked_and_has_those_of_the_store_below_it(
    monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """A flight outlives who needed it: a root span of its own, with the operations of the store as children."""
    await monite.entities.list()
    call, flight = telemetry.span("GET /entities"), telemetry.spans("monite.token")[-1]
    stores = telemetry.spans("monite.token_store")
    assert flight.name == "monite.token"
    assert (flight.parent, [link.context.span_id for link in flight.links]) == (None, [id_of(call)])
    assert dict(flight.attributes or {}) == {
        "monite.token.grant": "client_credentials",
        "monite.token.outcome": "succeeded",
    }
    assert events(flight) == ["monite.token.token_fetched"]
    assert [span.name for span in stores] == ["monite.token_store acquire", "monite.token_store commit"]
    assert {span.parent.span_id if span.parent else 0 for span in stores} == {id_of(flight)}


async def test_a_call_hangs_below_the_callers_span_and_above_what_its_transport_makes(telemetry: Telemetry) -> None:
    """The span of a call is the current one until the call is over, and the caller's is again after it."""
    tracer = telemetry.tracers.get_tracer("mine")

    async def answer(request: httpx.Request) -> httpx.Response:
        with tracer.start_as_current_span("wire"):
            return OK

    async with client(Scripted(answer)) as monite:
        telemetry.watch(monite)
        with tracer.start_as_current_span("mine") as mine:
            await monite.request("GET", "/entities")
            assert trace.get_current_span() is mine
    call, wire = telemetry.span("GET /entities"), telemetry.span("wire")
    assert (call.parent, wire.parent) == (mine.get_span_context(), call.context)


async def test_a_replaced_token_shows_in_the_call(telemetry: Telemetry) -> None:
    """A refused token, its replacement and the second try are events of the call, and counted."""
    async with aged(client(Scripted(DEAD, OK))) as monite:
        telemetry.watch(monite)
        await monite.request("GET", "/entities")
    span = telemetry.span("GET /entities")
    assert events(span) == [
        "monite.waited",
        "monite.attempt",
        "monite.token.token_refused",
        "monite.waited",
        "monite.token_replaced",
        "monite.attempt",
    ]
    assert (span.attributes or {})["http.response.status_code"] == 200
    assert telemetry.value("monite.token.replacements") == 1
    assert telemetry.value("monite.token.wait.duration") == 2, "for the first token, and for the second"
    assert telemetry.value("monite.token.events", monite__token__event="token_refused") == 1


async def test_an_answer_that_is_an_error_fails_the_span_with_its_status(
    monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """The status is the type of the error, and the message of the server is not told."""
    with pytest.raises(MoniteError):
        await monite.entities.get("0b4c5f0e-9d3c-4b5e-9f86-2f2e5f9a0001")
    span = telemetry.span("GET /entities/{entity_id}")
    assert (span.attributes or {})["error.type"] == "404"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert "exception" not in events(span)
    labels = {"http__response__status_code": 404, "error__type": "404"}
    assert telemetry.value("http.client.request.duration", **labels) == 1


async def test_a_lost_connection_says_what_was_lost(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """A try without an answer says what kind of failure it was and whether anything was sent; the span has no status."""
    emulator.fail("GET", "/entities", status=500, times=1)
    emulator.fail("GET", "/entities", drop="refuse", times=None)
    with pytest.raises(MoniteError) as caught:
        await monite.entities.list()
    span = telemetry.span("GET /entities")
    kind = type(caught.value).__name__
    assert (span.attributes or {})["error.type"] == kind
    assert "http.response.status_code" not in (span.attributes or {})
    assert facts(span, "monite.attempt")[1:] == [
        {"monite.attempt": number, "error.type": kind, "monite.unsent": True} for number in (2, 3)
    ]


async def test_a_cancelled_call_ends_its_span(emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry) -> None:
    """Cancelling a call while it waits for its answer ends the span, with the try that was under way."""
    held = emulator.fail("GET", "/entities", hold=True)
    task = asyncio.create_task(monite.request("GET", "/entities"))
    await held.holding()
    task.cancel()
    await asyncio.wait([task])
    span = telemetry.span("GET /entities")
    assert (span.attributes or {})["error.type"] == "CancelledError"
    assert facts(span, "monite.attempt") == [{"monite.attempt": 1, "error.type": "CancelledError"}]
    assert telemetry.value("http.client.request.duration", error__type="CancelledError") == 1


async def test_an_answer_that_does_not_fit_fails_the_span(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """A call fails for its caller when the answer cannot be read, whatever its status: the span says so."""
    emulator.fail("GET", "/entities", set_fields={"data": 1})
    with pytest.raises(MoniteError):
        await monite.entities.list()
    attributes = telemetry.span("GET /entities").attributes or {}
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (200, "ResponseValidationError")


async def test_a_path_that_is_not_a_template_is_not_told(monite: AsyncMonite, telemetry: Telemetry) -> None:
    """A path written by hand may have an id in it: its span is named by its method, unless it is a known template."""
    with pytest.raises(MoniteError):
        await monite.request("GET", "/entities/0b4c5f0e-9d3c-4b5e-9f86-2f2e5f9a0001")
    span = telemetry.span("GET")
    assert span.name == "GET"
    assert "url.template" not in (span.attributes or {})
    assert (span.attributes or {})["url.full"] == f"{monite._core.engine.place}/REDACTED"
    assert "0b4c5f0e" not in telemetry.everything()


async def test_a_link_is_told_by_its_host_alone(telemetry: Telemetry) -> None:
    """A signed link shows neither path nor query, only where it led; it needs no token and hits none."""
    async with client(Scripted(httpx.Response(200, content=b"file"))) as monite:
        telemetry.watch(monite)
        async with monite.stream("GET", "https://files.example:8443/canary/path?sig=canary") as response:
            assert [piece async for piece in response] == [b"file"]
        with pytest.raises(ConfigurationError):
            await monite.stream("GET", "ftp://files.example").__aenter__()
    good, bad = telemetry.spans("GET")
    assert {
        "server.address": "files.example",
        "server.port": 8443,
        "url.full": "https://files.example:8443/REDACTED",
    }.items() <= (good.attributes or {}).items()
    assert (bad.attributes or {})["error.type"] == "ConfigurationError"
    assert "canary" not in telemetry.everything()
    assert "monite.token.hits" not in telemetry.points()


async def test_a_stream_is_a_span_until_its_answer_begins(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """A call whose answer is read piece by piece ends its span with the first piece; a failed one with the failure."""
    async with monite.stream("GET", "/entities"):
        assert telemetry.span("GET /entities").attributes
    emulator.fail("GET", "/entities", status=404)
    with pytest.raises(MoniteError):
        await monite.stream("GET", "/entities").__aenter__()
    assert [(span.attributes or {}).get("error.type") for span in telemetry.spans("GET")] == [None, "404"]


def names_of(*modules: object) -> set[str]:
    """Return the names that modules of the published conventions define."""
    return {value for module in modules for name, value in vars(module).items() if name.isupper()}


async def test_names_are_those_of_the_published_conventions(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """Whatever is not called ``monite.*`` is in the registry of OpenTelemetry, and all that it requires is there."""
    emulator.fail("GET", "/entities", status=503, times=1)
    await monite.entities.list()
    with pytest.raises(MoniteError):
        await monite.entities.get("0b4c5f0e-9d3c-4b5e-9f86-2f2e5f9a0001")
    published = names_of(error_attributes, http_attributes, server_attributes, url_attributes, developing)
    told = {name for span in telemetry.spans("GET") for name in span.attributes or {}}
    labels = {name for points in telemetry.points().values() for have, _ in points for name in have}
    events_tell = {name for span in telemetry.spans() for event in span.events for name in event.attributes or {}}
    assert {name for name in told | labels | events_tell if not name.startswith("monite.")} <= published
    required = {"http.request.method", "server.address", "server.port"}
    for span in telemetry.spans("GET"):
        assert required | {"url.full"} <= set(span.attributes or {})
        assert span.kind is SpanKind.CLIENT
        assert span.instrumentation_scope is not None
        assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.30.0"
    measured = telemetry.points()
    assert http_metrics.HTTP_CLIENT_REQUEST_DURATION in measured
    assert all(name.startswith("monite.") for name in set(measured) - {http_metrics.HTTP_CLIENT_REQUEST_DURATION})
    assert all(required <= set(have) for have, _ in measured[http_metrics.HTTP_CLIENT_REQUEST_DURATION])


async def test_who_is_not_watched_pays_for_no_watching(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry
) -> None:
    """Before it is instrumented and after the undo a call runs the same functions as often, none of them a watcher's."""

    async def functions_run() -> Counter[tuple[str, str]]:
        ran: Counter[tuple[str, str]] = Counter()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and "monite_async" in frame.f_code.co_filename:
                ran[Path(frame.f_code.co_filename).name, frame.f_code.co_name] += 1

        sys.setprofile(note)
        try:
            await plain.request("GET", "/entities")
        finally:
            sys.setprofile(None)
        return ran

    async with AsyncMonite(**emulator.client_options(), retry=QUICK) as plain:
        await plain.request("GET", "/entities")
        before = await functions_run()
        undo = telemetry.watch(plain)
        watched = await functions_run()
        undo()
        after = await functions_run()
    assert before == after
    assert not {file for file, _ in before} & {"otel.py", "_observer.py"}
    assert "otel.py" in {file for file, _ in watched}


async def test_clients_in_threads_do_not_meet(emulator: Emulator, telemetry: Telemetry) -> None:
    """Loops in several threads share one client and its meters; each call hangs below the span of its own thread."""
    monite = AsyncMonite(**emulator.client_options())
    other = AsyncMonite(**emulator.client_options())
    telemetry.watch(monite)
    telemetry.watch(other)
    await asyncio.gather(monite.tokens.warm(), other.tokens.warm())
    tracer = telemetry.tracers.get_tracer("mine")

    async def work(name: str) -> None:
        with tracer.start_as_current_span(name):
            await asyncio.gather(*(one.request("GET", "/entities") for one in (monite, other) for _ in range(5)))

    threads = [threading.Thread(target=asyncio.run, args=(work(f"thread {n}"),)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    parents = {id_of(span) for span in telemetry.spans("thread")}
    below = [span.parent.span_id for span in telemetry.spans("GET /entities") if span.parent]
    assert sorted(below) == sorted(parent for parent in parents for _ in range(10))
    assert telemetry.value("http.client.request.duration") == 30
    await asyncio.gather(monite.aclose(), other.aclose())


async def test_a_call_that_is_thrown_away_complains_of_nothing(
    emulator: Emulator, monite: AsyncMonite, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A coroutine closed from elsewhere, as those of a loop that is gone, ends its span and leaves contexts alone."""
    await monite.request("GET", "/entities")
    emulator.fail("GET", "/entities", hold=True)
    call = monite.request("GET", "/entities")

    async def begin() -> None:
        call.send(None)

    await asyncio.create_task(begin())  # in a context of its own, that is gone when the call is closed
    call.close()
    assert (telemetry.spans("GET")[-1].attributes or {})["error.type"] == "GeneratorExit"
    assert "detach" not in caplog.text
