"""Every failure a caller can meet, as one tree.

::

    MoniteError                     anything this library raises on purpose
    ├── ConfigurationError          the call or the client is wrong; nothing was sent (also a ValueError)
    ├── ClientClosedError           the client was used after ``aclose()``
    ├── AuthenticationError         the token endpoint refused the credentials or answered nonsense
    ├── TransportError              no complete answer arrived
    │   ├── ConnectError            no connection could be made; nothing was sent
    │   ├── RequestTimeout          a time limit passed
    │   └── PoolTimeout             no connection became free in time; nothing was sent
    ├── APIStatusError              the server answered with an error status
    │   ├── BadRequestError         400
    │   ├── UnauthorizedError       401
    │   ├── ForbiddenError          403
    │   ├── NotFoundError           404
    │   ├── ConflictError           409
    │   ├── UnprocessableEntityError 422, with ``errors`` by field
    │   ├── RateLimitError          429, with ``retry_after``
    │   └── ServerError             5xx
    ├── ResponseValidationError     the answer is not what the contract says
    ├── WorkFailedError             work that the API does after answering came to nothing
    ├── WorkTimeout                 such work was not over in time (also a TimeoutError)
    └── WebhookError                a webhook delivery could not be verified

The text of an error names the method, the path *template*, the status and the request id, so that it can be logged
and sent to Monite's support. It never holds a header, a body, a query or a secret. Only ``request()`` and its like can
be given a path with values in it; then that is what is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

__all__ = [
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ForbiddenError",
    "MoniteError",
    "NotFoundError",
    "PoolTimeout",
    "RateLimitError",
    "RequestTimeout",
    "ResponseValidationError",
    "ServerError",
    "TransportError",
    "UnauthorizedError",
    "UnprocessableEntityError",
    "WebhookError",
    "WorkFailedError",
    "WorkTimeout",
    "status_error",
]

_MESSAGE_LIMIT = 500
_E = TypeVar("_E", bound="MoniteError")


def _printable(text: str) -> str:
    """Return the text on one line and bounded: a server's message may hold anything."""
    flat = "".join(ch if ch.isprintable() else " " for ch in text[: _MESSAGE_LIMIT + 1])
    return flat if len(flat) <= _MESSAGE_LIMIT else flat[: _MESSAGE_LIMIT - 1] + "…"


class MoniteError(Exception):
    """Base of everything this library raises on purpose.

    Attributes:
        message: What went wrong; for an answer of the server, Monite's own message.
        method: HTTP method of the failed call, or None when there was no call.
        path: Path template of the call (``/payables/{payable_id}``), never with the values in it; a path that was
            written by hand for ``request()``, as it was written.
        status: HTTP status of the answer, or None when there was none.
        request_id: The answer's ``x-request-id``: quote it to Monite's support.
        attempts: How often the request was sent (0: nothing left this process).
        elapsed: Seconds from the start of the call to its failure.
        retry_after: Seconds after which another try may make sense, or None when nobody said.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        elapsed: float | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message: str = _printable(message)
        super().__init__(self.message)
        self.method = method
        self.path = path
        self.status = status
        self.request_id: str | None = None if request_id is None else _printable(request_id)
        self.attempts = attempts
        self.elapsed = elapsed
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = " ".join(part for part in (self.method, self.path) if part)
        facts = [
            f"status {self.status}" if self.status is not None else "",
            f"request id {self.request_id}" if self.request_id else "",
            f"{self.attempts} attempts" if self.attempts > 1 else "",
            f"{self.elapsed:.2f} s" if self.elapsed is not None else "",
            f"retry after {self.retry_after:.1f} s" if self.retry_after is not None else "",
        ]
        tail = ", ".join(fact for fact in facts if fact)
        return f"{where + ': ' if where else ''}{self.message}{f' ({tail})' if tail else ''}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, dict(self.__dict__))

    def again(self) -> Self:
        """Return a new instance with the same facts, for one more caller of a shared failure.

        Raising one exception object in many tasks would pile all their tracebacks, and so their locals, on it.
        """
        twin = _restore(type(self), self.message, dict(self.__dict__))
        twin.__cause__ = self.__cause__
        return twin


def _restore(kind: type[_E], message: str, state: dict[str, object]) -> _E:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigurationError(MoniteError, ValueError):
    """The client, the call or its arguments are wrong; nothing was sent."""


class ClientClosedError(MoniteError):
    """The client was used after ``aclose()``; make a new one."""


class AuthenticationError(MoniteError):
    """The token endpoint refused the credentials, or its answer holds no usable token."""


class TransportError(MoniteError):
    """No complete answer arrived; the request may or may not have been carried out."""


class ConnectError(TransportError):
    """No connection could be made (DNS, TCP or TLS); nothing was sent."""


class RequestTimeout(TransportError):
    """A time limit of the call passed before its answer was complete."""


class PoolTimeout(TransportError):
    """No connection of the pool became free in time; nothing was sent."""


class APIStatusError(MoniteError):
    """The server answered with an error status that has no class of its own."""


class BadRequestError(APIStatusError):
    """400: the request is not acceptable as it stands."""


class UnauthorizedError(APIStatusError):
    """401: the token is not accepted, even after one replacement."""


class ForbiddenError(APIStatusError):
    """403: the role of this entity user, or the kind of token, does not allow the operation."""


class NotFoundError(APIStatusError):
    """404: there is no such object for this entity."""


class ConflictError(APIStatusError):
    """409: the state of the object forbids the operation (older API versions: also a missing permission)."""


class UnprocessableEntityError(APIStatusError):
    """422: fields are missing, unknown or ill-typed; ``errors`` tells which.

    Attributes:
        errors: Messages of the server by field, the location joined with dots (``body.currency``).
    """

    def __init__(self, message: str, *, errors: Mapping[str, list[str]] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.errors: dict[str, list[str]] = {
            _printable(field): [_printable(text) for text in texts] for field, texts in (errors or {}).items()
        }


class RateLimitError(APIStatusError):
    """429: too many requests; ``retry_after`` says for how many seconds to stay away."""


class ServerError(APIStatusError):
    """5xx: Monite, or something in front of it, failed."""


class ResponseValidationError(MoniteError):
    """The answer is not what the contract says; ``lenient=True`` hands back what of it is.

    Attributes:
        problems: One line per unreadable field, its location first; never its value.
    """

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.problems: tuple[str, ...] = tuple(_printable(line) for line in problems)


class WorkFailedError(MoniteError):
    """Work that the API does after answering (recognition, an export, a PDF) came to nothing.

    Attributes:
        state: Its state, in the words of the API.
    """

    def __init__(self, message: str, *, state: str = "unknown", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.state: str = _printable(state)


class WorkTimeout(MoniteError, TimeoutError):
    """Work that the API does after answering was not over in the time that the caller gave it; it goes on.

    Attributes:
        state: The last state that was seen, in the words of the API; ``unknown`` when none was.
    """

    def __init__(self, message: str, *, state: str = "unknown", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.state: str = _printable(state)


class WebhookError(MoniteError):
    """A webhook delivery could not be verified; do not act on it."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(status: int) -> type[APIStatusError]:
    """Return the class for an error status."""
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIStatusError)
