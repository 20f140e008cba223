"""The suite that every token store must pass, for the stores here and for your own.

It needs no test framework. With pytest::

    import pytest
    from monite_async_stores.testing import RULES, Bench

    class MyBench(Bench):
        async def open(self) -> TokenStore:
            return MyStore(...)          # each call: one more process's handle on the same storage

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    def test_my_store(rule) -> None:
        check(rule, MyBench)

or all at once: ``check_all(MyBench)``. A rule that is broken raises ``AssertionError``; the docstring of the rule says
what it demands and why.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from monite_async_stores._bench import Bench
from monite_async_stores._protocol import (
    Busy,
    Committed,
    Granted,
    Hit,
    Negative,
    RecordName,
    StoreEvent,
    TokenStore,
)

__all__ = ["RULES", "Bench", "Rule", "check", "check_all"]

_LEASE_MS = 5000
_VALUE = b"Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"


Rule = Callable[[Bench], Awaitable[None]]


def _name() -> RecordName:
    return RecordName(secrets.token_hex(16), b"the client secret that sealing keys derive from")


async def _ask(
    store: TokenStore,
    name: RecordName,
    owner: str = "a",
    *,
    bad_gen: int = 0,
    min_left_ms: int = 0,
    lease_ms: int = _LEASE_MS,
) -> Hit | Negative | Granted | Busy:
    return await store.acquire(name, owner, lease_ms=lease_ms, bad_gen=bad_gen, min_left_ms=min_left_ms)


async def _grant(store: TokenStore, name: RecordName, owner: str = "a", *, bad_gen: int = 0) -> int:
    answer = await _ask(store, name, owner, bad_gen=bad_gen)
    assert isinstance(answer, Granted), f"expected a lease, got {answer}"
    return answer.gen


async def _store(
    store: TokenStore,
    name: RecordName,
    value: bytes = _VALUE,
    *,
    owner: str = "a",
    life_ms: int = 60_000,
    bad_gen: int = 0,
) -> int:
    gen = await _grant(store, name, owner, bad_gen=bad_gen)
    answer = await store.commit(name, owner, gen, value, lifetime_ms=life_ms, left_ms=life_ms)
    assert answer == Committed(), f"the first commit must be taken, got {answer}"
    return gen


async def one_caller_gets_the_lease(bench: Bench) -> None:
    """Of many that find nothing, exactly one is granted the lease; the others learn how long it holds at most."""
    stores = [await bench.store() for _ in range(3)]
    name = _name()
    answers = await asyncio.gather(*(_ask(stores[n % 3], name, f"owner-{n}") for n in range(30)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 1
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(busy) == 29
    assert all(0 < answer.left_ms <= _LEASE_MS for answer in busy)


async def a_committed_value_is_a_hit_for_all(bench: Bench) -> None:
    """What one process commits, all get: value, generation and life."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    gen = await _store(one, name, life_ms=60_000)
    for store in (one, other):
        answer = await _ask(store, name, "b")
        assert isinstance(answer, Hit)
        assert (answer.gen, answer.value, answer.lifetime_ms) == (gen, _VALUE, 60_000)
        assert 55_000 < answer.left_ms <= 60_000


async def values_are_kept_byte_by_byte(bench: Bench) -> None:
    """A value may be any bytes, up to 16 KiB and more."""
    store = await bench.store()
    for value in (b"x", bytes(range(256)), b"\r\n\x00" * 7, secrets.token_bytes(20_000)):
        name = _name()
        await _store(store, name, value)
        answer = await _ask(store, name)
        assert isinstance(answer, Hit)
        assert answer.value == value


async def names_are_separate(bench: Bench) -> None:
    """Nothing that is done to one record shows in another."""
    store = await bench.store()
    first, second = _name(), _name()
    await _store(store, first, b"first")
    gen = await _store(store, second, b"second")
    await store.purge(first)
    answer = await _ask(store, second)
    assert isinstance(answer, Hit)
    assert (answer.gen, answer.value) == (gen, b"second")
    assert isinstance(await _ask(store, first), Granted)


async def life_runs_out(bench: Bench) -> None:
    """A value is gone when its life is over, and its life never grows."""
    store = await bench.store()
    name = _name()
    await _store(store, name, life_ms=1500)
    before = await _ask(store, name)
    await bench.pass_time(0.5)
    after = await _ask(store, name)
    assert isinstance(before, Hit)
    assert isinstance(after, Hit)
    assert after.left_ms < before.left_ms <= 1500
    await bench.pass_time(1.2)
    assert isinstance(await _ask(store, name), Granted)


