"""Where connections come from: what is refused before any of them, and what is taken over from a client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import redis
import trustme
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import Sentinel

from monite_async_stores import Granted, RedisTokenStore, store_from_url
from monite_async_stores._redis_source import Client, _TlsWire
from tests.stores.redis_server import RedisServer
from tests.stores.redis_tools import a_name, ask

REMOTE = "192.0.2.1"


def sentinel_client(kind: str, **settings: object) -> Redis:
    """Return what a Sentinel hands out."""
    # redis-py leaves these without annotations.
    sentinel = cast("Callable[..., object]", Sentinel)([(REMOTE, 26379)], **settings)
    return cast("Callable[[str], Redis]", getattr(sentinel, kind))("tokens")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pa/ss@localhost/0",
        "redis://:pa/ss@localhost:6379/0",
        "redis://user:pa[ss@localhost/0",
        "redis://localhost:pass",
        "redis://localhost/0?socket_timeout=pass",
        "http://user:pass@localhost/0",
        "pass",
        "",
    ],
)
def test_a_url_that_cannot_be_read_is_not_shown(url: str) -> None:
    """A URL that redis-py cannot read is refused with a text of its own: the reason may quote a password."""
    for make in (RedisTokenStore.from_url, store_from_url):
        with pytest.raises(ValueError) as caught:
            make(url)
        assert "pa" not in str(caught.value).replace("password", "").replace("namespace", "").replace("path", "")
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", [f"redis://:hunter2@{REMOTE}/0", "redis://redis.internal:6379/0", "redis://[2001:db8::1]/0"]
)
def test_without_encryption_a_url_stays_on_this_machine(url: str) -> None:
    """A connection that leaves the machine needs TLS, unless it is allowed without; the password is not shown."""
    for make in (RedisTokenStore.from_url, store_from_url):
        with pytest.raises(ValueError, match="insecure=True") as caught:
            make(url)
        assert "hunter2" not in str(caught.value)
    RedisTokenStore.from_url(url, insecure=True)
    store_from_url(f"{url}?insecure=true")
    RedisTokenStore.from_url(url.replace("redis://", "rediss://"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_this_machine_needs_no_encryption(host: str) -> None:
    """Loopback addresses and unix sockets are taken as they are."""
    RedisTokenStore.from_url(f"redis://{host}/0")
    RedisTokenStore.from_url("unix:///run/redis.sock")


def clients_without_tls() -> list[Client]:
    """Return clients whose connections would leave the machine in the clear."""
    return [
        Redis(host=REMOTE),
        RedisCluster(host=REMOTE, port=6379),
        RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", 6379), ClusterNode(REMOTE, 6379)]),
        sentinel_client("master_for"),
    ]


@pytest.mark.parametrize("number", range(4))
def test_without_encryption_a_client_stays_on_this_machine(number: int) -> None:
    """Clients of all kinds are refused when their connections would not be encrypted, and taken when that is allowed."""
    client = clients_without_tls()[number]
    with pytest.raises(ValueError, match="insecure=True"):
        RedisTokenStore(client)
    RedisTokenStore(client, insecure=True)


def test_encrypted_clients_are_taken() -> None:
    """Clients of all kinds that speak TLS are taken, wherever they lead."""
    RedisTokenStore(Redis(host=REMOTE, ssl=True))
    RedisTokenStore(RedisCluster(host=REMOTE, port=6379, ssl=True))
    RedisTokenStore(sentinel_client("master_for", ssl=True))


def test_a_replica_is_refused() -> None:
    """A client of replicas is refused: they take no writes."""
    with pytest.raises(ValueError, match="master_for"):
        RedisTokenStore(sentinel_client("slave_for"), insecure=True)


def test_other_clients_are_refused() -> None:
    """A client that is not one of ``redis.asyncio`` is refused by its name."""
    with pytest.raises(TypeError, match=r"redis\.asyncio is needed, not redis\.client\.Redis"):
        RedisTokenStore(cast("Client", redis.Redis()))


@pytest.mark.parametrize("timeout", [0, -1, 61, float("nan")])
def test_a_time_limit_is_sensible(timeout: float) -> None:
    """The limit of an operation lies between 0 and 60 seconds."""
    with pytest.raises(ValueError, match="timeout"):
        RedisTokenStore.from_url("redis://localhost", timeout=timeout)


@pytest.mark.parametrize("namespace", ["", "a b", "{a}", "ä", "x" * 65, "a\n", "*"])
def test_a_namespace_is_plain(namespace: str) -> None:
    """A namespace has no characters that mean something in keys, patterns or messages."""
    with pytest.raises(ValueError, match="namespace"):
        RedisTokenStore.from_url("redis://localhost", namespace=namespace)


def test_a_missing_certificate_is_told_at_the_start(tmp_path: Path) -> None:
    """A file of certificates that is not there, or holds none, is an error of the constructor that names it."""
    missing, empty = tmp_path / "none.pem", tmp_path / "empty.pem"
    empty.touch()
    for option in ("ssl_ca_certs", "ssl_certfile"):
        with pytest.raises(ValueError, match=f"there is no {missing}: correct {option}") as caught:
            RedisTokenStore.from_url(f"rediss://:hunter2@localhost/0?{option}={missing}")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__context__ is None
    with pytest.raises(ValueError, match=f"cannot be read as certificates and keys: {empty}"):
        store_from_url(f"rediss://localhost/0?ssl_ca_certs={empty}")
    with pytest.raises(ValueError, match="there is no"):
        RedisTokenStore(Redis(host=REMOTE, ssl=True, ssl_ca_certs=str(missing)))
    with pytest.raises(ValueError, match="there is no"):
        RedisTokenStore(sentinel_client("master_for", ssl=True, ssl_ca_certs=str(missing)))


@pytest.mark.parametrize("option", ["bogus", "timeout"])
def test_an_unknown_option_is_told_at_the_start(option: str) -> None:
    """An option that no connection takes is refused by its name, and not found out at every operation."""
    for url in (f"redis://:hunter2@localhost/0?{option}=5", f"rediss://:hunter2@{REMOTE}/0?{option}=5"):
        for make in (RedisTokenStore.from_url, store_from_url):
            with pytest.raises(ValueError, match=f"no option '{option}' of a connection") as caught:
                make(url)
            assert "hunter2" not in str(caught.value)
            assert caught.value.__context__ is None


def test_options_that_make_no_connection_are_told_at_the_start() -> None:
    """Whatever else keeps redis-py from making a connection is told by its kind only: the reason may quote a value."""
    with pytest.raises(ValueError, match="cannot make a connection with these options: RedisError") as caught:
        RedisTokenStore.from_url(f"rediss://{REMOTE}/0?ssl_cert_reqs=hunter2")
    assert "hunter2" not in str(caught.value)


def test_one_tls_context_serves_all_connections(tmp_path: Path) -> None:
    """Certificates are read once per store, not once per connection."""
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    store = RedisTokenStore.from_url(f"rediss://localhost/0?ssl_ca_certs={bundle}")

    async def main() -> None:
        lines = store._here().lines
        one, other = (cast("_TlsWire", lines.fresh()).ssl_context for _ in range(2))
        assert one is other
        assert one.get() is other.get()
        await store.aclose()

    asyncio.run(main())


def test_settings_of_a_client_are_taken_over_without_its_retries(redis_server: RedisServer) -> None:
    """Name and database come from the client; retries, decoding, health checks and time limits do not."""

    async def main() -> None:
        client = Redis(
            host="127.0.0.1",
            port=redis_server.port,
            db=5,
            client_name="taken-over",
            decode_responses=True,
            health_check_interval=1,
            socket_timeout=0.000001,
            retry_on_error=[OSError],
        )
        store = RedisTokenStore(client, timeout=5.0)
        assert isinstance(await ask(store, a_name()), Granted)
        clients = [line for line in redis_server.admin.text("CLIENT", "LIST").splitlines() if "name=taken-over" in line]
        assert len(clients) == 1, "the client itself connects to nothing"
        assert "db=5" in clients[0]
        assert getattr(store._here().lines.fresh(), "retry")._retries == 0  # noqa: B009 - not part of what is used
        await store.aclose()

    asyncio.run(main())


def test_the_pool_of_a_client_may_be_of_any_kind(redis_server: RedisServer) -> None:
    """What counts is how a pool makes connections, not how many it allows."""

    async def main() -> None:
        pool = ConnectionPool(host="127.0.0.1", port=redis_server.port, max_connections=1)
        store = RedisTokenStore(Redis(connection_pool=pool), timeout=5.0)
        answers = await asyncio.gather(*(ask(store, a_name()) for _ in range(20)))
        assert all(isinstance(answer, Granted) for answer in answers)
        await store.aclose()

    asyncio.run(main())


def test_importing_the_package_imports_no_redis() -> None:
    """``redis`` and ``cryptography`` are imported with the store that needs them, and then only."""
    code = (
        "import sys, monite_async_stores as stores\n"
        "assert not {'redis', 'cryptography'} & set(sys.modules)\n"
        "assert 'RedisTokenStore' in stores.__all__\n"
        "stores.RedisTokenStore\n"
        "assert 'redis' in sys.modules\n"
        "assert not hasattr(stores, 'MemcachedTokenStore')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
