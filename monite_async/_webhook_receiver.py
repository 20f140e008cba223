"""What receives webhooks: verify, parse, make sure that it is the first time, call who wants to know, answer."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets as randomness
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar, cast, overload

from monite_async._asgi import TOO_LONG, Receive, Scope, Send, header, is_http, read_body, respond
from monite_async._config import Hidden
from monite_async._errors import ConfigurationError, MoniteError, WebhookError
from monite_async._webhook_events import Event, parse
from monite_async._webhook_replay import ReplayGuard, StoreReplayGuard, is_positive
from monite_async._webhook_signature import (
    DEFAULT_TOLERANCE,
    SIGNATURE_HEADER,
    Keys,
    SignedString,
    check_signature,
    check_tolerance,
    keys_of,
    raw_bytes,
    signed_string,
)

__all__ = ["Outcome", "Receiver", "Secrets", "verify"]

Secrets: TypeAlias = str | Iterable[str]
Outcome: TypeAlias = Literal["handled", "duplicate", "running", "ignored"]

E = TypeVar("E", bound=Event)
Handler: TypeAlias = Callable[[E], Awaitable[object]]
_AnyHandler: TypeAlias = Callable[[Any], Awaitable[object]]
H = TypeVar("H", bound=_AnyHandler)

_MARGIN = 10.0
_log = logging.getLogger("monite_async.webhooks")


def verify(
    body: bytes,
    signature: str | bytes | None,
    secrets: Secrets,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    now: float | None = None,
    signed_string: SignedString = signed_string,
) -> Event:
    """Return the event of a delivery whose signature is good.

    Args:
        body: The raw body, exactly as it was received.
        signature: The value of the ``Monite-Signature`` header; None when there was none.
        secrets: The secret of the subscription; several when one address serves several subscriptions, or while a
            secret is replaced (Monite drops the old one at once, but deliveries signed with it may be under way).
        tolerance: Seconds that the signature may be old, or ahead of this machine's clock.
        now: Unix seconds, for tests; default the clock of this machine.
        signed_string: What is signed, should Monite sign something else than is inferred; see ``signed_string``.

    Returns:
        The event, of the class for its type of object.

    Raises:
        WebhookError: Do not act on it: the signature is missing, malformed, not of these secrets and this body, or too
            old; or the body is not an event. The text says which, and nothing of signature, body or secrets.
        ConfigurationError: The body is not bytes, there is no secret, or the tolerance is no number.
    """
    raw, hidden = Hidden(body), Hidden(secrets)
    outcome = _opened(raw, signature, hidden, tolerance, time.time() if now is None else now, signed_string)
    del body, signature, secrets  # a traceback may show the variables of its frames
    if isinstance(outcome, Event):
        return outcome
    raise outcome


def _opened(
    body: Hidden, signature: object, secrets: Keys | Hidden, tolerance: float, now: float, signed: SignedString
) -> Event | MoniteError:
    """Return the event, or what is wrong: with no traceback, whose frames would hold the body."""
    try:
        raw = raw_bytes(body.value)
        keys = secrets if isinstance(secrets, Keys) else keys_of(secrets.value)
        allowed = check_tolerance(tolerance)
        check_signature(raw, signature, keys, tolerance=allowed, now=now, signed_string=signed)
        return parse(raw)
    except (ConfigurationError, WebhookError) as error:
        return error.with_traceback(None)


class Receiver:
    """A plain ASGI application that receives webhooks and calls the handlers that want them.

    ::

        webhooks = Receiver(os.environ["MONITE_WEBHOOK_SECRET"], guard=StoreReplayGuard(store))

        @webhooks.on(PayableEvent, "approved", "paid")
        async def settled(event: PayableEvent) -> None: ...

    It answers 200 once all handlers are done; 400 to what cannot be verified, without saying why; 413 and 405 to what
    is no delivery; 503 while another delivery of the same event is being handled; and 500 when a handler fails or takes
    too long, so that Monite delivers it again: then all handlers of the event run again. A failure is raised once more
    after the answer was sent, so that it reaches what the server has for failures.

    Where there is no ASGI, call ``handle``.

    Args:
        secrets: The secret of the subscription, or several, see ``verify``; or an async function that returns them,
            asked for every delivery, so that they can be replaced while the process runs.
        guard: What remembers which events were handled; default this process alone. Where several processes receive,
            give them ``StoreReplayGuard`` over a store that they share.
        tolerance: Seconds that a signature may be old, or ahead of this machine's clock.
        handler_timeout: Seconds that all handlers of an event may take together. Monite does not say for how long it
            waits; put long work into a queue.
        max_body: Longest body that is read, in bytes; how long a sender may take for it is the server's to limit.
        signed_string: What is signed; see ``signed_string``.
        clock: What tells unix seconds, for tests.

    Raises:
        ConfigurationError: There is no secret, or a number makes no sense.
    """

    def __init__(
        self,
        secrets: Secrets | Callable[[], Awaitable[Secrets]],
        *,
        guard: ReplayGuard | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
        handler_timeout: float = 30.0,
        max_body: int = 1_048_576,
        signed_string: SignedString = signed_string,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._handlers: list[tuple[Callable[[Event], bool], _AnyHandler]] = []
        hidden = Hidden(secrets)
        del secrets  # a traceback may show the variables of its frames
        keys = _keys_or_source(hidden)
        if isinstance(keys, ConfigurationError):
            raise keys
        self._keys = keys
        if not is_positive(handler_timeout) or not is_positive(max_body):
            raise ConfigurationError("handler_timeout and max_body must be positive, finite numbers")
        self._guard: ReplayGuard = StoreReplayGuard() if guard is None else guard
        self._tolerance = check_tolerance(tolerance)
        self._timeout = handler_timeout
        self._max_body = max_body
        self._signed_string = signed_string
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Receiver with {len(self._handlers)} handlers>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Receiver holds secrets and cannot be pickled or copied")

    @overload
    def on(self, kind: type[E], *actions: str) -> Callable[[Handler[E]], Handler[E]]: ...
    @overload
    def on(self, kind: str = "", *actions: str) -> Callable[[H], H]: ...
    def on(self, kind: type[Event] | str = "", *actions: str) -> Callable[[Any], Any]:
        """Register an async function for some events, as a decorator; those of one event run one after another.

        Args:
            kind: A class of events, or a type of object as the API says it (``payable``); left out: all events.
            actions: Names of what happened, with or without the type of the object (``approved``,
                ``payable.approved``); none: whatever happened.

        Raises:
            ConfigurationError: The handler is not an async function, or the brackets are missing (``@receiver.on()``).
        """
        if not _is_kind(kind):
            raise ConfigurationError("on() takes a class of events or a type of object; for all events: @receiver.on()")

        def register(handler: _AnyHandler) -> _AnyHandler:
            if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)):
                raise ConfigurationError("a handler of webhooks must be an async function")
            self._handlers.append((lambda event: _wanted(event, kind, actions), handler))
            return handler

        return register

    async def handle(self, body: bytes, signature: str | bytes | None) -> Outcome:
        """Verify a delivery and have its event handled, for servers without ASGI.

        Args:
            body: The raw body.
            signature: The value of the ``Monite-Signature`` header.

        Returns:
            ``handled``; ``duplicate``: it was handled before; ``ignored``: no handler wants it: answer 200 to these.
            ``running``: another delivery of it is being handled: answer 503, so that it comes again.

        Raises:
            WebhookError: It could not be verified: answer 400.
            Exception: A handler failed or took too long: answer 500, so that it comes again.
        """
        raw = Hidden(body)
        del body  # a traceback may show the variables of its frames
        return await self._handle(await self._open(raw, signature))

    async def _open(self, body: Hidden, signature: str | bytes | None) -> Event | MoniteError:
        keys = self._keys if isinstance(self._keys, Keys) else Hidden(await self._keys())
        return _opened(body, signature, keys, self._tolerance, self._clock(), self._signed_string)

    async def _handle(self, event: Event | MoniteError) -> Outcome:
        if not isinstance(event, Event):
            raise event
        handlers = [handler for wanted, handler in self._handlers if wanted(event)]
        if not handlers:
            return "ignored"
        owner = randomness.token_hex(16)
        claim = await self._guard.claim(event.id, owner=owner, lease=self._timeout + _MARGIN)
        if claim != "claimed":
            return "duplicate" if claim == "handled" else "running"
        try:
            async with asyncio.timeout(self._timeout):
                for handler in handlers:
                    await handler(event)
        except BaseException:
            await self._settle(self._guard.release(event.id, owner=owner), event)
            raise
        await self._settle(self._guard.done(event.id, owner=owner), event)
        return "handled"

    async def _settle(self, step: Awaitable[None], event: Event) -> None:
        try:
            await step
        except Exception as error:  # noqa: BLE001 - whatever a guard of one's own raises
            # What was handled was handled, and what failed has failed, whether or not that could be written down.
            _log.warning("the replay guard could not note the end of event %s: %s", event.id, type(error).__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event."""
        if not await is_http(scope, receive, send):
            return None
        if scope["method"] != "POST":
            head = scope["method"] == "HEAD"
            return await respond(
                send, 405, _error("only POST is answered here"), headers=[("allow", "POST")], head=head
            )
        body = Hidden(await read_body(scope, receive, self._max_body))
        if body.value is TOO_LONG:
            return await respond(send, 413, _error("the body is too long"))
        if body.value is not None:
            await self._answer(body, header(scope, SIGNATURE_HEADER.lower().encode()), send)
        return None

    async def _answer(self, body: Hidden, signature: str | None, send: Send) -> None:
        try:
            event = await self._open(body, signature)
            if isinstance(event, WebhookError):
                _log.warning("a webhook delivery was refused: %s", event)
                return await respond(send, 400, _error("the delivery could not be verified"))
            outcome = await self._handle(event)
        except Exception:
            await respond(send, 500, _error("the event could not be handled"))
            raise
        if outcome == "running":
            again = [("retry-after", str(round(self._timeout)))]
            return await respond(send, 503, _error("the event is being handled"), headers=again)
        return await respond(send, 200, {"outcome": outcome})


def _keys_or_source(secrets: Hidden) -> Keys | Callable[[], Awaitable[Secrets]] | ConfigurationError:
    """Return what keys come from, or what is wrong: with no traceback, whose frames would hold the secrets."""
    try:
        return (
            cast("Callable[[], Awaitable[Secrets]]", secrets.value)
            if callable(secrets.value)
            else keys_of(secrets.value)
        )
    except ConfigurationError as error:
        return error.with_traceback(None)


def _error(message: str) -> dict[str, dict[str, str]]:
    return {"error": {"message": message}}


def _is_kind(kind: object) -> bool:
    return isinstance(kind, str) or (isinstance(kind, type) and issubclass(kind, Event))


def _wanted(event: Event, kind: type[Event] | str, actions: tuple[str, ...]) -> bool:
    if isinstance(kind, str):
        fits = not kind or event.object_type.replace(".", "_") == kind.replace(".", "_")
    else:
        fits = isinstance(event, kind)
    return fits and (not actions or event.name in actions or event.action in actions)
