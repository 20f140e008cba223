"""Where connections come from: a URL, or a ready-made client whose settings are taken over.

A client itself is not used. It is bound to the event loop it first connected in and to its process, and brings
retries of its own, which take seconds to report a server that is gone.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError

from monite_async_stores._loop_time import within
from monite_async_stores._redis_cluster import Address, ClusterLines
from monite_async_stores._redis_wire import Dialer, Lines, Wire

__all__ = ["Client", "Source", "source_of", "source_of_url"]

Client: TypeAlias = Redis | RedisCluster
Source: TypeAlias = Callable[[float], Lines | ClusterLines]
"""Makes the lines of the running loop; takes the limit of one operation, in seconds."""

_Settings = dict[str, object]

# What belongs to the client that it was found in, or to its pool.
_NOT_OURS = frozenset({
    "connection_class",
    "connection_pool",
    "event_dispatcher",
    "himport_registry",
    "lib_name",
    "lib_version",
    "max_connections",
    "response_callbacks",
})  # fmt: skip
_NOT_OURS_EITHER = ("maint", "orig_", "oss_")

# Connections do not say what library they are of: that saves two commands each, and the right to send them.
_ANONYMOUS: _Settings = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(cast("Callable[..., object]", AbstractConnection)).parameters
    else {"lib_name": None, "lib_version": None}
)

_TLS_FILES = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"})

_TLS_REQUIRED = (
    "redis would be spoken to without encryption: use rediss:// (or ssl=True), a server on this machine, or pass "
    "insecure=True if everyone on the network between may see and change what is sent"
)


class _Pool(Protocol):
    """What is read of a pool of redis-py."""

    connection_class: type[AbstractConnection]
    connection_kwargs: _Settings


class _SentinelPool(_Pool, Protocol):
    """What is read of a pool that asks sentinels for the master."""

    is_master: bool
    service_name: str
    sentinel_manager: _Sentinels

    def make_connection(self) -> Wire: ...


class _Sentinel(Protocol):
    """What is used of a client of one sentinel."""

    async def sentinel_masters(self) -> object:
        """Return the masters that it knows."""
        ...


class _Sentinels(Protocol):
    """What is used of a ``redis.asyncio.Sentinel``."""

    sentinels: Sequence[_Sentinel]


class _Tls(Protocol):
    """What is used of a ``RedisSSLContext``."""

    def get(self) -> object: ...


class _TlsWire(Protocol):
    """What is used of an ``SSLConnection``."""

    ssl_context: _Tls


# It takes more than its annotations say.
_new_pool = cast("Callable[..., ConnectionPool]", ConnectionPool)


def source_of_url(url: str, *, insecure: bool, cluster: bool = False) -> Source:
    """Return where connections to a URL come from; with ``cluster`` it is that of one server of a Redis Cluster.

    Raises:
        ValueError: The URL cannot be read, an option is not known, a file of certificates is not there, or connections
            would not be encrypted; the message shows nothing of the URL but that option or file.
    """
    settings: _Settings = {}
    if url.lower().startswith(("redis://", "rediss://", "unix://")):
        with contextlib.suppress(ValueError, TypeError):  # whose text may quote a part of a password
            settings = {"connection_class": Connection, **parse_url(url)}
    if not settings:
        raise ValueError(
            "not the URL of a redis: use redis://, rediss:// or unix://, with the password percent-encoded"
        )
    made_by = cast("type[AbstractConnection]", settings["connection_class"])
    if issubclass(made_by, SSLConnection):
        # Older versions of redis-py do not check it unless told to.
        settings = {"ssl_check_hostname": settings.get("ssl_cert_reqs") != "none", **settings}
    if cluster:
        if issubclass(made_by, UnixDomainSocketConnection):
            raise ValueError("a cluster is not reached by a socket: use redis:// or rediss://")
        address = (str(settings.get("host", "localhost")), int(cast("int", settings.get("port", 6379))))
        return _cluster(made_by, settings, [address], insecure=insecure)
    return _direct(made_by, settings, insecure=insecure)


def source_of(client: Client, *, insecure: bool) -> Source:
    """Return where connections come from that are made like those of a client.

    Raises:
        TypeError: It is no client of ``redis.asyncio``.
        ValueError: Connections would not be encrypted, or lead to a replica, or cannot be made with its settings.
    """
    if isinstance(client, RedisCluster):
        return _cluster_of(client, insecure=insecure)
    if not isinstance(cast("object", client), Redis):
        raise TypeError(f"a client of redis.asyncio is needed, not {type(client).__module__}.{type(client).__name__}")
    pool = cast("_Pool", client.connection_pool)
    if isinstance(client.connection_pool, SentinelConnectionPool):
        return _sentinel(cast("_SentinelPool", pool), insecure=insecure)
    return _direct(pool.connection_class, pool.connection_kwargs, insecure=insecure)


def _direct(made_by: type[AbstractConnection], settings: _Settings, *, insecure: bool) -> Source:
    is_local = issubclass(made_by, UnixDomainSocketConnection) or _is_loopback(settings.get("host", "localhost"))
    if not (insecure or is_local or issubclass(made_by, SSLConnection)):
        raise ValueError(_TLS_REQUIRED)
    make = _maker(made_by, settings)

    def lines(limit: float) -> Lines:
        ours = _own(settings)
        return Lines(Dialer(lambda: make(ours)))

    return lines


def _sentinel(pool: _SentinelPool, *, insecure: bool) -> Source:
    made_by, settings = pool.connection_class, pool.connection_kwargs
    tls = _check(SSLConnection if issubclass(made_by, SSLConnection) else Connection, settings)
    remake = cast("Callable[..., _SentinelPool]", type(pool))
    if not pool.is_master:
        raise ValueError("the client leads to a replica: use Sentinel.master_for()")
    if not (insecure or issubclass(made_by, SSLConnection)):
        raise ValueError(_TLS_REQUIRED)

    def lines(limit: float) -> Lines:
        manager = copy.copy(pool.sentinel_manager)
        pools = [
            _sentinel_pool(cast("_Pool", cast("Redis", sentinel).connection_pool)) for sentinel in manager.sentinels
        ]
        manager.sentinels = [_Asked(own, limit / 3) for own in pools]
        again = remake(pool.service_name, manager, connection_class=made_by, **_own(settings))

        async def close() -> None:
            for own in pools:
                await own.disconnect()

        return Lines(Dialer(lambda: _with_tls(again.make_connection(), tls), close))

    return lines


class _Asked:
    """A sentinel, for a third of the limit of an operation: when it does not answer, another may know the master."""

    def __init__(self, pool: ConnectionPool, limit: float) -> None:
        self._client = cast("_Sentinel", Redis(connection_pool=pool))
        self._limit = limit

    async def sentinel_masters(self) -> object:
        """Return the masters it knows, as redis-py's ``Sentinel`` asks for them."""
        try:
            async with within(self._limit):
                return await self._client.sentinel_masters()
        except TimeoutError:
            raise RedisTimeoutError("the sentinel did not answer") from None


