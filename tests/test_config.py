"""The configuration: what is accepted, what is refused, all faults at once and never with a secret in them."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Mapping
from typing import Any, cast

import httpx
import pytest

from monite_async import AsyncMonite, ConfigurationError, IssuedToken, RetryPolicy
from monite_async._config import ENVIRONMENTS, Hidden, clean_id, is_loopback
from monite_async._tokens.keys import TokenKey
from monite_async.emulator import Emulator
from monite_async_stores import MemoryTokenStore, TokenStore
from tests.scripted import CLIENT_ID, CLIENT_SECRET, Scripted

GOOD: Mapping[str, Any] = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a test."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "ENVIRONMENT", "BASE_URL", "API_VERSION", "TOKEN_STORE"):
        monkeypatch.delenv(f"MONITE_{name}", raising=False)


def made(**settings: Any) -> AsyncMonite:
    """Return a client made of good settings and these."""
    return AsyncMonite(**{**GOOD, **settings})


def refusal(**settings: Any) -> str:
    """Return the text of the error that these settings end in."""
    with pytest.raises(ConfigurationError) as caught:
        made(**settings)
    return str(caught.value)


def base_url(monite: AsyncMonite) -> str:
    """Return where a client sends its calls."""
    return str(monite._core.engine.place)


class OtherIssuer:
    """Another token flow, with a secret of its own."""

    async def secret(self, *, refresh: bool = False) -> bytes:
        return b"own"

    async def issue(self, key: TokenKey, *, timeout: float) -> IssuedToken:
        return IssuedToken(b"Token " + b"x" * 20, 60.0)

    async def revoke(self, token: str, *, timeout: float) -> None:
        return None


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"client_id": None}, "no credentials"),
        ({"client_secret": None}, "no client secret"),
        ({"client_id": ""}, "client_id must not be blank"),
        ({"client_id": "  "}, "client_id must not be blank"),
        ({"client_id": "my-client"}, "client_id must be a UUID"),
        ({"client_id": "{28c10852-7e78-43cf-abfb-efeed1834963}"}, "client_id must be a UUID"),
        ({"client_id": 7}, "client_id must be a string or a UUID, got int"),
        ({"client_secret": ""}, "client_secret must not be blank"),
        ({"client_secret": "canary\n"}, "white space"),
        ({"client_secret": "can\x00ary"}, "control characters"),
        ({"client_secret": 7}, "client_secret must be a string or an async function"),
        ({"environment": "production"}, "environment must be one of dev, sandbox, eu, us"),
        ({"environment": ""}, "environment must be one of"),
        ({"environment": 7}, "environment must be one of"),
        ({"environment": "eu", "base_url": "https://a.test"}, "not both"),
        ({"base_url": "api.monite.com/v1"}, "https://"),
        ({"base_url": "ftp://api.monite.com"}, "https://"),
        ({"base_url": "https://"}, "host"),
        ({"base_url": "https:///v1"}, "host"),
        ({"base_url": "http://api.monite.com/v1"}, "plain http"),
        ({"base_url": "http://localhost.evil.test/v1"}, "plain http"),
        ({"base_url": "http://10.0.0.1/v1"}, "plain http"),
        ({"base_url": "https://user:canary@api.monite.com/v1"}, "no user"),
        ({"base_url": "https://@api.monite.com/v1"}, "no user"),
        ({"base_url": "https://api.monite.com/v1?canary=1"}, "no query"),
        ({"base_url": "https://api.monite.com/v1#canary"}, "no query and no fragment"),
        ({"base_url": "https://api.monite.com/v1/../x"}, "segment"),
        ({"base_url": "https://api.monite.com:canary/v1"}, "malformed"),
        ({"base_url": "https://[canary/v1"}, "malformed"),
        ({"base_url": "https://api.monite.com/ canary"}, "visible ASCII"),
        ({"base_url": "https://api.monite.com\\canary"}, "visible ASCII"),
        ({"base_url": 'https://canary"/v1'}, "host that cannot be"),
        ({"base_url": "https://canary..test/v1"}, "host that cannot be"),
        ({"base_url": "https://%63anary/v1"}, "host that cannot be"),
        ({"base_url": f"https://{'canary' * 50}/v1"}, "host that cannot be"),
        ({"base_url": f"https://a.test/{'canary' * 20_000}"}, "at most 2000 characters"),
        ({"base_url": ""}, "visible ASCII"),
        ({"base_url": 7}, "visible ASCII"),
        ({"api_version": "latest"}, "api_version must be a date"),
        ({"api_version": "2024-13-01"}, "api_version must be a date"),
        ({"api_version": "20240525"}, "api_version must be a date"),
        ({"api_version": 20240525}, "api_version must be a date"),
        ({"timeout": -1}, "timeout must be a positive number"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"timeout": math.nan}, "timeout must be a positive number"),
        ({"timeout": True}, "timeout must be a positive number"),
        ({"timeout": "5"}, "timeout must be a positive number"),
        ({"timeout": 10**400}, "timeout must be a positive number"),
        ({"deadline": math.inf}, "deadline must be a positive number"),
        ({"retry": 3}, "retry must be a RetryPolicy"),
        ({"headers": {"Authorization": "canary"}}, "Authorization"),
        ({"headers": {"x-a": "canary\r\nx: y"}}, "x-a"),
        ({"headers": "canary"}, "headers must be a mapping"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": -1}, "rate_limit"),
        ({"rate_limit": math.nan}, "rate_limit"),
        ({"rate_limit": True}, "rate_limit"),
        ({"max_response_bytes": 0}, "max_response_bytes"),
        ({"max_response_bytes": 1.5}, "max_response_bytes"),
        ({"max_response_bytes": True}, "max_response_bytes"),
        ({"token_store": {}}, "token_store must be a TokenStore"),
        ({"token_store": "redis://:canary@localhost"}, "token_store must be a TokenStore"),
        ({"token_store": MemoryTokenStore}, "token_store must be a TokenStore"),
        ({"wire": 7}, "wire must be a Wire, got int"),
        ({"issuer": 7}, "issuer must be a TokenIssuer, got int"),
        ({"issuer": OtherIssuer}, "issuer must be a TokenIssuer"),
        ({"transport": httpx.AsyncClient}, "transport must be an httpx.AsyncBaseTransport"),
        ({"token": "canary"}, "not both"),
        ({"token": ""}, "token must be 1 to"),
        ({"token": "can ary"}, "token must be 1 to"),
        ({"token": "canary\n"}, "token must be 1 to"),
        ({"token": "x" * 16385}, "token must be 1 to"),
        ({"token": 7}, "token must be a string or an async function"),
        ({"token": "canary", "token_store": MemoryTokenStore()}, "token or token_store"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_each_fault_is_refused(settings: dict[str, Any], match: str) -> None:
    """Each wrong setting is refused when the client is made, in words that name it and repeat no value."""
    text = refusal(**settings)
    assert match in text
    assert "canary" not in text


def test_all_faults_are_told_at_once() -> None:
    """One error lists everything that is wrong."""
    text = refusal(
        client_id="x",
        client_secret="",
        environment="moon",
        api_version="x",
        timeout=-1,
        headers={"host": "x"},
        rate_limit=-1,
        token_store=7,
    )
    for name in (
        "client_id",
        "client_secret",
        "environment",
        "api_version",
        "timeout",
        "host",
        "rate_limit",
        "token_store",
    ):
        assert name in text


def test_no_credentials_at_all() -> None:
    """A client without anything says what to give and which variables to set."""
    with pytest.raises(ConfigurationError, match=r"MONITE_CLIENT_ID.*MONITE_CLIENT_SECRET"):
        AsyncMonite()


@pytest.mark.parametrize("name", list(ENVIRONMENTS))
def test_environments(name: str) -> None:
    """Each environment has its host."""
    assert base_url(made(environment=name)) == ENVIRONMENTS[name]


def test_the_default_environment_is_the_sandbox() -> None:
    """Whoever says nothing moves no real money."""
    assert base_url(made()) == "https://api.sandbox.monite.com/v1"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.monite.test/v1/", "https://api.monite.test", "http://localhost:8765/v1", "http://127.0.0.1/v1",
        "http://127.8.9.1:1/v1", "http://[::1]:8765/v1", "https://[fe80::1%25eth0]/v1", "https://xn--bcher-kva.test.", "HTTPS://api.monite.test/v1",
    ],
)  # fmt: skip
def test_base_urls(url: str) -> None:
    """Https anywhere, plain http on this machine, with or without a slash at the end."""
    assert base_url(made(base_url=url)).lower() == url.rstrip("/").lower()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "::1"])
def test_this_machine(host: str) -> None:
    """Loopback is a name or an address that cannot leave the machine."""
    assert is_loopback(host)
    assert not is_loopback(host + ".evil.test")


def test_what_is_given_is_used() -> None:
    """Ids may be UUIDs, versions dates; timeouts and retries reach the calls."""
    retry = RetryPolicy(max_retries=5)
    monite = made(
        client_id=uuid.UUID(CLIENT_ID),
        api_version=dt.date(2025, 6, 23),
        timeout=3,
        deadline=4,
        retry=retry,
        rate_limit=30,
    )
    channel = monite._channel
    assert channel.key.client_id == CLIENT_ID
    assert channel.engine.api_version == "2025-06-23"
    assert (channel.options.timeout, channel.options.deadline, channel.options.retry) == (3, 4, retry)
    assert channel.engine.limiter.active


async def test_a_secret_may_come_from_a_function() -> None:
    """An async function may deliver the client secret, when it is needed and not before."""
    asked: list[int] = []

    async def secret() -> str:
        asked.append(1)
        return CLIENT_SECRET

    transport = Scripted()
    async with made(client_secret=secret, transport=transport) as monite:
        assert not asked
        await monite.token()
    assert CLIENT_SECRET in transport.posts[0].content.decode()


async def test_a_store_may_pass_its_calls_on(monite_emulator: Emulator) -> None:
    """A store that stands before another one and passes calls on is a store on every Python."""

    class Before:
        def __init__(self) -> None:
            self.passed: list[str] = []
            self._store = MemoryTokenStore()

        def __getattr__(self, name: str) -> Any:
            self.passed.append(name)
            return getattr(self._store, name)

    store = Before()
    async with AsyncMonite(**monite_emulator.client_options(), token_store=cast(TokenStore, store)) as monite:
        await monite.token()
    assert {"acquire", "commit"} <= set(store.passed)


async def test_another_issuer_needs_no_credentials() -> None:
    """With an issuer of one's own the client id is free and the secret is the issuer's business."""
    transport = Scripted()
    async with AsyncMonite(issuer=OtherIssuer(), base_url="https://api.monite.test/v1", transport=transport) as monite:
        await monite.request("GET", "/x")
    assert transport.tokens == ["Token " + "x" * 20]
    assert AsyncMonite(issuer=OtherIssuer(), client_id="anything")._channel.key.client_id == "anything"


# -- the environment


def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a deployment needs can come from the environment."""
    for name, value in {
        "CLIENT_ID": f" {CLIENT_ID} ",
        "CLIENT_SECRET": CLIENT_SECRET,
        "ENVIRONMENT": "eu",
        "API_VERSION": "2024-01-31",
        "TOKEN_STORE": "memory:",
    }.items():
        monkeypatch.setenv(f"MONITE_{name}", value)
    monite = AsyncMonite.from_env()
    assert base_url(monite) == ENVIRONMENTS["eu"]
    assert monite._core.engine.api_version == "2024-01-31"
    assert monite._channel.key.client_id == CLIENT_ID


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("CLIENT_ID", "canary", "MONITE_CLIENT_ID must be a UUID"),
        ("CLIENT_SECRET", "canary ", "MONITE_CLIENT_SECRET has white space"),
        ("ENVIRONMENT", "canary", "MONITE_ENVIRONMENT must be one of"),
        ("BASE_URL", "canary", "MONITE_BASE_URL must begin"),
        ("API_VERSION", "canary", "MONITE_API_VERSION must be a date"),
        ("TOKEN_STORE", "canary-scheme://:canary-pw@x", "MONITE_TOKEN_STORE"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, match: str) -> None:
    """A fault that comes from the environment names its variable and repeats no secret."""
    monkeypatch.setenv("MONITE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("MONITE_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv(f"MONITE_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        AsyncMonite()
    assert match in str(caught.value)
    assert "canary-pw" not in str(caught.value)


def test_what_is_passed_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray variable does not redirect a client that was told where to go."""
    monkeypatch.setenv("MONITE_BASE_URL", "https://evil.test")
    monkeypatch.setenv("MONITE_CLIENT_ID", "nonsense")
    monkeypatch.setenv("MONITE_API_VERSION", "nonsense")
    assert base_url(made(environment="us", api_version="2024-05-25")) == ENVIRONMENTS["us"]
    monkeypatch.setenv("MONITE_ENVIRONMENT", "eu")
    assert base_url(made(base_url="https://a.test", api_version="2024-05-25")) == "https://a.test"
    assert "not both" in refusal(api_version="2024-05-25")


def test_a_blank_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployments that set variables to nothing mean that they are not set."""
    for name in ("ENVIRONMENT", "BASE_URL", "API_VERSION", "TOKEN_STORE"):
        monkeypatch.setenv(f"MONITE_{name}", "  ")
    assert base_url(made()) == ENVIRONMENTS["sandbox"]


# -- ids and secrets


@pytest.mark.parametrize("value", ["", " ", "\n", None, 7, "a\nb", "ü", "x" * 257, "a b"], ids=repr)
def test_ids_that_cannot_be(value: object) -> None:
    """An id that is empty, blank, or cannot stand in a header is refused by name."""
    with pytest.raises(ConfigurationError, match="entity id"):
        clean_id("entity id", value)


def test_a_uuid_is_the_same_in_either_case() -> None:
    """Ids in capitals are the ids in small letters: one identity has one token. Other ids are left as they are."""
    shouted = CLIENT_ID.upper()
    assert clean_id("user id", shouted) == clean_id("user id", uuid.UUID(CLIENT_ID)) == CLIENT_ID
    assert clean_id("user id", "Opaque-ID") == "Opaque-ID"
    monite = made(client_id=shouted)
    assert monite._channel.key == made()._channel.key
    assert monite.as_user(shouted).user_id == CLIENT_ID


def test_hidden_values_stay_hidden() -> None:
    """A secret on its way shows nothing and cannot be pickled."""
    hidden = Hidden("canary")
    assert "canary" not in f"{hidden!r} {hidden}"
    with pytest.raises(TypeError):
        hidden.__reduce__()
