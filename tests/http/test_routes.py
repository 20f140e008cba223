"""Proxies, HTTP/2 and client certificates, each with a real peer; everything else takes the own connections."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import warnings
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import trustme

from monite_async import AsyncMonite, ConfigurationError, ConnectError, RetryPolicy, TransportError
from monite_async._http import routes
from monite_async._http.body import EMPTY
from monite_async._http.exchange import Head, Lost, Outgoing
from monite_async._http.native import Native
from monite_async._http.routes import Routes
from tests.http._others import TOKEN, Proxy, client_side, http2, server_side
from tests.http._servers import LOOPS, Factory, Server, answer, both_loops, read_request, replies, server_thread, until
from tests.scripted import CLIENT_ID, CLIENT_SECRET

ITEM = {"id": "1"}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without what this machine may have."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority of the test's own."""
    return trustme.CA()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve tokens and one small object."""
    while True:
        head, _ = await read_request(reader)
        writer.write(answer(TOKEN) if b"/auth/token" in head else answer(b'{"id": "1"}'))


def client(server: Server, **options: Any) -> AsyncMonite:
    """Return a client of a server on loopback that tries once."""
    settings: dict[str, Any] = {
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "base_url": f"{server.origin}/v1",
        "retry": RetryPolicy(max_retries=0),
    }  # fmt: skip
    return AsyncMonite(**{**settings, **options})


async def streamed(monite: AsyncMonite) -> bytes:
    """Return an answer that is read piece by piece."""
    async with monite.stream("GET", "/file") as response:
        return b"".join([piece async for piece in response])


@both_loops
async def test_a_proxy_carries_tokens_calls_and_streams() -> None:
    """With ``proxy=`` every request goes through it, with the user and password that its URL names."""
    proxy = Proxy("user:canary")
    async with Server(serve) as server, Server(proxy) as way:
        url = way.origin.replace("http://", "http://user:canary@")
        async with client(server, proxy=url) as monite:
            assert await monite.request("GET", "/things") == ITEM
            assert await monite.request("POST", "/things", json={"a": 1}) == ITEM
            assert await streamed(monite) == b'{"id": "1"}'
            assert "canary" not in f"{monite._core.engine.carrier!r}{monite._core.post.carrier!r}"
        assert proxy.seen[0] == f"POST {server.origin}/v1/auth/token"
        assert f"GET {server.origin}/v1/things" in proxy.seen


@both_loops
async def test_a_proxy_tunnels_tls(authority: trustme.CA) -> None:
    """A server behind TLS is reached through CONNECT, and its certificate is checked at this end."""
    proxy = Proxy()
    tls = server_side(authority.issue_cert("127.0.0.1"))
    async with Server(serve, tls=tls) as server, Server(proxy) as way:
        async with client(server, proxy=way.origin, ssl_context=client_side(authority)) as monite:
            assert await monite.request("GET", "/things") == ITEM
        assert set(proxy.seen) == {f"CONNECT 127.0.0.1:{server.port}"}
        async with client(server, proxy=way.origin) as stranger:
            with pytest.raises(ConnectError, match="certificate"):
                await stranger.request("GET", "/things")


@both_loops
async def test_the_environment_names_a_proxy_unless_it_is_not_to_be_trusted() -> None:
    """HTTP_PROXY counts; NO_PROXY and ``trust_env=False`` let the own connections carry the call."""
    proxy = Proxy()
    async with Server(serve) as server, Server(proxy) as way:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("HTTP_PROXY", way.origin)
            async with client(server) as monite, client(server, trust_env=False) as plain:
                assert await monite.request("GET", "/things") == ITEM
                count = len(proxy.seen)
                assert count > 0
                assert await plain.request("GET", "/things") == ITEM
                assert isinstance(plain._core.engine.carrier, Native)
            environment.setenv("NO_PROXY", "localhost, 127.0.0.1")
            async with client(server) as monite:
                assert isinstance(monite._core.engine.carrier, Routes)
                assert await monite.request("GET", "/things") == ITEM
                assert await streamed(monite) == b'{"id": "1"}'
        assert len(proxy.seen) == count


@pytest.mark.parametrize(
    "url", ["ftp://u:canary@h:1", "http://u:canary@xn--", "http://u:canary@h:99999", "http://", "://x"]
)
@pytest.mark.parametrize("transport", [None, "fast"])
def test_a_bad_proxy_of_the_environment_is_told_at_once(
    url: str, transport: Literal["fast"] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that cannot be one fails the client and names its variable, unless the environment is not asked."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    settings: dict[str, Any] = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "transport": transport}
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY of the environment") as caught:
        AsyncMonite(**settings)
    assert "canary" not in repr(caught.value)
    AsyncMonite(**settings, trust_env=False)
    AsyncMonite(**settings, proxy="http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    AsyncMonite(**settings)


@both_loops
async def test_a_proxy_that_refuses_is_an_error_without_its_password(authority: trustme.CA) -> None:
    """A refusal of the proxy is a transport error that does not repeat the URL of the proxy."""
    tls = server_side(authority.issue_cert("127.0.0.1"))
    async with Server(serve, tls=tls) as server, Server(Proxy("user:right")) as way:
        url = way.origin.replace("http://", "http://user:canary@")
        async with client(server, proxy=url, ssl_context=client_side(authority)) as monite:
            with pytest.raises(TransportError) as caught:
                await monite.request("GET", "/things")
    assert "canary" not in f"{caught.value!r}{caught.value}"


@both_loops
async def test_http2_is_spoken_where_the_server_does(authority: trustme.CA) -> None:
    """With ``http2=True`` calls at once share one connection; a server without HTTP/2 is served as ever."""
    seen: list[str] = []
    certificate, trust = authority.issue_cert("127.0.0.1"), client_side(authority)
    async with (
        Server(http2(b'{"id": "1"}', seen), tls=server_side(certificate, "h2", "http/1.1")) as modern,
        Server(serve, tls=server_side(certificate)) as old,
    ):
        async with client(modern, http2=True, ssl_context=trust) as monite:
            assert await monite.request("GET", "/first") == ITEM
            calls = [monite.request("GET", f"/{number}") for number in range(20)]
            assert await asyncio.gather(*calls) == [ITEM] * 20
        assert len(seen) == 22
        assert modern.accepted == 2  # one for tokens, one for calls
        async with client(old, http2=True, ssl_context=trust) as monite:
            assert await monite.request("GET", "/things") == ITEM


@both_loops
async def test_a_bundle_that_cannot_be_read_is_a_connect_error() -> None:
    """Certificate authorities that the environment names and that are not there fail the call, not the client."""
    async with Server(serve) as server:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SSL_CERT_FILE", "/nowhere.pem")
            async with client(server, http2=True) as monite:
                for work in (monite.request("GET", "/x", cast_to=bytes), streamed(monite)):
                    with pytest.raises(ConnectError, match="TLS context"):
                        await work


async def test_calls_after_the_end_are_refused() -> None:
    """A closed client sends nothing through a proxy either, and closing twice does no harm."""
    async with Server(serve) as server:
        monite = client(server, proxy="http://127.0.0.1:9")
        carrier = monite._core.engine.carrier
        await monite.aclose()
        await monite.aclose()
        assert repr(carrier) == "<Routes>"
        place = monite._core.engine.place
        outgoing = Outgoing("GET", place, b"/", Head(((b"host", place.authority),)), EMPTY)
        for way in (carrier.exchange, carrier.open):
            outcome = await way(outgoing, None, until=asyncio.get_running_loop().time() + 9, max_bytes=9)
            assert isinstance(outcome, Lost)
            assert outcome.unsent


def test_each_loop_has_transports_of_its_own() -> None:
    """A client that goes through a proxy serves loop after loop, and each loop's end closes what it opened."""

    async def main(held: list[AsyncMonite]) -> None:
        proxy = Proxy()
        async with Server(serve) as server, Server(proxy) as way:
            monite = client(server, proxy=way.origin)
            held.append(monite)
            assert await monite.request("GET", "/things") == ITEM
            carrier = monite._core.engine.carrier
            assert isinstance(carrier, Routes)
            assert len(carrier._loops) == 1
            await asyncio.get_running_loop().shutdown_asyncgens()
            assert not carrier._loops
            await until(lambda: way.open == 0)

    for _ in range(2):
        asyncio.run(main([]))