def _sentinel_pool(pool: _Pool) -> ConnectionPool:
    theirs = pool.connection_kwargs
    settings = _own(theirs) | {name: theirs[name] for name in ("decode_responses", "protocol") if name in theirs}
    return _new_pool(connection_class=pool.connection_class, **settings)


def _cluster_of(client: RedisCluster, *, insecure: bool) -> Source:
    settings = cast("_Settings", client.connection_kwargs)
    made_by = cast("type[AbstractConnection]", settings["connection_class"])
    nodes = list(client.nodes_manager.startup_nodes.values())
    addresses: list[Address] = [(str(node.host), int(node.port)) for node in nodes]
    return _cluster(made_by, settings, addresses, insecure=insecure, remap=client.nodes_manager.address_remap)


def _cluster(
    made_by: type[AbstractConnection],
    settings: _Settings,
    addresses: Sequence[Address],
    *,
    insecure: bool,
    remap: Callable[[Address], Address] | None = None,
) -> Source:
    make = _maker(made_by, settings)
    encrypted = issubclass(made_by, SSLConnection)

    def check(address: Address) -> None:
        if not (insecure or encrypted or _is_loopback(address[0])):
            raise ValueError(_TLS_REQUIRED)

    for address in addresses:
        check(address)

    def lines(limit: float) -> ClusterLines:
        ours = _own(settings)
        for name in ("parser_class", "redis_connect_func"):  # the cluster client's own: the latter asks for replicas
            ours.pop(name, None)

        def dial(address: Address) -> Dialer:
            host, port = remap(address) if remap is not None else address
            check((host, port))  # a server may redirect to anywhere
            return Dialer(lambda: make({**ours, "host": host, "port": port}))

        return ClusterLines(dial, addresses)

    return lines


def _maker(made_by: type[AbstractConnection], settings: _Settings) -> Callable[[_Settings], Wire]:
    """Return what makes connections of one class, by TLS with one context for all of them."""
    make = cast("Callable[..., Wire]", made_by)
    tls = _check(made_by, settings)
    return lambda ours: _with_tls(make(**ours), tls)


def _check(made_by: type[AbstractConnection], settings: _Settings) -> _Tls | None:
    """Make a connection without connecting it, to learn now if these settings do not do; return its TLS context.

    That context serves all connections. Left alone, redis-py makes one per connection, in the event loop, and reads
    every certificate of the system for it: about 80 ms in which nothing else runs.

    Raises:
        ValueError: They do not; the message shows the name of an option, or a file, and no other value.
    """
    files = {name: str(path) for name, path in settings.items() if name in _TLS_FILES and path}
    for name, path in files.items():
        if not Path(path).exists():
            raise ValueError(f"there is no {path}: correct {name}, or put the file there")
    problem = ""
    try:
        sample = cast("Callable[..., _TlsWire]", made_by)(**_own(settings))
        if not issubclass(made_by, SSLConnection):
            return None
        sample.ssl_context.get()
    except Exception as exc:  # noqa: BLE001 - whatever it is: its text may quote a password
        problem = _unfit(exc, settings)
        if isinstance(exc, OSError) and files:
            problem = f"cannot be read as certificates and keys: {', '.join(files.values())}"
    else:
        return sample.ssl_context
    raise ValueError(problem)


def _unfit(error: Exception, settings: _Settings) -> str:
    """Say what is wrong with settings that no connection can be made with."""
    for name in settings if isinstance(error, TypeError) else ():
        if f"unexpected keyword argument '{name}'" in str(error):
            return f"redis-py knows no option {name!r} of a connection: correct it or leave it away"
    return f"redis-py cannot make a connection with these options: {type(error).__name__}"


def _with_tls(wire: Wire, tls: _Tls | None) -> Wire:
    if tls is not None:
        cast("_TlsWire", wire).ssl_context = tls
    return wire


def _own(settings: _Settings) -> _Settings:
    """Return settings for connections of our own: no decoding, RESP2, no retries, and no time limits but our own."""
    ours = {
        name: value
        for name, value in settings.items()
        if name not in _NOT_OURS and not name.startswith(_NOT_OURS_EITHER)
    }
    settled: _Settings = {
        "decode_responses": False,
        "health_check_interval": 0,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "retry_on_timeout": False,
        "socket_connect_timeout": None,
        "socket_timeout": None,
    }
    return ours | _ANONYMOUS | settled


def _is_loopback(host: object) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False
