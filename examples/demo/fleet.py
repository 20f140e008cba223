"""Four processes share their tokens, first through Redis, then through an encrypted directory."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

from examples.demo.fleet_crew import Crew
from examples.demo.fleet_redis import RedisProcess, find_redis
from examples.demo.fleet_report import FleetFigures, FleetStage, Outage
from examples.demo.ledger import Ledger
from examples.demo.progress import Progress
from monite_async import AsyncMonite
from monite_async.emulator import Remote, RemoteFault, launch

__all__ = ["FleetOptions", "perform_fleets"]

LIFETIME = 14
"""Seconds that a token lives here."""

SOFT = 7.7
"""The youngest age in seconds at which such a token is renewed, counted from before it was asked for."""

LAG = 2.0
"""Seconds that a request for a token may lie in a worker with a thousand things to do before the server sees it."""

OLD_ENOUGH = 5.3
"""The age in seconds from which a refused token is replaced; a younger one is not what is wrong."""

PARTNER = "client_credentials"
_LOOK_EVERY = 0.2
_GLANCE = 0.02
_PATIENCE = 30.0
_NO_REDIS = (
    "no redis-server here (apt install redis-server, brew install redis): the encrypted directory alone is shown"
)
_NO_CLIENT = "the package redis is missing (pip install 'monite-async[redis]'): the encrypted directory alone is shown"
_NO_SEALING = "processes share tokens sealed, which needs the package cryptography: pip install 'monite-async[all]'"


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """How big the fleet is.

    Attributes:
        workers: Processes.
        calls: Calls that each of them makes at once.
        users: Entity users, besides the partner, that each of them calls as.
    """

    workers: int = 4
    calls: int = 250
    users: int = 9


@dataclass(frozen=True, slots=True)
class _People:
    """Who is called as.

    Attributes:
        users: By all workers, all the time.
        calm: By all workers, now and then, and never in the steady calls.
        late: First while a worker is killed, and never in the steady calls.
        dark: First while the store is away.
        dawn: First when it is back.
    """

    users: tuple[str, ...]
    calm: str
    late: str
    dark: str
    dawn: str


class _Count:
    """What the server issued, key by key, from the moment the fleet starts."""

    def __init__(self, emulator: Remote, before: Mapping[str, int]) -> None:
        self.ledger = Ledger(SOFT - LAG)
        self._emulator = emulator
        self._before = before

    async def look(self) -> None:
        """Ask the server how many tokens it issued."""
        asked = time.monotonic()
        issued = await self._emulator.issued()
        since = {key: count - self._before.get(key, 0) for key, count in issued.items()}
        self.ledger.look({key: count for key, count in since.items() if count}, asked=asked, answered=time.monotonic())

    async def keep_looking(self, show: Callable[[int], None]) -> None:
        """Ask again and again."""
        while True:
            with contextlib.suppress(httpx.TransportError):  # the server is busy: the next look will do
                await self.look()
            show(self.posts)
            await asyncio.sleep(_LOOK_EVERY)

    def issued(self, key: str) -> int:
        """Return how many tokens of a key were issued."""
        return self.ledger.of(key).issued

    def by_key(self) -> dict[str, tuple[int, int]]:
        """Return how many were issued and how many of them were needed, for every key."""
        return {key: (account.issued, account.needed) for key, account in self.ledger.accounts.items()}

    @property
    def posts(self) -> int:
        """How many were issued in all."""
        return sum(account.issued for account in self.ledger.accounts.values())

    @property
    def needed(self) -> int:
        """How many of them were needed."""
        return sum(account.needed for account in self.ledger.accounts.values())


def _key(user: str) -> str:
    return f"entity_user:{user}"


class _Fleet:
    """The stages, and what they share."""

    def __init__(self, crew: Crew, emulator: Remote, people: _People, count: _Count, progress: Progress) -> None:
        self.crew = crew
        self.emulator = emulator
        self.people = people
        self.count = count
        self.progress = progress
        self.keys = [PARTNER, *(_key(user) for user in people.users)]
        self.stages: list[FleetStage] = []
        self._mark = self._state()

    def _state(self) -> tuple[int, int, dict[str, tuple[int, int]]]:
        return self.crew.calls, self.crew.failed, self.count.by_key()

    async def done(self, name: str) -> None:
        """End a stage: what was counted since the one before is its line of the table."""
        await self.crew.tell("report")
        await self.count.look()
        (calls, failed, before), (all_calls, all_failed, after) = self._mark, self._state()
        gained = {
            key: (issued - before.get(key, (0, 0))[0], needed - before.get(key, (0, 0))[1])
            for key, (issued, needed) in after.items()
            if issued > before.get(key, (0, 0))[0]
        }
        posts, ideal = (sum(numbers[index] for numbers in gained.values()) for index in (0, 1))
        self.stages.append(FleetStage(name, all_calls - calls, all_failed - failed, len(gained), posts, ideal))
        self._mark = all_calls, all_failed, after

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so, or patience ends: then a promise will tell what was not."""
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            if reached():
                return
            await asyncio.sleep(_GLANCE)

    async def start(self, calls: int) -> None:
        """All workers call at once, with nothing in the store."""
        self.progress.stage(
            f"{len(self.crew.alive)} workers make {calls} calls each, at once, for {len(self.keys)} keys"
        )
        await self.crew.tell("burst", calls=calls)
        await self.crew.tell("ask", user=self.people.calm)
        await self.done("all start at once")

    async def lose_one(self) -> tuple[int, int, int, int]:
        """A worker is killed while it fetches a token that the others wait for; a new one takes its place.

        Returns:
            Tokens that died with it, tokens fetched in its place, workers that waited, tokens its successor found.
        """
        late = self.people.late
        victim, *others = self.crew.alive
        hold = await self.emulator.fail("POST", "/auth/token", hold=True)
        doomed = asyncio.create_task(victim.tell("ask", user=late))
        await self._until_held(hold)
        before = [member.seen("lease_waited") for member in others]
        asking = [asyncio.create_task(member.tell("ask", user=late, calls=20)) for member in others]
        self.progress.stage("one worker is killed as it fetches a token, another one takes its place")
        await self.count.look()
        orphaned = self.count.issued(_key(late))
        self.count.ledger.revoked(_key(late))  # the answer dies with the worker: one more is needed
        await self.crew.kill(victim)
        await asyncio.gather(doomed, return_exceptions=True)
        await hold.release()
        await hold.remove()
        successor = await self.crew.hire()
        await successor.tell("burst", calls=len(self.keys))
        adopted = successor.seen("adopted")
        await asyncio.gather(*asking)
        for user in (late, self.people.calm):
            await successor.tell("ask", user=user)
        await self.crew.tell("steady")
        await self.done("one killed, one hired")
        waited = sum(member.seen("lease_waited") > seen for member, seen in zip(others, before, strict=True))
        return orphaned, self.count.issued(_key(late)) - orphaned, waited, adopted

    async def _until_held(self, hold: RemoteFault) -> None:
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            if await hold.held():
                return
            await asyncio.sleep(_GLANCE)

    async def come_due(self) -> None:
        """Every token in use comes due, under steady calls of all workers."""
        self.progress.stage("steady calls until every token was renewed")
        before = {key: self.count.issued(key) for key in self.keys}
        await self.until(lambda: all(self.count.issued(key) > before[key] for key in self.keys))
        await self.done("tokens come due")

    async def revoke(self) -> tuple[int, int]:
        """One process revokes a token that all of them have; returns the tokens issued instead, and the 401s."""
        self.progress.stage("one worker revokes a token that all of them have")
        user = self.people.calm
        await self.until(lambda: self._age(_key(user)) > OLD_ENOUGH)
        await self.count.look()
        before, refused = self.count.issued(_key(user)), await self._refused()
        self.count.ledger.revoked(_key(user))
        await self.crew.alive[0].tell("revoke", user=user)
        await self.crew.tell("ask", user=user, calls=5)
        await self.done("a token is revoked")
        return self.count.issued(_key(user)) - before, await self._refused() - refused

    def _age(self, key: str) -> float:
        return time.monotonic() - self.count.ledger.of(key).not_after

    async def _refused(self) -> int:
        return (await self.emulator.statuses()).get(401, 0)

    async def go_dark(self, redis: RedisProcess) -> Outage:
        """The store is stopped and started again."""
        before = self.count.by_key()
        self.progress.stage("Redis is stopped")
        await redis.stop()
        await self.crew.tell("ask", user=self.people.dark, calls=20)
        await self.count.look()
        asked = self.count.issued(_key(self.people.dark))
        await self.done("Redis stopped")
        self.progress.stage("Redis is started again, empty")
        await redis.start()
        await self.crew.tell("reach")
        noticed = sum(0 < one.seen("store_degraded") <= one.seen("store_recovered") for one in self.crew.alive)
        await self.crew.tell("ask", user=self.people.dawn, calls=20)
        await self.done("Redis back")
        after = self.count.by_key()
        most = max(issued - before.get(key, (0, 0))[0] for key, (issued, _) in after.items())
        return Outage(asked, most, noticed, self.count.issued(_key(self.people.dawn)))


