"""Answers with their status and headers: what ``with_raw_response`` gives."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from monite_async._errors import ConfigurationError
from monite_async._options import Capture, RequestOptions
from monite_async_stores._value import changed, frozen

__all__ = ["RawResponse", "raw"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class RawResponse(Generic[T_co]):
    """One answer: the parsed body and what came around it.

    Attributes:
        status: HTTP status.
        headers: Response headers; names are matched whatever their case.
        parsed: The body, as the method without ``with_raw_response`` returns it.
    """

    status: int
    headers: Mapping[str, str]
    parsed: T_co

    @property
    def request_id(self) -> str | None:
        """The answer's ``x-request-id``: quote it to Monite's support."""
        return self.headers.get("x-request-id")

    def __repr__(self) -> str:
        # Names only: a header may hold a cookie or a signed address, a body anything.
        names = ", ".join(sorted(self.headers))
        return f"<RawResponse status {self.status}, {type(self.parsed).__name__}, headers {names or 'none'}>"


def raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
    """Return a method of a resource as one that answers a ``RawResponse``; a paged one gives its first page."""

    @functools.wraps(method)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        capture = Capture()
        given = kwargs.get("options")
        if given is None or isinstance(given, RequestOptions):  # anything else is refused where it is used
            kwargs["options"] = changed(given or RequestOptions(), capture=capture)
        work = method(*args, **kwargs)
        del args, kwargs  # which would stand in a traceback with locals
        parsed = await work
        if capture.status is None:
            raise ConfigurationError("the caller of this resource does not report status and headers")
        return RawResponse(capture.status, capture.headers, parsed)

    return wrapped
