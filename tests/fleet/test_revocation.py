"""A token that is revoked in one process is dropped in all, also when every message is lost (T18)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.crew import Crew, all_of, one_token
from tests.fleet.endpoint import TokenEndpoint
from tests.fleet.monitor import member_url
from tests.stores.redis_server import RedisServer

SOON = 20.0
"""Far less than the minute between two looks at the records in use, and more than a busy machine needs. The 100 ms of
the rule are measured by ``benchmarks.sharing``."""


@pytest.mark.parametrize("publish", [True, False], ids=["by message", "messages lost"])
def test_a_revocation_reaches_every_process(
    publish: bool, crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint
) -> None:
    """T18: what one process revokes the others stop serving, told by a message, or finding out when they look again.

    After it the whole fleet makes one POST.
    """
    # By default processes look once a minute; by message it has to be faster than that.
    patches: dict[str, object] = {} if publish else {"monite_async_stores._redis_watch._REREAD_SECONDS": 0.5}
    with crew.fleet(4) as members:
        urls = [member_url(redis_server, member.number, publish=publish) for member in members]
        all_of([one.open(url, endpoint, patches=patches) for one, url in zip(members, urls, strict=True)])
        old = one_token(all_of([member.crowd(100) for member in members]))
        dropped = [member.do("await_drop") for member in members[1:]]
        for member in members[1:]:
            member.wait_for("watching")
        begun = members[0].ask("revoke")["begun"]
        delays = [answer["dropped"] - begun for answer in all_of(dropped)]
        assert endpoint.revoked == endpoint.tokens[:1]
        assert one_token(all_of([member.crowd(100) for member in members])) != old
    assert len(endpoint.posts) == 2
    assert max(delays) < SOON


def test_a_revocation_is_found_out_though_the_token_was_replaced(
    crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint
) -> None:
    """T18: with every message lost, who looks again after a new token was fetched drops the revoked one all the same."""
    patches: dict[str, object] = {"monite_async_stores._redis_watch._REREAD_SECONDS": 0.5}
    with crew.fleet(2) as (first, second):
        urls = [member_url(redis_server, member.number, publish=False) for member in (first, second)]
        all_of([one.open(url, endpoint, patches=patches) for one, url in zip((first, second), urls, strict=True)])
        old = one_token(all_of([member.crowd(10) for member in (first, second)]))
        first.ask("revoke")
        new = one_token([first.crowd(10).result(60)])
        second.ask("await_drop")
        assert one_token([second.crowd(10).result(60)]) == new != old
    assert len(endpoint.posts) == 2


def test_a_revocation_reaches_who_was_cut_off(crew: Crew, redis_server: RedisServer, endpoint: TokenEndpoint) -> None:
    """T18: a subscription that is cut around the message costs no more than the look that follows a reconnection."""
    with crew.fleet(2) as (first, second):
        all_of([member.open(redis_server.url, endpoint) for member in (first, second)])
        old = one_token(all_of([member.crowd(10) for member in (first, second)]))
        dropped = second.do("await_drop")
        second.wait_for("watching")
        # Nobody can subscribe, and who did is cut off: the message is for nobody.
        redis_server.admin("ACL", "SETUSER", "default", "-subscribe")
        redis_server.admin("CLIENT", "KILL", "TYPE", "pubsub")
        begun = first.ask("revoke")["begun"]
        redis_server.admin("ACL", "SETUSER", "default", "+subscribe")
        assert dropped.result(60)["dropped"] - begun < SOON
        assert one_token(all_of([member.crowd(10) for member in (first, second)])) != old
    assert len(endpoint.posts) == 2


def test_a_revocation_reaches_who_shares_files(crew: Crew, endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """T18: processes that share a directory stop serving what one of them revoked, and make one POST after it."""
    with crew.fleet(3) as members:
        all_of([member.open(str(tmp_path / "tokens"), endpoint) for member in members])
        old = one_token(all_of([member.crowd(10) for member in members]))
        dropped = [member.do("await_drop") for member in members[1:]]
        for member in members[1:]:
            member.wait_for("watching")
        begun = members[0].ask("revoke")["begun"]
        assert max(answer["dropped"] - begun for answer in all_of(dropped)) < SOON
        assert one_token(all_of([member.crowd(10) for member in members])) != old
    assert len(endpoint.posts) == 2