def counted(proxy: Server) -> AsyncMonite:
    """Return a client of a server that its proxy stands in for; it needs no token request."""
    return AsyncMonite(token="t" * 40, base_url="http://localhost:9/v1", proxy=proxy.origin)


async def count(monite: AsyncMonite) -> object:
    """Return what the proxy has counted."""
    return await monite.request("GET", "/things", cast_to=bytes)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_loop_closed_without_farewell_is_forgotten() -> None:
    """What goes through a proxy on loop after loop, each just closed, does not pile up."""
    with server_thread() as (proxy, _):
        monite = counted(proxy)
        carrier = monite._core.engine.carrier
        assert isinstance(carrier, Routes)
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(count(monite))
            loop.close()
            assert list(carrier._loops) == list(carrier._guards) == [loop]
        del monite, carrier
        gc.collect()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("factory", list(LOOPS.values()), ids=list(LOOPS))
def test_a_forked_child_goes_through_the_proxy_anew(factory: Factory) -> None:
    """After a fork the child opens connections of its own and closes none of the parent's, which goes on with its own."""
    with server_thread() as (proxy, _), asyncio.Runner(loop_factory=factory) as runner:
        held = [counted(proxy)]
        assert runner.run(count(held[0])) == b"1"
        child = os.fork()
        if child == 0:
            os._exit(_in_child(factory, held))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(count(held[0])) == b"3"
        assert proxy.accepted == 2
        runner.run(held[0].aclose())