async def _people(emulator: Remote, count: int) -> _People:
    async with AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        hire = monite.entity(entity.id).entity_users.create
        users = await asyncio.gather(*(hire(login=f"user-{n}", first_name=f"User {n}") for n in range(count + 4)))
        *all_the_time, calm, late, dark, dawn = (user.id for user in users)
        return _People(tuple(all_the_time), calm, late, dark, dawn)


async def _perform(
    words: str, url: str, redis: RedisProcess | None, options: FleetOptions, progress: Progress
) -> FleetFigures:
    """Play with one store, and return the figures."""
    began = time.monotonic()
    lifetime = str(LIFETIME)
    progress.stage(f"{options.workers} workers are started; they share {words}")
    async with launch(("--port", "0", "--partner-lifetime", lifetime, "--user-lifetime", lifetime)) as emulator:
        people = await _people(emulator, options.users)
        client = emulator.client_options()
        surroundings = {
            "MONITE_CLIENT_ID": client["client_id"],
            "MONITE_CLIENT_SECRET": client["client_secret"],
            "MONITE_BASE_URL": client["base_url"],
            "MONITE_TOKEN_STORE": url,
        }
        async with Crew(options.workers, people.users, surroundings) as crew:
            count = _Count(emulator, await emulator.issued())
            fleet = _Fleet(crew, emulator, people, count, progress)
            looking = asyncio.create_task(
                count.keep_looking(lambda posts: progress.update(f"{posts} tokens for {len(fleet.keys)} keys"))
            )
            try:
                await fleet.start(options.calls)
                orphaned, succeeded, waited, adopted = await fleet.lose_one()
                revoked, refused = await fleet.revoke()
                await fleet.come_due()
                wasted = count.posts - count.needed
                outage = None if redis is None else await fleet.go_dark(redis)
            finally:
                looking.cancel()
                await asyncio.wait([looking])
            expected = {*fleet.keys, _key(people.calm), _key(people.late)}
            if outage is not None:
                expected |= {_key(people.dark), _key(people.dawn)}
            return FleetFigures(
                store=words,
                workers=options.workers,
                keys=len(count.by_key()),
                stages=tuple(fleet.stages),
                wasted=wasted,
                unserved=sum(not count.issued(key) for key in expected),
                strangers=len(set(count.by_key()) - expected),
                orphaned=orphaned,
                succeeded=succeeded,
                waited=waited,
                adopted=adopted,
                revoked=revoked,
                refused=refused,
                seconds=time.monotonic() - began,
                outage=outage,
                errors=tuple(f"{times} x {text}" for text, times in crew.errors.most_common(5)),
            )


async def perform_fleets(progress: Progress, options: FleetOptions | None = None) -> list[FleetFigures]:
    """Play with each kind of store that processes can share, and return the figures of each.

    Raises:
        WorkerGoneError: A worker ended although nobody had told it to.
        RuntimeError: The emulator or Redis did not start, or a package is missing.
    """
    options = options or FleetOptions()
    if find_spec("cryptography") is None:
        raise RuntimeError(_NO_SEALING)
    played: list[FleetFigures] = []
    path = find_redis()
    if path is None or find_spec("redis") is None:
        progress.stage(_NO_REDIS if path is None else _NO_CLIENT)
    else:
        async with RedisProcess(path) as redis:
            played.append(await _perform("one Redis", redis.url, redis, options, progress))
    with tempfile.TemporaryDirectory(prefix="monite-demo-tokens-") as parent:
        url = (Path(parent) / "tokens").as_uri()
        played.append(await _perform("one encrypted directory", url, None, options, progress))
    return played
