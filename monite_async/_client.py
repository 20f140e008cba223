"""The client: ``AsyncMonite``, which is the partner's scope and hands out all others."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from uuid import UUID

from monite_async._config import Environment, Hidden, Settings, TokenSource, clean_id
from monite_async._options import DEFAULT_DEADLINE, DEFAULT_TIMEOUT, RetryPolicy
from monite_async._scope import EntityClient, Scope, UserClient
from monite_async.api._scopes import PartnerResources

if TYPE_CHECKING:
    import ssl

    import httpx

    from monite_async._core import Tokens
    from monite_async._rate import SharedRate
    from monite_async._tokens.issuer import TokenIssuer, Wire
    from monite_async_stores import TokenStore

__all__ = ["AsyncMonite"]


class AsyncMonite(PartnerResources, Scope):
    """A client of the Monite API, and the partner's scope of it.

    It may be used from several event loops and threads, at once or one after another, and survives ``fork``. Use it in
    ``async with``, or call ``aclose()`` when done. Making it does no I/O.

    Args:
        client_id: The partner's client id, a UUID; default ``MONITE_CLIENT_ID``.
        client_secret: The client secret, or an async function that returns the current one; default
            ``MONITE_CLIENT_SECRET``.
        token: A token from elsewhere instead of credentials, or an async function that returns the current one.
        environment: ``dev``, ``sandbox``, ``eu`` or ``us``; default ``MONITE_ENVIRONMENT``, else ``sandbox``.
        base_url: Where the API is, instead of an environment; default ``MONITE_BASE_URL``. Plain http is accepted for
            this machine only.
        api_version: A date; default ``MONITE_API_VERSION``, else ``2024-05-25``.
        token_store: Where tokens are shared; default the store that the URL in ``MONITE_TOKEN_STORE`` names, else the
            memory of this client. A store that is passed is the caller's to close.
        timeout: Seconds that one try may take, to the last byte of the answer.
        deadline: Seconds that a whole call may take, with waiting for a token, a turn, and repeats; it always wins.
        retry: When calls are sent again.
        headers: Further headers of every call.
        lenient: Hand back what fits of an answer that is not what the contract says, instead of raising; see
            ``RequestOptions``.
        rate_limit: None to learn from the server's answers how fast it may be asked, together with all other clients of
            this process with the same client id and base URL; a number for that many requests per second of this client
            alone, token requests included; ``SharedRate(...)`` for a limit that all processes share through the token
            store. Either way a 429 slows down.
        max_response_bytes: Longest decompressed answer that is read, in bytes; default 64 MiB.
        transport: Carries the requests instead of this library's own connections; it is the caller's to close. Or
            ``"fast"``: this library's own connections with the answers read without h11, as strictly and for less
            time of the processor (needs the extra ``fast``, which brings llhttp).
        proxy: URL of a proxy for all requests, as ``http://user:password@proxy.example:8080``; default what
            ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say.
        http2: Speak HTTP/2 where the server does (needs the extra ``http2``). It shares one connection among many
            calls, and costs more time of the processor for each.
        ssl_context: TLS context, for authorities or client certificates of your own; default one that all clients of
            the process share, with the authorities of certifi or of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
        trust_env: Whether the environment may name proxies and certificate authorities.
        issuer: Issues tokens in another way than ``POST /auth/token``.
        wire: Another platform than Monite: where it is, names of headers, how tokens are issued and recognised as dead.

    Raises:
        ConfigurationError: With everything that is wrong at once.
    """

    def __init__(
        self,
        *,
        client_id: str | UUID | None = None,
        client_secret: TokenSource | None = None,
        token: TokenSource | None = None,
        environment: Environment | None = None,
        base_url: str | None = None,
        api_version: str | None = None,
        token_store: TokenStore | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        deadline: float = DEFAULT_DEADLINE,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        lenient: bool = False,
        rate_limit: float | SharedRate | None = None,
        max_response_bytes: int | None = None,
        transport: httpx.AsyncBaseTransport | Literal["fast"] | None = None,
        proxy: str | None = None,
        http2: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        trust_env: bool = True,
        issuer: TokenIssuer | None = None,
        wire: Wire | None = None,
    ) -> None:
        from monite_async._core import (  # with all that carries out calls; the class alone is cheap to import
            Core,
            Wiring,
        )

        hidden_secret, hidden_token, hidden_proxy = Hidden(client_secret), Hidden(token), Hidden(proxy)
        settings = Settings(
            client_id=client_id,
            client_secret=hidden_secret,
            token=hidden_token,
            environment=environment,
            base_url=base_url,
            api_version=api_version,
            timeout=timeout,
            deadline=deadline,
            retry=retry,
            headers=headers,
            lenient=lenient,
            rate_limit=rate_limit,
            max_response_bytes=max_response_bytes,
            issuer=issuer is not None,
        )
        del client_secret, token, proxy, base_url, headers  # a traceback may show the variables of its frames
        wiring = Wiring(transport, hidden_proxy, http2, ssl_context, trust_env)
        core = Core(settings, store=token_store, wiring=wiring, issuer=issuer, wire=wire)
        super().__init__(core, core.key(), None, core.config.options)
        self._remembered = core.scopes

    @classmethod
    def from_env(cls) -> Self:
        """Return a client configured by the environment alone: the ``MONITE_...`` variables named above.

        Raises:
            ConfigurationError: With everything that is wrong or missing.
        """
        return cls()

    async def __aenter__(self) -> Self:
        self._core.engine.require_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client with all its scopes and views; calls under way fail, later ones raise ``ClientClosedError``.

        May be repeated. A transport or a store that was passed to the client stays open.
        """
        await self._core.aclose()

    @property
    def tokens(self) -> Tokens:
        """Warm up, drop and count the tokens of this client."""
        return self._core.tokens

    def entity(self, entity_id: str | UUID) -> EntityClient:
        """Return the scope of one entity: the partner's token, and the entity header on every call.

        Raises:
            ConfigurationError: The id is empty.
        """
        # Those who serve the web ask anew for each request: the id as it is found, or else as it ought to be.
        if type(entity_id) is str:
            found: EntityClient | None = self._remembered.get(entity_id)
            if found is not None:
                return found
        return self._core.scope(EntityClient, clean_id("entity id", entity_id), None, self._options)

    def as_user(self, user_id: str | UUID) -> UserClient:
        """Return the scope of one entity user without an entity header; ``entity(...).as_user(...)`` has one.

        Raises:
            ConfigurationError: The id is empty, or the client has a static token.
        """
        return self._core.scope(UserClient, None, clean_id("user id", user_id), self._options)

    def httpx_auth(self, entity_user_id: str | UUID | None = None) -> httpx.Auth:
        """Return an ``httpx.Auth`` for any other ``httpx.AsyncClient``, the official Monite client included.

        Args:
            entity_user_id: Whose token to send; None for the partner's.

        Raises:
            ConfigurationError: The id is empty, or the client has a static token.
        """
        return super().httpx_auth() if entity_user_id is None else self.as_user(entity_user_id).httpx_auth()

    async def revoke_token(self) -> None:
        """Drop the partner's token in every process that shares the store, and have the API revoke it.

        Raises:
            MoniteError: The API could not be told; the token is dropped all the same.
        """
        await self._core.revoke(self._key)
