"""Redis refused, frozen, killed and back: nobody fails, and a fleet makes one POST per process at most (T17)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fleet.crew import Answer, Crew, Member, all_of, one_token
from tests.fleet.endpoint import SECRET, TokenEndpoint
from tests.stores.redis_server import RedisServer, free_port, until

FETCH = 0.1
SLACK = 8.0
BRIEF: dict[str, object] = {"monite_async_stores._breaker._OPEN_SECONDS": (0.2, 0.4)}


def served(members: list[Member], users: tuple[int, ...] = (0,)) -> list[Answer]:
    """Let everyone ask; assert that nobody failed."""
    answers = all_of([member.crowd(100, users) for member in members])
    assert [answer["errors"] for answer in answers] == [[] for _ in members]
    assert max(answer["worst"] for answer in answers) < FETCH + 0.5 + SLACK
    return answers


def test_a_redis_that_is_not_there_costs_a_post_per_process(crew: Crew, endpoint: TokenEndpoint) -> None:
    """T17: with nobody listening, every process serves its callers with one POST of its own, and says so once."""
    endpoint.delay = FETCH
    with crew.fleet(4) as members:
        all_of([member.open(f"redis://127.0.0.1:{free_port()}/0", endpoint) for member in members])
        for _ in range(3):
            served(members)
        assert len(endpoint.posts) == 4
        served(members, (1, 2))
        assert set(endpoint.per_user().values()) == {4}
        assert [member.events().get("store_degraded") for member in members] == [1] * 4


def gen_in(server: RedisServer, name: str) -> int:
    """Return the generation that Redis holds, or 0."""
    answer = server.admin("HGET", f"{{monite:{name}}}:t", "gen")
    return int(answer) if isinstance(answer, bytes) else 0


def gens_of(answers: list[Answer]) -> list[int]:
    """Return the generation that each process serves."""
    return [max(int(token.split()[1]) for token in answer["tokens"][""]) for answer in answers]


def freeze(server: RedisServer) -> Callable[[], None]:
    """Let it accept and say nothing; return what ends that."""
    server.freeze()
    return server.thaw


def kill(server: RedisServer) -> Callable[[], None]:
    """Kill it; return what starts an empty one in its place."""
    server.kill()
    return server.restart


@pytest.mark.parametrize("break_it", [freeze, kill])
def test_redis_goes_and_comes_back(
    break_it: Callable[[RedisServer], Callable[[], None]],
    crew: Crew,
    redis_server: RedisServer,
    endpoint: TokenEndpoint,
) -> None:
    """T17: while Redis is frozen or dead, hits stay hits and each expiry costs one POST per process at most.

    When it is back it gets the newest token under the generation that this has, and a new process finds it there.
    """
    endpoint.delay = FETCH
    with crew.fleet(4) as (*members, late):
        all_of([member.open(redis_server.url, endpoint, patches=BRIEF) for member in members])
        before = int(one_token(served(members)).split()[1])
        name = members[0].ask("name", user=0, secret=SECRET)["name"]
        assert gen_in(redis_server, name) == before
        assert len(endpoint.posts) == 1
        mend = break_it(redis_server)
        served(members)
        assert len(endpoint.posts) == 1
        for expiry in (1, 2):
            for member in members:
                member.ask("advance", seconds=1770)
            for _ in range(3):
                served(members)
            assert len(endpoint.posts) <= 1 + expiry * len(members)
        mend()
        newest, fresh = max(gens_of(served(members))), iter(range(1, 10_000))
        assert newest > before

        def is_back() -> bool:
            served(members, (next(fresh),))
            recovered = [member.events().get("store_recovered", 0) for member in members]
            return gen_in(redis_server, name) == newest and min(recovered) >= 1

        until(is_back, "the newest token in Redis", 60)
        posts = endpoint.per_user()[""]
        late.open(redis_server.url, endpoint).result(60)
        assert gens_of([late.crowd(10).result(60)]) == [newest]
        assert endpoint.per_user()[""] == posts