async def a_value_with_too_little_life_is_no_hit(bench: Bench) -> None:
    """``min_left_ms`` decides whether what is left of a life is worth taking."""
    store = await bench.store()
    name = _name()
    gen = await _store(store, name, life_ms=10_000)
    assert isinstance(await _ask(store, name, min_left_ms=5_000), Hit)
    answer = await _ask(store, name, min_left_ms=10_001)
    assert isinstance(answer, Granted)
    assert answer.gen > gen


async def a_life_longer_than_the_lifetime_is_cut(bench: Bench) -> None:
    """A writer whose clocks went wrong cannot prolong a value beyond its lifetime."""
    store = await bench.store()
    name = _name()
    gen = await _grant(store, name)
    await store.commit(name, "a", gen, _VALUE, lifetime_ms=2_000, left_ms=900_000)
    answer = await _ask(store, name)
    assert isinstance(answer, Hit)
    assert answer.left_ms <= 2_000


async def a_dead_value_is_not_stored(bench: Bench) -> None:
    """A value with nothing left of its life is taken from nobody and given to nobody."""
    store = await bench.store()
    name = _name()
    gen = await _grant(store, name)
    await store.commit(name, "a", gen, _VALUE, lifetime_ms=2_000, left_ms=0)
    answer = await _ask(store, name, "b")
    assert isinstance(answer, Granted), "the lease must be free again, and there is no value"
    assert answer.gen > gen


async def generations_only_grow(bench: Bench) -> None:
    """A granted generation is higher than everything granted, stored or refused before for that name."""
    store = await bench.store()
    name = _name()
    seen = [await _grant(store, name)]
    seen.append(await _grant(store, name))
    await store.fail(name, "a", "transient:server:503", ttl_ms=0)
    seen.append(await _store(store, name))
    seen.append(await _grant(store, name, bad_gen=seen[-1]))
    seen.append(await _grant(store, name, bad_gen=seen[-1] + 1_000_000))
    assert seen[-1] > seen[-2] + 1_000_000
    await store.purge(name)
    seen.append(await _grant(store, name))
    assert seen == sorted(set(seen)), seen


async def a_refused_generation_is_no_hit(bench: Bench) -> None:
    """A caller that will not take the stored generation gets the lease; others still get the value."""
    store = await bench.store()
    name = _name()
    gen = await _store(store, name)
    assert isinstance(await _ask(store, name, "b"), Hit)
    answer = await _ask(store, name, "b", bad_gen=gen)
    assert isinstance(answer, Granted)
    assert answer.gen > gen
    assert isinstance(await _ask(store, name, "c"), Hit)
    assert isinstance(await _ask(store, name, "c", bad_gen=gen), Busy)


async def the_owner_renews_its_lease(bench: Bench) -> None:
    """Asking again, the holder of the lease gets it for longer, under a generation of its own."""
    store = await bench.store()
    name = _name()
    first = await _ask(store, name, lease_ms=1000)
    await bench.pass_time(0.6)
    second = await _ask(store, name, lease_ms=1000)
    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert second.gen > first.gen
    await bench.pass_time(0.6)
    assert isinstance(await _ask(store, name, "b"), Busy)


async def a_lost_lease_passes_on(bench: Bench) -> None:
    """When a lease runs out, the next that asks gets it under a higher generation."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    first = await _ask(one, name, lease_ms=400)
    assert isinstance(first, Granted)
    await bench.pass_time(0.6)
    second = await _ask(other, name, "b")
    assert isinstance(second, Granted)
    assert second.gen > first.gen


async def a_late_leader_cannot_overwrite_a_newer_value(bench: Bench) -> None:
    """Fencing: a leader that slept past its lease is refused and given the newer value."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    late = await _ask(one, name, lease_ms=400)
    assert isinstance(late, Granted)
    await bench.pass_time(0.6)
    gen = await _store(other, name, b"newer", owner="b")
    answer = await one.commit(name, "a", late.gen, b"older", lifetime_ms=60_000, left_ms=60_000)
    assert isinstance(answer, Hit)
    assert (answer.gen, answer.value) == (gen, b"newer")
    kept = await _ask(one, name)
    assert isinstance(kept, Hit)
    assert kept.value == b"newer"


