"""The emulator behind a real socket, in this process and in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
import trustme

from monite_async.emulator import Emulator, EmulatorSettings, Remote, launch, listen
from monite_async.emulator.__main__ import main
from tests.emulator.drive import Driver, driving, ids


@contextlib.asynccontextmanager
async def served(settings: EmulatorSettings | None = None) -> AsyncGenerator[tuple[Emulator, Driver], None]:
    """Serve a fresh emulator on a socket of the test's own loop, with a driver on it."""
    emulator = Emulator(settings)
    async with listen(emulator) as base_url, httpx.AsyncClient(base_url=base_url, trust_env=False) as http:
        driver = Driver(http, emulator.settings.client_id, emulator.settings.client_secret)
        await driver.make_entity()
        yield emulator, driver


async def raw(base_url: str, data: bytes) -> bytes:
    """Send bytes to the server and return all that it answers."""
    url = httpx.URL(base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_the_same_state_machine_answers_over_a_socket() -> None:
    """Calls over a socket do what calls in process do, connections are kept, files can be fetched."""
    async with served() as (emulator, driver):
        payable = await driver.make_payable()
        assert ids(await driver.ask("GET", "/payables", query={"document_id": "ä&=?"})) == []
        assert ids(await driver.ask("GET", "/payables")) == [payable]
        await driver.ask("DELETE", f"/payables/{payable}", expect=204)
        logo = await driver.ask(
            "PUT", f"/entities/{driver.entity_id}/logo", file=("l.png", b"\x89PNG" * 99_999, "image/png")
        )
        assert str(logo["url"]).startswith(emulator.origin)
        assert (await driver.http.get(str(logo["url"]))).content == b"\x89PNG" * 99_999
        assert (await driver.send("HEAD", "/payables")).status_code == 405


async def test_faults_of_the_connection_work_over_a_socket() -> None:
    """Refused, dropped, truncated, delayed, held and huge answers look over a socket as they should."""
    async with served() as (emulator, driver):
        for drop in ("refuse", "before", "after"):
            emulator.fail("GET", drop=drop)
            with pytest.raises(httpx.TransportError):
                await driver.send("GET", "/entities")
        emulator.fail("GET", truncate=5)
        with pytest.raises(httpx.RemoteProtocolError):
            await driver.send("GET", "/entities")
        emulator.fail("GET", stream=3_000_000, latency=0.001)
        assert len((await driver.send("GET", "/entities")).content) == 3_000_000
        fault = emulator.fail("GET", hold=True)
        call = asyncio.ensure_future(driver.send("GET", "/entities"))
        await fault.holding()
        fault.release()
        assert (await call).status_code == 200


async def test_what_is_no_http_is_refused_and_harms_nobody() -> None:
    """Garbage is answered 400, half a request ends quietly, and the next client is served."""
    async with served() as (emulator, driver):
        assert (await raw(emulator.base_url, b"\x16\x03\x01\r\n\r\n")).startswith(b"HTTP/1.1 400")
        url = httpx.URL(emulator.base_url)
        for half in (b"", b"POST /v1/payables HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"):
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(half)
            writer.close()
            await writer.wait_closed()
        await driver.ask("GET", "/entities")


async def test_a_client_may_wait_for_leave_to_send_its_body_and_may_close() -> None:
    """``Expect: 100-continue`` gets its interim answer; ``Connection: close`` ends the connection after the answer."""
    async with served() as (emulator, _):
        body = json.dumps({"a": 1}).encode()
        url = httpx.URL(emulator.base_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST /v1/auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        writer.write(head.encode() + b"x-monite-version: 2024-05-25\r\nexpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert (await reader.read()).startswith(b"HTTP/1.1 422")
        writer.close()
        await writer.wait_closed()


async def test_a_body_above_the_limit_is_not_kept() -> None:
    """A body beyond the limit is the gateway's 413, and the connection is good for the next request."""
    async with served(EmulatorSettings(max_body=1_000_000)) as (_, driver):
        response = await driver.send("POST", "/payables", {"description": "x" * 3_000_000})
        assert (response.status_code, response.json()) == (413, {"message": "Request size limit exceeded"})
        await driver.make_payable()


async def test_the_server_speaks_tls_when_told() -> None:
    """With a certificate the base URL is https, and a client that trusts it is served."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cast("Any", authority.issue_cert("127.0.0.1")).configure_cert(context)  # typed for pyOpenSSL too
    trusting = ssl.create_default_context()
    cast("Any", authority).configure_trust(trusting)
    emulator = Emulator()
    async with listen(emulator, tls=context) as base_url:
        assert base_url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(base_url=base_url, verify=trusting, trust_env=False) as http:
            driver = Driver(http, emulator.settings.client_id, emulator.settings.client_secret)
            await driver.make_entity()


async def test_a_thousand_connections_are_served_at_once() -> None:
    """A thousand connections, all held at the same moment, are all answered."""
    async with served() as (emulator, driver):
        token = await driver.token()
        fault = emulator.fail("GET", "/entities", hold=True, times=None)
        head = f"GET /v1/entities HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n"
        request = head.encode() + b"x-monite-version: 2024-05-25\r\n\r\n"
        calls = [asyncio.ensure_future(raw(emulator.base_url, request)) for _ in range(1000)]
        await fault.holding(1000)
        fault.release()
        answers = await asyncio.gather(*calls)
        assert {answer[:15] for answer in answers} == {b"HTTP/1.1 200 \r\n"}


async def test_a_process_of_its_own_is_driven_from_outside() -> None:
    """``launch`` starts the module, its ready line leads clients there, ``Remote`` moves clock, faults, log and state."""
    arguments = ("--port", "0", "--client-secret", "other", "--settings", '{"ocr_seconds": 1, "user_lifetime": 60}')
    async with launch(arguments) as remote:
        options = remote.client_options()
        assert options["client_secret"] == "other"
        assert "other" not in repr(remote)
        async with httpx.AsyncClient(base_url=options["base_url"], trust_env=False) as http:
            driver = Driver(http, options["client_id"], options["client_secret"])
            await driver.make_entity()
            await use_all_controls(remote, driver)
    assert remote.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(remote.pid, 0)


async def test_the_controls_work_in_process_too() -> None:
    """``Remote`` over the in-process transport does the same as over a socket."""
    async with driving() as (emulator, driver):
        emulator.configure({"user_lifetime": 60})
        async with Remote(emulator.base_url, transport=emulator.transport) as remote:
            await use_all_controls(remote, driver)


async def use_all_controls(remote: Remote, driver: Driver) -> None:
    """Use every control once and look at what it did."""
    start = await remote.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert start - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(hours=1)
    frozen = await remote.clock.freeze()
    assert await remote.clock.advance(10) == frozen + timedelta(seconds=10) == await remote.clock.now()
    assert await remote.clock.unfreeze() >= frozen
    driver.forget()
    user = await driver.make_user("ann")
    await driver.token(user)
    snapshot = await remote.snapshot()

    assert (await remote.settings())["user_lifetime"] == 60
    assert "client_secret" not in await remote.configure(rate_limit=30_000)
    outage = await remote.token_endpoint_down(None, times=1)
    with pytest.raises(httpx.TransportError):
        await driver.grant()
    assert (await outage.hits(), await outage.held()) == (1, 0)
    held = await remote.fail("GET", "/entities", hold=True)
    await held.release()
    await driver.ask("GET", "/entities")
    await outage.remove()
    listed = await remote.call("GET", "/faults")
    assert listed == {"data": [{"id": held.id, "hits": 1, "held": 0}]}
    await remote.clear_faults()
    assert (await remote.call("GET", "/faults"))["data"] == []

    assert await remote.count("GET", "/entities", status=200) == 1
    entries = await remote.log("POST", "/auth/token", limit=1)
    assert [(entry.status, entry.operation) for entry in entries] == [(0, "post_auth_token")]
    assert (await remote.issued())[f"entity_user:{user}"] == 1
    assert (await remote.statuses())[0] == 1
    await remote.clear_log()
    assert await remote.count() == 0

    assert await remote.revoke_tokens(f"entity_user:{user}") == 1
    await remote.restore(snapshot)
    assert (await driver.send("GET", "/entity_users/me", user=user)).status_code == 200
    await remote.reset()
    assert await remote.issued() == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "complaint"),
    [
        ("GET", "/nothing", None, "no control"),
        ("POST", "/clock", {}, "advance, set or freeze"),
        ("POST", "/clock", {"advance": "an hour"}, "number of seconds"),
        ("POST", "/clock", {"set": "noon"}, "Invalid isoformat"),
        ("POST", "/faults", {"colour": "red"}, "no colour in Fault"),
        ("POST", "/faults", {"drop": "sometimes"}, "drop: Input should be"),
        ("GET", "/faults/99", None, "no such fault"),
        ("GET", "/faults/x", None, "no such fault"),
        ("POST", "/faults/1/press", None, "release"),
        ("GET", "/log?colour=red", None, "colour"),
        ("PATCH", "/settings", {"max_body": -1}, "max_body must be positive"),
        ("POST", "/restore", {"id": "x"}, "no such snapshot"),
        ("GET", "/files/x", None, "no such file"),
    ],
)
async def test_a_wrong_control_says_what_is_wrong(method: str, path: str, body: object, complaint: str) -> None:
    """The controls refuse what they do not understand, in words."""
    async with driving() as (emulator, _), Remote(emulator.base_url, transport=emulator.transport) as remote:
        with pytest.raises(ValueError, match=complaint):
            await remote.call(method, path, body)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the module until it ends by itself."""
    command = [sys.executable, "-m", "monite_async.emulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--host", "0.0.0.0"), "not a loopback address"),
        (("--host", "emulator.test"), "not a loopback address"),
        (("--client-id", "me"), "not a UUID"),
        (("--settings", '{"colour": 1}'), "no colour"),
        (("--settings", "{"), "Expecting"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument ends the command with status 2 and a sentence that names it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    output = capsys.readouterr()
    assert (ended.value.code, output.out) == (2, "")
    assert complaint in output.err


async def test_a_port_in_use_is_said_in_one_line() -> None:
    """When the port is taken the command ends with status 1, without a traceback."""
    async with listen(Emulator()) as base_url:
        ended = await asyncio.to_thread(run, "--port", str(httpx.URL(base_url).port))
        assert (ended.returncode, "cannot listen" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)
        with pytest.raises(RuntimeError, match="ended with status 1"):
            async with launch(("--port", str(httpx.URL(base_url).port))):
                raise AssertionError("the emulator cannot have started")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_the_server_cleanly_with_connections_open(number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the process with status 0 and no words, idle and waiting connections notwithstanding."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monite_async.emulator",
        "--port",
        "0",
        "--host",
        "localhost",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    assert set(ready) == {"base_url", "client_id", "client_secret", "pid"}
    assert ready["pid"] == process.pid
    async with Remote(ready["base_url"]) as remote:
        await remote.fail("GET", hold=True)
        reader, writer = await asyncio.open_connection("localhost", httpx.URL(ready["base_url"]).port)
        writer.write(b"GET /v1/entities HTTP/1.1\r\nhost: x\r\n\r\n")
        while (await remote.call("GET", "/faults/1"))["held"] != 1:
            continue
        process.send_signal(number)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
