"""Calls, tokens, the token store and the rate limit on a page that Prometheus scrapes.

    python examples/prometheus_metrics.py

Needs ``monite-async[otel]`` and ``opentelemetry-exporter-prometheus``. The page goes by Prometheus' names: dots become
underscores, counters end in ``_total``, histograms of seconds in ``_seconds``. No label is an id, so that the number of
time series is bounded by the operations that you call and the statuses that they answer with.
"""

from __future__ import annotations

import asyncio
import urllib.request

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from monite_async import AsyncMonite, NotFoundError
from monite_async.emulator import Emulator
from monite_async.otel import instrument

SHOWN = ("http_client_request_duration_seconds_count", "monite_token")


def scrape(port: int) -> list[str]:
    """Return the samples on the page, as Prometheus reads them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return [line for line in lines if line.startswith(SHOWN) and "_bucket" not in line and "_sum" not in line]


async def main() -> None:
    """Make some calls, one of which fails, and show what Prometheus would see."""
    meters = MeterProvider([PrometheusMetricReader()])  # in earnest also metrics.set_meter_provider(meters)
    server, thread = start_http_server(0, "127.0.0.1")  # any free port; in earnest one that Prometheus knows
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        instrument(monite, meter_provider=meters)
        emulator.fail("GET", "/entities", status=502)  # repeated, so that nobody notices
        await monite.entities.list()
        entity = emulator.seed_entity()
        await asyncio.gather(*(monite.entities.get(entity) for _ in range(10)))
        try:
            await monite.entities.get("00000000-0000-4000-8000-000000000000")
        except NotFoundError:
            print("one call failed")
    for line in await asyncio.to_thread(scrape, server.server_port):
        print(line)
    server.shutdown()
    server.server_close()
    thread.join()
    meters.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
