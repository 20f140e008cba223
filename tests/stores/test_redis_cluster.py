"""Redis Cluster across a migration of slots, and Sentinel across failovers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

import pytest
from redis.asyncio import RedisCluster
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, ResponseError, TryAgainError

from monite_async import _cli
from monite_async._cli import _commands
from monite_async._cli._exits import Exit
from monite_async_stores import (
    Committed,
    Granted,
    Hit,
    Keyring,
    RecordName,
    RedisTokenStore,
    StoreError,
    _breaker,
    store_from_url,
)
from monite_async_stores._redis_cluster import _Redirection, _redirection
from tests.stores.redis_server import Cluster, RedisServer, SentinelSet, until
from tests.stores.redis_tools import PATIENT, Ear, Keep, a_name, ask, eventually, grant, key_of, put, run


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of three."""
    with Cluster() as cluster:
        yield cluster


def store_of(cluster: Cluster) -> RedisTokenStore:
    """Return a store that knows one server of the cluster to begin with."""
    return RedisTokenStore(RedisCluster(host="127.0.0.1", port=cluster.servers[0].port), timeout=PATIENT)


def slot_of(name: RecordName) -> int:
    """Return the slot of a record; its four keys share it."""
    slots = {key_slot(key_of(name, kind).encode()) for kind in "tlnf"}
    assert len(slots) == 1
    return slots.pop()


