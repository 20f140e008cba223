"""The request loop in virtual time: deadlines, waits, rate limits; nobody waits for real."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    RequestOptions,
    RequestTimeout,
    RetryPolicy,
    ServerError,
)
from monite_async._http.limits import Limiter
from tests.scripted import Scripted, client
from tests.virtual import VirtualClock, VirtualLoop, run_virtual

OK = httpx.Response(200, json={"id": "1"})
TOKEN = httpx.Response(200, json={"access_token": "x" * 40, "token_type": "Bearer", "expires_in": 1800})


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


def limited(transport: httpx.AsyncBaseTransport, rate: float | None = None, **options: Any) -> AsyncMonite:
    """Return a client whose limiter lives on the loop's time."""
    monite = client(transport, **options)
    clock = VirtualClock(cast("VirtualLoop", asyncio.get_running_loop()))
    limiter = Limiter(rate, burst=1, clock=clock)
    monite._core.engine.limiter = monite._core.post.limiter = limiter
    monite._core.engine.clock = monite._core.post.clock = clock
    return monite


def after(seconds: float, reply: httpx.Response = OK) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    """Return a reply that takes its time."""

    async def later(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(seconds)
        return httpx.Response(reply.status_code, headers=reply.headers, stream=reply.stream)

    return later


def test_a_try_ends_at_its_timeout() -> None:
    """The error of a slow answer says which limit passed, after how many attempts, and that time is known."""

    async def main() -> None:
        async with client(Scripted(after(100)), timeout=2.0, retry=RetryPolicy(max_retries=0)) as monite:
            await monite.token()
            start = now()
            with pytest.raises(RequestTimeout, match="timeout of 2 s per try") as caught:
                await monite.request("POST", "/x")
            assert now() - start == pytest.approx(2)
            assert caught.value.attempts == 1
            assert caught.value.elapsed == pytest.approx(2)

    run_virtual(main())


async def test_a_try_begins_when_what_it_sends_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that it takes to look at a file to upload is not taken from that of the try that sends it."""
    loop, ahead = asyncio.get_running_loop(), [0.0]
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead[0])

    class Slow(io.BytesIO):
        def tell(self) -> int:
            ahead[0] = 50.0
            return super().tell()

    transport = Scripted(OK)
    async with client(transport, timeout=20.0) as monite:
        await monite.token()
        assert await monite.request("POST", "/x", multipart={"file": Slow(b"a bill")}) == {"id": "1"}
    assert 0.0 < transport.calls[0].extensions["timeout"]["read"] <= 20.0


def test_a_slow_get_is_tried_again() -> None:
    """A try that timed out is repeated when it is safe, and the next one may be faster."""

    async def main() -> None:
        transport = Scripted(after(100), OK)
        async with client(transport, timeout=2.0) as monite:
            assert await monite.request("GET", "/x") == {"id": "1"}
            assert len(transport.calls) == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "reply", [after(100), after(1, httpx.Response(503)), httpx.Response(503)], ids=["slow", "bad", "fast"]
)
def test_the_deadline_always_wins(reply: Any) -> None:
    """Whatever a call waits for, it ends by its deadline."""

    async def main() -> None:
        options = RequestOptions(deadline=3.0, timeout=2.0, retry=RetryPolicy(max_retries=1000, base_wait=1.0))
        async with client(Scripted(reply)) as monite:
            await monite.token()
            start = now()
            with pytest.raises((RequestTimeout, ServerError)):
                await monite.request("GET", "/x", options=options)
            assert now() - start <= 3.0 + 1e-6

    run_virtual(main())


def test_the_deadline_cuts_a_try_short() -> None:
    """A try in flight at the deadline ends there, and the error names the deadline."""

    async def main() -> None:
        async with client(Scripted(after(100)), timeout=30.0, deadline=5.0) as monite:
            await monite.token()
            with pytest.raises(RequestTimeout, match="deadline of 5 s for the whole call passed before the answer"):
                await monite.request("GET", "/x")

    run_virtual(main())


class SlowToken(httpx.AsyncBaseTransport):
    """A token endpoint that takes its time; the API answers 401 first if told to."""

    def __init__(self, seconds: float, *, refuse: int = 0) -> None:
        self.seconds = seconds
        self.refuse = refuse
        self.posts = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/token"):
            self.posts += 1
            if self.posts > 1 or not self.refuse:
                await asyncio.sleep(self.seconds)
            token = f"{self.posts:040d}"
            return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 1800})
        return httpx.Response(401 if self.refuse else 200, json={"error": {"message": "expired"}})


def test_the_deadline_covers_the_token() -> None:
    """Waiting for a token ends at the deadline; the fetch goes on and serves the next call."""

    async def main() -> None:
        transport = SlowToken(3.0)
        async with client(transport) as monite:
            with pytest.raises(RequestTimeout, match="while waiting for a token") as caught:
                await monite.request("GET", "/x", options=RequestOptions(deadline=1.0))
            assert caught.value.attempts == 0
            await monite.request("GET", "/x")
            assert transport.posts == 1

    run_virtual(main())


def test_a_timeout_of_the_token_source_is_its_own() -> None:
    """A TimeoutError that comes from a user's token source, before the deadline, is not mistaken for the deadline."""

    async def main() -> None:
        class Tokens:
            """A source that times out by itself."""

            def peek(self, key: object, /) -> None:
                return None

            async def get(self, key: object, /) -> Any:
                raise TimeoutError("mine")

            async def replace(self, key: object, refused: object, /) -> None:
                return None

        async with client(Scripted(OK)) as monite:
            monite._core.engine.tokens = Tokens()
            with pytest.raises(TimeoutError, match="mine"):
                await monite.request("GET", "/x")

    run_virtual(main())


def test_the_deadline_covers_the_replacement_of_a_token() -> None:
    """A dead token whose successor takes longer than the deadline leaves the refusal standing."""

    async def main() -> None:
        transport = SlowToken(3.0, refuse=1)
        async with client(transport) as monite:
            token = await monite.token()
            token.soft_mono -= 100  # an older token, past the brake
            start = now()
            with pytest.raises(Exception, match="401"):
                await monite.request("GET", "/x", options=RequestOptions(deadline=1.0))
            assert now() - start <= 1.0 + 1e-6

    run_virtual(main())


def test_retry_after_is_honoured_to_the_letter() -> None:
    """Nothing is sent before the server's time, and a POST that met a 429 is sent again then."""

    async def main() -> None:
        sent: list[float] = []

        async def reply(request: httpx.Request) -> httpx.Response:
            sent.append(now())
            return OK if len(sent) > 1 else httpx.Response(429, headers={"retry-after": "7"})

        async with limited(Scripted(reply)) as monite:
            assert await monite.request("POST", "/x") == {"id": "1"}
        assert sent[1] - sent[0] >= 7
        assert sent[1] - sent[0] < 8

    run_virtual(main())


def test_a_429_holds_all_calls_of_the_client() -> None:
    """While one call waits out a Retry-After, no other call of the client is sent."""

    async def main() -> None:
        sent: list[float] = []

        async def reply(request: httpx.Request) -> httpx.Response:
            sent.append(now())
            return OK if len(sent) > 1 else httpx.Response(429, headers={"retry-after": "7"})

        async with limited(Scripted(reply)) as monite:
            first = asyncio.ensure_future(monite.request("GET", "/x"))
            await asyncio.sleep(1)
            await asyncio.gather(first, *(monite.entity(f"e{n}").request("GET", "/x") for n in range(5)))
        assert min(sent[1:]) - sent[0] >= 7

    run_virtual(main())


def test_a_call_that_cannot_wait_for_its_turn_says_so_at_once() -> None:
    """A deadline before the turn is an error at once, with the time to come back; nothing was sent."""

    async def main() -> None:
        transport = Scripted(OK)
        async with limited(transport, rate=0.1) as monite:
            await monite.token()  # takes the one turn of the burst
            start = now()
            with pytest.raises(RequestTimeout, match="rate limit") as caught:
                await monite.request("GET", "/x", options=RequestOptions(deadline=1.0))
            assert now() == start
            assert caught.value.retry_after == pytest.approx(10)
            assert not transport.calls

    run_virtual(main())


def test_a_429_of_the_token_endpoint_closes_the_gate() -> None:
    """When the token endpoint asks to stay away, that goes for all calls of the client."""

    async def main() -> None:
        posts: list[float] = []

        class Busy(httpx.AsyncBaseTransport):
            """Refuses the first token request."""

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if not request.url.path.endswith("/auth/token"):
                    return OK
                posts.append(now())
                if len(posts) == 1:
                    return httpx.Response(429, headers={"retry-after": "2"}, json={"message": "slow down"})
                return TOKEN

        async with limited(Busy()) as monite:
            assert await monite.request("GET", "/x") == {"id": "1"}
        assert posts[1] - posts[0] >= 2

    run_virtual(main())


def test_a_token_request_waits_at_the_gate_and_a_call_no_longer_than_its_deadline() -> None:
    """A closed gate is no failure of the token endpoint: the token comes when it opens; a call ends at its deadline."""

    async def main() -> None:
        transport = Scripted(OK)
        async with limited(transport) as monite:
            monite._core.engine.limiter.close(50)
            start = now()
            with pytest.raises(RequestTimeout, match="deadline of 5 s"):
                await monite.request("GET", "/x", options=RequestOptions(deadline=5))
            assert now() == start + 5
            assert not transport.posts
            await monite.token()
            assert now() == start + 50
            assert len(transport.posts) == 1

    run_virtual(main())
