"""Making connections: names, addresses, TLS, and what every failure is called.

A framing reads nothing before a connection is made, so one engine proves what is said here of both, but for the ends of
connections (``every_engine``).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from monite_async import AsyncMonite, ConnectError, RetryPolicy
from monite_async._http import dial, pool, tls
from monite_async._http.connection import Connection
from monite_async._http.place import Origin
from monite_async._http.transport import PooledTransport, PoolStats, unsent
from tests.http._others import client_side, server_side
from tests.http._servers import Server, answer, both_loops, call, every_engine, read_request, replies, turns, until

OFFERED = ("h2", "http/1.1")
"""What the servers here offer in the handshake: of these the client must take the one it speaks."""
ONCE = RetryPolicy(max_retries=0)
Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority of the test's own."""
    return trustme.CA()


@pytest.fixture
def no_context() -> Iterator[None]:
    """Let the process's TLS context be made anew in this test, and afterwards."""
    before = dict(tls._contexts)
    tls._contexts.clear()
    yield
    tls._contexts.clear()
    tls._contexts.update(before)


def _only(*addresses: tuple[str, int]) -> Any:
    """Return a resolver that knows these addresses and nothing else."""

    async def getaddrinfo(*_args: object, **_options: object) -> Sequence[Found]:
        await asyncio.sleep(0)
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in addresses
        ]

    return getaddrinfo


class Resolving:
    """The running loop with another resolver; the rest of it is the loop's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self.getaddrinfo = _only(*addresses)
        monkeypatch.setattr(dial, "_running_loop", lambda: self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@both_loops
async def test_tls_is_spoken_and_connections_are_kept(authority: trustme.CA) -> None:
    """Over TLS, with certificate and name verified, calls work and share one connection and one handshake."""
    async with (
        Server(replies(answer()), tls=server_side(authority.issue_cert("127.0.0.1"), *OFFERED)) as server,
        PooledTransport(ssl_context=client_side(authority)) as transport,
    ):
        for _ in range(5):
            assert (await call(transport, server.origin)).content == b"ok"
        assert transport.stats() == PoolStats(open=1, idle=1, waiting=0, opened=1)


@both_loops
async def test_large_bodies_cross_tls_both_ways(authority: trustme.CA) -> None:
    """Flow control works with TLS in between: some MiB go up and come back whole."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        writer.write(answer(body))
        await reader.read()

    body = os.urandom(1024) * 3000
    async with (
        Server(handler, tls=server_side(authority.issue_cert("127.0.0.1"), *OFFERED)) as server,
        PooledTransport(ssl_context=client_side(authority)) as transport,
    ):
        assert (await call(transport, server.origin, "POST", content=body)).content == body


@both_loops
async def test_the_shared_context_is_made_once_from_the_environment(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_context: None
) -> None:
    """Without a context of its own a transport takes the process's, which honours SSL_CERT_FILE and is made once."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with (
        Server(replies(answer()), tls=server_side(authority.issue_cert("127.0.0.1"), *OFFERED)) as server,
        PooledTransport() as transport,
        PooledTransport() as second,
    ):
        assert (await call(transport, server.origin)).content == b"ok"
        made = dict(tls._contexts)
        bundle.unlink()
        assert (await call(second, server.origin)).content == b"ok"
        assert list(tls._contexts.values()) == list(made.values()) == [tls._shared()]


@both_loops
async def test_an_unreadable_bundle_is_a_connect_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_context: None
) -> None:
    """An SSL_CERT_FILE that cannot be read fails the call with a clear error and leaves the pool clean."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    async with PooledTransport() as transport:
        with pytest.raises(httpx.ConnectError, match="No such file") as caught:
            await call(transport, "https://127.0.0.1:9/")
        assert unsent(caught.value)
        assert transport.stats().open == 0


def test_the_default_context_verifies_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Certifi's authorities or the environment's, with certificates and host names checked."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    context = tls.make_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 50
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert tls.make_context().cert_store_stats()["x509_ca"] == 0


