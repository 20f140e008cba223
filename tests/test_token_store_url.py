"""A store named by a URL in the environment, from end to end: clients that share nothing else share their tokens."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

import pytest

from monite_async import AsyncMonite, ConfigurationError
from monite_async._tokens.events import EventKind
from monite_async.emulator import Emulator
from monite_async_stores import EncryptedFileTokenStore, RedisTokenStore, store_from_url
from tests.stores.redis_server import RedisServer

CANARY = "canary-pw-8F2k"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that the tests here share; each has a database or namespace of its own."""
    with RedisServer() as redis:
        yield redis


@pytest.fixture(params=["redis", "file"])
def url(request: pytest.FixtureRequest, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store, in the environment too."""
    server.admin("FLUSHALL")
    made = f"{server.url}?namespace=tests" if request.param == "redis" else (tmp_path / "my tokens").as_uri()
    monkeypatch.setenv("MONITE_TOKEN_STORE", made)
    return made


@asynccontextmanager
async def clients(emulator: Emulator, count: int = 2) -> AsyncGenerator[list[AsyncMonite]]:
    """Make clients that know nothing of each other but the environment, as in so many processes."""
    made = [AsyncMonite(**emulator.client_options()) for _ in range(count)]
    try:
        yield made
    finally:
        for client in made:
            await client.aclose()


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so, and fail when it does not come about."""
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


def stored(url: str, server: RedisServer) -> bytes:
    """Return everything that lies in the store, names and values."""
    if url.startswith("file:"):
        directory = Path(unquote(urlsplit(url).path))
        return b"".join(path.name.encode() + path.read_bytes() for path in directory.iterdir())
    keys = [key for key in server.admin.items("KEYS", "*") if isinstance(key, bytes)]
    values = [server.admin("HGETALL", key) for key in keys if server.admin("TYPE", key) == b"hash"]
    return b"".join(keys) + str(values).encode()


async def test_clients_with_the_same_url_share_one_token_per_key(url: str, server: RedisServer) -> None:
    """Three clients, two users and the partner: three requests for a token in all, and none of them readable at rest."""
    emulator = Emulator()
    async with clients(emulator, 3) as made:
        entity = await made[0].entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        hire = made[0].entity(entity.id).entity_users.create
        users = [(await hire(login=f"user-{n}", first_name=f"User {n}")).id for n in range(2)]
        tokens = await asyncio.gather(
            *(client.as_user(user).token() for client in made for user in users for _ in range(20)),
            *(client.token() for client in made for _ in range(20)),
        )
    assert sorted(emulator.issued.values()) == [1, 1, 1]
    lying = stored(url, server)
    assert len(lying) > 300
    for secret in (*(token.value for token in tokens), emulator.client_options()["client_secret"], *users):
        assert secret.encode() not in lying


async def test_a_token_revoked_by_one_client_is_dropped_by_the_other(url: str, server: RedisServer) -> None:
    """After ``revoke_token()`` in one, the other lets go of it without a refused call, and both share the next one."""
    emulator = Emulator()
    async with clients(emulator) as (one, other):
        before = await one.token()
        assert (await other.token()).value == before.value
        await one.revoke_token()
        while (await other.token()).value == before.value:  # a store in files says so within a second or two
            await asyncio.sleep(0.01)
        assert (await one.token()).value == (await other.token()).value
    assert emulator.issued == {"client_credentials": 2}


async def test_a_client_closes_the_store_that_it_made_from_the_environment(
    url: str, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection stays open after ``aclose()``, and a store that was passed in stays the caller's."""

    def connections() -> int:
        return len(server.admin.text("CLIENT", "LIST").splitlines())

    before = connections()
    emulator = Emulator()
    async with clients(emulator, 1) as (client,):
        await client.token()
        if url.startswith("redis:"):
            await until(lambda: connections() > before)
    await until(lambda: connections() == before)
    store = store_from_url(url)
    assert isinstance(store, RedisTokenStore | EncryptedFileTokenStore)
    async with AsyncMonite(**emulator.client_options(), token_store=store) as passed:
        await passed.token()
    async with AsyncMonite(**emulator.client_options(), token_store=store) as again:
        await again.token()
    assert emulator.issued == {"client_credentials": 1}
    await store.aclose()
    await until(lambda: connections() == before)


async def test_a_redis_that_is_not_there_fails_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the URL of a dead Redis a client fetches for itself, says so once, and no call fails."""
    with RedisServer() as gone:
        monkeypatch.setenv("MONITE_TOKEN_STORE", gone.url)
    emulator = Emulator()
    async with clients(emulator, 1) as (client,):
        await asyncio.gather(*(client.entities.list() for _ in range(50)))
        assert client.tokens.stats().events["store_degraded"] == 1
    assert emulator.issued == {"client_credentials": 1}


@pytest.mark.parametrize(
    "bad",
    [
        f"redis://app:{CANARY}@redis.example.com/0",
        f"redis://:{CANARY}@localhost:not-a-port/0",
        f"file://host.example/{CANARY}",
        f"file:///dev/null/{CANARY}",
        f"postgres://app:{CANARY}@localhost/0",
    ],
)
def test_a_url_that_will_not_do_is_told_at_the_start(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The constructor names the variable and what to do, and repeats nothing of a URL that may hold a password."""
    monkeypatch.setenv("MONITE_TOKEN_STORE", bad)
    with pytest.raises(ConfigurationError, match="MONITE_TOKEN_STORE") as caught:
        AsyncMonite(**Emulator().client_options())
    assert bad.startswith("file:///dev") or CANARY not in str(caught.value)


BARE = """
import sys
sys.modules[sys.argv[1]] = None  # as good as not installed
from monite_async import AsyncMonite, ConfigurationError
try:
    AsyncMonite(client_id="no UUID", client_secret="x")
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("missing", "url", "fix"),
    [
        ("redis", "redis://localhost/0", "RedisTokenStore needs the package redis, 5.0.1 or newer: pip install 'mon"),
        ("cryptography", "redis://localhost/0", "needs the package 'cryptography': pip install 'monite-async[redis,f"),
        ("cryptography", "file:///tmp/tokens", "needs the package 'cryptography': pip install 'monite-async[redis,f"),
    ],
)
def test_a_package_that_is_missing_is_told_with_all_else_that_is_wrong(missing: str, url: str, fix: str) -> None:
    """A store whose package is not installed is one line of the one ``ConfigurationError``, with what to type."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, missing],
        env={**os.environ, "MONITE_TOKEN_STORE": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "MONITE_TOKEN_STORE: " in done.stdout
    assert fix in done.stdout
    assert "client_id must be a UUID" in done.stdout


def test_a_directory_that_others_can_write_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``EncryptedFileTokenStore`` has against a directory is said by the constructor of the client."""
    tmp_path.chmod(0o777)
    monkeypatch.setenv("MONITE_TOKEN_STORE", tmp_path.as_uri())
    with pytest.raises(ConfigurationError, match=r"MONITE_TOKEN_STORE: .*chmod"):
        AsyncMonite(**Emulator().client_options())


def test_nothing_is_printed_where_logging_is_not_set_up() -> None:
    """Both packages leave their warnings to whoever sets logging up."""
    for name in ("monite_async", "monite_async_stores"):
        handlers = logging.getLogger(name).handlers
        assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


@pytest.mark.checkout
def test_the_page_on_stores_names_rights_and_events_as_the_code_does() -> None:
    """What people copy from ``docs/stores.md`` is what the store documents and what the client reports."""
    page = (Path(__file__).parents[1] / "docs" / "stores.md").read_text(encoding="utf-8")
    rights = page[page.index("ACL SETUSER") :].partition("```")[0].split()
    assert rights
    assert " ".join(rights) in " ".join((RedisTokenStore.__doc__ or "").split())
    monitored = page[page.index("| watch |") : page.index("In Redis: memory")]
    kinds = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", monitored)) - {"detail", "hits"}
    assert kinds <= set(get_args(EventKind))
    assert len(kinds) >= 6
