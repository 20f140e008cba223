"""The process that fetches for all dies, ends, or sleeps through its lease (T14, T15)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.fleet.crew import Answer, Crew, Member, all_of, one_token
from tests.fleet.endpoint import SECRET, TokenEndpoint
from tests.fleet.monitor import member_url
from tests.stores.redis_server import RedisServer, until

LEASE = 5.0
SLACK = 10.0
"""What a busy machine may add; who is served by it was served, and that is what is judged."""

Place = Callable[[Member], str]


@pytest.fixture(params=["redis", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a fleet shares its tokens."""
    if request.param == "file":
        return lambda _: str(tmp_path / "tokens")
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda member: member_url(server, member.number)


def lease(seconds: float) -> dict[str, object]:
    """Return what gives leases another length."""
    return {"monite_async._tokens.flight.LEASE_MS": int(seconds * 1000)}


def follow(members: list[Member]) -> list[Future[Answer]]:
    """Let callers in all processes wait for the leader's token."""
    answers = [member.crowd(100) for member in members]
    until(lambda: all(member.events().get("lease_waited") for member in members), "followers to wait")
    return answers


@pytest.mark.parametrize(
    ("moment", "seconds"), [("before the POST", 1.0), ("during the POST", LEASE), ("before the commit", 1.0)]
)
def test_a_killed_leader_is_replaced(
    moment: str, seconds: float, crew: Crew, place: Place, endpoint: TokenEndpoint
) -> None:
    """T14: wherever SIGKILL hits the leader, its followers are served when its lease is over, with two POSTs at most."""
    halt = {"before the POST": "turn", "before the commit": "commit"}.get(moment, "")
    with crew.fleet(4) as (leader, *followers):
        leader.open(place(leader), endpoint, halt=halt, patches=lease(seconds)).result(60)
        all_of([one.open(place(one), endpoint, patches=lease(seconds)) for one in followers])
        endpoint.delay = 0.0 if halt else 60.0
        lost = leader.crowd(100)
        if halt:
            leader.wait_for("halted")
        else:
            endpoint.wait_for_posts(1)
        before = len(endpoint.posts)
        answers = follow(followers)
        endpoint.delay = 0.0  # first: a follower may ask the moment that its leader is gone
        leader.kill()
        told = all_of(answers)
        with pytest.raises(ConnectionError):
            lost.result(60)
    one_token(told)
    assert before == (0 if halt == "turn" else 1)
    assert len(endpoint.posts) == before + 1
    assert max(answer["worst"] for answer in told) < seconds + SLACK


def test_a_leader_that_ends_gives_its_lease_back(crew: Crew, place: Place, endpoint: TokenEndpoint) -> None:
    """T14: a leader that ends in good order (SIGTERM) while it fetches keeps nobody waiting for its lease of a minute."""
    with crew.fleet(3) as (leader, *followers):
        all_of([one.open(place(one), endpoint, patches=lease(60)) for one in (leader, *followers)])
        endpoint.delay = 60.0
        lost = leader.crowd(100)
        endpoint.wait_for_posts(1)
        answers = follow(followers)
        endpoint.delay = 0.0
        assert leader.terminate() == 0
        told = all_of(answers)
        assert lost.exception(60) is not None or lost.result()["errors"]
    one_token(told)
    assert len(endpoint.posts) == 2
    assert max(answer["worst"] for answer in told) < SLACK


def test_a_killed_leader_delays_nobody_who_has_a_token(crew: Crew, place: Place, endpoint: TokenEndpoint) -> None:
    """T14: when a leader dies while it refreshes a token that is still good, everyone is served with that, at once."""
    with crew.fleet(3) as (leader, *followers):
        members = (leader, *followers)
        all_of([one.open(place(one), endpoint) for one in members])
        before = one_token(all_of([one.crowd(10) for one in members]))
        endpoint.delay = 60.0
        for one in members:
            one.ask("advance", seconds=1700)  # of 1800: past every soft point, before the hard one
        assert one_token([leader.crowd(10).result(60)]) == before
        endpoint.wait_for_posts(2)
        endpoint.delay = 0.0
        told = all_of([one.crowd(100) for one in followers])
        leader.kill()
        told += all_of([one.crowd(100) for one in followers])
        assert one_token(told[:2]) == before
        assert [answer["errors"] for answer in told] == [[]] * 4
        until(
            lambda: all(one.crowd(1).result(60)["tokens"][""] != [before] for one in followers), "a new token for all"
        )
        one_token(all_of([one.crowd(10) for one in followers]))
    assert len(endpoint.posts) == 3


def test_a_leader_that_slept_does_not_bring_its_old_token(
    crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint
) -> None:
    """T15: stopped past its lease and resumed, a leader finds its commit refused, and serves the newer token."""
    with crew.fleet(3) as (leader, *followers):
        for one in (leader, *followers):
            url = member_url(redis_server, one.number)
            one.open(url, endpoint, patches=lease(1)).result(60)
        name = leader.ask("name", user=0, secret=SECRET)["name"]
        endpoint.delay = 1.0
        late = leader.crowd(100)
        endpoint.wait_for_posts(1)
        leader.stop()
        endpoint.delay = 0.0
        told = all_of([one.crowd(100) for one in followers])
        newer = one_token(told)
        stored = redis_server.admin.text("HGET", f"{{monite:{name}}}:t", "gen")
        leader.resume()
        assert one_token([late.result(60)]) == newer
        events = leader.events()
        assert newer.split()[1] == stored
        assert redis_server.admin.text("HGET", f"{{monite:{name}}}:t", "gen") == stored
    assert len(endpoint.posts) == 2
    assert events.get("commit_fenced", 0) == 1
