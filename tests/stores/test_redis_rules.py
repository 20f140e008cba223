"""The Redis store against the rules of the protocol: alone, in a cluster, behind a Sentinel, by TLS, with few rights."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from redis._parsers import _AsyncHiredisParser, _AsyncRESP2Parser
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import ConnectionPool

from monite_async_stores import (
    Granted,
    Hit,
    RedisTokenStore,
    StoreError,
    TokenStore,
    store_from_url,
)
from monite_async_stores.testing import RULES, Bench, Rule, check
from tests.stores.redis_proxy import Proxy
from tests.stores.redis_server import Cluster, RedisServer, SentinelSet
from tests.stores.redis_tools import a_name

PATIENT = 5.0
"""A time limit for tests that are about something else, on a machine that may be busy."""

RIGHTS = (
    "resetkeys ~{monite:* resetchannels &monite:events -@all +evalsha +eval +hmget +hget +get +pttl +time +set +del "
    "+hset +pexpire +publish +subscribe +ping +asking"
)

Opener = Callable[[], TokenStore]


def bench_of(opener: Opener) -> Callable[[], Bench]:
    """Return what makes benches on the storage that ``opener`` opens."""

    class RedisBench(Bench):
        async def open(self) -> TokenStore:
            return opener()

    return RedisBench


def check_all_at_once(opener: Opener) -> None:
    """Check all rules side by side, each in a thread and loop of its own: they work on different names."""
    with ThreadPoolExecutor(len(RULES)) as pool:
        for done in [pool.submit(check, rule, bench_of(opener)) for rule in RULES]:
            done.result()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_redis_store_keeps_the_rule(rule: Rule, redis_server: RedisServer) -> None:
    """Every rule of the protocol holds for ``RedisTokenStore`` on a Redis of its own."""
    check(rule, bench_of(lambda: RedisTokenStore.from_url(redis_server.url, timeout=PATIENT)))


@pytest.mark.parametrize("parser", [_AsyncHiredisParser, _AsyncRESP2Parser], ids=["hiredis", "python"])
def test_it_keeps_the_rules_with_either_parser(parser: type, redis_server: RedisServer) -> None:
    """Every rule holds with hiredis and without."""

    def opener() -> TokenStore:
        pool = ConnectionPool(host="127.0.0.1", port=redis_server.port, parser_class=parser)
        return RedisTokenStore(Redis(connection_pool=pool), timeout=PATIENT)

    check_all_at_once(opener)


def test_it_keeps_the_rules_on_a_unix_socket(redis_server: RedisServer) -> None:
    """Every rule holds through a unix socket, where no encryption is asked for."""
    check_all_at_once(lambda: RedisTokenStore.from_url(f"unix://{redis_server.socket_path}", timeout=PATIENT))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of three."""
    with Cluster() as cluster:
        yield cluster


def test_it_keeps_the_rules_in_a_cluster(cluster: Cluster) -> None:
    """Every rule holds in a cluster, with one known server to begin with."""
    check_all_at_once(
        lambda: RedisTokenStore(RedisCluster(host="127.0.0.1", port=cluster.servers[0].port), timeout=PATIENT)
    )


def test_it_keeps_the_rules_behind_a_sentinel() -> None:
    """Every rule holds with a master that a Sentinel names, before and after another server became it."""
    with SentinelSet() as servers:

        def opener() -> TokenStore:
            return RedisTokenStore(servers.client(), insecure=True, timeout=PATIENT)

        check_all_at_once(opener)
        servers.fail_over()
        check_all_at_once(opener)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs certificates."""
    return trustme.CA()


def tls_of(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """Return what a server of this name speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signed = authority.issue_cert(host)
    with signed.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


def test_it_keeps_the_rules_by_tls_with_the_least_rights(
    redis_server: RedisServer, authority: trustme.CA, tmp_path: Path
) -> None:
    """Every rule holds by TLS, with a password, for a user who has just the rights that the docstring names."""
    assert " ".join(RIGHTS.split()) in " ".join((RedisTokenStore.__doc__ or "").split())
    redis_server.admin("ACL", "SETUSER", "monite", "on", ">pass w%rd", *RIGHTS.split())
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with Proxy(redis_server.port, tls=tls_of(authority, "localhost")) as proxy:
        url = f"rediss://monite:pass%20w%25rd@localhost:{proxy.port}/0?ssl_ca_certs={bundle}"
        check_all_at_once(lambda: RedisTokenStore.from_url(url, timeout=PATIENT))
    log = redis_server.admin.items("ACL", "LOG")
    assert log == [], "nothing may be refused, not even quietly"


def test_a_certificate_of_another_host_is_refused(
    redis_server: RedisServer, authority: trustme.CA, tmp_path: Path
) -> None:
    """The name in the server's certificate is checked by default, in every version of redis-py."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))

    async def ask(options: str) -> object:
        url = f"rediss://localhost:{proxy.port}/0?ssl_ca_certs={bundle}{options}"
        store = RedisTokenStore.from_url(url, timeout=PATIENT)
        try:
            return await store.acquire(a_name(), "a", lease_ms=1, bad_gen=0, min_left_ms=0)
        finally:
            await store.aclose()

    with Proxy(redis_server.port, tls=tls_of(authority, "elsewhere.example")) as proxy:
        with pytest.raises(StoreError):
            asyncio.run(ask(""))
        assert isinstance(asyncio.run(ask("&ssl_check_hostname=false")), Granted)


def test_urls_lead_to_the_database_and_namespace_that_they_name(redis_server: RedisServer) -> None:
    """``store_from_url`` passes everything on: database, namespace, and the rest to redis-py."""

    async def main() -> None:
        url = f"redis://127.0.0.1:{redis_server.port}/3?namespace=staging&client_name=tokens"
        one, same = (
            store_from_url(url),
            RedisTokenStore.from_url(url.replace("namespace=staging&", ""), namespace="staging"),
        )
        other = store_from_url(redis_server.url)
        name = a_name()
        answer = await one.acquire(name, "a", lease_ms=5000, bad_gen=0, min_left_ms=0)
        assert isinstance(answer, Granted)
        await one.commit(name, "a", answer.gen, b"v", lifetime_ms=60_000, left_ms=60_000)
        assert isinstance(await same.acquire(name, "b", lease_ms=5000, bad_gen=0, min_left_ms=0), Hit)
        assert isinstance(await other.acquire(name, "b", lease_ms=5000, bad_gen=0, min_left_ms=0), Granted)
        assert "name=tokens" in redis_server.admin.text("CLIENT", "LIST")
        for store in (one, same, other):
            await store.aclose()

    asyncio.run(main())