def test_a_url_of_one_server_finds_the_records_of_all(cluster: Cluster) -> None:
    """With ``cluster=true`` a URL leads to a whole cluster, whose records are listed, described and sealed anew."""

    async def main(keep: Keep) -> None:
        url = f"redis://127.0.0.1:{cluster.servers[1].port}?cluster=true&namespace=listed"
        old, new = Keyring.generate(), Keyring.generate()
        store, newer = store_from_url(url, keyring=Keyring(old)), store_from_url(url, keyring=Keyring(new, old))
        assert isinstance(store, RedisTokenStore)
        assert isinstance(newer, RedisTokenStore)
        for one in (store, newer):
            keep(one)
        names = sorted((a_name() for _ in range(12)), key=lambda name: name.name)
        gens = [await put(store, name) for name in names]
        assert len({slot_of(name) * 3 // 16384 for name in names}) > 1
        for one in (store, newer):
            assert await one.names() == [name.name for name in names]
            assert [record.gen for record in await one.describe(await one.names())] == gens
        assert [await newer.reseal(name) for name in names] == ["resealed"] * len(names)
        assert [await store.reseal(name) for name in names] == ["unreadable"] * len(names)

    run(main)


def test_a_server_that_is_no_cluster_cannot_list_one(redis_server: RedisServer) -> None:
    """A URL that says ``cluster=true`` of a server alone is told so when records are to be listed."""

    async def main(keep: Keep) -> None:
        store = store_from_url(f"{redis_server.url}?cluster=true")
        assert isinstance(store, RedisTokenStore)
        with pytest.raises(StoreError, match="redis did not answer as it should"):
            await keep(store).names()

    run(main)


def test_the_command_sees_the_records_of_all_servers(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``store list`` and ``purge --all`` reach every primary; without ``cluster=true`` they refuse instead of missing some."""
    names = [a_name() for _ in range(12)]

    async def main(keep: Keep) -> None:
        store = store_from_url(url)
        assert isinstance(store, RedisTokenStore)
        for name in names:
            await put(keep(store), name)

    url = f"redis://127.0.0.1:{cluster.servers[0].port}?cluster=true&namespace=commanded"
    run(main)
    assert len({slot_of(name) * 3 // 16384 for name in names}) > 1
    monkeypatch.setattr(_commands._output, "json", False)
    monkeypatch.setenv("MONITE_TOKEN_STORE", url.replace("cluster=true&", ""))
    for arguments in (["store", "list"], ["store", "purge", "--all", "--yes"]):
        assert _cli.main(arguments) == Exit.STORE
        said = capsys.readouterr()
        assert (said.out, "add ?cluster=true to its URL" in said.err) == ("", True)
    monkeypatch.setenv("MONITE_TOKEN_STORE", url)
    assert _cli.main(["store", "list", "--json"]) == Exit.OK
    assert [one["record"] for one in json.loads(capsys.readouterr().out)] == sorted(name.name for name in names)
    assert _cli.main(["store", "purge", "--all", "--yes"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"purged": len(names)}
    assert _cli.main(["store", "list"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == []


def test_a_slot_that_has_moved_is_found_again(cluster: Cluster) -> None:
    """After a migration of its slot a record is read where it went, by processes that knew where it was."""

    async def main(keep: Keep) -> None:
        store, fresh = keep(store_of(cluster)), keep(store_of(cluster))
        name = a_name()
        gen = await put(store, name, b"before")
        slot = slot_of(name)
        source, target = cluster.begin_migration(slot)
        assert cluster.move_keys(slot, source, target) == 2
        cluster.end_migration(slot, target)
        for one in (store, fresh, store):
            answer = await ask(one, name)
            assert isinstance(answer, Hit)
            assert (answer.gen, answer.value) == (gen, b"before")
        newer = await put(store, name, b"after", bad_gen=gen)
        assert newer > gen
        assert target.admin("EXISTS", key_of(name, "t")) == 1

    run(main)


def test_while_a_slot_moves_only_its_records_are_out_of_reach(cluster: Cluster) -> None:
    """During the migration a record split between servers raises ``StoreError``, and others are served as ever."""

    async def main(keep: Keep) -> None:
        store = keep(store_of(cluster))
        moving, other = a_name(), a_name()
        assert slot_of(moving) != slot_of(other)
        gen = await put(store, moving)
        await put(store, other)
        slot = slot_of(moving)
        source, target = cluster.begin_migration(slot)
        cluster.move_keys(slot, source, target, count=1)
        for _ in range(4):
            with pytest.raises(StoreError, match=r"TryAgain|Response"):
                await ask(store, moving)
            assert isinstance(await ask(store, other), Hit)
        cluster.move_keys(slot, source, target)
        cluster.end_migration(slot, target)
        answer = await ask(store, moving)
        assert isinstance(answer, Hit)
        assert answer.gen == gen

    run(main)


def test_a_record_that_moved_ahead_of_its_slot_is_asked_for(cluster: Cluster) -> None:
    """With all its keys moved and the slot not yet, a record is reached by asking the new server, on one connection."""

    async def main(keep: Keep) -> None:
        store = keep(store_of(cluster))
        name = a_name()
        gen = await put(store, name)
        await grant(store, name, "z", bad_gen=gen)
        slot = slot_of(name)
        cluster.owner(slot).admin("SET", key_of(name, "n"), "transient:server:503", "PX", 60_000)
        source, target = cluster.begin_migration(slot)
        assert cluster.move_keys(slot, source, target) == 4
        answers = await asyncio.gather(*(ask(store, name) for _ in range(20)))
        assert all(isinstance(answer, Hit) and answer.gen == gen for answer in answers)
        cluster.end_migration(slot, target)
        assert isinstance(await ask(store, name), Hit)

    run(main)


def test_records_in_use_are_re_read_wherever_they_are(cluster: Cluster) -> None:
    """The look at the records in use asks each server for its own, and messages come from all of them."""

    async def main(keep: Keep) -> None:
        store, other = keep(store_of(cluster)), keep(store_of(cluster))
        names = [a_name() for _ in range(60)]
        gens = {name: await put(other, name) for name in names}
        ear = Ear(*names)
        store.watch(ear)
        await ask(store, a_name())
        await eventually(lambda: all(ear.has("seen", name, gens[name]) for name in names), "the first look")
        for name in names:
            await other.invalidate(name, gens[name])
        await eventually(lambda: all(ear.has("invalid", name) for name in names), "all messages")

    run(main)


def test_servers_may_be_reached_under_other_addresses(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's ``address_remap`` is used, and may not lead off this machine without encryption."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.0, 0.0))

    async def main(keep: Keep) -> None:
        seen: set[int] = set()

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            seen.add(address[1])
            return ("127.0.0.1", address[1]) if address[1] != cluster.servers[2].port else ("192.0.2.1", address[1])

        client = RedisCluster(host="127.0.0.1", port=cluster.servers[0].port, address_remap=remap)
        store = keep(RedisTokenStore(client, timeout=PATIENT))
        reached = 0
        for _ in range(200):
            if len(seen) == 3 and reached:
                break
            with contextlib.suppress(StoreError):
                reached += isinstance(await ask(store, a_name()), Granted)
        assert len(seen) == 3

    run(main)


def test_a_dead_server_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a server of the cluster dies, what it owned is looked for elsewhere, and found where a slot went."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.01, 0.01))

    async def main(keep: Keep) -> None:
        store = keep(store_of(own))
        name = a_name()
        while own.owner(slot_of(name)) is not own.servers[2]:
            name = a_name()
        for server in own.servers:
            server.admin("CONFIG", "SET", "cluster-require-full-coverage", "no")
        await put(store, name)
        lost = own.servers[2]
        slot = slot_of(name)
        lost.kill()
        with pytest.raises(StoreError):
            await ask(store, name)
        for server in own.servers[:2]:
            server.admin("CLUSTER", "SETSLOT", slot, "NODE", own.servers[1].admin.text("CLUSTER", "MYID"))
        answer: object = None
        for _ in range(1000):
            try:
                answer = await ask(store, name)
            except StoreError:
                await asyncio.sleep(0.01)
            else:
                break
        assert isinstance(answer, Granted)

    with Cluster() as own:
        run(main)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ResponseError("MOVED 3999 10.0.0.1:6381"), _Redirection("MOVED", 3999, ("10.0.0.1", 6381))),
        (ResponseError("ASK 7 ::1:6381"), _Redirection("ASK", 7, ("::1", 6381))),
        (ResponseError("MOVED 7 :6381"), _Redirection("MOVED", 7, ("", 6381))),
        (MovedError("3999 10.0.0.1:6381"), _Redirection("MOVED", 3999, ("10.0.0.1", 6381))),
        (AskError("7 10.0.0.1:6381"), _Redirection("ASK", 7, ("10.0.0.1", 6381))),
        (TryAgainError("Multiple keys"), _Redirection("TRYAGAIN")),
        (ResponseError("TRYAGAIN Multiple keys"), _Redirection("TRYAGAIN")),
        (ResponseError("ERR MOVED 1 x:1"), None),
        (ResponseError(), None),
        (b"MOVED 3999 10.0.0.1:6381", None),
    ],
    ids=repr,
)
def test_redirections_are_read_as_every_version_of_redis_py_tells_them(
    answer: object, expected: _Redirection | None
) -> None:
    """A redirection comes as an error with or without a class of its own, and with or without a host."""
    assert _redirection(answer) == expected


def test_redirections_in_a_circle_end() -> None:
    """A server that keeps naming itself as the owner is not followed for ever."""

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while data := await reader.read(65536):
                    asked.append(data)
                    writer.write(b"-MOVED 1 127.0.0.1:%d\r\n" % port)
            finally:
                writer.close()

        asked: list[bytes] = []
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        async with server:
            store = RedisTokenStore(RedisCluster(host="127.0.0.1", port=port), timeout=PATIENT)
            async with contextlib.aclosing(store):
                with pytest.raises(StoreError):
                    await ask(store, a_name())
            assert len(asked) == 6

    asyncio.run(main())


def test_a_failover_behind_a_sentinel_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the master dies, operations fail until another server takes over, and generations go on growing there."""
    monkeypatch.setattr(_breaker, "_OPEN_SECONDS", (0.05, 0.05))

    async def main(keep: Keep) -> None:
        store = keep(RedisTokenStore(servers.client(), insecure=True, timeout=0.5))
        name = a_name()
        gen = await put(store, name)
        await asyncio.to_thread(wait_for_copy, servers, name)
        servers.master.kill()
        with pytest.raises(StoreError):
            await ask(store, name)
        await asyncio.to_thread(servers.wait_for_failover)
        answer: object = None
        for _ in range(1000):
            try:
                answer = await ask(store, name)
            except StoreError:
                await asyncio.sleep(0.01)
            else:
                break
        assert isinstance(answer, Hit)
        assert answer.gen == gen
        newer = await grant(store, name, bad_gen=gen)
        assert newer > gen
        assert await store.commit(name, "a", newer, b"new", lifetime_ms=9000, left_ms=9000) == Committed()

    def wait_for_copy(servers: SentinelSet, name: RecordName) -> None:
        until(lambda: servers.replica.admin("EXISTS", key_of(name, "t")) == 1, "the replica")

    with SentinelSet() as servers:
        run(main)


def test_a_master_that_became_a_replica_is_left() -> None:
    """A connection to what is a master no longer is dropped, and the operation done on one to the new master."""

    async def main(keep: Keep) -> None:
        store = keep(RedisTokenStore(servers.client(), insecure=True, timeout=PATIENT))
        await put(store, a_name())
        await asyncio.to_thread(servers.fail_over)
        servers.master.admin("REPLICAOF", "127.0.0.1", servers.replica.port)
        name = a_name()
        await put(store, name)
        assert servers.replica.admin("EXISTS", key_of(name, "t")) == 1

    with SentinelSet() as servers:
        run(main)


def test_a_silent_sentinel_is_passed_over() -> None:
    """A sentinel that accepts connections and says nothing costs a third of the limit; the next one is asked."""

    async def main(keep: Keep) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port: int = silent.getsockname()[1]
            store = keep(RedisTokenStore(servers.client(port), insecure=True, timeout=0.6))
            assert isinstance(await ask(store, a_name()), Granted)

    with SentinelSet() as servers:
        run(main)
