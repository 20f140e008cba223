"""How far one call has come, and what its failure is called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from monite_async._errors import (
    APIStatusError,
    ConfigurationError,
    MoniteError,
    RequestTimeout,
    ResponseValidationError,
)
from monite_async._http.decode import Answer, api_error, read_error
from monite_async._http.exchange import Lost
from monite_async._http.operation import Operation
from monite_async._options import DEFAULT_DEADLINE, DEFAULT_TIMEOUT, RequestOptions, RetryPolicy
from monite_async._tokens.record import AccessToken

if TYPE_CHECKING:
    from monite_async._observer import CallWatch

__all__ = ["Limits", "Progress"]


class Limits:
    """The options that bound a call, with nothing left open; the defaults of the library where they say nothing.

    Attributes:
        timeout: Seconds for one try.
        deadline: Seconds for the whole call.
        retry: When it is repeated.
        lenient: Whether an answer that does not fit the contract is handed back as far as it does.
        first_try: Seconds for the first try, when it is made at once.
    """

    __slots__ = ("deadline", "first_try", "lenient", "retry", "timeout")

    def __init__(self, options: RequestOptions) -> None:
        self.timeout: float = options.timeout or DEFAULT_TIMEOUT
        self.deadline: float = options.deadline or DEFAULT_DEADLINE
        self.retry: RetryPolicy = options.retry or _RETRY
        self.lenient: bool = options.lenient is True
        self.first_try: float = min(self.timeout, self.deadline)


_RETRY: Final = RetryPolicy()


class Progress:
    """One call on its way.

    Attributes:
        operation: What is called.
        limits: What bounds it.
        started: When it began, by the clock of the running loop.
        sends: How often it was handed to the transport.
        retries: How often it was repeated because it failed.
        redirects: How many redirects it followed.
        token: The token to send next, when a refused one was replaced.
        refused: A token of this call was refused already.
        watch: What watches this call, if anything does.
    """

    # Defaults of the class, and so no slots: nearly every call ends without a change of most of them.
    sends: int = 0
    retries: int = 0
    redirects: int = 0
    token: AccessToken | None = None
    refused: bool = False

    def __init__(self, operation: Operation[Any], limits: Limits) -> None:
        self.watch: CallWatch | None = None
        self.operation = operation
        self.limits = limits
        self._loop = loop = asyncio.get_running_loop()
        self.started = loop.time()

    @property
    def deadline_at(self) -> float:
        """When it ends at the latest, by the clock of the running loop."""
        return self.started + self.limits.deadline

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.deadline_at - self._loop.time()

    def next_try(self) -> float:
        """Return when a try that starts now ends at the latest."""
        return min(self._loop.time() + self.limits.timeout, self.deadline_at)

    @property
    def piece_until(self) -> float:
        """When to give up waiting for the next piece of an answer that is read while it comes."""
        return self._loop.time() + self.limits.timeout

    def facts(self) -> dict[str, Any]:
        """Return what every error says about its call."""
        return {
            "method": self.operation.method,
            "path": self.operation.path,
            "attempts": self.sends,
            "elapsed": self._loop.time() - self.started,
        }

    def place(self, error: MoniteError) -> None:
        """Say in an error which call it is about."""
        for name, value in self.facts().items():
            setattr(error, name, value)

    def failed(self, error: BaseException) -> None:
        """Take note of how the call ended, and say in an error that knows of no call which one it is about."""
        if isinstance(error, (ConfigurationError, ResponseValidationError)):
            self.place(error)
            error.__traceback__ = None  # its frames hold what is wrong
        elif isinstance(error, asyncio.CancelledError):
            error.__traceback__ = None  # its frames hold what of the answer was there already
        if self.watch is not None:
            self.watch.ends(error)

    def too_late(self, where: str, *, retry_after: float | None = None) -> RequestTimeout:
        """Return the error for a deadline that passed."""
        text = f"the deadline of {self.limits.deadline:g} s for the whole call passed {where}"
        return RequestTimeout(text, retry_after=retry_after, **self.facts())

    def failure(self, outcome: Answer | Lost, retry_after: float | None) -> MoniteError:
        """Return the error for the last try."""
        if isinstance(outcome, Answer):
            if 300 <= outcome.status < 400:
                text = "the answer is a redirect that is not followed: with a token none is, from a link three over https are"
                return APIStatusError(text, status=outcome.status, request_id=outcome.request_id, **self.facts())
            return api_error(outcome, read_error(outcome), retry_after=retry_after, **self.facts())
        if outcome.error is not RequestTimeout:
            return outcome.error(outcome.text, **self.facts())
        if self.remaining <= 0:
            return self.too_late("before the answer was complete")
        return RequestTimeout(
            f"{outcome.text}: the timeout of {self.limits.timeout:g} s per try passed", **self.facts()
        )
