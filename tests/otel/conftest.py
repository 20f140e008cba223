"""The SDK of OpenTelemetry with exporters that keep everything in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from monite_async import AsyncMonite
from monite_async.otel import instrument

Labels = Mapping[str, object]


class Telemetry:
    """Where spans and metrics go, and what is looked up in them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def watch(self, monite: AsyncMonite) -> Callable[[], None]:
        """Instrument a client."""
        return instrument(monite, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Return the finished spans whose names begin like this, in the order in which they ended."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(name)]

    def span(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = self.spans(name)
        return span

    def _measured(self) -> Any:
        return cast("Any", self._reader).get_metrics_data()

    def points(self) -> dict[str, list[tuple[Labels, int]]]:
        """Return what was measured so far: of each metric the points, as labels and value (of histograms the count)."""
        data = self._measured()
        found: dict[str, list[tuple[Labels, int]]] = {}
        if data is None:
            return found
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: list[Any] = list(metric.data.data_points)
                    values = [(dict(point.attributes), getattr(point, "count", None)) for point in points]
                    assert metric.name not in found, "one stream per name"
                    found[metric.name] = [
                        (labels, point.value if count is None else count)
                        for (labels, count), point in zip(values, points, strict=True)
                    ]
        return found

    def value(self, name: str, **labels: object) -> int:
        """Return the sum of a metric over the points that have these labels, ``__`` standing for a dot."""
        wanted = {label.replace("__", "."): value for label, value in labels.items()}
        return sum(value for have, value in self.points().get(name, []) if wanted.items() <= have.items())

    def everything(self) -> str:
        """Return all that would leave the process, as text."""
        data = self._measured()
        return "\n".join([*(span.to_json() for span in self.spans()), "" if data is None else data.to_json()])


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    return int(span.context.span_id)


def events(span: ReadableSpan) -> list[str]:
    """Return the names of a span's events, in order."""
    return [event.name for event in span.events]


def facts(span: ReadableSpan, name: str) -> list[dict[str, object]]:
    """Return what the events of a name say, but for times."""
    times = {"monite.seconds", "monite.wait", "monite.token.key"}
    return [
        {key: value for key, value in (event.attributes or {}).items() if key not in times}
        for event in span.events
        if event.name == name
    ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Give spans and metrics somewhere to go."""
    kept = Telemetry()
    yield kept
    kept.tracers.shutdown()
    kept.meters.shutdown()