async def a_late_leader_that_is_still_newest_may_commit(bench: Bench) -> None:
    """The generation decides, not the lease: a good value is not thrown away because it came late."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    late = await _ask(one, name, lease_ms=400)
    assert isinstance(late, Granted)
    await bench.pass_time(0.6)
    newer = await _grant(other, name, "b")
    assert await one.commit(name, "a", late.gen, b"late", lifetime_ms=60_000, left_ms=60_000) == Committed()
    held = await _ask(other, name, "c")
    assert isinstance(held, Hit)
    assert held.value == b"late"
    assert isinstance(await _ask(other, name, "c", bad_gen=late.gen), Busy), "the other's lease is not touched"
    assert await other.commit(name, "b", newer, b"newer", lifetime_ms=60_000, left_ms=60_000) == Committed()


async def the_same_generation_is_stored_once(bench: Bench) -> None:
    """A commit repeated after its answer was lost changes nothing and returns what is stored."""
    store = await bench.store()
    name = _name()
    gen = await _store(store, name)
    answer = await store.commit(name, "a", gen, b"other", lifetime_ms=60_000, left_ms=60_000)
    assert isinstance(answer, Hit)
    assert (answer.gen, answer.value) == (gen, _VALUE)


async def a_commit_gives_the_lease_back(bench: Bench) -> None:
    """After a commit nobody waits for a lease."""
    store = await bench.store()
    name = _name()
    gen = await _store(store, name)
    assert isinstance(await _ask(store, name, "b", bad_gen=gen), Granted)


async def a_failure_is_shared_for_its_time(bench: Bench) -> None:
    """What the holder of the lease failed with, everyone is told until it runs out; then somebody may try."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    await _grant(one, name)
    await one.fail(name, "a", "terminal:auth:401", ttl_ms=1000)
    for store in (one, other):
        answer = await _ask(store, name, "b")
        assert isinstance(answer, Negative)
        assert answer.kind == "terminal:auth:401"
        assert 0 < answer.left_ms <= 1000
    await bench.pass_time(1.2)
    assert isinstance(await _ask(other, name, "b"), Granted)


async def only_the_holder_may_fail(bench: Bench) -> None:
    """Somebody without the lease can neither give it back nor spread a failure."""
    store = await bench.store()
    name = _name()
    await _grant(store, name)
    await store.fail(name, "b", "terminal:auth:401", ttl_ms=60_000)
    assert isinstance(await _ask(store, name, "c"), Busy)


async def a_lease_can_be_given_back_without_a_failure(bench: Bench) -> None:
    """With no time to live nothing is remembered, and the next that asks gets the lease at once."""
    store = await bench.store()
    name = _name()
    await _grant(store, name)
    await store.fail(name, "a", "transient:auth:0", ttl_ms=0)
    assert isinstance(await _ask(store, name, "b"), Granted)


async def a_value_beats_a_failure(bench: Bench) -> None:
    """While a value is good enough, a failure to refresh it concerns nobody; a commit ends the failure."""
    store = await bench.store()
    name = _name()
    gen = await _store(store, name)
    newer = await _grant(store, name, bad_gen=gen)
    await store.fail(name, "a", "transient:server:503", ttl_ms=60_000)
    assert isinstance(await _ask(store, name, "b"), Hit)
    assert isinstance(await _ask(store, name, "b", bad_gen=gen), Negative)
    assert await store.commit(name, "a", newer, b"newer", lifetime_ms=60_000, left_ms=60_000) == Committed()
    answer = await _ask(store, name, "b", bad_gen=gen)
    assert isinstance(answer, Hit)
    assert answer.value == b"newer"


async def invalidation_compares(bench: Bench) -> None:
    """Only the generation that was refused is dropped, never a newer one that came in between."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    old = await _store(one, name)
    new = await _store(one, name, b"newer", bad_gen=old)
    assert await other.invalidate(name, old) is False
    assert isinstance(await _ask(other, name), Hit)
    assert await other.invalidate(name, new) is True
    assert await other.invalidate(name, new) is False
    answer = await _ask(one, name, "b")
    assert isinstance(answer, Granted)
    assert answer.gen > new


async def a_purge_drops_everything_and_fences_what_flies(bench: Bench) -> None:
    """After a purge there is no value, no failure, and no flight that began before it can store one."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    gen = await _store(one, name)
    flying = await _grant(one, name, bad_gen=gen)
    await other.purge(name)
    assert await one.commit(name, "a", flying, b"older", lifetime_ms=60_000, left_ms=60_000) is None
    fresh = await _grant(one, name)
    assert fresh > flying
    assert await one.commit(name, "a", fresh, b"fresh", lifetime_ms=60_000, left_ms=60_000) == Committed()
    assert isinstance(await _ask(other, name), Hit)


