"""``monite-async store`` on a real Redis and on files, and ``monite-async emulator``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from monite_async.emulator import Remote
from tests.cli.command import KEYS, commanding
from tests.stores.redis_server import RedisServer

NEW, OLD = KEYS


@pytest.mark.parametrize("kind", ["redis", "file"])
async def test_a_store_is_listed_rotated_and_purged(kind: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """Tokens are listed by life and key, sealed anew with the first key without being fetched again, and dropped."""
    url = f"{redis_server.url}?namespace={tmp_path.name}" if kind == "redis" else tmp_path.as_uri()
    only_old, both, only_new = ({"MONITE_TOKEN_STORE_KEYS": keys} for keys in (OLD, f"{NEW}, {OLD}", NEW))
    async with commanding(store=url) as command:
        made = (await command("token", "--json", env=only_old)).data()
        (before,) = (await command("store", "list", "--json")).data()
        assert (before["record"], before["generation"]) == (made["record"], made["generation"])
        assert 0 < before["expires_in"] <= before["lifetime"] == 1800
        if kind == "redis":
            partly = await command("store", "rotate", env=only_new)
            assert (partly.status, "1 values are sealed with keys" in partly.error) == (1, True)
            assert "unreadable  1  opened by no key" in partly.out
        rotated = await command("store", "rotate", "--json", env=both)
        assert rotated.data() == {"resealed": 1, "current": 0, "unreadable": 0, "gone": 0}
        found = (await command("token", "--json", env=only_new)).data()
        assert (found["fingerprint"], found["from"]) == (made["fingerprint"], "the token store")
        shown = await command("store", "list")
        assert before["record"] in shown.out
        assert before["key"] not in shown.out
        which = [made["record"]] if kind == "redis" else ["--all", "--yes"]
        assert (await command("store", "purge", *which)).out == "purged  1\n"
        assert (await command("store", "list")).out == "no tokens\n"
        assert command.emulator.log.count("POST", "/auth/token") == 1


async def test_the_emulator_is_served_until_it_is_told_to_end() -> None:
    """It says where it is in one line of JSON, takes the options of the module, and ends on SIGTERM."""
    async with commanding() as command:
        process = await command.start("emulator", "--port", "0", "--partner-lifetime", "77")
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        async with Remote(ready["base_url"]) as remote:
            assert (await remote.settings())["partner_lifetime"] == 77
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        refused = await command("emulator", "--port", "x")
        assert refused.status == 2
        assert "invalid int value" in refused.err
        helped = await command("emulator", "--help")
        assert "--user-lifetime" in helped.out
