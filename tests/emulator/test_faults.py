"""Faults that tests order, the log, snapshots: what the emulator offers to those who test against it."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from monite_async.emulator import Emulator
from tests.emulator.drive import driving, ids, message


async def test_faults_strike_so_often_in_order_and_then_no_more() -> None:
    """Each fault strikes as often as ordered, the one ordered first before the next, and skips what it is told to."""
    async with driving() as (emulator, driver):
        first = emulator.fail("GET", "/entities", status=503, times=2, skip=1)
        emulator.fail("GET", "/entities", status=500, skip=1)
        statuses = [(await driver.send("GET", "/entities")).status_code for _ in range(6)]
        assert statuses == [200, 503, 503, 500, 200, 200]
        assert (first.hits, len(emulator.faults)) == (2, 2)


async def test_faults_match_by_any_fact_of_the_request() -> None:
    """Path template, path, pattern, operation, kind of token, user and entity each narrow a fault down."""
    async with driving() as (emulator, driver):
        user = await driver.make_user("ann")
        payable = await driver.make_payable()
        await driver.token(user)
        path = f"/payables/{payable}"
        matching = (
            emulator.fail(path="/payables/{payable_id}", status=500),
            emulator.fail(path=path, status=500),
            emulator.fail(path="/payables/*", status=500),
            emulator.fail(operation="get_payables_id", status=500),
            emulator.fail(token="client_credentials", status=500),
            emulator.fail(entity_id=driver.entity_id, status=500),
            emulator.fail("get", status=500),
        )
        others = (
            emulator.fail(token="entity_user", status=500),
            emulator.fail(user_id=user, status=500),
            emulator.fail("POST", status=500),
            emulator.fail(path="/payables", status=500),
            emulator.fail(operation="get_payables", status=500),
        )
        for _ in matching:
            assert (await driver.send("GET", path)).status_code == 500
        assert (await driver.send("GET", path)).status_code == 200
        assert [fault.hits for fault in (*matching, *others)] == [1] * 7 + [0] * 5
        assert (await driver.send("GET", "/entity_users/me", user=user)).status_code == 500
        assert others[0].hits == 1


def test_a_method_that_no_request_has_is_refused() -> None:
    """A fault that could never strike is a mistake of whoever orders it, and is told at once."""
    with pytest.raises(ValueError, match=r"method must be an HTTP method, or None for any, got '\*'"):
        Emulator().fail("*", "/entities", status=500)


async def test_a_failure_looks_as_ordered() -> None:
    """Status, headers and body are free: JSON, or text as it stands."""
    async with driving() as (emulator, driver):
        emulator.fail(status=429, headers={"Retry-After": "7"}, body={"message": "API rate limit exceeded"})
        limited = await driver.send("GET", "/entities")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
        emulator.fail(status=502, body="<html>Bad Gateway</html>")
        broken = await driver.send("GET", "/entities")
        assert (broken.text, broken.headers["content-type"]) == ("<html>Bad Gateway</html>", "text/html")
        emulator.fail(redirect="https://elsewhere.test/", headers={"x-why": "test"})
        moved = await driver.send("GET", "/entities")
        assert (moved.status_code, moved.headers["location"]) == (307, "https://elsewhere.test/")


async def test_a_dropped_connection_was_processed_or_not() -> None:
    """``before`` and ``refuse`` leave no trace in the state; ``after`` carries the request out and says nothing."""
    async with driving() as (emulator, driver):
        emulator.fail("POST", "/payables", drop="refuse")
        with pytest.raises(httpx.ConnectError):
            await driver.make_payable()
        emulator.fail("POST", "/payables", drop="before")
        with pytest.raises(httpx.RemoteProtocolError):
            await driver.make_payable()
        assert ids(await driver.ask("GET", "/payables")) == []
        emulator.fail("POST", "/payables", drop="after")
        with pytest.raises(httpx.RemoteProtocolError):
            await driver.make_payable()
        assert len(ids(await driver.ask("GET", "/payables"))) == 1
        assert emulator.log.count("POST", "/payables", status=0) == 3


async def test_a_truncated_body_breaks_off() -> None:
    """The announced length is the whole one, the bytes stop early."""
    async with driving() as (emulator, driver):
        emulator.fail(truncate=10)
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            await driver.send("GET", "/entities")
        emulator.fail(truncate=20, stream=1000)
        with pytest.raises(httpx.RemoteProtocolError):
            await driver.send("GET", "/entities")


async def test_fields_of_an_answer_can_be_set_by_path() -> None:
    """Unknown fields, unknown enum values and wrong types are put where a dotted path says, in every element for ``*``."""
    async with driving() as (emulator, driver):
        await driver.make_payable()
        await driver.make_payable()
        emulator.fail(
            "GET",
            "/payables",
            set_fields={
                "surprise": 1,
                "data.*.status": "on_the_moon",
                "data.0.total_amount": "much",
                "data.7.x": 1,
                "a.b": 1,
                "data.1": None,
            },
        )
        page = await driver.ask("GET", "/payables")
        data = page["data"]
        assert isinstance(data, list)
        assert (page["surprise"], data[0]["status"], data[0]["total_amount"]) == (1, "on_the_moon", "much")
        assert data[1] is None
        assert "a" not in page
        emulator.fail(set_fields={"x": 1})
        assert (await driver.send("DELETE", f"/payables/{data[0]['id']}")).content == b""


async def test_a_huge_body_is_generated_as_it_is_sent() -> None:
    """A body of any size arrives in small pieces, announces its length and is JSON."""
    async with driving() as (emulator, driver):
        for size in (200_000, 65_550, 14, 3):
            emulator.fail("GET", "/entities", stream=size)
            response = await driver.send("GET", "/entities")
            assert len(response.content) == max(size, 14) == int(response.headers["content-length"])
            assert set(json.loads(response.content)) == {"padding"}


async def test_latency_counts_towards_the_read_timeout() -> None:
    """An answer that comes too late is a read timeout, as over a socket; the request was processed."""
    async with driving() as (emulator, driver):
        driver.http.timeout = httpx.Timeout(0.01)
        emulator.fail("POST", "/payables", latency=60)
        with pytest.raises(httpx.ReadTimeout):
            await driver.make_payable()
        emulator.fail("GET", latency=0.001)
        assert len(ids(await driver.ask("GET", "/payables"))) == 1


async def test_held_answers_wait_for_their_release() -> None:
    """``hold`` keeps answers back, ``holding`` tells when so many wait, ``release`` lets them and all later ones go."""
    async with driving() as (emulator, driver):
        await driver.token()
        fault = emulator.fail("GET", "/entities", hold=True, times=None)
        calls = [asyncio.ensure_future(driver.send("GET", "/entities")) for _ in range(3)]
        await fault.holding(3)
        await fault.holding()
        assert fault.held == 3
        calls[0].cancel()
        await asyncio.gather(calls[0], return_exceptions=True)
        assert fault.held == 2
        fault.release()
        assert [(await call).status_code for call in calls[1:]] == [200, 200]
        assert (await driver.send("GET", "/entities")).status_code == 200


async def test_nobody_waits_for_a_fault_that_is_gone() -> None:
    """Removing a fault, or all of them, lets go of what it held; waiting for holds can be given up."""
    async with driving() as (emulator, driver):
        await driver.token()
        fault = emulator.fail("GET", hold=True)
        call = asyncio.ensure_future(driver.send("GET", "/entities"))
        await fault.holding()
        watcher = asyncio.ensure_future(fault.holding(2))
        await asyncio.sleep(0)
        watcher.cancel()
        assert isinstance((await asyncio.gather(watcher, return_exceptions=True))[0], asyncio.CancelledError)
        emulator.faults.clear()
        assert (await call).status_code == 200
        assert len(emulator.faults) == 0


def test_an_answer_held_in_a_loop_that_is_closed_harms_nobody() -> None:
    """Releasing what a dead event loop waited for does nothing."""
    emulator = Emulator()
    fault = emulator.fail(hold=True)

    async def give_up() -> None:
        async with httpx.AsyncClient(transport=emulator.transport, base_url=emulator.base_url) as http:
            call = asyncio.ensure_future(http.get("/entities"))
            await fault.holding()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    asyncio.run(give_up())
    loop = asyncio.new_event_loop()
    fault._held.append((loop, loop.create_future()))
    loop.close()
    fault.release()
    assert fault.held == 0


@pytest.mark.parametrize(("status", "error"), [(503, None), (None, httpx.ConnectError)])
async def test_the_token_endpoint_goes_down_and_comes_back(status: int | None, error: type[Exception] | None) -> None:
    """While it is down no token is issued and living tokens work; afterwards it issues again."""
    async with driving() as (emulator, driver):
        outage = emulator.token_endpoint_down(status)
        if error is None:
            assert (await driver.grant()).status_code == status
        else:
            with pytest.raises(error):
                await driver.grant()
        await driver.ask("GET", "/entities")
        outage.remove()
        assert (await driver.grant()).status_code == 200
        assert emulator.issued == {"client_credentials": 2}


async def test_the_log_counts_and_filters() -> None:
    """The log knows template, operation, entity, token and status of each request, and is read like a list."""
    async with driving() as (emulator, driver):
        user = await driver.make_user("ann")
        payable = await driver.make_payable()
        emulator.log.clear()
        await driver.send("GET", f"/payables/{payable}")
        await driver.send("GET", f"/payables/{payable}", user=user)
        await driver.send("GET", "/nowhere")
        assert len(emulator.log) == 4
        assert emulator.log.count("GET", "/payables/{payable_id}") == 2
        assert emulator.log.count("POST", "/auth/*", token="none") == 1
        denied = emulator.log.filter(user_id=user)
        assert [(entry.status, entry.operation, entry.token) for entry in denied] == [
            (403, "get_payables_id", "entity_user")
        ]
        assert emulator.log[-1].path == "/v1/nowhere"
        assert emulator.log.statuses() == {200: 2, 403: 1, 501: 1}
        fingerprints = {entry.fingerprint for entry in emulator.log}
        assert len(fingerprints) == 3
        with pytest.raises(TypeError, match="colour"):
            emulator.log.count(colour="red")


async def test_snapshots_bring_back_state_tokens_and_time() -> None:
    """After restore everything stored is as it was, tokens and clock included, any number of times; reset forgets all."""
    async with driving() as (emulator, driver):
        emulator.clock.freeze()
        kept = await driver.make_payable()
        snapshot, then = emulator.snapshot(), emulator.clock.now()
        for _ in range(2):
            await driver.ask("DELETE", f"/payables/{kept}", expect=204)
            await driver.make_payable()
            emulator.revoke_tokens()
            emulator.clock.advance(3600)
            emulator.restore(snapshot)
            assert emulator.clock.now() == then
            assert ids(await driver.ask("GET", "/payables")) == [kept]
        emulator.fail(status=500)
        emulator.reset()
        assert (len(emulator.log), len(emulator.faults), emulator.issued) == (0, 0, {})
        response = await driver.send("GET", "/payables")
        assert (response.status_code, message(response)) == (401, emulator.settings.expiry_message)