class _Ear:
    def __init__(self, names: list[RecordName]) -> None:
        self.names = names
        self.heard: list[StoreEvent] = []

    def on_event(self, event: StoreEvent) -> None:
        self.heard.append(event)

    def in_use(self) -> list[RecordName]:
        return self.names


async def watchers_hear_of_it(bench: Bench) -> None:
    """Commits, failures, invalidations and purges reach the watchers of every handle, until they end the watch."""
    one, other = await bench.store(), await bench.store()
    name = _name()
    ear = _Ear([name])
    end = other.watch(ear)
    await _ask(other, _name())  # a store may start listening with its first operation
    gen = await _store(one, name)
    await one.invalidate(name, gen)
    await _grant(one, name)
    await one.fail(name, "a", "transient:server:503", ttl_ms=0)
    await one.purge(name)
    for _ in range(100):
        # A store that looks at records of itself may tell of a dropped one besides.
        kinds = {event.kind for event in ear.heard if event.name == name.name and event.kind != "seen"}
        if len(kinds) == 4:
            break
        await bench.pass_time(0.05)
    else:
        raise AssertionError(f"heard only {ear.heard}")
    assert kinds == {"commit", "invalid", "fail", "purge"}
    assert any(event.kind == "commit" and event.gen == gen for event in ear.heard)
    end()
    ear.heard.clear()
    await _store(one, name)
    await bench.pass_time(0.3)
    assert not [event for event in ear.heard if event.kind == "commit"]


async def a_cancelled_operation_breaks_nothing(bench: Bench) -> None:
    """However an operation is cut off, later operations get answers of their own, never another's."""
    store = await bench.store()
    names = [_name() for _ in range(8)]
    for number, name in enumerate(names):
        await _store(store, name, f"value of {number}".encode())
    for turn in range(60):
        task = asyncio.ensure_future(_ask(store, names[turn % 8], "z"))
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for number, name in enumerate(names):
        answer = await _ask(store, name, "y")
        assert isinstance(answer, Hit)
        assert answer.value == f"value of {number}".encode()


async def nothing_shows_a_value(bench: Bench) -> None:
    """Neither the store nor an answer shows a value or a key in its text."""
    store = await bench.store()
    name = _name()
    await _store(store, name)
    shown = f"{store!r} {store} {await _ask(store, name)!r} {name!r}"
    assert "eyJ0" not in shown
    assert "client secret" not in shown


RULES: tuple[Rule, ...] = (
    one_caller_gets_the_lease,
    a_committed_value_is_a_hit_for_all,
    values_are_kept_byte_by_byte,
    names_are_separate,
    life_runs_out,
    a_value_with_too_little_life_is_no_hit,
    a_life_longer_than_the_lifetime_is_cut,
    a_dead_value_is_not_stored,
    generations_only_grow,
    a_refused_generation_is_no_hit,
    the_owner_renews_its_lease,
    a_lost_lease_passes_on,
    a_late_leader_cannot_overwrite_a_newer_value,
    a_late_leader_that_is_still_newest_may_commit,
    the_same_generation_is_stored_once,
    a_commit_gives_the_lease_back,
    a_failure_is_shared_for_its_time,
    only_the_holder_may_fail,
    a_lease_can_be_given_back_without_a_failure,
    a_value_beats_a_failure,
    invalidation_compares,
    a_purge_drops_everything_and_fences_what_flies,
    watchers_hear_of_it,
    a_cancelled_operation_breaks_nothing,
    nothing_shows_a_value,
)
"""All rules; each takes a fresh ``Bench``."""


def check(rule: Rule, bench: Callable[[], Bench]) -> None:
    """Check one rule on a new bench, in an event loop of its own.

    Args:
        rule: One of ``RULES``.
        bench: Makes a bench on empty storage.

    Raises:
        AssertionError: The store breaks the rule.
        RuntimeError: Python runs with ``-O``, which drops assertions: nothing would be checked.
    """
    if not __debug__:
        raise RuntimeError("the store suite needs assertions: run Python without -O")

    async def main() -> None:
        subject = bench()
        try:
            await rule(subject)
        finally:
            await subject.close()

    asyncio.run(main())


def check_all(bench: Callable[[], Bench]) -> None:
    """Check every rule; raises ``AssertionError`` at the first that is broken."""
    for rule in RULES:
        check(rule, bench)
