"""Rate limits of the server end to end: every form of their headers, and crowds of calls that all come through."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import cast

import httpx
import pytest

from monite_async import AsyncMonite, RateLimitError, RequestTimeout, RetryPolicy
from monite_async._http.limits import Limiter
from monite_async._http.retry import rate_limit
from monite_async.emulator import Emulator
from tests.scripted import client
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

TOKEN = httpx.Response(200, json={"access_token": "x" * 40, "token_type": "Bearer", "expires_in": 1800})


class Limited(httpx.AsyncBaseTransport):
    """An API that allows so many requests per second, counted evenly or in windows as gateways do.

    Attributes:
        statuses: How often each status was answered.
    """

    def __init__(self, limit: int, *, windows: bool, headers: dict[str, str]) -> None:
        self.limit = limit
        self.windows = windows
        self.headers = headers
        self.statuses: dict[int, int] = {}
        self._left = float(limit)
        self._at = _now()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = _now()
        if not self.windows:
            self._left = min(self.limit, self._left + (now - self._at) * self.limit)
        elif int(now) != int(self._at):
            self._left = self.limit
        self._at = now
        await asyncio.sleep(0.05)
        allowed = self._left >= 1
        status = 200 if allowed else 429
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if not allowed:
            return httpx.Response(429, headers=self.headers, json={"message": "API rate limit exceeded"})
        self._left -= 1
        body = TOKEN.json() if request.url.path.endswith("/auth/token") else {"id": "1"}
        return httpx.Response(200, json=body)


def _now() -> float:
    return asyncio.get_running_loop().time()


def crowd(transport: httpx.AsyncBaseTransport, **credentials: str) -> AsyncMonite:
    """Return a client with default options whose limiter and clock live on the loop's time."""
    monite = client(transport, **credentials)
    clock = VirtualClock(cast("VirtualLoop", asyncio.get_running_loop()))
    limiter = Limiter(clock=clock)
    monite._core.engine.limiter = monite._core.post.limiter = limiter
    monite._core.engine.clock = monite._core.post.clock = clock
    return monite


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("windows", [False, True], ids=["evenly", "windows"])
@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "1", "ratelimit-limit": "30", "ratelimit-reset": "1"},
        {"x-ratelimit-limit-second": "30", "ratelimit-reset": "1"},
        {"retry-after": "1"},
    ],
    ids=["all", "reset", "after"],
)
def test_a_crowd_of_calls_comes_through_a_rate_limit(headers: dict[str, str], windows: bool, method: str) -> None:
    """1,000 calls at once against 30 per second all succeed with default options, at the pace of the limit."""

    async def main() -> None:
        start = _now()
        transport = Limited(30, windows=windows, headers=headers)
        async with crowd(transport) as monite:
            results = await asyncio.gather(*(monite.request(method, "/x") for _ in range(1000)), return_exceptions=True)
        assert results == [{"id": "1"}] * 1000
        assert _now() - start < 45
        # Whoever is refused is refused once, in the first burst; hardly anybody a second time.
        assert transport.statuses[429] <= 1050

    run_virtual(main())


def test_clients_that_share_a_limit_slow_down_until_it_is_enough_for_all() -> None:
    """Three processes with 100 calls each, none of which knows of the others, get all of them done."""

    async def main() -> None:
        transport = Limited(30, windows=False, headers={"retry-after": "1", "ratelimit-limit": "30"})
        clients = [crowd(transport) for _ in range(3)]
        calls = [monite.request("GET", "/x") for _ in range(100) for monite in clients]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results == [{"id": "1"}] * 300
        for monite in clients:
            await monite.aclose()

    run_virtual(main())


@pytest.mark.parametrize(
    ("form", "wait"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "7.5"}, 7.5),
        ({"retry-after-ms": "7250", "retry-after": "30"}, 7.25),
        ({"RateLimit-Reset": "7"}, 7),
        ({"RateLimit-Reset": "{epoch}"}, 7),
        ({"Retry-After": "{date}"}, 7),
        ({"Retry-After": "soon", "X-RateLimit-Limit-Second": "0", "RateLimit-Limit": "many"}, 0),
    ],
    ids=["seconds", "fraction", "millis", "delta", "epoch", "date", "nonsense"],
)
def test_every_form_of_a_429_is_waited_out(form: dict[str, str], wait: float) -> None:
    """Whatever form the answer has, a POST that met it is sent once more when it may be, and succeeds."""

    async def main() -> None:
        async with Emulator() as emulator, crowd(emulator.transport, **_credentials(emulator)) as monite:
            await monite.token()
            then = int(monite._core.engine.clock.wall()) + 7
            marks = {"epoch": str(then), "date": formatdate(then, usegmt=True)}
            headers = {name: value.format(**marks) for name, value in form.items()}
            emulator.fail("POST", status=429, headers=headers, body={"message": "API rate limit exceeded"})
            start = _now()
            created = await monite.entities.create(
                type="individual",
                email="ann@acme.test",
                address={"country": "DE", "city": "Berlin", "postal_code": "10115", "line1": "Street 1"},
                individual={"first_name": "Ann", "last_name": "Ann"},
            )
            assert wait <= _now() - start < wait + 1
            assert emulator.log.statuses() == {200: 1, 429: 1, 201: 1}
            assert [each.id async for each in monite.entities.list()] == [created.id]

    run_virtual(main())


def _credentials(emulator: Emulator) -> dict[str, str]:
    settings = emulator.settings
    return {
        "base_url": emulator.base_url,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
    }


async def test_a_429_that_lasts_is_an_error_with_the_time_to_come_back() -> None:
    """A wait longer than ``max_retry_after`` ends the call at once, and is told."""
    async with (
        Emulator() as emulator,
        AsyncMonite(**emulator.client_options(), retry=RetryPolicy(max_retry_after=5)) as monite,
    ):
        await monite.token()
        emulator.fail(status=429, headers={"retry-after": "120"}, times=None)
        with pytest.raises(RateLimitError) as caught:
            await monite.entities.list()
        assert (caught.value.retry_after, caught.value.attempts) == (120, 1)
        # The gate of this client stays closed for what it would have waited; who cannot wait is told so at once.
        with pytest.raises((RateLimitError, RequestTimeout)) as again:
            await monite.with_options(deadline=1).entities.list()
        assert again.value.attempts == 0
        assert again.value.retry_after is not None
        assert 0 < again.value.retry_after <= 5
        assert emulator.log.count("GET", "/entities") == 1


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, None),
        ({"ratelimit-limit": "30"}, 30),
        ({"x-ratelimit-limit-second": " 5 "}, 5),
        ({"x-ratelimit-limit-second": "5", "ratelimit-limit": "300"}, 5),
        ({"x-ratelimit-limit-second": "x", "ratelimit-limit": "0.5"}, 0.5),
        ({"ratelimit-limit": "0.0000001"}, 0.2),
        ({"ratelimit-limit": "0"}, None),
        ({"ratelimit-limit": "-3"}, None),
        ({"ratelimit-limit": "30, 30;w=60"}, None),
        ({"ratelimit-limit": "9" * 400}, 1e9),
    ],
)
def test_the_limit_that_an_answer_tells(headers: dict[str, str], limit: float | None) -> None:
    """The limit per second is read from either header; what is no plain positive number tells nothing."""
    assert rate_limit(httpx.Headers(headers)) == limit
