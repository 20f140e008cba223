"""The first API of Monite (2021): API user, entities, their access tokens, their users' tokens, incoming bills.

::

    async with LegacyMonite(client_id="...", client_secret="...") as monite:      # the API user
        entity = await monite.entities.create(name="Siemens GMBH")
        acme = monite.entity(entity.id)                                           # the entity's own token
        bill = await acme.incoming_bills.upload(file=Path("bill.pdf"))
        ann = acme.as_user(user_id)                                               # a user's token

It runs on the token cache, the stores, the errors and the request loop of ``AsyncMonite``; what differs is who issues
tokens, and in which header they travel. Every scope has ``request()``, ``stream()`` and ``download()`` for all else.
Whether the old host still answers is not known; ``monite_async.emulator`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self
from uuid import UUID

from monite_async._config import Hidden, Settings, TokenSource, clean_id
from monite_async._core import Core, Tokens, Wiring
from monite_async._files import FileInput
from monite_async._http.operation import Operation
from monite_async._options import DEFAULT_DEADLINE, DEFAULT_TIMEOUT, UNSET, RequestOptions, RetryPolicy, Unset
from monite_async._pagination import AsyncPager
from monite_async._resource import Call, Resource
from monite_async._scope import Scope
from monite_async._tokens.keys import TokenKey
from monite_async.legacy._issuer import BASE_URL, WIRE
from monite_async.legacy._models import BillFile, BillPage, Entity, EntityPage, IncomingBill
from monite_async_stores import TokenStore

if TYPE_CHECKING:
    import ssl

    import httpx

    from monite_async._rate import SharedRate

__all__ = [
    "BASE_URL",
    "BillFile",
    "BillPage",
    "Entity",
    "EntityPage",
    "IncomingBill",
    "LegacyEntityClient",
    "LegacyMonite",
    "LegacyUserClient",
]

_ENTITIES: Final = "/api_users/v1/entities"
_ENTITY: Final = "/api_users/v1/entities/{entity_id}"
_BILLS: Final = "/entities/v1/incoming_bills"
_BILL: Final = "/entities/v1/incoming_bills/{bill_id}"
_DELETE_ENTITY: Final[Operation[None]] = Operation("DELETE", _ENTITY)
_DELETE_BILL: Final[Operation[None]] = Operation("DELETE", _BILL)
_LOG_OUT_USER: Final[Operation[None]] = Operation("DELETE", "/entities/v1/auth/{entity_user_id}")


class Entities(Resource):
    """The partner's customers; fields of one are ``type`` (person or business), ``country_code``, ``internal_id``."""

    __slots__ = ()

    def list(
        self, *, limit: int | Unset = UNSET, options: RequestOptions | None = None
    ) -> AsyncPager[EntityPage, Entity]:
        """List entities, 1 to 100 per page."""
        return AsyncPager(
            self._caller, Operation("GET", _ENTITIES, EntityPage), query={"limit": limit}, options=options
        )

    def create(self, *, name: str, options: RequestOptions | None = None, **fields: str) -> Call[Entity]:
        """Create an entity: a business in Germany unless said otherwise."""
        return self._caller.call(Operation("POST", _ENTITIES, Entity), body={"name": name, **fields}, options=options)

    def get(self, entity_id: str, *, options: RequestOptions | None = None) -> Call[Entity]:
        """Get an entity."""
        return self._caller.call(Operation("GET", _ENTITY, Entity), path={"entity_id": entity_id}, options=options)

    def update(
        self, entity_id: str, *, name: str, options: RequestOptions | None = None, **fields: str
    ) -> Call[Entity]:
        """Put other data in place of an entity's."""
        operation, body = Operation("PUT", _ENTITY, Entity), {"name": name, **fields}
        return self._caller.call(operation, path={"entity_id": entity_id}, body=body, options=options)

    async def delete(self, entity_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete an entity."""
        await self._caller.call(_DELETE_ENTITY, path={"entity_id": entity_id}, options=options)


class IncomingBills(Resource):
    """The bills that an entity has to pay."""

    __slots__ = ()

    def list(
        self, *, limit: int | Unset = UNSET, options: RequestOptions | None = None
    ) -> AsyncPager[BillPage, IncomingBill]:
        """List bills, 1 to 100 per page."""
        return AsyncPager(self._caller, Operation("GET", _BILLS, BillPage), query={"limit": limit}, options=options)

    def upload(self, *, file: FileInput, options: RequestOptions | None = None) -> Call[IncomingBill]:
        """Upload a bill and return what was read from it."""
        operation = Operation("POST", _BILLS, IncomingBill, multipart=True)
        return self._caller.call(operation, body={"file": file}, options=options)

    def get(self, bill_id: str, *, options: RequestOptions | None = None) -> Call[IncomingBill]:
        """Get a bill."""
        return self._caller.call(Operation("GET", _BILL, IncomingBill), path={"bill_id": bill_id}, options=options)

    def update(
        self, bill_id: str, *, options: RequestOptions | None = None, **fields: str | int | None
    ) -> Call[IncomingBill]:
        """Change a bill: ``currency``, ``amount``, ``description``, ``due_date``, ``issued_at``, ``counterpart_...``."""
        operation = Operation("PUT", _BILL, IncomingBill)
        return self._caller.call(operation, path={"bill_id": bill_id}, body=fields, options=options)

    async def delete(self, bill_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a bill."""
        await self._caller.call(_DELETE_BILL, path={"bill_id": bill_id}, options=options)


class LegacyUserClient(Scope):
    """Calls with the token of a user of an entity, below ``/entity_users``."""

    @property
    def user_id(self) -> str:
        """The user."""
        return self._key.entity_user_id

    async def revoke_token(self) -> None:
        """Log the user out with the entity's token, and drop the user's in every process that shares the store."""
        key = self._key
        entity = LegacyEntityClient._of(self, key.entity_id)
        await self._core.issued().invalidate(key)
        await entity._channel.call(_LOG_OUT_USER, path={"entity_user_id": key.entity_user_id})


class LegacyEntityClient(Scope):
    """Calls with the token of an entity, below ``/entities``."""

    @classmethod
    def _of(cls, scope: Scope, entity_id: str) -> LegacyEntityClient:
        made = object.__new__(cls)
        partner = scope._core.key()
        key = TokenKey(partner.base_url, partner.client_id, "entity", entity_id=entity_id)
        Scope.__init__(made, scope._core, key, None, scope._options)
        return made

    @property
    def entity_id(self) -> str:
        """The entity."""
        return self._key.entity_id

    @property
    def incoming_bills(self) -> IncomingBills:
        """The bills of the entity."""
        return IncomingBills(self._caller)

    def as_user(self, user_id: str | UUID) -> LegacyUserClient:
        """Return the scope of one user of this entity; raises ``ConfigurationError`` for an empty id."""
        made, mine = object.__new__(LegacyUserClient), self._key
        user = clean_id("user id", user_id)
        key = TokenKey(mine.base_url, mine.client_id, "entity_user", user, mine.entity_id)
        Scope.__init__(made, self._core, key, None, self._options)
        return made

    async def invalidate_token(self) -> None:
        """Drop the entity's token in every process that shares the store; this API cannot end it itself."""
        await self._core.issued().invalidate(self._key)


class LegacyMonite(Scope):
    """A client of the API of 2021, and the scope of its API user, below ``/api_users``.

    Args:
        client_id: Id of the API user, a UUID.
        client_secret: Its secret, or an async function that returns the current one.
        base_url: Where the API is.
        token_store: Where tokens are shared; default as for ``AsyncMonite``.
        timeout: Seconds that one try may take.
        deadline: Seconds that a whole call may take.
        retry: When calls are sent again.
        headers: Further headers of every call (``accept-language``).
        lenient: This and all that follow are as for ``AsyncMonite``.
        rate_limit: Requests per second, or a ``SharedRate``; default is to learn it from the answers.
        max_response_bytes: Longest decompressed answer that is read, in bytes; default 64 MiB.
        transport: Carries the requests instead of this library's own connections, or ``"fast"``.
        proxy: URL of a proxy for all requests; default what the environment says.
        http2: Speak HTTP/2 where the server does (needs the extra ``http2``).
        ssl_context: TLS context, for authorities or client certificates of your own.
        trust_env: Whether the environment may name proxies and certificate authorities.

    Raises:
        ConfigurationError: With everything that is wrong at once.
    """

    def __init__(
        self,
        *,
        client_id: str | UUID,
        client_secret: TokenSource,
        base_url: str = BASE_URL,
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
    ) -> None:
        hidden, hidden_proxy = Hidden(client_secret), Hidden(proxy)
        settings = Settings(
            client_id=client_id,
            client_secret=hidden,
            base_url=base_url,
            timeout=timeout,
            deadline=deadline,
            retry=retry,
            headers=headers,
            lenient=lenient,
            rate_limit=rate_limit,
            max_response_bytes=max_response_bytes,
            owner="LegacyMonite",
        )
        del client_secret, proxy, base_url, headers  # a traceback may show the variables of its frames
        wiring = Wiring(transport, hidden_proxy, http2, ssl_context, trust_env)
        core = Core(settings, store=token_store, wiring=wiring, issuer=None, wire=WIRE)
        super().__init__(core, core.key(), None, core.config.options)

    async def __aenter__(self) -> Self:
        self._core.engine.require_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client with all its scopes; may be repeated."""
        await self._core.aclose()

    @property
    def tokens(self) -> Tokens:
        """Count the tokens of this client, and listen to what happens to them."""
        return self._core.tokens

    @property
    def entities(self) -> Entities:
        """The partner's customers."""
        return Entities(self._caller)

    def entity(self, entity_id: str | UUID) -> LegacyEntityClient:
        """Return the scope of one entity; raises ``ConfigurationError`` for an empty id."""
        return LegacyEntityClient._of(self, clean_id("entity id", entity_id))

    async def revoke_token(self) -> None:
        """Log the API user out: its token is dropped in every process that shares the store, and ended."""
        await self._core.revoke(self._key)
