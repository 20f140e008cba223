"""What all views and scopes of one client share, made once by its constructor."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from monite_async._config import Config, Settings, TokenSource, clean_id, read_config
from monite_async._errors import ConfigurationError
from monite_async._headers import is_header_name
from monite_async._http.budget import RetryBudget
from monite_async._http.call import Channel
from monite_async._http.engine import Engine
from monite_async._http.exchange import Carrier
from monite_async._http.limits import Limiter, learning_limiter
from monite_async._http.place import Place
from monite_async._http.token_post import TokenPost
from monite_async._http.wiring import Wiring, carriers, check_wiring
from monite_async._options import RequestOptions, check_type
from monite_async._rate import SharedRate
from monite_async._store_env import store_from_env
from monite_async._tokens.cache import TokenCache
from monite_async._tokens.credentials import ClientCredentials
from monite_async._tokens.events import TokenEvent, TokenStats
from monite_async._tokens.issuer import FlowParts, TokenIssuer, Wire
from monite_async._tokens.keys import TokenKey
from monite_async._tokens.record import AccessToken
from monite_async._tokens.static import StaticTokens
from monite_async_stores import MemoryTokenStore, RateBudget, SystemClock, TokenStore

if TYPE_CHECKING:
    from uuid import UUID

    from monite_async._scope import Scope

__all__ = ["Core", "Tokens", "Wiring"]

S = TypeVar("S", bound="Scope")

_REMEMBERED: Final = 1000
"""Scopes kept at most, at 2 to 3 kB each with their head and resources; then all are forgotten, which needs no order."""


class Core:
    """The shared part of a client: configuration, transports, tokens.

    Args:
        settings: What the caller passed.
        store: The store that the caller passed, if any.
        wiring: What the caller said about connections.
        issuer: The issuer that the caller passed, if any.
        wire: The platform, if it is another than Monite.

    Raises:
        ConfigurationError: With everything that is wrong.
    """

    __slots__ = ("_owned", "_partner", "cache", "config", "engine", "post", "scopes", "static", "tokens", "users")

    def __init__(
        self,
        settings: Settings,
        *,
        store: TokenStore | None,
        wiring: Wiring,
        issuer: TokenIssuer | None,
        wire: Wire | None,
    ) -> None:
        faults: list[str] = []
        check_type(faults, "wire", wire, Wire)
        wire = wire if isinstance(wire, Wire) else Wire()
        _check_wire(faults, wire)
        _check_issuer(faults, issuer)
        owned_store = store is None
        if settings.token.value is None:
            store = _store(faults, store)
        elif store is not None:
            faults.append("give either token or token_store, not both: a token from elsewhere is not stored")
        check_wiring(faults, wiring)
        _check_rate(faults, settings.rate_limit, store)
        reserved = (wire.authorization_header, wire.version_header, wire.entity_header)
        config = read_config(settings, wire, reserved=reserved, faults=faults)
        self.config: Config = config
        self._partner = TokenKey(config.base_url, config.client_id, "client_credentials")
        place = Place.parse(config.base_url)
        limiter = _limiter(config, store, wiring.transport)
        carrier, token_carrier, own = carriers(wiring)
        self._owned: tuple[Carrier, ...] = (carrier, token_carrier) if own else ()
        self.post: TokenPost = TokenPost(place, token_carrier, limiter, wire.authorization_header.encode("ascii"))
        self.static: StaticTokens | None = None
        self.cache: TokenCache | None = None
        if config.static:
            self.static = StaticTokens(cast("TokenSource", config.secret.value))
        else:
            source = issuer or wire.flow(wire, self._flow_parts())
            self.cache = TokenCache(store or MemoryTokenStore(), source, owns_store=owned_store, turn=self.post.turn)
        self.engine: Engine = Engine(
            place=place,
            api_version=config.api_version,
            wire=wire,
            carrier=carrier,
            tokens=self.static or self.issued(),
            limiter=limiter,
            budget=RetryBudget(),
            max_response_bytes=config.max_response_bytes,
        )
        self.tokens: Tokens = Tokens(self)
        self.scopes: dict[str, Any] = {}
        self.users: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "<Core>"

    def _flow_parts(self) -> FlowParts:
        credentials = ClientCredentials(self.config.client_id, cast("TokenSource", self.config.secret.value))
        return FlowParts(self.post, credentials, self.config.api_version, self.issued)

    def issued(self) -> TokenCache:
        """Return the cache of issued tokens; raises ``ConfigurationError`` for a client with a static token."""
        if self.cache is None:
            raise ConfigurationError(
                "this client was made with token=: it has that one token and cannot issue, drop or revoke any"
            )
        return self.cache

    def key(self, user_id: str | None = None) -> TokenKey:
        """Return the key of a user's token, or of the partner's."""
        config = self.config
        if user_id is None:
            return self._partner
        if self.static is not None:
            raise ConfigurationError("this client was made with token=: as_user() needs client_id and client_secret")
        return TokenKey(config.base_url, config.client_id, "entity_user", user_id)

    def scope(self, kind: type[S], entity_id: str | None, user_id: str | None, options: RequestOptions) -> S:
        """Return a scope: the same one as before, as long as it is remembered.

        A scope costs little, its first call much: the head of its requests is made then, and its resources are. Web
        backends ask for the same few scopes with every request, and have all that at hand. Views with options of
        their own are not remembered: they would be without number.

        Raises:
            ConfigurationError: It is a user's, and the client has a static token.
        """
        plain = options is self.config.options
        # Apart, since both are looked up by what callers pass, whatever it is: no entity's id may lead to a user.
        remembered = self.scopes if user_id is None else self.users
        known = str(entity_id) if user_id is None else f"{entity_id or ''} {user_id}"  # no id has white space
        found = remembered.get(known) if plain else None
        if found is None:
            found = kind(self, self.key(user_id), entity_id, options)
            if plain:
                if len(remembered) >= _REMEMBERED:
                    remembered.clear()
                remembered[known] = found
                found._remembered = self.users
        return found

    def channel(self, key: TokenKey, entity_id: str | None, options: RequestOptions) -> Channel:
        """Return what carries out the calls of a scope."""
        return Channel(self.engine, key, entity_id, options)

    def token(self, key: TokenKey) -> Coroutine[Any, Any, AccessToken]:
        """Return, awaited, a token that can be used."""
        self.engine.require_open()
        return self.engine.tokens.get(key)

    async def revoke(self, key: TokenKey) -> None:
        """Drop a token everywhere and have the API revoke it."""
        self.engine.require_open()
        await self.issued().revoke(key)

    async def aclose(self) -> None:
        """Close everything that the client made; may be repeated."""
        self.engine.closed = self.post.closed = True
        async with contextlib.AsyncExitStack() as stack:
            if self.engine.observer is not None:
                stack.callback(self.engine.observer.closes)  # last, when all that there is to see was seen
            for carrier in self._owned:
                stack.push_async_callback(carrier.aclose)
            if self.cache is not None:
                await self.cache.aclose()


def _check_wire(faults: list[str], wire: Wire) -> None:
    for name in ("authorization_header", "version_header", "entity_header"):
        value: object = getattr(wire, name)
        optional = name == "version_header" and value == ""
        if not optional and not (isinstance(value, str) and is_header_name(value)):
            faults.append(f"wire: {name} must be the name of a header")


def _check_issuer(faults: list[str], issuer: object) -> None:
    methods = [getattr(issuer, name, None) for name in ("secret", "issue", "revoke")]
    if issuer is not None and (isinstance(issuer, type) or not all(callable(method) for method in methods)):
        faults.append(f"issuer must be a TokenIssuer, got {type(issuer).__name__}")


def _check_rate(faults: list[str], rate: object, store: TokenStore | None) -> None:
    if isinstance(rate, SharedRate) and not _offers(store, RateBudget):
        faults.append("a SharedRate needs a token store that offers a budget (RateBudget), such as RedisTokenStore")


def _offers(thing: object, protocol: type) -> bool:
    """Tell whether it has all methods of a protocol, of its own or passed on: ``isinstance`` misses the latter since 3.12."""
    names = [name for name in vars(protocol) if not name.startswith("_")]
    return not isinstance(thing, type) and all(callable(getattr(thing, name, None)) for name in names)


def _limiter(config: Config, store: TokenStore | None, transport: object) -> Limiter:
    """Return the limiter of a client: one that all clients share which are one to the server, unless told otherwise."""
    rate = config.rate_limit
    if isinstance(rate, SharedRate):
        from monite_async._http.shares import Shares

        name = hashlib.sha256(f"{config.base_url}\n{config.client_id}".encode()).hexdigest()[:32]
        return Limiter(shares=Shares(cast("RateBudget", store), name, rate.limit, SystemClock.monotonic()))
    if rate is not None or not config.client_id:
        return Limiter(rate)
    # What a transport of the caller's leads to need not be what others lead to: each counts for itself.
    own = transport is None or isinstance(transport, str)
    return learning_limiter((config.base_url, config.client_id, 0 if own else id(transport)))


def _store(faults: list[str], store: object) -> TokenStore | None:
    """Return the store to use, or note why there is none."""
    if store is not None:
        if _offers(store, TokenStore):
            return cast("TokenStore", store)
        faults.append("token_store must be a TokenStore; make one from a URL with store_from_url()")
        return None
    try:
        return store_from_env()
    except (ValueError, ImportError) as exc:
        faults.append(str(exc))
        return None


class Tokens:
    """The tokens of a client, to be warmed up, dropped and counted.

    Users are given by their ids; None is the partner's own token.
    """

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def __repr__(self) -> str:
        return "<Tokens>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the tokens of a client cannot be pickled")

    def _keys(self, user_ids: Iterable[str | UUID | None]) -> Sequence[TokenKey]:
        self._core.engine.require_open()
        return [self._core.key(None if user is None else clean_id("user id", user)) for user in user_ids]

    async def invalidate(self, entity_user_id: str | UUID | None = None) -> None:
        """Drop a token in every process that shares the store; the next call fetches a new one.

        Args:
            entity_user_id: Whose; None for the partner's.

        Raises:
            ConfigurationError: The client was made with ``token=``, or the id is empty.
        """
        (key,) = self._keys([entity_user_id])
        await self._core.issued().invalidate(key)

    async def warm(self, entity_user_ids: Iterable[str | UUID | None] = (None,)) -> None:
        """Get tokens before the first calls need them, all at once.

        Args:
            entity_user_ids: Whose; None for the partner's.

        Raises:
            MoniteError: The first failure; the other tokens are there all the same.
        """
        keys = self._keys(entity_user_ids)
        await self._core.issued().warm(keys)

    def listen(self, listener: Callable[[TokenEvent], None]) -> Callable[[], None]:
        """Call a function for every event of the tokens from now on; see ``TokenEvent``.

        Args:
            listener: Called in whichever thread the event happens; it must not block. One that raises is logged.

        Returns:
            What ends it.
        """
        return self._core.issued().events.listen(listener)

    def stats(self) -> TokenStats:
        """Return the counters so far: hits, tokens in memory, events."""
        return self._core.issued().stats()
