"""Forked processes share no connection with their parent (T12)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fleet.endpoint import CLIENT_ID, SECRET, TokenEndpoint
from tests.fleet.monitor import Monitor
from tests.stores.redis_server import RedisServer, until

_ROOT = Path(__file__).parents[2]


def test_a_forked_child_shares_no_connection(redis_server: RedisServer, endpoint: TokenEndpoint) -> None:
    """T12: forked with a flight, a lease and a subscription under way, a child uses connections of its own only.

    It keeps the tokens of its parent, waits for the token that its parent fetches instead of fetching too, and its
    leases are told apart from its parent's.
    """
    command = [sys.executable, "-m", "tests.fleet.forking", redis_server.url, endpoint.base_url, CLIENT_ID, SECRET]
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with (
        Monitor(redis_server) as monitor,
        subprocess.Popen(
            command,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        endpoint.wait_for_posts(1)
        until(
            lambda: redis_server.admin("PUBSUB", "NUMSUB", "monite:events") == [b"monite:events", 1], "a subscription"
        )
        endpoint.delay = 2.0
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        endpoint.wait_for_posts(2)
        out, err = process.communicate("\n", timeout=60)
        assert not err
        told: dict[str, dict[str, Any]] = {line["who"]: line for line in map(json.loads, out.splitlines())}
        parent, child = told["parent"], told["child"]
        both = {parent["process"], child["process"]}
        until(lambda: set[str]().union(*monitor.sources().values()) >= both, "the monitor to tell of both")
        sources = monitor.sources()
    assert (parent["kept"], child["kept"], parent["status"]) == (True, True, 0)
    assert parent["token"] == child["token"]
    assert len(endpoint.posts) == 2
    assert parent["process"] != child["process"]
    assert all(len(owners) == 1 for owners in sources.values())
    assert set[str]().union(*sources.values()) == both