@both_loops
@pytest.mark.parametrize("fault", ["expired", "unknown", "name"])
async def test_a_bad_certificate_is_a_clear_connect_error(authority: trustme.CA, fault: str) -> None:
    """An expired or untrusted certificate, or one for another host, fails as ConnectError that says so; unsent."""
    now = dt.datetime.now(dt.UTC)
    certificate, text = {
        "expired": (
            authority.issue_cert("127.0.0.1", not_after=now - dt.timedelta(days=1)),
            "certificate has expired",
        ),
        "unknown": (trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
        "name": (authority.issue_cert("other.test"), "IP address mismatch"),
    }[fault]
    async with (
        Server(replies(answer()), tls=server_side(certificate, *OFFERED)) as server,
        PooledTransport(ssl_context=client_side(authority)) as transport,
    ):
        with pytest.raises(httpx.ConnectError, match=text) as caught:
            await call(transport, server.origin)
        assert unsent(caught.value)
        assert transport.stats() == PoolStats(0, 0, 0, 0)
        await until(lambda: server.open == 0)


@both_loops
async def test_a_context_that_offers_http2_is_a_clear_connect_error(authority: trustme.CA) -> None:
    """An HTTP/2 client that uses the same context changes what it offers; the failure says so, and nothing was sent."""
    context = client_side(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])  # as httpx does with a context that it is given
    server_tls = server_side(authority.issue_cert("127.0.0.1"), *OFFERED)
    async with Server(replies(answer()), tls=server_tls) as server, PooledTransport(ssl_context=context) as transport:
        with pytest.raises(httpx.ConnectError, match="a context that no HTTP/2 client uses") as caught:
            await call(transport, server.origin)
        assert unsent(caught.value)
        assert transport.stats().open == 0
        context.set_alpn_protocols(["http/1.1"])
        assert (await call(transport, server.origin)).content == b"ok"


@both_loops
async def test_a_plain_server_on_a_tls_port_is_a_clear_connect_error(authority: trustme.CA) -> None:
    """A server that does not speak TLS is reported as such, and so is one that hangs up."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async def rude(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with (
        Server(plain) as talker,
        Server(rude) as quitter,
        PooledTransport(ssl_context=client_side(authority)) as transport,
    ):
        with pytest.raises(httpx.ConnectError, match="does not speak TLS"):
            await call(transport, talker.origin.replace("http:", "https:"))
        with pytest.raises(httpx.ConnectError) as caught:
            await call(transport, quitter.origin.replace("http:", "https:"))
        assert unsent(caught.value)
        assert transport.stats().open == 0


@both_loops
async def test_a_refused_handshake_is_a_connect_error(authority: trustme.CA) -> None:
    """A server that refuses the handshake with an alert: the error names the alert."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # a TLS record: fatal alert, handshake_failure
        await reader.read()

    async with Server(handler) as server, PooledTransport(ssl_context=client_side(authority)) as transport:
        with pytest.raises(httpx.ConnectError, match=r"TLS handshake .* failed: .*alert handshake failure"):
            await call(transport, server.origin.replace("http:", "https:"))


