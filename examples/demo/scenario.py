"""What the demo does, stage by stage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from examples.demo.ledger import Ledger
from examples.demo.progress import Progress
from examples.demo.report import Figures, KeyFigures, StageFigures
from examples.demo.traffic import Crowd, Job, Tally, jobs
from monite_async import AsyncMonite, EntityClient, EntityUserClient
from monite_async.emulator import Remote
from monite_async.types.roles import BizObjectsSchemaInput

__all__ = ["DUE", "EXPLANATION", "LIFETIME", "EmulatorGoneError", "Options", "perform", "require_alive", "watch_over"]

LIFETIME = 16
"""Seconds that a token of the demo lives, instead of 30 minutes for a partner's and a day for a user's."""

DUE = 8.8
"""The youngest age in seconds at which a token of that life is renewed in the background."""

HARD = 12.0
"""The age in seconds from which such a token is not handed out any more; then a new one has to be waited for."""

DEADLINE = 60.0
"""Seconds that any call may take."""

EXPLANATION = (
    f"ideal: one for the first call of a key, one each time its token of {LIFETIME} s came due (from {DUE} s on), one\n"
    "  each time it was revoked; reckoned from what the server says it issued, not from what the client says.\n"
    "  waited: the event loop came to do other things while the call took its token.  slowest, p50, p99: of a call\n"
    "  with all its waits; the thousands that start at once queue for 1,000 connections and one server process."
)

PARTNER = "client_credentials"
_OLD_ENOUGH = range(8, 11)
"""Seconds left to a token that is to be revoked: it is not due yet, and it is older than 5 s (a token that is refused
when it is younger is not replaced, because then something else is wrong)."""

_STUMBLES = 10
_CROWD = 60
_OUTAGE = 3.0
_LOOK_EVERY = 0.25
_GLANCE = 0.05
_PATIENCE = 45.0

ROLE: BizObjectsSchemaInput = {
    "objects": [
        {
            "object_type": "payable",
            "actions": [
                {"action_name": "create", "permission": "allowed"},
                {"action_name": "read", "permission": "allowed"},
                {"action_name": "update", "permission": "allowed"},
            ],
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Options:
    """How big the demo is.

    Attributes:
        calls: Calls made at once.
        users: Entity users.
    """

    calls: int
    users: int


class EmulatorGoneError(Exception):
    """The emulator's process ended while the demo was running."""


