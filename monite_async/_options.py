"""Values that shape one call: left-out arguments, retries, time limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final, cast, final

from monite_async._errors import ConfigurationError
from monite_async_stores._value import frozen

__all__ = [
    "DEFAULT_DEADLINE",
    "DEFAULT_TIMEOUT",
    "UNSET",
    "Capture",
    "RequestOptions",
    "RetryPolicy",
    "Unset",
    "is_set",
    "require_options",
]

DEFAULT_TIMEOUT: Final = 30.0
DEFAULT_DEADLINE: Final = 90.0


@final
class Unset:
    """The type of ``UNSET``: an argument that was left out, which is not the same as ``None`` (JSON null)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()
"""Leave this field out of the request."""


def is_set(value: object) -> bool:
    """Tell whether an argument was given."""
    return value is not UNSET


_FOREVER: Final = 1e9


def check_seconds(faults: list[str], name: str, value: object) -> None:
    """Note a fault unless the value is None or a positive, finite number of seconds."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _FOREVER:
        shown = repr(value) if isinstance(value, float) else str(value)[:20]
        faults.append(f"{name} must be a positive number of seconds, got {shown}")


def check_count(faults: list[str], name: str, value: object) -> None:
    """Note a fault unless the value is a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        faults.append(f"{name} must be a whole number, 0 or more, got {str(value)[:20]}")


def require_options(options: object) -> None:
    """Raise ``ConfigurationError`` unless these are options, or None."""
    if options is not None and not isinstance(options, RequestOptions):
        raise ConfigurationError(f"options must be a RequestOptions, got {type(options).__name__}")


def check_type(faults: list[str], name: str, value: object, kind: type) -> None:
    """Note a fault unless the value is None or of the kind that it should be."""
    if value is not None and not isinstance(value, kind):
        faults.append(f"{name} must be a {kind.__name__}, got {type(value).__name__}")


def raise_faults(what: str, faults: list[str]) -> None:
    """Raise all faults found in one ``ConfigurationError``, or return when there are none."""
    if faults:
        raise ConfigurationError(f"{what}: " + "; ".join(faults))


@frozen
class RetryPolicy:
    """When and how often a call is sent again.

    GET, HEAD, PUT and DELETE are sent again after 408, 429, 5xx and transport errors; POST and PATCH only when the
    first try provably never left, on 429, or on 503 with ``Retry-After``: Monite has no idempotency keys, a blind
    repeat pays twice. The wait is drawn evenly from 0 to ``min(max_wait, base_wait * 2**n)`` ("full jitter", AWS
    Architecture Blog, 2015) and is never shorter than what the server asks for.

    Attributes:
        max_retries: Repeats after the first try, four times as many after 429; 0 turns retries off.
        base_wait: Upper bound of the first wait, in seconds.
        max_wait: Upper bound of any drawn wait, in seconds.
        max_retry_after: Longest wait asked for by the server that is honoured, in seconds; a longer one ends the call.
    """

    max_retries: int = 2
    base_wait: float = 0.5
    max_wait: float = 8.0
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        faults: list[str] = []
        check_count(faults, "max_retries", self.max_retries)
        for name in ("base_wait", "max_wait", "max_retry_after"):
            check_seconds(faults, name, getattr(self, name))
        raise_faults("RetryPolicy", faults)


class Capture:
    """Where the call engine leaves what came around a body, for those who asked (``with_raw_response``).

    Attributes:
        status: HTTP status of the answer, or None as long as there is none.
        headers: Its headers, found by name whatever their case.
    """

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}


_SHOWN: Final = ("timeout", "deadline", "retry", "lenient")
_NAMED: Final = ("headers", "query")


@frozen
class RequestOptions:
    """Options of one call, or with ``with_options`` of every call of a view; None means "as the client has it".

    Attributes:
        timeout: Seconds that one try may take, from its start to the last byte of the answer.
        deadline: Seconds that the whole call may take, token, waits and repeats included; it always wins.
        retry: When the call is sent again.
        headers: Further headers; ``authorization``, the version header and the entity header cannot be set here.
        query: Further query parameters.
        lenient: Hand back what fits of an answer that is not what the contract says, with the rest named in its
            ``drift``, instead of raising ``ResponseValidationError``.
        capture: Filled with status and headers of the answer; set by ``with_raw_response``, not by callers.
    """

    timeout: float | None = None
    deadline: float | None = None
    retry: RetryPolicy | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, object] = field(default_factory=dict[str, object])
    lenient: bool | None = None
    capture: Capture | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        # Of headers and query the names only: their values may be secrets, and options stand in tracebacks with locals.
        shown = [f"{name}={value!r}" for name in _SHOWN if (value := getattr(self, name)) is not None]
        for name in _NAMED:
            given = getattr(self, name)
            if given:
                # Shown also while it is refused, and then it may be anything.
                keys = (
                    map(str, cast("Mapping[object, object]", given)) if isinstance(given, Mapping) else ["no mapping"]
                )
                shown.append(f"{name}: {', '.join(keys)}")
        return f"<RequestOptions {', '.join(shown) or 'as the client has them'}>"

    def __post_init__(self) -> None:
        faults: list[str] = []
        check_seconds(faults, "timeout", self.timeout)
        check_seconds(faults, "deadline", self.deadline)
        check_type(faults, "retry", self.retry, RetryPolicy)
        check_type(faults, "lenient", self.lenient, bool)
        faults += [f"{name} must be a mapping" for name in _NAMED if not isinstance(getattr(self, name), Mapping)]
        raise_faults("RequestOptions", faults)

    def over(self, base: RequestOptions) -> RequestOptions:
        """Return these options with what they leave open taken from ``base``."""
        return RequestOptions(
            timeout=base.timeout if self.timeout is None else self.timeout,
            deadline=base.deadline if self.deadline is None else self.deadline,
            retry=base.retry if self.retry is None else self.retry,
            headers={**base.headers, **self.headers},
            query={**base.query, **self.query},
            lenient=base.lenient if self.lenient is None else self.lenient,
            capture=base.capture if self.capture is None else self.capture,
        )