@every_engine
async def test_a_body_until_close_needs_the_tls_farewell(authority: trustme.CA) -> None:
    """Over TLS a body that ends with the connection is whole only with close_notify: a cut one is an error."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall")
        await turns(20)
        if head.startswith(b"GET /polite"):
            writer.close()
            await reader.read()
        else:
            writer.transport.abort()

    async with (
        Server(handler, tls=server_side(authority.issue_cert("127.0.0.1"), *OFFERED)) as server,
        PooledTransport(ssl_context=client_side(authority)) as transport,
    ):
        assert (await call(transport, f"{server.origin}/polite")).content == b"all"
        with pytest.raises(httpx.ReadError):
            await call(transport, f"{server.origin}/rude")
        assert transport.stats().open == 0


@both_loops
async def test_a_refused_connection_is_a_connect_error() -> None:
    """Nobody listens: ConnectError with the reason, unsent, nothing left open."""
    async with PooledTransport() as transport:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(httpx.ConnectError, match=f"No connection to {host}") as caught:
                await call(transport, f"http://{host}:{_closed_port()}/")
            assert unsent(caught.value)
        assert transport.stats() == PoolStats(0, 0, 0, 0)


@both_loops
async def test_a_server_that_does_not_accept_is_a_connect_timeout() -> None:
    """A full backlog: ConnectTimeout after the request's limit or the transport's, whichever is shorter."""
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        filler.connect(address)
        url = f"http://127.0.0.1:{address[1]}/"
        async with PooledTransport(connect_timeout=0.05) as transport:
            with pytest.raises(httpx.ConnectTimeout, match=r"within 0\.02 s") as caught:
                await call(transport, url, connect=0.02)
            assert unsent(caught.value)
            for work in (call(transport, url), call(transport, url, connect=60), call(transport, url, connect=None)):
                with pytest.raises(httpx.ConnectTimeout, match=r"within 0\.05 s"):
                    await work
            assert transport.stats().open == 0


class Watching(PooledTransport):
    """A transport that looks at each request."""

    seen = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen += 1
        return await super().handle_async_request(request)


@both_loops
@pytest.mark.parametrize("make", [PooledTransport, Watching])
async def test_a_client_keeps_to_the_limit_of_its_transport(
    make: type[PooledTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transport's own limit for connecting bounds the calls of a client, also where a subclass sees each of them."""
    limits: list[float | None] = []

    async def noted(origin: Origin, connect: Any, *, timeout: float | None, **rest: Any) -> Connection:
        limits.append(timeout)
        return await dial.dial(origin, connect, timeout=timeout, **rest)

    monkeypatch.setattr(pool, "dial", noted)
    for seconds in (0.05, 7.5):
        transport = make(connect_timeout=seconds)
        place = f"http://127.0.0.1:{_closed_port()}/v1"
        async with AsyncMonite(token="t" * 40, base_url=place, transport=transport, retry=ONCE) as monite:
            with pytest.raises(ConnectError):
                await monite.request("GET", "/things")
        assert getattr(transport, "seen", 1) == 1
        await transport.aclose()
    assert limits == [0.05, 7.5]


@both_loops
async def test_a_handshake_that_stalls_is_a_connect_timeout(authority: trustme.CA) -> None:
    """The connect limit covers the TLS handshake; nothing stays open on either side."""

    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with Server(mute) as server, PooledTransport(ssl_context=client_side(authority)) as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await call(transport, server.origin.replace("http:", "https:"), connect=0.2)
        assert transport.stats().open == 0
        await until(lambda: server.accepted == 1 and server.open == 0)


@both_loops
async def test_a_kernel_timeout_without_a_limit_is_a_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operating system gives up first, the failure is a ConnectTimeout all the same."""

    async def refuse(_host: str, _port: int) -> socket.socket:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(dial, "_open", refuse)
    async with PooledTransport() as transport:
        with pytest.raises(httpx.ConnectTimeout, match="timed out"):
            await call(transport, "http://127.0.0.1:9/", connect=None)


@both_loops
async def test_a_name_that_cannot_be_resolved_is_a_connect_error() -> None:
    """An unknown or impossible host name is a ConnectError that names it."""
    async with PooledTransport() as transport:
        with pytest.raises(httpx.ConnectError, match=r"nowhere\.invalid") as caught:
            await call(transport, "http://nowhere.invalid/")
        assert unsent(caught.value)
        with pytest.raises(httpx.ConnectError, match="not the name of a host"):
            await call(transport, f"http://{'a' * 70}.test/")
        assert transport.stats().open == 0


@both_loops
async def test_ipv6_literals_work() -> None:
    """An address in brackets is used as it is."""
    async with Server(replies(answer()), host="::1") as server, PooledTransport() as transport:
        assert (await call(transport, f"http://[::1]:{server.port}/")).content == b"ok"


@both_loops
async def test_the_next_address_is_tried_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with several addresses works as long as one of them does (RFC 8305)."""
    async with Server(replies(answer())) as server, PooledTransport() as transport:
        Resolving(monkeypatch, ("127.0.0.1", _closed_port()), ("127.0.0.2", _closed_port()), ("127.0.0.1", server.port))
        assert (await call(transport, "http://name.test/")).content == b"ok"
        assert transport.stats().open == server.accepted == 1


