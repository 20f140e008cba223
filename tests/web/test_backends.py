"""The examples of web backends under uvicorn, with four workers that share a Redis."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter

import httpx
import pytest

from monite_async import AsyncMonite, PooledTransport
from monite_async.emulator import Remote, launch
from tests.stores.redis_server import free_port
from tests.web.fleet import ROOT, Company, Served, children, environment, hire, served

pytestmark = pytest.mark.checkout

USERS, REQUESTS, WORKERS = 20, 2000, 4
EMULATOR = ("--port", "0", "--settings", '{"webhook_http": true}')
PATHS = ("/monite/token", "/payables", "/company", "/payables")


class Browsers:
    """One per user, each with its own cookies."""

    def __init__(self, url: str, company: Company) -> None:
        self.company = company
        self._url = url
        self._transport = PooledTransport()  # one for all: only cookies differ
        self.all = [httpx.AsyncClient(base_url=url, transport=self._transport) for _ in company.users]

    async def sign_in(self) -> None:
        """Sign everybody in, and look at what strangers get."""
        for browser, user in zip(self.all, self.company.users, strict=True):
            for path in set(PATHS):
                assert (await browser.get(path)).status_code == 401
            account = {"entity": self.company.entity, "user": user}
            assert (await browser.post("/session", json=account)).status_code == 204

    async def ask(self, count: int) -> Counter[int]:
        """Send requests of all users, 40 at once; return how often each status was answered."""
        numbers = iter(range(count))
        statuses: Counter[int] = Counter()

        async def one() -> None:
            for number in numbers:
                answer = await self.all[number % len(self.all)].get(PATHS[number // len(self.all) % len(PATHS)])
                statuses[answer.status_code] += 1

        await asyncio.gather(*(one() for _ in range(40)))
        return statuses

    async def tokens(self) -> list[str]:
        """Ask for the token of each user."""
        return [(await browser.get("/monite/token")).json()["access_token"] for browser in self.all]

    async def reconnect(self) -> None:
        """Leave all connections behind, and keep the cookies."""
        cookies = [browser.cookies for browser in self.all]
        await self.aclose()
        self._transport = PooledTransport()
        self.all = [httpx.AsyncClient(base_url=self._url, transport=self._transport, cookies=kept) for kept in cookies]

    async def aclose(self) -> None:
        """Close them."""
        await self._transport.aclose()


async def until_webhooks_are_delivered(remote: Remote) -> None:
    """Wait until nothing is due."""
    while (await remote.webhooks_waiting())["due"]:
        await asyncio.sleep(0.01)


async def approve(remote: Remote, monite: AsyncMonite, company: Company) -> None:
    """Approve ten payables; each is handled once by one of the workers, however often it is delivered."""
    acme = monite.entity(company.entity)
    for payable in (await acme.payables.list(limit=10)).data:
        await acme.payables.approve_payment_operation(payable.id)
    await until_webhooks_are_delivered(remote)
    assert await remote.redeliver() == 10
    await until_webhooks_are_delivered(remote)
    assert await remote.count("GET", "/payables/{payable_id}") == 10
    deliveries = (await acme.webhook_deliveries.list()).data
    assert [(one.requests_made_count, one.response_status_code) for one in deliveries] == [(2, 200)] * 10


async def lose_a_worker(server: Served, browsers: Browsers) -> None:
    """Kill a worker, wait for the next, and go on."""
    workers = children(server.process.pid, "spawn_main")
    assert len(workers) == WORKERS
    os.kill(min(workers), signal.SIGKILL)
    await server.says("Application startup complete", WORKERS + 1)
    assert len(children(server.process.pid, "spawn_main") - workers) == 1
    await browsers.reconnect()  # those to the dead worker are dead
    assert await browsers.ask(100) == {200: 100}


async def end_under_load(remote: Remote, server: Served, browsers: Browsers) -> None:
    """Tell the server to end while a hundred requests are in it: each is answered all the same."""
    held = await remote.fail("GET", "/payables", times=None, hold=True)
    asking = [asyncio.create_task(browsers.all[n % USERS].get("/payables")) for n in range(40)]
    while await held.held() < 40:
        await asyncio.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    await server.says("Shutting down", WORKERS)
    await held.release()
    answers = await asyncio.gather(*asking)
    assert [answer.status_code for answer in answers] == [200] * 40
    assert await server.process.wait() in {0, -signal.SIGTERM}
    assert server.output.count("Application shutdown complete") == WORKERS
    for complaint in ("Traceback", "Task was destroyed", "never retrieved", "never awaited", "Warning"):
        assert complaint not in server.output


@pytest.mark.parametrize("name", ["starlette_app", "fastapi_app", "django_app"])
def test_a_backend_is_an_example_of_under_eighty_lines(name: str) -> None:
    """Token endpoint, scopes, webhooks and lifespan: each framework needs no more."""
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 80


@pytest.mark.timeout(300)
@pytest.mark.parametrize("app", ["starlette_app:app", "fastapi_app:app", "django_app:application"])
async def test_a_backend_of_four_workers_costs_one_token_per_user_and_one_for_the_partner(
    app: str, redis_url: str
) -> None:
    """2,000 requests for 20 users cost 21 token requests; a lost worker costs none; the end loses no request."""
    async with launch(EMULATOR) as remote, AsyncMonite(**remote.client_options()) as monite:
        company = await hire(remote, USERS)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        hook = await monite.webhook_subscriptions.create(
            object_type="payable", url=f"{url}/monite/webhooks", event_types=["approved"]
        )
        secrets = {"MONITE_WEBHOOK_SECRET": hook.secret, "SESSION_SECRET": "canary-of-a-session"}
        arguments = ("uvicorn", f"examples.{app}", "--workers", str(WORKERS), "--port", str(port), "--no-access-log")
        async with served(arguments, environment(remote, redis_url, **secrets)) as server:
            await server.says("Application startup complete", WORKERS)
            await remote.clear_log()
            browsers = Browsers(url, company)
            await browsers.sign_in()
            assert await browsers.ask(REQUESTS) == {200: REQUESTS}
            assert len(set(await browsers.tokens())) == USERS
            assert await remote.count("POST", "/auth/token") == USERS + 1
            await approve(remote, monite, company)
            await lose_a_worker(server, browsers)
            assert await remote.count("POST", "/auth/token") == USERS + 1
            await end_under_load(remote, server, browsers)
            assert await remote.count("POST", "/auth/token") == USERS + 1
            await browsers.aclose()
            shown = server.output
        assert not [secret for secret in (hook.secret, "canary", monite._core.config.base_url) if secret in shown]