async def test_ways_are_forgotten_after_a_fork_but_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child does about its parent's ways: it keeps them open, and opens others."""
    monkeypatch.setattr(routes, "_ORPHANS", [])
    async with Server(replies(answer(b"1"))) as proxy:
        monite = counted(proxy)
        carrier = monite._core.engine.carrier
        assert isinstance(carrier, Routes)
        assert await count(monite) == b"1"
        before = carrier._loops, carrier._guards
        carrier.after_fork_in_child()  # in this very process, which plays the child
        assert [before] == routes._ORPHANS
        assert await count(monite) == b"1"
        assert proxy.open == 2
        await monite.aclose()
        for guard in before[1].values():
            await guard.aclose()


def _in_child(factory: Factory, held: list[AsyncMonite]) -> int:
    """Use the client and let go of it; the exit status tells what went wrong."""
    try:
        asyncio._set_running_loop(None)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with asyncio.Runner(loop_factory=factory) as runner:
                found = runner.run(count(held[0]))
                runner.run(held.pop().aclose())
            gc.collect()
        return 0 if (found, told) == (b"2", []) else 2
    except BaseException:
        return 3


@both_loops
async def test_a_client_certificate_is_shown(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that wants a certificate of its client gets the one in ``ssl_context``."""
    tls = server_side(authority.issue_cert("127.0.0.1"))
    tls.verify_mode = ssl.CERT_REQUIRED
    cast("Any", authority).configure_trust(tls)
    own = client_side(authority)
    cast("Any", authority.issue_cert("client.test")).configure_cert(own)
    async with Server(serve, tls=tls) as server:
        async with client(server, ssl_context=own) as monite:
            assert await monite.request("GET", "/things") == ITEM
        async with client(server, ssl_context=client_side(authority)) as stranger:
            with pytest.raises(TransportError):
                await stranger.request("GET", "/things")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"transport": "slow"}, "or 'fast'"),
        ({"transport": 3}, "got int"),
        ({"proxy": "canary"}, "proxy must be a URL"),
        ({"proxy": "ftp://user:canary@proxy"}, "proxy must be a URL"),
        ({"proxy": "http://user:canary@proxy:port"}, "proxy must be a URL"),
        ({"proxy": "http://user:canary@proxy:0"}, "proxy must be a URL"),
        ({"proxy": 3}, "proxy must be a URL"),
        ({"http2": "yes"}, "http2 must be"),
        ({"trust_env": None}, "trust_env must be"),
        ({"ssl_context": True}, "ssl_context must be"),
        ({"transport": "fast", "http2": True}, "speaks HTTP/1.1"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_at_once(wrong: dict[str, Any], match: str) -> None:
    """Whatever cannot work is refused by the constructor, with no password in the text."""
    with pytest.raises(ConfigurationError, match=match) as caught:
        AsyncMonite(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, **wrong)
    assert "canary" not in str(caught.value)


def test_a_transport_brings_its_own_connections() -> None:
    """A transport that is passed cannot be given a proxy, a context or HTTP/2 from outside."""
    import httpx

    for more in ({"proxy": "http://proxy"}, {"http2": True}, {"ssl_context": ssl.create_default_context()}):
        options: dict[str, Any] = {"transport": httpx.MockTransport(lambda _: httpx.Response(200)), **more}
        with pytest.raises(ConfigurationError, match="set them there"):
            AsyncMonite(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, **options)


@pytest.mark.parametrize(
    ("module", "options", "match"),
    [
        ("h2", {"http2": True}, r"monite-async\[http2\]"),
        ("socksio", {"proxy": "socks5://proxy:1080"}, r"httpx\[socks\]"),
        ("httptools", {"transport": "fast"}, r"monite-async\[fast\]"),
    ],
)
def test_what_is_not_installed_is_named(
    module: str, options: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a package is missing, the error says which extra brings it."""
    import importlib.util
    import sys

    def missing(name: str) -> None:
        assert name == module

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "monite_async._http.framing_llhttp", raising=False)
    with pytest.raises(ConfigurationError, match=match):
        AsyncMonite(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, **options)


async def test_certificates_of_the_environment_only_when_it_is_trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``trust_env=False`` SSL_CERT_FILE has no say."""
    from monite_async._http import tls

    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(tls, "_contexts", {})
    async with Server(serve, tls=server_side(authority.issue_cert("127.0.0.1"))) as server:
        async with client(server) as monite:
            assert await monite.request("GET", "/things") == ITEM
        async with client(server, trust_env=False) as stranger:
            with pytest.raises(ConnectError, match="certificate"):
                await stranger.request("GET", "/things")