@both_loops
async def test_a_name_whose_addresses_all_fail_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every address refused the call fails, and so does a name without any address."""
    async with PooledTransport() as transport:
        for addresses in ([("127.0.0.1", _closed_port()), ("127.0.0.1", _closed_port())], []):
            Resolving(monkeypatch, *addresses)
            with pytest.raises(httpx.ConnectError):
                await call(transport, "http://name.test/")
        assert transport.stats().open == 0


@both_loops
async def test_a_mute_address_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not answer has a head start only; the loser's socket is closed, not leaked."""
    monkeypatch.setattr(dial, "_EYEBALLS_DELAY", 0.01)
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        async with Server(replies(answer())) as server, PooledTransport() as transport:
            Resolving(monkeypatch, listener.getsockname(), ("127.0.0.1", server.port))
            assert (await call(transport, "http://name.test/")).content == b"ok"


@both_loops
async def test_a_mute_address_is_waited_for_when_the_others_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every other address refused, the mute one has until the connect limit."""
    monkeypatch.setattr(dial, "_EYEBALLS_DELAY", 0.001)
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        async with PooledTransport() as transport:
            Resolving(monkeypatch, listener.getsockname(), ("127.0.0.1", _closed_port()))
            with pytest.raises(httpx.ConnectTimeout):
                await call(transport, "http://name.test/", connect=0.05)


@every_engine
async def test_a_connection_found_dead_before_the_request_is_unsent() -> None:
    """A new connection that the server closed before the first byte was written is an error, and unsent."""

    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with Server(hang_up) as server, PooledTransport() as transport:
        pool = transport.native.pool()
        dialling = pool._dial

        async def late(origin: Origin, timeout: float | None) -> Connection:
            connection = await dialling(origin, timeout)
            await until(lambda: not connection.fresh())
            await turns(5)
            return connection

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(pool, "_dial", late)
            with pytest.raises(httpx.RemoteProtocolError, match="before the request was sent") as caught:
                await call(transport, server.origin)
        assert unsent(caught.value)
        assert transport.stats().open == 0


@both_loops
async def test_a_race_may_be_cancelled_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling while addresses race closes every socket, the winner's too when it comes late."""
    monkeypatch.setattr(dial, "_EYEBALLS_DELAY", 1e-9)
    async with Server(replies(answer())) as server:
        for steps in range(40):
            async with PooledTransport() as transport:
                Resolving(monkeypatch, ("127.0.0.1", server.port), ("127.0.0.1", server.port))
                task = asyncio.create_task(call(transport, "http://name.test/"))
                await turns(steps)
                task.cancel()
                await asyncio.wait([task])
                assert transport.stats().open == transport.stats().idle
        await until(lambda: server.open == 0)


def test_families_take_turns() -> None:
    """Addresses of the two families alternate, the resolver's favourite first (RFC 8305, section 4)."""

    async def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        Resolving(monkeypatch, ("::1", 1), ("::2", 1), ("::3", 1), ("127.0.0.1", 1))
        return [address[0] for _, address in await dial._resolve("name.test", 1)]

    with pytest.MonkeyPatch.context() as monkeypatch, asyncio.Runner() as runner:
        assert runner.run(order(monkeypatch)) == ["::1", "127.0.0.1", "::2", "::3"]


def test_other_failures_are_not_unsent() -> None:
    """Whatever the transport knows nothing about is not declared unsent; failures to connect always are."""
    assert not unsent(httpx.ReadTimeout("x"))
    assert not unsent(KeyError("x"))
    assert unsent(httpx.ConnectTimeout("x"))


def test_the_default_bound_leaves_files_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process may open few files, the pool takes half of them at most; otherwise a thousand connections."""
    import resource

    soft = 0

    def getrlimit(_: int) -> tuple[int, int]:
        return soft, soft

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    for soft, most in ((256, 128), (4, 8), (100_000, 1000), (resource.RLIM_INFINITY, 1000)):  # noqa: B007 - read above
        assert PooledTransport().native.max_connections == most
