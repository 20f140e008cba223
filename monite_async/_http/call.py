"""The one request loop: prepare, authorize, send, decide, parse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from monite_async._errors import ClientClosedError, ConfigurationError
from monite_async._headers import encode_headers
from monite_async._http.body import EMPTY, Body, json_body
from monite_async._http.budget import RetryBudget
from monite_async._http.decode import Answer, parse, read_error
from monite_async._http.encode import encode_path, encode_query
from monite_async._http.exchange import Carrier, Head, Lost, Opened, Outgoing
from monite_async._http.limits import Limiter, WouldWaitTooLongError
from monite_async._http.operation import Asked, Operation
from monite_async._http.place import Place, place_of
from monite_async._http.progress import Limits, Progress
from monite_async._options import RequestOptions, require_options
from monite_async._version import __version__
from monite_async_stores import Clock, SystemClock

if TYPE_CHECKING:
    from monite_async._observer import Observer
    from monite_async._tokens.issuer import Wire
    from monite_async._tokens.keys import TokenKey
    from monite_async._tokens.record import AccessToken

__all__ = ["USER_AGENT", "Channel", "Engine", "Tokens"]

T = TypeVar("T")

_log: Final = logging.getLogger("monite_async")
USER_AGENT: Final = f"monite-async/{__version__}"
_MAX_TARGET: Final = 65_536
"""Longest path with its query, in bytes: more than any server takes, and no more than other HTTP clients send."""


class Tokens(Protocol):
    """What the loop needs of a token cache, or of anything that stands in for one."""

    def peek(self, key: TokenKey, /) -> AccessToken | None:
        """Return a fresh token without waiting, or None."""
        ...

    def get(self, key: TokenKey, /) -> Coroutine[Any, Any, AccessToken]:
        """Return, awaited, a token that can be used."""
        ...

    async def replace(self, key: TokenKey, refused: AccessToken, /) -> AccessToken | None:
        """Return another token than the one the server refused, or None when the refusal shall stand."""
        ...


class Engine:
    """What all scopes and views of a client share.

    Attributes:
        place: Where the API is.
        api_version: Value of the version header.
        wire: Names of the headers, and how a dead token is recognised.
        carrier: What carries requests.
        tokens: Where tokens come from.
        limiter: When to send.
        budget: How many repeats are left.
        max_response_bytes: Longest decompressed answer that is read, in bytes.
        clock: Where time comes from.
        closed: The client was closed.
        observer: What watches the calls, if anything does.
        token_header: What carries the token.
    """

    __slots__ = (
        "_head",
        "api_version",
        "budget",
        "carrier",
        "clock",
        "closed",
        "limiter",
        "max_response_bytes",
        "observer",
        "place",
        "token_header",
        "tokens",
        "wire",
    )  # fmt: skip

    def __init__(
        self,
        *,
        place: Place,
        api_version: str,
        wire: Wire,
        carrier: Carrier,
        tokens: Tokens,
        limiter: Limiter,
        budget: RetryBudget,
        max_response_bytes: int,
        clock: Clock | None = None,
    ) -> None:
        self.place: Place = place
        self.api_version: str = api_version
        self.wire: Wire = wire
        self.carrier: Carrier = carrier
        self.tokens: Tokens = tokens
        self.limiter: Limiter = limiter
        self.budget: RetryBudget = budget
        self.max_response_bytes: int = max_response_bytes
        self.clock: Clock = clock or SystemClock()
        self.closed: bool = False
        self.observer: Observer | None = None
        self.token_header: bytes = wire.authorization_header.encode("ascii")
        self._head: Head | None = None

    def __repr__(self) -> str:
        return "<Engine>"

    def head(self) -> Head:
        """Return the header fields of every call, made at the first of them."""
        if self._head is None:
            common = (
                (b"host", self.place.authority),
                (b"accept", b"application/json"),
                (b"accept-encoding", b"gzip"),
                (b"user-agent", USER_AGENT.encode("ascii")),
            )
            version = self.wire.version_header.encode("ascii")
            self._head = Head((*common, (version, self.api_version.encode("ascii"))) if version else common)
        return self._head

    @property
    def reserved_headers(self) -> tuple[str, str, str]:
        """Headers that scopes set, and that callers cannot."""
        return self.wire.authorization_header, self.wire.version_header, self.wire.entity_header

    def require_open(self) -> None:
        """Raise ``ClientClosedError`` once the client was closed."""
        if self.closed:
            raise ClientClosedError("the client was closed; make a new one")


class Channel:
    """Carries out operations for one scope; the ``Caller`` of the generated resources.

    What is the same for all calls of the scope is made at the first of them: many scopes are made for one call each.

    Args:
        engine: What it shares with the other scopes of its client.
        key: Whose token is sent.
        entity_id: The entity of the entity header, or None for no such header.
        options: Options of every call.
    """

    __slots__ = ("_head", "_limits", "engine", "entity_id", "key", "options")

    def __init__(self, engine: Engine, key: TokenKey, entity_id: str | None, options: RequestOptions) -> None:
        self.engine: Engine = engine
        self.key: TokenKey = key
        self.entity_id: str | None = entity_id
        self.options: RequestOptions = options
        self._limits: Limits | None = None
        self._head: Head | None = None
        if options.headers:
            self._own_head()  # whoever wrote them shall hear what is wrong with them

    def __repr__(self) -> str:
        return "<Channel>"

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Carry out one operation; see ``Caller.call``.

        Raises:
            ConfigurationError: The call is wrong; nothing was sent.
            ClientClosedError: The client was closed.
            AuthenticationError: There is no token to be had.
            TransportError: No complete answer arrived.
            APIStatusError: The server answered with an error.
            ResponseValidationError: The answer is not what the contract says.
        """
        asked = Asked(path, query, body)
        del path, query, body  # what stands in a frame is shown by a traceback with locals
        progress = self._start(operation, options)
        try:
            content = await _upload(operation, asked) if operation.multipart and asked.body else _json(operation, asked)
            outgoing = self._prepare(operation, asked, content, options)
            answer = cast("Answer", await self._run(outgoing, progress))
            result = parse(operation.result, answer, lenient=progress.limits.lenient)
        except BaseException as exc:
            progress.failed(exc)
            raise
        if progress.watch is not None:
            progress.watch.ends(None)
        capture = None if options is None else options.capture
        if capture is not None:
            capture.status, capture.headers = answer.status, answer.headers
        return cast("T", result)

    async def open(
        self,
        operation: Operation[bytes],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> tuple[Opened, Progress]:
        """Carry out an operation up to the first bytes of its answer; the rest is left to the caller, who closes it.

        Raises:
            MoniteError: As ``call``.
        """
        asked = Asked(path, query, body)
        del path, query, body
        progress = self._start(operation, options)
        try:
            content = await _upload(operation, asked) if operation.multipart and asked.body else _json(operation, asked)
            opened = await self._open(self._prepare(operation, asked, content, options), progress)
        except BaseException as exc:
            progress.failed(exc)
            raise
        return opened, progress

    async def open_link(self, link: str, options: RequestOptions | None = None) -> tuple[Opened, Progress]:
        """Ask for what a link of the API leads to, as ``open`` does, but with no token: the link is permission enough.

        Raises:
            ConfigurationError: It is not a link, or one over plain http to another machine.
            MoniteError: As ``call``.
        """
        found = _to_link(link)
        del link  # it may be signed: whoever reads it in a traceback has the file
        progress = self._start(_LINK, options)
        try:
            opened = await self._open(self._prepare_link(found, options), progress)
        except BaseException as exc:
            progress.failed(exc)
            raise
        return opened, progress

    async def _open(self, outgoing: Outgoing, progress: Progress) -> Opened:
        opened = cast("Opened", await self._run(outgoing, progress, keep=True))
        if progress.watch is not None:
            progress.watch.ends(None)
        return opened

    def _start(self, operation: Operation[Any], options: RequestOptions | None) -> Progress:
        self.engine.require_open()
        if options is not None:
            require_options(options)
            limits = Limits(options.over(self.options))
        else:
            limits = self._limits or Limits(self.options)
            self._limits = limits
        progress = Progress(operation, limits)
        if self.engine.observer is not None:
            progress.watch = self.engine.observer.call(operation)
        return progress

    def _own_head(self) -> Head:
        """Make the header fields of every call of this scope, and keep them."""
        engine = self.engine
        head = engine.head()
        if self.entity_id is not None:
            head = head.over(((engine.wire.entity_header.encode("ascii"), self.entity_id.encode("ascii")),))
        self._head = head.over(encode_headers(self.options.headers, engine.reserved_headers))
        return self._head

    def _prepare(
        self,
        operation: Operation[Any],
        asked: Asked,
        body: Body,
        options: RequestOptions | None,
    ) -> Outgoing:
        engine = self.engine
        target = engine.place.prefix + encode_path(operation.path, asked.path or {})
        head = self._head or self._own_head()
        if operation.result is bytes:
            head = head.over(_ANYTHING)
        parameters = self.options.query
        if asked.query:
            parameters = {**parameters, **asked.query}
        if options is not None:
            if options.query:
                parameters = {**parameters, **options.query}
            if options.headers:
                head = head.over(encode_headers(options.headers, engine.reserved_headers))
        if parameters and (text := encode_query(parameters)):
            target = f"{target}?{text}"
        if len(target) > _MAX_TARGET:
            raise ConfigurationError("path and query are too long for a URL (65,536 characters): ask for less at once")
        return Outgoing(operation.method, engine.place, target.encode("ascii"), head, body, engine.token_header)

    def _prepare_link(self, outgoing: Outgoing | None, options: RequestOptions | None) -> Outgoing:
        if outgoing is None:
            raise ConfigurationError(
                "a link must begin with https:// (http:// to this machine), and name a host (and a port up to 65535)"
            )
        if options is not None:
            outgoing.head = outgoing.head.over(encode_headers(options.headers, self.engine.reserved_headers))
        return outgoing

    async def _run(self, outgoing: Outgoing, progress: Progress, *, keep: bool = False) -> Answer | Opened:
        """Send until there is an answer to keep (with ``keep`` the beginning of one), or a failure to raise."""
        engine, watch = self.engine, progress.watch
        send = engine.carrier.open if keep else engine.carrier.exchange
        engine.budget.earn()
        while True:
            token = None
            if not outgoing.public:
                token = engine.tokens.peek(self.key)
                free = token is not None and progress.token is None
                if not free or (engine.limiter.active and not engine.limiter.take()):
                    token = await self._admission(progress)
            progress.sends += 1
            if watch is not None:
                watch.sends(outgoing)
            outcome = await send(outgoing, token, until=progress.try_until, max_bytes=engine.max_response_bytes)
            if watch is not None:
                watch.heard(outcome)
            if token is not None and not isinstance(outcome, Lost) and outcome.status != 429:
                engine.limiter.heard(outcome.headers)
            if isinstance(outcome, Opened):
                return outcome
            if isinstance(outcome, Answer):
                if 200 <= outcome.status < 300:
                    return outcome
                moved = _moved(outcome, outgoing, progress)
                if moved is not None:
                    outgoing = moved
                    continue
                if token is not None and await self._replaced(outcome, outgoing, token, progress):
                    continue
            engine.require_open()
            await self._pause(outgoing, outcome, progress)

    async def _admission(self, progress: Progress) -> AccessToken:
        """Return the token to send, as soon as the rate limit lets the request go."""
        engine = self.engine
        token, progress.token = progress.token or engine.tokens.peek(self.key), None
        if token is None:
            token = await self._wait_for_token(progress)
        if engine.limiter.active and not engine.limiter.take():
            await self._wait_for_turn(progress)
            token = engine.tokens.peek(self.key) or token  # a newer one, when the turn was long in coming
        return token

    async def _wait_for_token(self, progress: Progress) -> AccessToken:
        if progress.watch is not None:
            progress.watch.waits("token")
        scope = asyncio.timeout_at(progress.deadline_at)
        try:
            async with scope:
                return await self.engine.tokens.get(self.key)
        except TimeoutError:
            if not scope.expired():
                raise
        raise progress.too_late("while waiting for a token")

    async def _wait_for_turn(self, progress: Progress) -> None:
        if progress.watch is not None:
            progress.watch.waits("turn")
        try:
            await self.engine.limiter.turn(within=progress.remaining)
        except WouldWaitTooLongError as exc:
            wait = exc.wait
        else:
            return
        raise progress.too_late("before the rate limit lets this call go", retry_after=wait)

    async def _replaced(self, answer: Answer, outgoing: Outgoing, token: AccessToken, progress: Progress) -> bool:
        """Have a refused token replaced, once per call; True when the request shall be sent again with another."""
        if progress.operation.path in self.engine.wire.token_paths:
            return False
        if progress.refused or not 400 <= answer.status < 500 or not outgoing.body.replayable:
            return False
        if not self.engine.wire.is_dead_token(answer.status, read_error(answer).message):
            return False
        progress.refused = True
        if progress.watch is not None:
            progress.watch.waits("token")
        try:
            async with asyncio.timeout_at(progress.deadline_at):
                progress.token = await self.engine.tokens.replace(self.key, token)
        except TimeoutError:
            return False
        if progress.watch is not None and progress.token is not None:
            progress.watch.replaced()
        return progress.token is not None

    async def _pause(self, outgoing: Outgoing, outcome: Answer | Lost, progress: Progress) -> None:
        """Wait until the call may be sent again, or raise its failure."""
        import random

        from monite_async._http.retry import Outcome, Stop, decide, rate_limit, retry_after

        engine, policy = self.engine, progress.limits.retry
        status = asked = None
        if isinstance(outcome, Answer):
            status = outcome.status
            asked = retry_after(status, outcome.headers, wall=engine.clock.wall())
            if status == 429 and not outgoing.public:
                gate = None if asked is None else min(asked, policy.max_retry_after)
                engine.limiter.refused(gate, rate_limit(outcome.headers))
        verdict = decide(
            policy,
            Outcome(
                method=outgoing.method,
                retries=progress.retries,
                status=status,
                unsent=isinstance(outcome, Lost) and outcome.unsent,
                retry_after=asked,
                remaining=progress.remaining,
                replayable=outgoing.body.replayable and (isinstance(outcome, Answer) or outcome.again),
                budget=engine.budget.left(),
                draw=random.random(),
                idempotent=progress.operation.idempotent,
            ),
        )
        if isinstance(verdict, Stop):
            _log.debug("%s %s: not again: %s", outgoing.method, progress.operation.logged, verdict.why)
        if isinstance(verdict, Stop) or (verdict.charged and not engine.budget.take()):
            raise progress.failure(outcome, asked)
        progress.retries += 1
        if progress.watch is not None:
            progress.watch.repeats(verdict.wait)
        _log.debug("%s %s: again in %.2f s", outgoing.method, progress.operation.logged, verdict.wait)
        await asyncio.sleep(verdict.wait)


_LINK: Final[Operation[bytes]] = Operation("GET", "the link", bytes)
"""What errors call a link: it may be signed, and whoever has it has the file."""
_ANYTHING: Final = ((b"accept", b"*/*"), (b"accept-encoding", b"identity"))
"""What is asked for where a file is expected: most are compressed already."""


def _json(operation: Operation[Any], asked: Asked) -> Body:
    return json_body(operation.method, asked.body, needed=operation.needs_body)


async def _upload(operation: Operation[Any], asked: Asked) -> Body:
    """Return the body of an upload."""
    from monite_async._files import MAX_FILE_BYTES, frames_of_the_file
    from monite_async._http.multipart import multipart_body

    try:
        return await multipart_body(asked.body, limit=MAX_FILE_BYTES.get(operation.path))
    except BaseException as exc:
        exc.__traceback__ = frames_of_the_file(exc)  # ours hold the fields of the form
        raise


def _to_link(link: str) -> Outgoing | None:
    """Return the request for what a link leads to, or None when it is none that may be followed."""
    from monite_async._http.redirect import link_url

    url = link_url(link)
    place = None if url is None else place_of(url)
    if url is None or place is None:
        return None
    head = Head(((b"host", place.authority), (b"user-agent", USER_AGENT.encode("ascii")), *_ANYTHING))
    return Outgoing("GET", place, url.raw_path, head, EMPTY, public=True)


def _moved(answer: Answer, outgoing: Outgoing, progress: Progress) -> Outgoing | None:
    """Return the request to send instead when the answer is a redirect that may be followed.

    A call that carries a token follows none: its answer would be somebody else's, and a POST might be done twice.
    """
    if not 300 <= answer.status < 400 or not outgoing.public:
        return None
    from monite_async._http.redirect import MAX_REDIRECTS, redirected

    if progress.redirects >= MAX_REDIRECTS:
        return None
    progress.redirects += 1
    return redirected(answer, outgoing)
