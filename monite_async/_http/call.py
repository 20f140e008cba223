"""The one request loop: prepare, authorize, send, decide, parse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from monite_async._errors import ConfigurationError
from monite_async._headers import encode_headers
from monite_async._http.body import EMPTY, Body, json_body
from monite_async._http.decode import Answer, read_error, reading
from monite_async._http.encode import encode_path, encode_query, is_plain
from monite_async._http.engine import USER_AGENT, Engine
from monite_async._http.exchange import Head, Lost, Opened, Outgoing
from monite_async._http.limits import WouldWaitTooLongError
from monite_async._http.operation import Asked, Operation
from monite_async._http.progress import Limits, Progress
from monite_async._options import RequestOptions, require_options

if TYPE_CHECKING:
    from monite_async._http.exchange import Bearer
    from monite_async._observer import CallWatch
    from monite_async._tokens.keys import TokenKey
    from monite_async._tokens.record import AccessToken

__all__ = ["Channel"]

T = TypeVar("T")
_Send: TypeAlias = Callable[..., Awaitable[Any]]
"""``Carrier.exchange`` or ``Carrier.open``."""

_log: Final = logging.getLogger("monite_async")
_MAX_TARGET: Final = 65_536
"""Longest path with its query, in bytes: more than any server takes, and no more than other HTTP clients send."""


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

        What nearly every call does and no more stands here in one piece: most steps cost less than a function of their
        own would (``benchmarks/README.md``). For all that goes otherwise there is ``_go_on``.

        Raises:
            MoniteError: As ``Caller.call`` says.
        """
        engine, progress = self.engine, None
        try:
            progress = self._start(operation, options)
            limits, limiter, outgoing = progress.limits, engine.limiter, None
            until = progress.started + limits.first_try
            if operation.one is not None and options is None and query is None and body is None and path is not None:
                outgoing = self._plain(operation.one, path)
            if outgoing is None:
                asked, path, query, body = Asked(path, query, body), None, None, None
                outgoing = await self._prepare(operation, asked, options)
                del asked
                if outgoing.body is not EMPTY:
                    until = progress.next_try()  # it may have taken its time to be made: a file is looked at first
            path = None  # what stands in a frame is shown by a traceback with locals
            engine.budget.calls += 1
            token = engine.tokens.peek(self.key)
            if token is None or (limiter.active and not limiter.take()):
                token = await self._admission(progress)
                until = progress.next_try()
            progress.sends = 1
            send: _Send = engine.carrier.exchange
            if progress.watch is not None:
                send = _watched(send, progress.watch)
            answer = await send(outgoing, token, until=until, max_bytes=engine.max_response_bytes)
            if isinstance(answer, Answer) and answer.status // 100 == 2:
                limiter.heard(answer.headers)
            else:
                outgoing = await self._again(outgoing, answer, token, progress)
                answer = await self._go_on(send, outgoing, progress)
            result: T = reading(operation.result)(answer, limits.lenient)
        except BaseException as exc:
            path = query = body = None
            if progress is not None:
                progress.failed(exc)
            raise
        if progress.watch is not None:
            progress.watch.ends(None)
        if options is not None and options.capture is not None:
            options.capture.status, options.capture.headers = answer.status, answer.headers
        return result

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
        return await self._open(operation, asked, options)

    async def open_link(self, link: str, options: RequestOptions | None = None) -> tuple[Opened, Progress]:
        """Ask for what a link of the API leads to, as ``open`` does, but with no token: the link is permission enough.

        Raises:
            ConfigurationError: It is not a link, or one over plain http to another machine.
            MoniteError: As ``call``.
        """
        asked = Asked(None, None, link)
        del link  # it may be signed: whoever reads it in a traceback has the file
        return await self._open(_LINK, asked, options)

    async def _open(
        self, operation: Operation[Any], asked: Asked, options: RequestOptions | None
    ) -> tuple[Opened, Progress]:
        progress = self._start(operation, options)
        try:
            outgoing = await self._prepare(operation, asked, options)
            self.engine.budget.calls += 1
            send: _Send = self.engine.carrier.open
            if progress.watch is not None:
                send = _watched(send, progress.watch)
            opened = await self._go_on(send, outgoing, progress)
        except BaseException as exc:
            progress.failed(exc)
            raise
        if progress.watch is not None:
            progress.watch.ends(None)
        return opened, progress

    async def _go_on(self, send: _Send, outgoing: Outgoing, progress: Progress) -> Any:
        """Send until there is an answer to keep, or the beginning of one, or a failure to raise."""
        engine = self.engine
        while True:
            token = None if outgoing.public else await self._admission(progress)
            progress.sends += 1
            outcome = await send(outgoing, token, until=progress.next_try(), max_bytes=engine.max_response_bytes)
            if not isinstance(outcome, Lost) and outcome.status // 100 == 2:
                if token is not None:
                    engine.limiter.heard(outcome.headers)
                return outcome
            outgoing = await self._again(outgoing, outcome, token, progress)

    def _start(self, operation: Operation[Any], options: RequestOptions | None) -> Progress:
        engine = self.engine
        if engine.closed:
            engine.require_open()
        limits = self._limits or self._own_limits()
        if options is not None:
            require_options(options)
            limits = Limits(options.over(self.options))
        progress = Progress(operation, limits)
        if engine.observer is not None:
            progress.watch = engine.observer.call(operation)
        return progress

    def _own_limits(self) -> Limits:
        """Make the limits of every call of this scope, and keep them."""
        self._limits = Limits(self.options)
        return self._limits

    def _own_head(self) -> Head:
        """Make the header fields of every call of this scope, and keep them."""
        engine = self.engine
        head = engine.head()
        if self.entity_id is not None:
            head = head.over(((engine.wire.entity_header.encode("ascii"), self.entity_id.encode("ascii")),))
        self._head = head.over(encode_headers(self.options.headers, engine.reserved_headers))
        return self._head

    def _plain(self, template: tuple[str, str, str], path: Mapping[str, object]) -> Outgoing | None:
        """Return the request of a GET with one parameter in its path and nothing else, None if that needs to be quoted."""
        before, name, after = template
        value = path.get(name)
        if type(value) is not str or not is_plain(value):
            return None
        place = self.engine.place
        target = f"{place.prefix}{before}{value}{after}".encode("ascii")
        return Outgoing("GET", place, target, self._head or self._own_head(), EMPTY, self.engine.token_header)

    async def _prepare(self, operation: Operation[Any], asked: Asked, options: RequestOptions | None) -> Outgoing:
        """Return the request of any call.

        Raises:
            ConfigurationError: It cannot be sent.
        """
        if operation is _LINK:
            return self._prepare_link(asked, options)
        if operation.multipart and asked.body:
            body = await _upload(operation, asked)
        else:
            body = json_body(operation.method, asked.body, needed=operation.needs_body)
        engine = self.engine
        target = engine.place.prefix + encode_path(operation.path, asked.path or {})
        head = self._head or self._own_head()
        if operation.result is bytes:
            head = head.over(_ANYTHING)
        query = asked.query or {}
        if options is not None:
            query = {**query, **options.query}
            head = head.over(encode_headers(options.headers, engine.reserved_headers))
        if query and (text := encode_query(query)):
            target = f"{target}?{text}"
        if len(target) > _MAX_TARGET:
            raise ConfigurationError("path and query are too long for a URL (65,536 characters): ask for less at once")
        return Outgoing(operation.method, engine.place, target.encode("ascii"), head, body, engine.token_header)

    def _prepare_link(self, asked: Asked, options: RequestOptions | None) -> Outgoing:
        from monite_async._http.redirect import link_request

        outgoing = link_request(asked.body, ((b"user-agent", USER_AGENT.encode("ascii")), *_ANYTHING))
        if outgoing is None:
            raise ConfigurationError(
                "a link must begin with https:// (http:// to this machine), and name a host (and a port up to 65535)"
            )
        if options is not None:
            outgoing.head = outgoing.head.over(encode_headers(options.headers, self.engine.reserved_headers))
        return outgoing

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

    async def _again(
        self, outgoing: Outgoing, outcome: Answer | Lost, token: AccessToken | None, progress: Progress
    ) -> Outgoing:
        """Return what to send after an outcome that is no answer to keep, as soon as it may be sent, or raise the failure."""
        if isinstance(outcome, Answer):
            if token is not None and outcome.status != 429:
                self.engine.limiter.heard(outcome.headers)
            moved = _moved(outcome, outgoing, progress)
            if moved is not None:
                return moved
            if token is not None and await self._replaced(outcome, outgoing, token, progress):
                return outgoing
        self.engine.require_open()
        await self._pause(outgoing, outcome, progress)
        return outgoing

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


def _watched(send: _Send, watch: CallWatch) -> _Send:
    """Return what sends as before, and tells of it."""

    async def sends(outgoing: Outgoing, token: Bearer | None, *, until: float, max_bytes: int) -> Any:
        watch.sends(outgoing)
        outcome = await send(outgoing, token, until=until, max_bytes=max_bytes)
        watch.heard(outcome)
        return outcome

    return sends


async def _upload(operation: Operation[Any], asked: Asked) -> Body:
    """Return the body of an upload."""
    from monite_async._files import MAX_FILE_BYTES, frames_of_the_file
    from monite_async._http.multipart import multipart_body

    try:
        return await multipart_body(asked.body, limit=MAX_FILE_BYTES.get(operation.path))
    except BaseException as exc:
        exc.__traceback__ = frames_of_the_file(exc)  # ours hold the fields of the form
        raise


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
