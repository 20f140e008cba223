"""Leases and generations under random interleavings: what is stored never gets older."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from monite_async_stores import (
    Busy,
    Committed,
    Granted,
    Hit,
    MemoryTokenStore,
    Negative,
    RecordName,
    RedisTokenStore,
    TokenStore,
)
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import PATIENT, a_name, key_of

LEADERS = 3
LONG_MS = 10**9
LEASE_MS = 5000


class Leaders(RuleBasedStateMachine):
    """Three leaders that get leases, lose them, sleep, and commit late, in any order.

    The model knows what must hold whatever the order: a generation handed out is higher than everything before it; a
    stored value is only ever replaced by one of a higher generation; whoever is refused is given the newer value, or
    told that there was a purge.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store: TokenStore = self.make_store()
        self.name: RecordName = a_name()
        self.granted: list[int] = [0] * LEADERS
        self.adopted: list[int] = [0] * LEADERS
        self.highest = 0
        self.stored = 0
        self.floor = 0
        self.holder: int | None = None

    def make_store(self) -> TokenStore:
        """Return the store under test, on no records of this name."""
        raise TypeError("override make_store()")

    def expire_lease(self) -> None:
        """Let the lease run out."""
        raise TypeError("override expire_lease()")

    def teardown(self) -> None:
        """Close what was opened."""
        self.loop.run_until_complete(self.store.aclose())
        self.loop.close()

    def ask(self, leader: int, bad_gen: int) -> Hit | Negative | Granted | Busy:
        """Ask as one of the leaders."""
        work = self.store.acquire(self.name, f"leader-{leader}", lease_ms=LEASE_MS, bad_gen=bad_gen, min_left_ms=0)
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        """Nothing is stored to begin with."""
        assert isinstance(self.ask(0, 0), Granted)
        self.loop.run_until_complete(self.store.fail(self.name, "leader-0", "transient:auth:0", ttl_ms=0))

    @rule(leader=st.integers(0, LEADERS - 1), refuse=st.booleans())
    def acquire(self, leader: int, refuse: bool) -> None:
        """A leader asks, taking what is stored or refusing the newest it knows."""
        bad_gen = max(self.stored, self.adopted[leader]) if refuse else 0
        answer = self.ask(leader, bad_gen)
        if isinstance(answer, Hit):
            assert answer.gen == self.stored > bad_gen
            assert answer.value == b"%d" % answer.gen
            self.adopt(leader, answer.gen)
        elif isinstance(answer, Granted):
            assert self.holder in (None, leader)
            assert not self.stored or refuse
            assert answer.gen > max(self.highest, self.stored, self.floor, bad_gen)
            self.granted[leader] = self.highest = answer.gen
            self.holder = leader
        else:
            assert isinstance(answer, Busy)
            assert self.holder not in (None, leader)
            assert 0 < answer.left_ms <= LEASE_MS

    @rule(leader=st.integers(0, LEADERS - 1))
    def commit(self, leader: int) -> None:
        """A leader commits what it was granted last, however long ago; the lease does not matter."""
        gen = self.granted[leader]
        if not gen:
            return
        work = self.store.commit(self.name, f"leader-{leader}", gen, b"%d" % gen, lifetime_ms=LONG_MS, left_ms=LONG_MS)
        answer = self.loop.run_until_complete(work)
        if self.stored >= gen:
            assert isinstance(answer, Hit)
            assert (answer.gen, answer.value) == (self.stored, b"%d" % self.stored)
            self.adopt(leader, answer.gen)
        elif gen <= self.floor:
            assert answer is None
        else:
            assert answer == Committed()
            self.stored = gen
            self.adopt(leader, gen)
        if self.holder == leader:
            self.holder = None

    @rule()
    def lose_the_lease(self) -> None:
        """Whoever holds the lease sleeps past its end."""
        self.expire_lease()
        self.holder = None

    @rule(leader=st.integers(0, LEADERS - 1))
    def give_back(self, leader: int) -> None:
        """A leader gives up, whether it holds the lease or not."""
        self.loop.run_until_complete(self.store.fail(self.name, f"leader-{leader}", "transient:auth:0", ttl_ms=0))
        if self.holder == leader:
            self.holder = None

    @rule(leader=st.integers(0, LEADERS - 1))
    def invalidate(self, leader: int) -> None:
        """A leader has the newest value dropped that it knows."""
        gen = self.adopted[leader]
        dropped = self.loop.run_until_complete(self.store.invalidate(self.name, gen))
        assert dropped is (gen == self.stored != 0)
        if dropped:
            self.stored = 0

    @precondition(lambda self: self.highest)
    @rule()
    def purge(self) -> None:
        """Somebody drops everything, and whatever is under way."""
        self.loop.run_until_complete(self.store.purge(self.name))
        self.floor, self.stored, self.holder = self.highest, 0, None

    @invariant()
    def what_is_stored_is_what_was_committed(self) -> None:
        """Anybody who asks is given the value of the highest generation that was taken, unless that was dropped."""
        if self.stored:
            answer = self.ask(LEADERS, 0)
            assert isinstance(answer, Hit)
            assert answer.gen == self.stored

    def adopt(self, leader: int, gen: int) -> None:
        """Take note of the newest that a leader knows."""
        self.adopted[leader] = max(gen, self.adopted[leader])


class HandClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self.now

    def wall(self) -> float:
        """See ``Clock``."""
        return self.now


class MemoryLeaders(Leaders):
    """The leaders on the memory store, where time passes by hand."""

    def make_store(self) -> TokenStore:
        self.clock = HandClock()
        return MemoryTokenStore(clock=self.clock)

    def expire_lease(self) -> None:
        self.clock.now += LEASE_MS / 1000 + 0.001


@pytest.mark.usefixtures("unmeasured")
def test_generations_in_memory() -> None:
    """However three leaders interleave, the memory store keeps the highest generation and hands out higher ones."""
    run_state_machine_as_test(MemoryLeaders, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))


@pytest.mark.usefixtures("unmeasured")
def test_generations_in_redis(redis_server: RedisServer) -> None:
    """However three leaders interleave, the Redis store keeps the highest generation and hands out higher ones."""

    class RedisLeaders(Leaders):
        def make_store(self) -> TokenStore:
            return RedisTokenStore.from_url(redis_server.url, timeout=PATIENT)

        def expire_lease(self) -> None:
            redis_server.admin("DEL", key_of(self.name, "l"))

    run_state_machine_as_test(RedisLeaders, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))
