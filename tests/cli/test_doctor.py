"""``monite-async doctor``: what it finds when all is well, and what it advises when it is not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from monite_async import AsyncMonite
from monite_async._cli import _doctor
from monite_async._cli._doctor_net import look_at_clock, look_at_name, look_at_tls, proxy_of
from monite_async._cli._doctor_store import look_at_store
from monite_async._cli._exits import Exit
from monite_async._http import tls
from monite_async.emulator import Emulator, EmulatorSettings
from monite_async_stores import EncryptedFileTokenStore, Granted, RecordName, RedisTokenStore
from monite_async_stores._protocol import Hit
from tests.cli.command import PASSWORD, SECRET, commanding
from tests.stores.redis_server import RedisServer

NAMES = ["versions", "configuration", "DNS", "TLS", "clock", "store", "token", "first call", "rate limit"]


def certified(authority: trustme.CA, days: float = 300) -> ssl.SSLContext:
    """Return the TLS context of a server on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends = datetime.now(UTC) + timedelta(days=days)
    certificate = authority.issue_cert("127.0.0.1", not_after=ends)
    cast("Any", certificate).configure_cert(context)  # typed for pyOpenSSL too, which is not here
    return context


async def test_all_is_well(redis_server: RedisServer, tmp_path: Path) -> None:
    """Over TLS with a Redis every check passes, in the order in which things are needed, with status 0."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    await asyncio.to_thread(authority.cert_pem.write_to_path, str(file))
    store = f"{redis_server.url}?namespace=doctor"
    async with commanding(store=store, tls=certified(authority), SSL_CERT_FILE=str(file)) as command:
        ended = await command("doctor", "--json")
        findings = ended.data()["findings"]
        assert [(one["check"], one["state"]) for one in findings] == [(name, "ok") for name in NAMES]
        found = {one["check"]: one["found"] for one in findings}
        assert "TLSv1.3, certificate good for 299 d" in found["TLS"]
        assert "RedisTokenStore: reachable, sealed (key " in found["store"]
        assert (ended.status, ended.err) == (0, "")
        assert redis_server.admin.items("KEYS", "{doctor:d0c7*:[tln]") == []


async def test_what_works_but_may_not_be_meant_so_is_a_warning() -> None:
    """Another version, a wrong clock, a store that nobody shares and an unknown limit are told, with status 0."""
    async with commanding(MONITE_API_VERSION="2024-01-31") as command:
        command.emulator.settings = replace(command.emulator.settings, rate_limit=None)
        command.emulator.clock.advance(3600)
        ended = await command("doctor")
        assert ended.status == 0
        lines = [line.split() for line in ended.out.splitlines()]
        warned = [words[1] for words in lines if words[0] == "warn"]
        assert warned == ["configuration", "clock", "store", "rate"]
        assert "59 min" in ended.out
        assert "behind the server's" in ended.out
        assert "→ with several processes, set MONITE_TOKEN_STORE" in ended.out


async def test_the_first_failure_decides_the_status_and_the_rest_is_told_too() -> None:
    """With the store away and a wrong secret the status is that of the store, and both are told with advice."""
    away = f"redis://:{PASSWORD}@127.0.0.1:1/0"
    async with commanding(store=away) as command:
        ended = await command("doctor", env={"MONITE_CLIENT_SECRET": f"{SECRET}-wrong"})
        assert (ended.status, ended.error) == (Exit.STORE, "store, token: see above")
        assert "nothing answers there" in ended.out
        assert "→ check MONITE_CLIENT_ID, MONITE_CLIENT_SECRET" in ended.out


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [("MONITE_CLIENT_ID", "me", "configuration"), ("MONITE_TOKEN_STORE", "nowhere:", "store")],
)
async def test_settings_that_cannot_be_end_the_search(
    variable: str, value: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client nothing else can be looked at: what is wrong with its settings is the last line."""
    monkeypatch.setenv("MONITE_CLIENT_SECRET", SECRET)
    monkeypatch.setenv(variable, value)
    found = [finding async for finding in _doctor._examine("monite", 5)]
    assert [(one.name, one.state) for one in found] == [("versions", "ok"), (check, "fail")]
    assert found[-1].code == Exit.CONFIGURATION
    assert SECRET not in repr(found)


async def test_a_network_that_fails_ends_the_look_at_it_and_tokens_are_tried_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When nobody answers there, no clock is compared; the status is that of the network."""
    monkeypatch.setenv("MONITE_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("MONITE_CLIENT_ID", EmulatorSettings().client_id)
    monkeypatch.setenv("MONITE_CLIENT_SECRET", SECRET)
    found = {finding.name: finding async for finding in _doctor._examine("monite", 5)}
    assert list(found) == ["versions", "configuration", "DNS", "TLS", "store", "token"]
    assert (found["TLS"].state, found["TLS"].code, found["token"].code) == ("fail", Exit.NETWORK, Exit.NETWORK)


async def test_a_package_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras that are not installed are named as such."""
    monkeypatch.setattr(_doctor, "_PACKAGES", ("no-such-package-as-this",))
    assert "no-such-package-as-this not installed" in _doctor._versions().text


