"""One token for a fleet: eight processes, a thousand coroutines each, one POST and few commands (T13)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.fleet.crew import Crew, Member, all_of, one_token
from tests.fleet.endpoint import SECRET, TokenEndpoint
from tests.fleet.member import user_id
from tests.fleet.monitor import Monitor, member_url
from tests.stores.redis_server import RedisServer

FETCH = 0.3
SLACK = 8.0
"""Times are not what is judged here: others use the machine too. It is less than two rounds of 5 s leases would take."""


def open_all(members: list[Member], server: RedisServer, endpoint: TokenEndpoint, *, publish: bool = True) -> None:
    """Open a client in each process, with a user of its own in Redis."""
    urls = [member_url(server, member.number, publish=publish) for member in members]

    all_of([member.open(url, endpoint) for member, url in zip(members, urls, strict=True)])


def calls(server: RedisServer) -> int:
    """Return how many commands a server carried out since its counters were reset, those inside scripts included."""
    lines = server.admin.text("INFO", "commandstats").splitlines()
    counts = [int(line.partition("calls=")[2].partition(",")[0]) for line in lines if "calls=" in line]
    return sum(counts)


@pytest.mark.parametrize("publish", [True, False], ids=["", "messages lost"])
def test_a_fleet_makes_one_post(publish: bool, crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint) -> None:
    """T13: 8 x 1,000 callers at once on one key: one POST, one token, and at most 40 Redis commands per process.

    Not even the messages between processes are needed for it.
    """
    endpoint.delay = FETCH
    with crew.fleet(8) as members, Monitor(redis_server) as monitor:
        open_all(members, redis_server, endpoint, publish=publish)
        redis_server.admin("CONFIG", "RESETSTAT")
        answers = all_of([member.crowd(1000) for member in members])
        one_token(answers)
        assert len(endpoint.posts) == 1
        assert [answer["served"] for answer in answers] == [1000] * 8
        assert max(answer["worst"] for answer in answers) < FETCH + SLACK
        assert calls(redis_server) / 8 <= 40
        sent = monitor.per_user()
        assert {f"member-{member.number}" for member in members} <= set(sent)
        assert max(count for user, count in sent.items() if user.startswith("member")) <= 40
        assert [member.events().get("store_degraded", 0) for member in members] == [0] * 8


def test_a_hundred_keys_make_a_hundred_posts(crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint) -> None:
    """T13: eight processes that want the tokens of a hundred users at once make one POST for each of them."""
    endpoint.delay = FETCH
    users = range(1, 101)
    with crew.fleet(8) as members:
        open_all(members, redis_server, endpoint)
        answers = all_of([member.crowd(10, users) for member in members])
        for number in users:
            one_token(answers, user_id(number))
    assert set(endpoint.per_user().values()) == {1}
    assert len(endpoint.posts) == 100


def test_files_make_one_post(crew: Crew, endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """T13: four processes that share a directory make one POST for a thousand callers, and one per user for twenty."""
    endpoint.delay = FETCH
    users = range(1, 21)
    with crew.fleet(4) as members:
        all_of([member.open(str(tmp_path / "tokens"), endpoint) for member in members])
        one_token(all_of([member.crowd(250) for member in members]))
        assert len(endpoint.posts) == 1
        answers = all_of([member.crowd(10, users) for member in members])
        for number in users:
            one_token(answers, user_id(number))
        assert endpoint.per_user() == dict.fromkeys(["", *map(user_id, users)], 1)


def in_the_clear(endpoint: TokenEndpoint) -> list[str]:
    """Return what nobody may find anywhere: the secret and all tokens, plain and in the usual disguises."""
    secrets = [SECRET, *endpoint.tokens]
    shifted = [base64.b64encode(b"x" * pad + secret.encode())[4:-4].decode() for secret in secrets for pad in range(3)]
    return [*secrets, *shifted, *(secret.encode().hex() for secret in secrets)]


def test_nothing_readable_passes_through_redis(crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint) -> None:
    """T10: over issue, refresh, refusal and revocation, Redis is sent and keeps no token, no secret and no user id."""
    with crew.fleet(2) as members, Monitor(redis_server) as monitor:
        open_all(members, redis_server, endpoint)
        all_of([member.crowd(5, range(4)) for member in members])
        for member in members:
            member.ask("advance", seconds=1700)
        all_of([member.crowd(5, range(4)) for member in members])
        members[0].ask("revoke")
        endpoint.status = 401
        refused = members[0].crowd(1, [4]).result(60)
        heard = monitor.text()
        keys = redis_server.admin.items("KEYS", "*")
        kept = b"".join(_dump(redis_server, key) for key in keys)
    assert refused["errors"]
    assert endpoint.revoked
    assert len(endpoint.posts) >= 9
    assert "evalsha" in heard.lower()
    assert keys
    for text in [*in_the_clear(endpoint), *(user_id(number) for number in range(1, 5))]:
        assert text not in heard
        assert text.encode() not in kept


def _dump(server: RedisServer, key: object) -> bytes:
    assert isinstance(key, bytes)
    value = server.admin("DUMP", key)
    assert isinstance(value, bytes)
    return key + value


def test_nothing_readable_lies_in_files(crew: Crew, endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """T10: over issue, refresh, refusal and revocation, the files hold no token, no secret and no user id."""
    place = tmp_path / "tokens"
    with crew.fleet(2) as members:
        all_of([member.open(str(place), endpoint) for member in members])
        all_of([member.crowd(5, range(4)) for member in members])
        kept = _content(place)
        members[0].ask("revoke")
        endpoint.status = 401
        refused = members[0].crowd(1).result(60)
        kept += _content(place)
    assert refused["errors"]
    assert any(path.suffix == ".neg" for path in place.iterdir())
    for text in [*in_the_clear(endpoint), *(user_id(number) for number in range(1, 4))]:
        assert text.encode() not in kept


def _content(place: Path) -> bytes:
    """Return the names and the bytes of all files."""
    return b"".join(path.name.encode() + path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file())
