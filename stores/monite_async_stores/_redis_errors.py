"""What went wrong with a Redis, in words for whoever runs the client: the kind, and what to check.

Never the text of an error itself: Redis and redis-py quote addresses, users and what was sent in them.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from monite_async_stores._protocol import StoreError

__all__ = ["is_about_keys", "is_wrong_type", "problem_of", "store_error"]

_CLUSTER: Final = "it is a cluster: give the store a RedisCluster, or add ?cluster=true to its URL"
_WORDS: Final = {
    "BUSY": "a script keeps it busy",
    "CLUSTERDOWN": "some slots of the cluster have no server",
    "CROSSSLOT": _CLUSTER,
    "MASTERDOWN": "it is a replica that has lost its master",
    "MISCONF": "it takes no writes because it cannot save: see its log",
    "MOVED": _CLUSTER,
    "NOAUTH": "check the user and the password",
    "NOPERM": "the user lacks a right: check its ACL",
    "NOREPLICAS": "it takes no writes because replicas are missing",
    "OOM": "its memory is full: check maxmemory",
    "READONLY": "it is a replica and takes no writes: check host and port",
    "TRYAGAIN": "a slot of the cluster is being moved",
    "UNKILLABLE": "a script keeps it busy",
    "WRONGPASS": "check the user and the password",
}
"""What the first words of Redis' errors mean here."""

_CAUSES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (AuthenticationError, _WORDS["NOAUTH"]),
    (BusyLoadingError, "it is still loading its data"),
    (ClusterCrossSlotError, _WORDS["CROSSSLOT"]),
    (ClusterDownError, _WORDS["CLUSTERDOWN"]),
    (MasterDownError, _WORDS["MASTERDOWN"]),
    (MovedError, _WORDS["MOVED"]),
    (NoPermissionError, _WORDS["NOPERM"]),
    (OutOfMemoryError, _WORDS["OOM"]),
    (ReadOnlyError, _WORDS["READONLY"]),
    (TryAgainError, _WORDS["TRYAGAIN"]),
    (ssl.SSLCertVerificationError, "its certificate is not trusted: check the host name and ssl_ca_certs"),
    (ssl.SSLError, "TLS failed: check that this port speaks TLS, and the certificates"),
    (socket.gaierror, "there is no such host: check the host name"),
    (ConnectionRefusedError, "nothing answers there: check host and port"),
    (FileNotFoundError, "there is no such socket: check its path"),
    (PermissionError, "the socket may not be opened: check its permissions"),
    (TimeoutError, "no answer in time: check host, port and TLS, and how busy it is"),
    (RedisTimeoutError, "no answer in time: check host, port and TLS, and how busy it is"),
    (OSError, "the connection could not be made or was cut: check host, port and TLS"),
    (RedisConnectionError, "the connection could not be made or was cut: check host, port and TLS"),
)

# Redis 6 quotes the error of a command in the error of the script that ran it.
_WORD = re.compile(r"(?:^|-)([A-Z]{3,20})\b")


def problem_of(error: BaseException) -> str:
    """Return what went wrong: the class of the error, the first word of Redis' answer, and what to check."""
    kind = type(error).__name__
    advice = next((text for made_by, text in _CAUSES for one in _chain(error) if isinstance(one, made_by)), "")
    if isinstance(error, ResponseError) and not advice:
        said = str(error.args[0]) if error.args else ""
        found = _WORD.search(said)
        if found is not None and found[1] in _WORDS:
            advice = f"{found[1]}: {_WORDS[found[1]]}"
        elif "unauthenticated" in said:  # Redis 7 refuses long commands before it asks for a password
            advice = _WORDS["NOAUTH"]
        elif said.startswith("DB index"):
            advice = "there is no such database: check its number"
    return f"{kind}: {advice}" if advice else kind


def store_error(error: Exception) -> StoreError:
    """Return what to raise for an error: a new object each time, and not chained, since frames hold what was sent."""
    if isinstance(error, StoreError):
        return StoreError(str(error))
    return StoreError(f"redis did not answer as it should: {problem_of(error)}")


def is_wrong_type(answer: object) -> bool:
    """Tell whether a key holds what no store puts there."""
    return isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer)


def is_about_keys(answer: object) -> bool:
    """Tell whether an answer, be it an error, comes from a server that is all right."""
    return not isinstance(answer, Exception) or isinstance(answer, NoScriptError) or is_wrong_type(answer)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Return an error and those it came from: redis-py wraps what sockets and TLS raise."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
