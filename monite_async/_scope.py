"""For whom calls are made: the partner, an entity, a user of an entity.

A scope is a value: making one costs no I/O, two that mean the same are equal, and all of a client share its
connections, tokens and limits.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar, cast, overload
from uuid import UUID

from monite_async._config import Hidden, clean_id
from monite_async._errors import ConfigurationError
from monite_async._guidance import no_attribute
from monite_async._http.operation import Asked, Caller, RawOperation
from monite_async._options import RequestOptions, RetryPolicy
from monite_async.api._scopes import EntityResources, EntityUserResources, UserResources

if TYPE_CHECKING:
    import httpx
    from pydantic import JsonValue

    from monite_async._core import Core
    from monite_async._downloads import Download, FileTarget, StreamedResponse
    from monite_async._http.call import Channel
    from monite_async._tokens.keys import TokenKey
    from monite_async._tokens.record import AccessToken

__all__ = ["EntityClient", "EntityUserClient", "Scope", "UserClient"]

T = TypeVar("T")

_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Scope:
    """What all scopes can do; use ``AsyncMonite`` and what it hands out."""

    _channel: Channel
    _caller: Caller
    _remembered: Mapping[str, Any] = MappingProxyType({})
    """The scopes below this one that its client remembers; none for a view, which has options of its own."""

    def __init__(self, core: Core, key: TokenKey, entity_id: str | None, options: RequestOptions) -> None:
        self._core = core
        self._key = key
        self._entity_id = entity_id
        self._options = options

    def _like(self, options: RequestOptions) -> Self:
        """Return a scope that differs in its options only."""
        twin = object.__new__(type(self))
        Scope.__init__(twin, self._core, self._key, self._entity_id, options)
        # Now, not at its first call: this is where headers are checked.
        twin._caller = twin._channel
        return twin

    if not TYPE_CHECKING:  # which would let every name pass; at run time it is asked for what is not there

        def __getattr__(self, name: str) -> object:
            if name in {"_channel", "_caller"}:
                # With its first call: scopes are made by the thousand, for one call each or for none.
                self._channel = self._caller = self._core.channel(self._key, self._entity_id, self._options)
                return self._channel
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # it is there, and fails: let its own error be seen
            raise no_attribute(self, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scope):
            return NotImplemented
        return (
            type(self) is type(other)
            and self._core is other._core
            and self._key == other._key
            and self._entity_id == other._entity_id
            and self._options == other._options
        )

    def __hash__(self) -> int:
        return hash((id(self._core), self._key.id, self._entity_id))

    def __repr__(self) -> str:
        # Tracebacks with locals show also a client whose constructor has just failed.
        key: TokenKey | None = getattr(self, "_key", None)
        parts: list[str] = []
        if key is not None and (self._entity_id or key.entity_id):
            parts.append(f"entity_id={self._entity_id or key.entity_id!r}")
        if key is not None and key.entity_user_id:
            parts.append(f"user_id={key.entity_user_id!r}")
        return f"<{type(self).__name__}{''.join(' ' + part for part in parts)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied: make it where it is used")

    def with_options(
        self,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        lenient: bool | None = None,
    ) -> Self:
        """Return a view of this scope with other options; it shares everything else, also when it is closed.

        Args:
            timeout: Seconds that one try may take; None leaves it as it is, as for all others.
            deadline: Seconds that a whole call may take.
            retry: When a call is sent again.
            headers: Further headers, added to those of this scope.
            lenient: Hand back what fits of an answer that is not what the contract says; see ``RequestOptions``.

        Raises:
            ConfigurationError: A value makes no sense, or a header is not the caller's to set.
        """
        added = Hidden({} if headers is None else headers)
        del headers  # what stands in a frame is shown by a traceback with locals
        options = RequestOptions(
            timeout=timeout,
            deadline=deadline,
            retry=retry,
            headers=cast("Mapping[str, str]", added.value),
            lenient=lenient,
        )
        return self._like(options.over(self._options))

    def token(self) -> Coroutine[Any, Any, AccessToken]:
        """Return, awaited, the token that this scope's calls are sent with, fetched if there is none.

        Raises:
            AuthenticationError: The token endpoint refused.
            APIStatusError: It failed, or was asked too often.
            TransportError: It could not be reached.
            ClientClosedError: The client was closed.
        """
        # Not a coroutine of its own: of 10,000 that wait for one token each would hold three instead of one.
        return self._core.token(self._key)

    def httpx_auth(self) -> httpx.Auth:
        """Return an ``httpx.Auth`` that sends this scope's token, for any other ``httpx.AsyncClient``.

        It adds the version and the entity header where a request brings none, replaces a dead token once per request,
        and refuses to send the token to any other host than the client's.
        """
        from monite_async._http.auth import MoniteAuth

        return MoniteAuth(self._channel)

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        multipart: Mapping[str, object] | None = None,
        cast_to: type[T],
        options: RequestOptions | None = None,
    ) -> T: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        multipart: Mapping[str, object] | None = None,
        cast_to: None,
        options: RequestOptions | None = None,
    ) -> None: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        multipart: Mapping[str, object] | None = None,
        options: RequestOptions | None = None,
    ) -> JsonValue: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        multipart: Mapping[str, object] | None = None,
        cast_to: Any = object,
        options: RequestOptions | None = None,
    ) -> Any:
        """Call what has no method of its own.

        Args:
            method: HTTP method.
            path: Path below the base URL; ``{name}`` stands for a value of ``path_params``.
            path_params: Values of the path, quoted here.
            query: Query parameters; lists repeat the key.
            json: The body, as JSON.
            multipart: The body, as multipart/form-data; files as ``FileInput``.
            cast_to: Type of the answer: a model, any type that pydantic knows, ``bytes``, or None to ignore it. Left
                out, the answer is parsed JSON, or None when it has no body.
            options: Options of this call.

        Raises:
            ConfigurationError: The call is wrong; nothing was sent.
            MoniteError: The call failed.
        """
        from monite_async._http.decode import check_result
        from monite_async._http.encode import raw_path

        asked = Asked(path_params, query, json if multipart is None else multipart)
        upload, both = multipart is not None, json is not None and multipart is not None
        del path_params, query, json, multipart  # what stands in a frame is shown by a traceback with locals
        verb = _verb(method)
        if both:
            raise ConfigurationError("give either json or multipart, not both")
        check_result(cast_to)
        operation: RawOperation[Any] = RawOperation(verb, raw_path(path), cast_to, upload)
        return await self._channel.call(operation, path=asked.path, query=asked.query, body=asked.body, options=options)

    def stream(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        options: RequestOptions | None = None,
    ) -> StreamedResponse:
        """Return a call whose answer is read while it comes: ``async with scope.stream(...) as response``.

        A link that the API gave (``file.url``, ``source_url``) can stand for the path of a GET. It is asked for without
        the token, wherever it leads.

        Args:
            method: HTTP method.
            path: Path below the base URL, or a link; ``{name}`` in a path stands for a value of ``path_params``.
            path_params: Values of the path, quoted here.
            query: Query parameters; lists repeat the key.
            json: The body, as JSON.
            options: Options of this call. Their ``deadline`` bounds it to the last byte; the deadline of the client
                does so to the first byte only, and from then on ``timeout`` bounds the wait for each further piece.

        Raises:
            ConfigurationError: The call is wrong; nothing was sent.
        """
        source, asked = Hidden(path), Asked(path_params, query, json)
        del path, path_params, query, json  # what stands in a frame is shown by a traceback with locals
        return self._stream(method, source, asked, options)

    def _stream(self, method: str, source: Hidden, asked: Asked, options: RequestOptions | None) -> StreamedResponse:
        from monite_async._downloads import StreamedResponse
        from monite_async._http.encode import raw_path

        verb, channel = _verb(method), self._channel
        bounded = options is not None and options.deadline is not None
        if _is_link(source.value):
            if verb != "GET" or not asked.is_empty:
                raise ConfigurationError("a link is complete: only GET it, without path_params, query and json")
            return StreamedResponse(lambda: channel.open_link(str(source.value), options), bounded=bounded)
        operation: RawOperation[bytes] = RawOperation(verb, raw_path(cast("str", source.value)), bytes)
        return StreamedResponse(
            lambda: channel.open(operation, path=asked.path, query=asked.query, body=asked.body, options=options),
            bounded=bounded,
        )

    async def download(
        self,
        source: str,
        *,
        to: FileTarget,
        path_params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        max_bytes: int | None = None,
        options: RequestOptions | None = None,
    ) -> Download:
        """Write a file of the API to the disk, never holding it in memory as a whole.

        At a path the file appears when it is complete, in place of what was there; until then, and when the download
        fails or is cancelled, nothing changes.

        Args:
            source: Path of a GET below the base URL (``/document_templates/{id}/preview``), or a link that the API
                gave; the token is never sent to a link.
            to: A path, or a file open for writing in binary mode, which stays open.
            path_params: Values of the path, quoted here.
            query: Query parameters; lists repeat the key.
            max_bytes: Most bytes to accept, decompressed; None for no limit.
            options: Options of this call, see ``stream``.

        Raises:
            ConfigurationError: The call is wrong; nothing was sent.
            ResponseValidationError: The file is longer than ``max_bytes``.
            MoniteError: The file could not be had.
            OSError: It could not be written.
        """
        from monite_async._downloads import open_target, save

        link, asked = Hidden(source), Asked(path_params, query, None)
        del source, path_params, query
        response = self._stream("GET", link, asked, options)
        return await save(response, open_target(to), max_bytes)


def _is_link(source: object) -> bool:
    return "://" in str(source) and not str(source).startswith("/")


def _verb(method: str) -> str:
    verb = str(method).upper()
    if verb not in _METHODS:
        raise ConfigurationError(f"method must be one of {', '.join(sorted(_METHODS))}")
    return verb


class EntityClient(EntityResources, Scope):
    """Calls for one entity, with the partner's token."""

    @property
    def entity_id(self) -> str:
        """The entity."""
        return self._entity_id or ""

    def as_user(self, user_id: str | UUID) -> EntityUserClient:
        """Return the scope of one user of this entity.

        Raises:
            ConfigurationError: The id is empty, or the client has a static token.
        """
        if type(user_id) is str:
            found: EntityUserClient | None = self._remembered.get(f"{self._entity_id} {user_id}")
            if found is not None:
                return found
        return self._core.scope(EntityUserClient, self._entity_id, clean_id("user id", user_id), self._options)


class _OfUser(Scope):
    @property
    def user_id(self) -> str:
        """The entity user."""
        return self._key.entity_user_id

    async def revoke_token(self) -> None:
        """Drop this user's token in every process that shares the store, and have the API revoke it.

        Raises:
            MoniteError: The API could not be told; the token is dropped all the same.
        """
        await self._core.revoke(self._key)


class EntityUserClient(EntityUserResources, _OfUser):
    """Calls for one entity, with the token of one of its users: what the user's role allows."""

    @property
    def entity_id(self) -> str:
        """The entity."""
        return self._entity_id or ""


class UserClient(UserResources, _OfUser):
    """Calls with the token of an entity user that need no entity header: who am I, and what may I do."""
