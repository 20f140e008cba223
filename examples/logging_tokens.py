"""What the tokens do, for your logs and your metrics: events as they happen, counters to be scraped.

    python examples/logging_tokens.py

``listen`` calls a function for every event, with a fingerprint of the key and never a token. ``stats`` returns the
counters since the client was made. With ``prometheus_client`` the second half is a collector of a few lines::

    class Tokens(Collector):
        def collect(self) -> Iterator[Metric]:
            yield GaugeMetricFamily("monite_tokens_cached", "Tokens in memory.", monite.tokens.stats().cached)
            events = CounterMetricFamily("monite_token_events", "See monite_async.TokenStats.", labels=["kind"])
            for kind, count in monite.tokens.stats().events.items():
                events.add_metric([kind], count)
            yield events
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping

from monite_async import AsyncMonite, TokenEvent
from monite_async.emulator import Emulator
from monite_async_stores import Busy, Granted, Hit, MemoryTokenStore, Negative, RecordName, StoreError

log = logging.getLogger("billing.tokens")

ALARMING = {"flight_failed", "store_degraded", "refusal_braked"}
"""What somebody should look at when it goes on; all other kinds are everyday life."""


def tell(event: TokenEvent) -> None:
    """Write an event to the log, with its facts as fields for whoever collects logs as JSON."""
    level = logging.WARNING if event.kind in ALARMING else logging.INFO
    facts = {"token_key": event.key, "token_seconds": round(event.seconds, 3), "token_detail": event.detail}
    log.log(level, "%s key=%s %s", event.kind, event.key or "all", event.detail, extra=facts)


def counters(monite: AsyncMonite) -> Iterator[tuple[str, Mapping[str, str], int]]:
    """Return every counter as name, labels and value, as metrics libraries want them."""
    stats = monite.tokens.stats()
    yield "monite_token_hits_total", {}, stats.hits
    yield "monite_tokens_cached", {}, stats.cached
    for kind, count in sorted(stats.events.items()):
        yield "monite_token_events_total", {"kind": kind}, count


def exposition(monite: AsyncMonite) -> str:
    """Return the counters in the text format that Prometheus scrapes."""
    lines: list[str] = []
    for name, labels, value in counters(monite):
        inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")
    return "\n".join(lines)


class MoodyStore(MemoryTokenStore):
    """A store that can be away, to have something to tell of; in earnest a ``RedisTokenStore``."""

    away = True

    async def acquire(
        self, record: RecordName, owner: str, *, lease_ms: int, bad_gen: int, min_left_ms: int
    ) -> Hit | Negative | Granted | Busy:
        """Fail while away."""
        if self.away:
            raise StoreError("the store is away")
        return await super().acquire(record, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)


async def main() -> None:
    """Let the store be away and come back while tokens are needed, then show the counters."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("monite_async").propagate = False  # it warns too, and would say the same twice
    emulator, store = Emulator(), MoodyStore()
    async with AsyncMonite(**emulator.client_options(), token_store=store) as monite:
        stop = monite.tokens.listen(tell)
        await asyncio.gather(*(monite.entities.list() for _ in range(100)))  # served, store or no store
        store.away = False
        await monite.tokens.invalidate()  # have every process fetch a new one
        await asyncio.gather(*(monite.entities.list() for _ in range(100)))
        stop()
        print(exposition(monite))


if __name__ == "__main__":
    asyncio.run(main())