@pytest.mark.parametrize(("status", "state"), [(403, "warn"), (500, "warn"), (0, "fail")])
async def test_a_first_call_that_is_refused_is_told_with_what_to_quote(status: int, state: str) -> None:
    """A status of the API is a warning, a connection that breaks a failure; either has its advice."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options(), deadline=5) as monite:
        if status:
            emulator.fail("GET", "/settings", status=status, times=None)
        else:
            emulator.fail("GET", "/settings", drop="before", times=None)
        *_, last = [finding async for finding in _doctor._calls(monite)]
        assert (last.name, last.state) == ("first call", state)
        assert last.advice


@contextlib.asynccontextmanager
async def answering(answer: bytes | None) -> AsyncGenerator[str]:
    """Serve something that is no API: an answer to everything, or None for silence."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if answer is None:
            await done.wait()
        writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def test_names_that_do_not_resolve_and_resolvers_that_do_not_answer_are_failures() -> None:
    """Neither an unknown host nor a silent resolver is left without a word on what to check."""
    unknown = await look_at_name("https://nowhere.invalid/v1", 20)
    silent = await look_at_name("https://localhost/v1", 0)
    assert (unknown.state, silent.state) == ("fail", "fail")
    assert "nowhere.invalid" in unknown.text
    assert "no answer within 0 s" in silent.text


async def test_a_name_that_no_host_can_have_is_a_failure() -> None:
    """A part of a name may have 63 characters: what resolvers refuse to look up is told, too."""
    found = await look_at_name(f"https://{'a' * 64}.example", 20)
    assert (found.state, "no name that a host can have" in found.text) == ("fail", True)


async def test_the_proxy_of_the_environment_is_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy the API itself need not be reachable: doctor goes the way of the calls, and shows no password."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    api = "http://127.0.0.1:1/v1"
    assert proxy_of(api) is None
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as place:
        monkeypatch.setenv("HTTP_PROXY", f"http://ann:{PASSWORD}@{place}")
        proxy = proxy_of(api)
        found = [await look(api, 20, proxy) for look in (look_at_name, look_at_tls, look_at_clock)]
    assert [one.state for one in found] == ["ok", "ok", "warn"], "it tells no time"
    assert found[0].text == "the proxy 127.0.0.1: 127.0.0.1"
    assert f"the proxy {place}: connected" in found[1].text
    assert PASSWORD not in repr(found)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert proxy_of(api) is None


async def test_a_server_that_trickles_does_not_hold_up_the_look_at_the_clock() -> None:
    """The time of a look is for the whole of it, whatever a server does meanwhile."""
    async with answering(None) as place:
        found = await look_at_clock(f"http://{place}", 0.05)
    assert (found.state, found.code) == ("fail", Exit.NETWORK)


async def test_what_is_wrong_with_tls_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stranger's certificate, a port without TLS, a silent port and a missing file of authorities differ in words."""
    async with commanding(tls=certified(trustme.CA())) as command:
        stranger = await look_at_tls(command.env["MONITE_BASE_URL"], 20)
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        plain = await look_at_tls(f"https://{place}", 20)
    async with answering(None) as place:
        silent = await look_at_tls(f"https://{place}", 0.05)
    monkeypatch.setattr(tls, "_contexts", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    missing = await look_at_tls("https://127.0.0.1:1", 20)
    assert {one.code for one in (stranger, plain, silent, missing)} == {Exit.NETWORK}
    assert "certificate not accepted" in stranger.text
    assert "WRONG_VERSION_NUMBER" in plain.text
    assert "no connection within" in silent.text
    assert "SSL_CERT_FILE" in missing.advice


async def test_a_certificate_that_ends_soon_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the server has two weeks to hear of it."""
    authority = trustme.CA()
    mine = ssl.create_default_context()
    cast("Any", authority).configure_trust(mine)
    monkeypatch.setattr(tls, "_contexts", {(True, False): mine})
    async with commanding(tls=certified(authority, days=10)) as command:
        found = await look_at_tls(command.env["MONITE_BASE_URL"], 20)
    assert (found.state, "good for 9 d" in found.text) == ("warn", True)


async def test_a_server_that_tells_no_time_or_speaks_no_http() -> None:
    """Without a date there is nothing to compare; without HTTP there is no API."""
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as place:
        assert (await look_at_clock(f"http://{place}", 20)).state == "warn"
    async with answering(b"SSH-2.0-OpenSSH\r\n") as place:
        assert (await look_at_clock(f"http://{place}", 20)).code == Exit.NETWORK


async def test_two_doctors_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    """Who meets another doctor's lease says so, and does not call the store broken."""
    store = await asyncio.to_thread(EncryptedFileTokenStore, tmp_path)
    record = RecordName("d0c7" + "0" * 28, b"other")
    assert isinstance(await store.acquire(record, "other", lease_ms=60_000, bad_gen=0, min_left_ms=0), Granted)
    found = await look_at_store(store)
    assert (found.state, "another doctor" in found.text) == ("warn", True)
    await store.aclose()


async def test_a_store_that_gives_back_something_else_has_failed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that comes back changed is a failure of the store, whatever else works."""
    store = RedisTokenStore.from_url(redis_server.url, namespace="liar", timeout=5)
    acquire = RedisTokenStore.acquire

    async def lie(self: RedisTokenStore, *args: object, **kwargs: object) -> object:
        answer = await acquire(self, *args, **kwargs)  # type: ignore[arg-type]
        return Hit(answer.gen, b"other", answer.lifetime_ms, answer.left_ms) if isinstance(answer, Hit) else answer

    monkeypatch.setattr(RedisTokenStore, "acquire", lie)
    found = await look_at_store(store)
    assert (found.state, found.code) == ("fail", Exit.STORE)
    await store.aclose()
