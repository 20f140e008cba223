"""Traces and metrics for OpenTelemetry (extra ``otel``: its API alone, your SDK decides where they go).

One span per call, one per token flight and one per operation of the token store, with the names of OpenTelemetry's semantic
conventions for HTTP clients (https://opentelemetry.io/docs/specs/semconv/http/http-spans/, version 1.30) where they have
one, and ``monite.*`` where not. What is told is a list, and nothing else is: no body, no header but Monite's request id, no
query, no id in a path, no message of an error, no token and no secret.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from opentelemetry import context, metrics, trace

from monite_async._errors import ConfigurationError, MoniteError
from monite_async._http.decode import Answer
from monite_async._http.exchange import Lost, Opened, Outgoing
from monite_async._http.operation import Operation
from monite_async._observer import CallWatch, Observer
from monite_async._operations import operations
from monite_async._tokens.events import TokenEvent
from monite_async._tokens.failure import Failure
from monite_async._version import __version__

if TYPE_CHECKING:
    from contextvars import Token

    from monite_async._client import AsyncMonite
    from monite_async._core import Core
    from monite_async._tokens.flight import Flight

__all__ = ["instrument"]

T = TypeVar("T")
Attributes = dict[str, str | int | float | bool]

_SCOPE: Final = "monite_async"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 90)
"""Buckets: those that the conventions give for ``http.client.request.duration``, and the default timeout and deadline."""
_STORE_OPERATIONS: Final = {
    **{name: name for name in ("acquire", "commit", "fail", "invalidate", "purge")},
    "_stored": "acquire",  # to see what there is to revoke
}
_OF_FLIGHTS: Final = frozenset({"flight_started", "flight_joined", "flight_succeeded", "flight_failed"})
"""Events that spans and metrics of their own tell of."""
_MAX_REQUEST_ID: Final = 200
_HIDDEN: Final = "REDACTED"
"""Stands in URLs for what is not told, as the conventions have it."""
_NO_WAIT: Final = 0.001
"""Seconds below which a flight did not wait for the rate limit: it only asked."""


def instrument(
    monite: AsyncMonite,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Callable[[], None]:
    """Trace and measure what a client does from now on, all its scopes and views included.

    Args:
        monite: The client. Several may be instrumented, one after another; their figures add up.
        tracer_provider: Where spans go; default the global one.
        meter_provider: Where metrics go; default the global one.

    Returns:
        What ends it; may be called more than once. Calls that are on their way are still told of. Closing the client
        ends it, too.

    Raises:
        ConfigurationError: The client is instrumented already.
        ClientClosedError: It was closed.
    """
    core = monite._core
    core.engine.require_open()
    if core.engine.observer is not None:
        raise ConfigurationError("this client is instrumented already: call what instrument() returned first")
    tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, _SCHEMA)
    meter = metrics.get_meter(_SCOPE, __version__, meter_provider, _SCHEMA)
    telemetry = _Telemetry(tracer, _Meters(meter), core)
    core.engine.observer = telemetry
    if core.cache is None:  # a token from elsewhere: no flights, no store
        end = _nothing
    else:
        end = core.cache.events.listen(telemetry.event)
        core.cache.events.observer = telemetry
        telemetry.degraded(core.cache.guard.is_down)

    def undo() -> None:
        """End it, once."""
        if core.engine.observer is telemetry:
            core.engine.observer = None
            end()
            if core.cache is not None:
                core.cache.events.observer = None
            telemetry.degraded(False)

    telemetry.undo = undo
    return undo


def _nothing() -> None:
    """End what never began."""


class _Meters:
    """The instruments; a meter hands out the same ones to all clients."""

    def __init__(self, meter: metrics.Meter) -> None:
        def seconds(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)

        self.calls = seconds("http.client.request.duration", "Calls, with their waits and repeats.")
        self.flights = seconds("monite.token.flight.duration", "Flights for a token, by outcome.")
        self.token_waits = seconds("monite.token.wait.duration", "Waits of calls for a token.")
        self.turn_waits = seconds("monite.limiter.wait.duration", "Waits of calls for the rate limit.")
        self.store = seconds("monite.token_store.operation.duration", "Operations of the shared token store.")
        self.hits = meter.create_counter("monite.token.hits", "{call}", "Calls served by a token in memory at once.")
        self.replaced = meter.create_counter(
            "monite.token.replacements", "{call}", "Calls repeated with another token, because theirs was refused."
        )
        self.events = meter.create_counter("monite.token.events", "{event}", "Events of tokens, by kind.")
        self.degraded = meter.create_up_down_counter(
            "monite.token_store.degraded", "{client}", "Clients that do without their token store at the moment."
        )


class _Telemetry(Observer):
    """The observer of one client."""

    def __init__(self, tracer: trace.Tracer, meters: _Meters, core: Core) -> None:
        self.tracer = tracer
        self.meters = meters
        self.place = core.engine.place
        self.templates = frozenset((info.method, info.path) for info in operations())
        self.undo: Callable[[], None] = _nothing
        self._is_degraded = False
        self._lock = threading.Lock()

    def call(self, operation: Operation[Any]) -> _Call:
        """See ``Observer.call``."""
        return _Call(self, operation)

    def flight(
        self, fly: Callable[[Flight], Coroutine[Any, Any, None]]
    ) -> Callable[[Flight], Coroutine[Any, Any, None]]:
        """See ``Observer.flight``: a root span that is linked to whoever needed the token first, and outlives that."""
        first = trace.get_current_span().get_span_context()
        links = [trace.Link(first)] if first.is_valid else None

        async def run(flight: Flight) -> None:
            attributes: Attributes = {"monite.token.grant": flight.key.grant_type}
            began = time.perf_counter()
            span = self.tracer.start_span("monite.token", context.Context(), attributes=attributes, links=links)
            try:
                with _inside(span):
                    await fly(flight)
            finally:
                outcome = flight.outcome
                if isinstance(outcome, Failure):
                    _fail(span, attributes, outcome.error)
                name = "cancelled" if outcome is None else "failed" if isinstance(outcome, Failure) else "succeeded"
                attributes["monite.token.outcome"] = name
                span.set_attributes(attributes)
                self.meters.flights.record(time.perf_counter() - began, attributes)
                span.end()

        return run

    async def store(self, operation: Awaitable[T], name: str) -> T:
        """See ``Observer.store``."""
        name = _STORE_OPERATIONS.get(name, "other")
        attributes: Attributes = {"monite.token_store.operation": name}
        began = time.perf_counter()
        span = self.tracer.start_span(f"monite.token_store {name}", attributes=attributes)
        try:
            with _inside(span):
                return await operation
        except BaseException as exc:
            _fail(span, attributes, exc)
            raise
        finally:
            self.meters.store.record(time.perf_counter() - began, attributes)
            span.end()

    def closes(self) -> None:
        """See ``Observer.closes``."""
        self.undo()

    def turn(self, seconds: float) -> None:
        """See ``Observer.turn``."""
        if seconds >= _NO_WAIT:
            self.meters.turn_waits.record(seconds)
            facts: Attributes = {"monite.waited_for": "turn", "monite.seconds": seconds}
            trace.get_current_span().add_event("monite.waited", facts)

    def event(self, event: TokenEvent) -> None:
        """Count an event of the tokens, and note it in the span in which it happened."""
        self.meters.events.add(1, {"monite.token.event": event.kind})
        if event.kind in {"store_degraded", "store_recovered"}:
            self.degraded(event.kind == "store_degraded")
        if event.kind not in _OF_FLIGHTS:
            facts: Attributes = {"monite.token.key": event.key, "monite.seconds": event.seconds}
            trace.get_current_span().add_event(f"monite.token.{event.kind}", facts)

    def degraded(self, now: bool) -> None:
        """Note whether the client does without its store; threads may find out at once."""
        with self._lock:
            change, self._is_degraded = now - self._is_degraded, now
        if change:
            self.meters.degraded.add(change)


class _Call(CallWatch):
    """The span of one call, current while the call goes on."""

    def __init__(self, telemetry: _Telemetry, operation: Operation[Any]) -> None:
        name, (_, host, port) = operation.method, telemetry.place.origin
        self._telemetry = telemetry
        self._attributes: Attributes = {"http.request.method": name, "server.address": host, "server.port": port}
        url = f"{telemetry.place}/{_HIDDEN}"
        if (operation.method, operation.path) in telemetry.templates:  # any other may have an id in it
            name = f"{name} {operation.path}"
            self._attributes["url.template"] = operation.path
            url = f"{telemetry.place}{operation.path}"
        self._attempts = 0
        self._had_to_wait = False
        self._sent: float | None = None
        self._wait: tuple[Literal["token", "turn"], float] | None = None
        self._began = time.perf_counter()
        attributes = {**self._attributes, "url.full": url}
        self._span = telemetry.tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)
        self._context: Token[context.Context] = context.attach(trace.set_span_in_context(self._span))

    def waits(self, what: Literal["token", "turn"]) -> None:
        """See ``CallWatch.waits``."""
        self._waited()
        self._had_to_wait = self._had_to_wait or what == "token"
        self._wait = what, time.perf_counter()

    def _waited(self) -> None:
        if self._wait is not None:
            (what, since), self._wait = self._wait, None
            meters, seconds = self._telemetry.meters, time.perf_counter() - since
            (meters.token_waits if what == "token" else meters.turn_waits).record(seconds)
            self._span.add_event("monite.waited", {"monite.waited_for": what, "monite.seconds": seconds})

    def sends(self, outgoing: Outgoing) -> None:
        """See ``CallWatch.sends``."""
        self._waited()
        self._attempts += 1
        self._sent = time.perf_counter()
        if self._attempts == 1:
            if not outgoing.public:
                self._telemetry.meters.hits.add(0 if self._had_to_wait else 1)
                return
            _, self._attributes["server.address"], self._attributes["server.port"] = outgoing.place.origin
            self._span.set_attributes({**self._attributes, "url.full": f"{outgoing.place.root}/{_HIDDEN}"})

    def heard(self, outcome: Answer | Opened | Lost) -> None:
        """See ``CallWatch.heard``."""
        if isinstance(outcome, Lost):
            self._attributes.pop("http.response.status_code", None)
            self._tried({"error.type": outcome.error.__name__, "monite.unsent": outcome.unsent})
            return
        self._attributes["http.response.status_code"] = outcome.status
        self._tried({"http.response.status_code": outcome.status})
        request_id = outcome.headers.get("x-request-id", "")
        if request_id.isprintable() and 0 < len(request_id) <= _MAX_REQUEST_ID:
            self._span.set_attribute("monite.request_id", request_id)

    def _tried(self, facts: Attributes) -> None:
        if self._sent is not None:
            seconds, self._sent = time.perf_counter() - self._sent, None
            self._span.add_event(
                "monite.attempt", {"monite.attempt": self._attempts, "monite.seconds": seconds, **facts}
            )

    def replaced(self) -> None:
        """See ``CallWatch.replaced``."""
        self._waited()
        self._telemetry.meters.replaced.add(1)
        self._span.add_event("monite.token_replaced")

    def repeats(self, wait: float) -> None:
        """See ``CallWatch.repeats``."""
        self._span.add_event("monite.retry", {"monite.wait": wait})

    def ends(self, error: BaseException | None) -> None:
        """See ``CallWatch.ends``."""
        self._waited()
        if error is not None:
            self._tried({"error.type": type(error).__name__})
            _fail(self._span, self._attributes, error)
        if self._attempts > 1:
            self._span.set_attribute("http.request.resend_count", self._attempts - 1)
        self._span.set_attributes(self._attributes)
        self._telemetry.meters.calls.record(time.perf_counter() - self._began, self._attributes)
        self._span.end()
        if not isinstance(error, GeneratorExit):
            context.detach(self._context)


@contextmanager
def _inside(span: trace.Span) -> Generator[None, None, None]:
    """Make a span the current one."""
    before = context.attach(trace.set_span_in_context(span))
    try:
        yield
    except GeneratorExit:
        raise  # its event loop is gone: it is closed by whoever collects it, in whatever context, and leaves that alone
    except BaseException:
        context.detach(before)
        raise
    context.detach(before)


def _fail(span: trace.Span, attributes: Attributes, error: BaseException) -> None:
    """Say in a span that it failed and in its attributes with what: never with the text, which may quote what was sent."""
    status = error.status if isinstance(error, MoniteError) else None
    kind = str(status) if status is not None and status >= 300 else type(error).__name__
    attributes["error.type"] = kind
    span.set_attribute("error.type", kind)
    span.set_status(trace.StatusCode.ERROR)
