"""What the generated methods say about an operation of the API, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from monite_async._options import RequestOptions

__all__ = ["Asked", "Caller", "Operation", "RawOperation"]

T = TypeVar("T")

_LONG: Final = 4096
"""Characters from which on a path is measured before it is sent."""


class Operation(Generic[T]):
    """One operation of the contract; never changed once it is made.

    Attributes:
        method: HTTP method, upper case.
        path: Path template relative to the base URL (``/payables/{payable_id}``).
        result: Where the model of the answer lives, as ``module:Class`` below ``monite_async.models`` (imported on
            first use), a type, or None for an answer without content.
        multipart: Whether the body is sent as multipart/form-data instead of JSON.
        idempotent: Whether it may be sent again when nobody knows what became of it; None goes by the method.
        needs_body: Whether it makes no sense without a body, and the caller may have left it out all the same.
        one: Of a GET of JSON whose path has one parameter, as most have it, that path: what is before the parameter, its
            name, and what is behind it.
    """

    __slots__ = ("idempotent", "method", "multipart", "needs_body", "one", "path", "result")

    def __init__(
        self,
        method: str,
        path: str,
        result: str | type[T] | None = None,
        multipart: bool = False,
        idempotent: bool | None = None,
        needs_body: bool = False,
    ) -> None:
        self.method: str = method
        self.path: str = path
        self.result: str | type[T] | None = result
        self.multipart: bool = multipart
        self.idempotent: bool | None = idempotent
        self.needs_body: bool = needs_body
        before, _, rest = path.partition("{")
        name, end, after = rest.partition("}")
        one = bool(end) and name.isidentifier() and "{" not in after  # braces around what is no name are text
        plain = one and method == "GET" and result is not bytes and len(path) < _LONG
        self.one: tuple[str, str, str] | None = (before, name, after) if plain else None

    def __repr__(self) -> str:
        return f"<Operation {self.method} {self.path}>"

    @property
    def logged(self) -> str:
        """What logs call its path: the template, in which no value stands."""
        return self.path


class RawOperation(Operation[T]):
    """An operation whose path a caller wrote by hand, maybe with ids in it, which are no business of a log."""

    __slots__ = ()

    @property
    def logged(self) -> str:
        """See ``Operation.logged``."""
        return "(a raw path)"


class Asked:
    """What a caller passed to a call; it never shows itself, not even in a traceback with locals."""

    __slots__ = ("body", "path", "query")

    def __init__(self, path: Mapping[str, object] | None, query: Mapping[str, object] | None, body: Any) -> None:
        self.path: Mapping[str, object] | None = path
        self.query: Mapping[str, object] | None = query
        self.body: Any = body

    def __repr__(self) -> str:
        return "<Asked>"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was passed."""
        return self.path is None and self.query is None and self.body is None


class Caller(Protocol):
    """Whoever carries out operations for one scope: token, entity header and options are its business."""

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Carry out one operation and return its parsed answer.

        Args:
            operation: What to do.
            path: Values of the path parameters; quoted here, and refused when empty, ``.`` or ``..``.
            query: Query parameters; ``UNSET`` ones are left out, lists repeat the key.
            body: What becomes the JSON body (or the multipart fields); ``UNSET`` entries of a mapping are left out;
                ``UNSET`` or None as a whole means no body.
            options: Options of this call.
        """
        ...