def require_alive(pid: int) -> None:
    """Raise ``EmulatorGoneError`` when a child process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise EmulatorGoneError(f"the emulator (process {pid}) ended while the demo was calling it") from None


async def watch_over(pid: int) -> None:
    """Raise ``EmulatorGoneError`` as soon as a child process is gone; otherwise never return."""
    while True:
        require_alive(pid)
        await asyncio.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class _People:
    """Who calls, and about what.

    Attributes:
        acme: The entity.
        awake: Users who never stop calling.
        sleepers: Users who call in the burst, and then not until their tokens are too old.
        payable_ids: One payable for each user.
    """

    acme: EntityClient
    awake: Sequence[EntityUserClient]
    sleepers: Sequence[EntityUserClient]
    payable_ids: Sequence[str]

    @property
    def users(self) -> list[EntityUserClient]:
        """All users, those who stay awake first."""
        return [*self.awake, *self.sleepers]


async def _set_up(monite: AsyncMonite, tally: Tally, count: int) -> _People:
    """Create what the calls are about."""
    entity = await tally.do(
        monite,
        lambda: monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        ),
    )
    acme = monite.entity(entity.id)
    role = await tally.do(acme, lambda: acme.roles.create(name="payer", permissions=ROLE))
    hire = partial(acme.entity_users.create, role_id=role.id)
    users = await asyncio.gather(
        *(tally.do(acme, partial(hire, login=f"user-{n}", first_name=f"User {n}")) for n in range(count))
    )
    bill = partial(acme.payables.create, currency="EUR", total_amount=100_00)
    payables = await asyncio.gather(*(tally.do(acme, partial(bill, document_id=f"INV-{n}")) for n in range(count)))
    scopes = [acme.as_user(user.id) for user in users]
    middle = count - count // 2
    return _People(acme, scopes[:middle], scopes[middle:], [payable.id for payable in payables])


def _key(user: EntityUserClient) -> str:
    """Return the key of a user's tokens in the server's count."""
    return f"entity_user:{user.user_id}"


class _Demo:
    """The stages, and what they share."""

    def __init__(self, emulator: Remote, monite: AsyncMonite, options: Options, progress: Progress) -> None:
        self.emulator = emulator
        self.monite = monite
        self.options = options
        self.progress = progress
        self.tally = Tally()
        self.ledger = Ledger(DUE)
        self.began = time.monotonic()
        self.lasting = self.renewed = self.refused = 0
        self.returning: tuple[int, ...] = ()

    async def run(self) -> Figures:
        """Do all of it and return the figures."""
        looking = asyncio.create_task(self._keep_looking())
        try:
            self._stage("set-up", f"an entity, a role, {self.options.users} users, their payables")
            people = await _set_up(self.monite, self.tally, self.options.users)
            series = jobs(self.monite, people.acme, people.users, people.payable_ids)
            await self._burst(series)
            async with Crowd(self.tally, series[: 2 + len(people.awake)], pause=0.25):
                await self._stumble(people)
                await self._revoke(people, series)
                await self._outage(people)
                await self._return(people, series)
        finally:
            looking.cancel()
            await asyncio.wait([looking])
        await self._look()
        return await self._figures(people)

    # Looking at the server.

    async def _look(self) -> None:
        asked = time.monotonic()
        issued = await self.emulator.issued()
        self.ledger.look(issued, asked=asked, answered=time.monotonic())

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):  # the server is busy: the next look will do
                await self._look()
            tokens = sum(account.issued for account in self.ledger.accounts.values())
            self.progress.update(f"{self.tally.done:,} calls, {self.tally.failed} failed, {tokens} tokens")
            await asyncio.sleep(_LOOK_EVERY)

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so, or patience ends: then a promise will tell what was not."""
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            if reached():
                return
            await asyncio.sleep(_GLANCE)

    async def _until_left(self, users: Sequence[EntityUserClient], seconds: range) -> None:
        """Wait until the token of one of these users has so many seconds left."""
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            for user in users:
                if (await user.token()).expires_in in seconds:
                    return
            await asyncio.sleep(_GLANCE)

    # The stages.

    def _stage(self, name: str, title: str, *, outage: bool = False) -> None:
        self.tally.begin(name, outage=outage)
        self.progress.stage(title)

    async def _burst(self, series: Sequence[Sequence[Job]]) -> None:
        """All calls at once, on an empty cache: one token per user."""
        calls, scopes = self.options.calls, len(series)
        self._stage("all at once", f"{calls:,} calls at once, over {scopes} scopes")
        await self.tally.all([series[n % scopes][n // scopes % len(series[n % scopes])] for n in range(calls)])

    async def _stumble(self, people: _People) -> None:
        """The server fails a few reads, each once: they are sent again."""
        ids = people.payable_ids[:_STUMBLES]
        self._stage("reads fail", f"the server fails {len(ids)} reads")
        for payable_id in ids:
            await self.emulator.fail("GET", f"/payables/{payable_id}", status=503)
        acme = people.acme
        await self.tally.all([(acme, partial(acme.payables.get, payable_id)) for payable_id in ids])

    async def _revoke(self, people: _People, series: Sequence[Sequence[Job]]) -> None:
        """Two tokens of busy users end before their time: one revoked by the client, one behind its back."""
        (first, first_jobs), (second, second_jobs) = zip(people.awake[:2], series[2:4], strict=True)
        self._stage("tokens revoked", "two tokens are revoked")
        await self._until_left([first], _OLD_ENOUGH)
        busy = [asyncio.create_task(self.tally.call(job)) for job in _many(first_jobs)]
        await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
        self.ledger.revoked(_key(first))
        await first.revoke_token()
        await asyncio.wait(busy)
        await self._until_left([second], _OLD_ENOUGH)
        self.ledger.revoked(_key(second))
        await self.emulator.revoke_tokens(_key(second))
        await self.tally.all(_many(second_jobs))

    async def _outage(self, people: _People) -> None:
        """No token can be had while those in hand come due: nobody notices."""
        lasting = people.awake[2:]
        keys = [_key(user) for user in lasting]
        self._stage("steady traffic", "steady calls until tokens come due")
        await self._until_left(lasting, range(int(LIFETIME - DUE) + 1))
        self._stage("endpoint down", f"the token endpoint is down for {_OUTAGE:.0f} s", outage=True)
        down = await self.emulator.token_endpoint_down()
        before = {key: self.ledger.of(key).issued for key in keys}
        await asyncio.sleep(_OUTAGE)
        self.refused = await down.hits()
        await down.remove()
        self._stage("endpoint back", "the token endpoint is back")
        await self._until(lambda: all(self.ledger.of(key).issued > before[key] for key in keys))
        self.lasting = len(keys)
        self.renewed = sum(self.ledger.of(key).issued > before[key] for key in keys)

    async def _return(self, people: _People, series: Sequence[Sequence[Job]]) -> None:
        """Users come back with tokens that are too old: one new token each, however many calls they make."""
        keys = [_key(user) for user in people.sleepers]
        await self._until(lambda: all(time.monotonic() > self.ledger.of(key).not_after + HARD for key in keys))
        before = [self.ledger.of(key).issued for key in keys]
        theirs = series[2 + len(people.awake) :]
        self._stage("tokens ended", f"{len(keys)} users return, their tokens ended")
        await self.tally.all([job for one in theirs for job in _many(one)[: _CROWD // 3]])
        await self._look()
        self.returning = tuple(self.ledger.of(key).issued - count for key, count in zip(keys, before, strict=True))

    async def _figures(self, people: _People) -> Figures:
        entries = [entry for entry in await self.emulator.log(limit=1_000_000) if not entry.path.startswith("/auth/")]
        stages = self.tally.stages
        replayed = sum(entry.status == 401 for entry in entries)
        users = {_key(user) for user in people.users}
        accounts = {key: self.ledger.of(key) for key in (PARTNER, *users)}
        return Figures(
            wanted=self.options.calls,
            at_once=len(stages[1].seconds),
            stages=tuple(
                StageFigures.of(
                    stage.name, failed=stage.failed, waited=stage.waited, seconds=stage.seconds, outage=stage.outage
                )
                for stage in stages
            ),
            total=StageFigures.of(
                "all",
                failed=self.tally.failed,
                waited=sum(stage.waited for stage in stages),
                seconds=[seconds for stage in stages for seconds in stage.seconds],
            ),
            keys=tuple(KeyFigures(key in users, account.issued, account.needed) for key, account in accounts.items()),
            strangers=len(set(self.ledger.accounts) - set(accounts)),
            lasting=self.lasting,
            renewed=self.renewed,
            refused=self.refused,
            returning=self.returning,
            stumbles=sum(entry.status == 503 for entry in entries),
            retried=len(entries) - self.tally.done - replayed,
            replayed=replayed,
            deadline=DEADLINE,
            seconds=time.monotonic() - self.began,
            errors=tuple(f"{count} x {text}" for text, count in self.tally.errors.most_common(5)),
        )


def _many(series: Sequence[Job]) -> list[Job]:
    """Return a crowd of calls of one scope."""
    return [series[n % len(series)] for n in range(_CROWD)]


async def perform(emulator: Remote, options: Options, progress: Progress) -> Figures:
    """Play the demo against an emulator whose tokens live ``LIFETIME`` seconds, and return the figures."""
    async with AsyncMonite(**emulator.client_options(), deadline=DEADLINE) as monite:
        return await _Demo(emulator, monite, options, progress).run()
