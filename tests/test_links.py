"""Links that the API gives: asked for as anybody would, never with the token, and never shown."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from monite_async import (
    AsyncMonite,
    ConfigurationError,
    ForbiddenError,
    RequestOptions,
)
from tests.downloading import LINK, over, pdf, read
from tests.scripted import BASE_URL

pytestmark = pytest.mark.usefixtures("no_blocking_calls")


async def test_a_link_gets_no_token_and_no_header_of_the_client() -> None:
    """A link is asked for as anybody would: nothing of the client goes along but its name and the call's own headers."""
    monite, transport = over(pdf(b"x"), headers={"x-own": "canary-header"})
    acme = monite.entity("e-1")
    assert await read(cast("AsyncMonite", acme), LINK, options=RequestOptions(headers={"range": "bytes=0-"})) == b"x"
    (call,) = transport.calls
    assert str(call.url) == LINK
    assert sorted(call.headers) == ["accept", "accept-encoding", "host", "range", "user-agent"]
    assert call.headers["host"] == "files.monite.test"
    assert transport.posts == []


async def test_even_a_link_to_the_api_gets_no_token() -> None:
    """Whether a link is trusted does not hang on its host."""
    monite, transport = over(pdf(b"x"))
    assert await read(monite, f"{BASE_URL}/files/1") == b"x"
    assert "authorization" not in transport.calls[0].headers


async def test_a_link_may_move_to_another_host() -> None:
    """Redirects of a link are followed wherever they lead over https, each with the right host; never to plain http."""
    moved = httpx.Response(302, headers={"location": "https://cdn.test/x"})
    monite, transport = over(moved, pdf(b"x"))
    assert await read(monite, LINK) == b"x"
    assert [call.headers["host"] for call in transport.calls] == ["files.monite.test", "cdn.test"]
    for bad in (
        "http://cdn.test/x", "https://u:p@cdn.test/x", "ftp://cdn.test/x", "https://cdn.test:99999/x", "https://xn--/x",
    ):  # fmt: skip
        monite, transport = over(httpx.Response(302, headers={"location": bad}), pdf(b"x"))
        with pytest.raises(Exception, match="redirect that is not followed"):
            await read(monite, LINK)
        assert len(transport.calls) == 1


@pytest.mark.parametrize(
    ("target", "stays"),
    [
        ("/other", True), ("https://FILES.monite.test:443/other", True), ("https://files.monite.test:8443/other", False),
        ("https://cdn.test/other", False), ("//cdn.test/other", False),
    ],
)  # fmt: skip
async def test_headers_of_a_call_stay_with_the_host_that_it_named(target: str, stays: bool) -> None:
    """What a caller sends to the host of a link does not follow a redirect to another one; what says what is wanted does."""
    monite, transport = over(httpx.Response(307, headers={"location": target}), pdf(b"x"))
    options = RequestOptions(headers={"X-Api-Key": "canary", "cookie": "canary", "range": "bytes=0-"})
    assert await read(monite, LINK, options=options) == b"x"
    first, second = transport.calls
    assert first.headers["x-api-key"] == first.headers["cookie"] == "canary"
    assert ("canary" in str(second.headers.raw)) is stays
    assert second.headers["range"] == "bytes=0-"
    assert second.headers["host"] == second.url.netloc.decode()


async def test_a_link_moves_three_times_at_most_and_never_nowhere() -> None:
    """A circle ends, and a redirect that says nothing of its target is an error."""
    around = httpx.Response(302, headers={"location": LINK})
    for answers, sent in (([around] * 4, 4), ([httpx.Response(302)], 1), ([httpx.Response(304)], 1)):
        monite, transport = over(*answers, pdf(b"x"))
        with pytest.raises(Exception, match="redirect that is not followed"):
            await read(monite, LINK)
        assert len(transport.calls) == sent


async def test_a_path_does_not_move_to_another_host() -> None:
    """A call with a token stays where its token may go."""
    monite, transport = over(httpx.Response(302, headers={"location": "https://cdn.test/x"}), pdf(b"x"))
    with pytest.raises(Exception, match="redirect that is not followed"):
        await read(monite, "/file")
    assert len(transport.calls) == 1


async def test_errors_do_not_show_the_link() -> None:
    """A signed link is a secret: the error of a dead one names neither it nor what the host said; nor is a token at stake."""
    monite, transport = over(httpx.Response(403, text="<Error>canary-body</Error>"))
    with pytest.raises(ForbiddenError) as caught:
        await read(monite, LINK)
    assert "canary" not in f"{caught.value!r}{caught.value.__dict__}"
    assert caught.value.path == "the link"
    assert len(transport.calls) == 1
    assert transport.posts == []


async def test_a_link_is_tried_again_without_slowing_the_api() -> None:
    """429 of another host is waited out, and no news for the client's own rate limit."""
    monite, transport = over(httpx.Response(429, headers={"retry-after": "0.1"}), httpx.Response(503), pdf(b"x"))
    limiter = monite._core.engine.limiter
    rate = limiter._supply.rate
    assert await read(monite, LINK) == b"x"
    assert len(transport.calls) == 3
    assert limiter._supply.rate == rate
    assert limiter._gate < 0


@pytest.mark.parametrize(
    "link",
    [
        "http://files.test/x",
        "ftp://files.test/x",
        "https://u:p@files.test/x",
        "https://",
        "a://[x",
        "https://files.test:port/x",
        "https://files.test:0/x",
        "https://127.0.0.1:65536/x",
        "https://127.0.0.1:-1/x",
        "https://xn--/x",
    ],
)
async def test_a_link_that_is_none_is_refused(link: str) -> None:
    """Plain http to another machine, other schemes, passwords and nonsense are refused before anything is sent."""
    monite, transport = over(pdf())
    with pytest.raises(ConfigurationError, match="must begin with https://"):
        await read(monite, link)
    assert transport.calls == []


@pytest.mark.parametrize("extra", [{"path_params": {"a": 1}}, {"query": {"a": 1}}, {"json": {}}])
async def test_a_link_is_complete(extra: dict[str, Any]) -> None:
    """Nothing can be added to a link, whose signature covers it."""
    monite, _ = over(pdf())
    with pytest.raises(ConfigurationError, match="a link is complete"):
        monite.stream("GET", LINK, **extra)
    with pytest.raises(ConfigurationError, match="a link is complete"):
        monite.stream("POST", LINK)
