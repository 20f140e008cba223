"""A Redis that is set up wrongly: whoever runs the client is told what to check, and nothing of a secret."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator

import pytest
from redis import exceptions as errors

from monite_async_stores import RedisTokenStore, StoreError
from monite_async_stores._redis_errors import problem_of, store_error
from tests.stores.redis_server import RedisServer, free_port
from tests.stores.redis_tools import PATIENT, a_name, ask

SECRET = "hunter2"


@pytest.fixture(scope="module")
def locked() -> Iterator[RedisServer]:
    """A Redis with a password."""
    with RedisServer("--requirepass", "right") as server:
        yield server


async def told(url: str, timeout: float = PATIENT) -> str:
    """Return what is said of a store that cannot work."""
    store = RedisTokenStore.from_url(url, timeout=timeout, insecure=True)
    with pytest.raises(StoreError) as caught:
        await ask(store, a_name())
    await store.aclose()
    assert SECRET not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return str(caught.value).removeprefix("redis did not answer as it should: ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"redis://:{SECRET}@127.0.0.1:PORT/0", "AuthenticationError: check the user and the password"),
        ("redis://127.0.0.1:PORT/0", "Error: check the user and the password"),
        (f"redis://{SECRET}:right@127.0.0.1:PORT/0", "AuthenticationError: check the user and the password"),
        ("redis://:right@127.0.0.1:PORT/99", "ResponseError: there is no such database: check its number"),
        (f"redis://:{SECRET}@127.0.0.1:FREE/0", "ConnectionError: nothing answers there: check host and port"),
        (f"redis://:{SECRET}@nowhere.invalid/0", "ConnectionError: there is no such host: check the host name"),
        ("unix:///nowhere/redis.sock", "ConnectionError: there is no such socket: check its path"),
    ],
)
def test_what_is_wrong_is_named(url: str, expected: str, locked: RedisServer) -> None:
    """A wrong password, database, host, port or path is named by its kind, with what to check."""
    text = asyncio.run(told(url.replace("PORT", str(locked.port)).replace("FREE", str(free_port()))))
    assert text.endswith(expected)
    assert text.partition(":")[0].isidentifier()


def test_tls_on_a_port_without_is_named(locked: RedisServer) -> None:
    """A ``rediss://`` URL of a port that does not speak TLS says so."""
    assert "TLS" in asyncio.run(told(f"rediss://:{SECRET}@127.0.0.1:{locked.port}/0?ssl_cert_reqs=none", timeout=0.2))


def test_a_missing_right_is_named(redis_server: RedisServer) -> None:
    """A user who may not run scripts is told that it lacks a right, without the name of a key."""
    redis_server.admin("ACL", "SETUSER", "poor", "on", ">x", "~*", "&*", "+@all", "-eval", "-evalsha")
    text = asyncio.run(told(f"redis://poor:x@127.0.0.1:{redis_server.port}/0"))
    assert text == "NoPermissionError: the user lacks a right: check its ACL"
    redis_server.admin("ACL", "LOG", "RESET")


def caused_by(cause: BaseException) -> errors.ConnectionError:
    """Return an error of redis-py as it wraps one of a socket."""
    error = errors.ConnectionError(f"Error connecting to {SECRET}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ResponseError(f"CLUSTERDOWN {SECRET}"), "ResponseError: CLUSTERDOWN: some slots"),
        (errors.ResponseError(f"Error running script: -OOM {SECRET}"), "ResponseError: OOM: its memory is full"),
        (errors.ResponseError(f"{SECRET} is no word"), "ResponseError"),
        (errors.ResponseError(f"UNKNOWNWORD {SECRET}"), "ResponseError"),
        (errors.ResponseError(), "ResponseError"),
        (errors.MovedError(f"1 {SECRET}:1"), "MovedError: it is a cluster"),
        (errors.ConnectionError(SECRET), "ConnectionError: the connection could not be made or was cut"),
        (caused_by(ConnectionRefusedError()), "ConnectionError: nothing answers there"),
        (caused_by(socket.gaierror()), "ConnectionError: there is no such host"),
        (caused_by(ssl.SSLCertVerificationError()), "ConnectionError: its certificate is not trusted"),
        (caused_by(ssl.SSLError()), "ConnectionError: TLS failed"),
        (caused_by(PermissionError()), "ConnectionError: the socket may not be opened"),
        (TimeoutError(SECRET), "TimeoutError: no answer in time"),
        (errors.TimeoutError(SECRET), "TimeoutError: no answer in time"),
        (ConnectionResetError(SECRET), "ConnectionResetError: the connection could not be made or was cut"),
        (ValueError(SECRET), "ValueError"),
    ],
    ids=repr,
)
def test_an_error_is_told_by_its_kind_and_first_word(error: Exception, expected: str) -> None:
    """The class, a word of Redis that is known, and what to check: never the text of the error."""
    text = problem_of(error)
    assert text.startswith(expected)
    assert (":" in text) == (":" in expected)
    assert SECRET not in text


def test_each_caller_gets_an_error_of_its_own() -> None:
    """One error of the store that several wait for is told with the same text, and is not the same object."""
    one = StoreError("why")
    again = store_error(one)
    assert again is not one
    assert str(again) == "why"
