"""Errors: one tree, texts without secrets, and pickles that come back whole."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import monite_async
from monite_async import (
    APIStatusError,
    ConfigurationError,
    MoniteError,
    RateLimitError,
    ResponseValidationError,
    ServerError,
    TransportError,
    UnprocessableEntityError,
)
from monite_async._errors import status_error

ALL = [
    value
    for value in (getattr(monite_async, name) for name in monite_async.__all__)
    if isinstance(value, type) and issubclass(value, MoniteError)
]
FACTS: dict[str, Any] = {
    "method": "GET", "path": "/payables/{payable_id}", "status": 503, "request_id": "rq-1", "attempts": 3,
    "elapsed": 1.5, "retry_after": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_pickles(kind: type[MoniteError]) -> None:
    """An error survives pickling with all its facts, so that it can cross processes."""
    error = kind("it broke", **FACTS)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
    assert copy.args == error.args


def test_the_text_of_an_error_tells_all() -> None:
    """Method, template, message, status, request id, attempts, time and the wait asked for are in the text."""
    error = ServerError("down", **FACTS)
    text = "GET /payables/{payable_id}: down (status 503, request id rq-1, 3 attempts, 1.50 s, retry after 2.0 s)"
    assert str(error) == text
    assert repr(error) == f"<ServerError {text}>"
    assert str(MoniteError("alone")) == "alone"


def test_messages_are_one_bounded_line() -> None:
    """Whatever a server says becomes one line of limited length."""
    assert MoniteError("a\nb\x1b[31m\u2028c").message == "a b [31m c"
    long = MoniteError("x" * 10_000, request_id="r\n" * 10_000)
    assert len(long.message) == 500
    assert long.message.endswith("…")
    assert long.request_id is not None
    assert "\n" not in long.request_id


def test_further_copies_share_facts_and_cause() -> None:
    """A shared failure is raised as a new object for each caller, with the same cause and no traceback."""
    error = RateLimitError("slow down", retry_after=3.0)
    error.__cause__ = OSError("why")
    twin = error.again()
    assert twin is not error
    assert (type(twin), twin.retry_after, twin.__cause__) == (RateLimitError, 3.0, error.__cause__)
    assert twin.__traceback__ is None


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"), (401, "UnauthorizedError"), (403, "ForbiddenError"), (404, "NotFoundError"),
        (405, "APIStatusError"), (409, "ConflictError"), (422, "UnprocessableEntityError"), (429, "RateLimitError"),
        (500, "ServerError"), (599, "ServerError"), (302, "APIStatusError"),
    ],
)  # fmt: skip
def test_each_status_has_its_class(status: int, name: str) -> None:
    """The class follows the status."""
    assert status_error(status).__name__ == name


def test_the_tree() -> None:
    """Families can be caught as families."""
    assert issubclass(ConfigurationError, ValueError)
    for name in ("ConnectError", "RequestTimeout", "PoolTimeout"):
        assert issubclass(getattr(monite_async, name), TransportError)
    for name in ("BadRequestError", "ConflictError", "ServerError", "RateLimitError"):
        assert issubclass(getattr(monite_async, name), APIStatusError)
    assert all(issubclass(kind, MoniteError) for kind in ALL)
    assert len(ALL) == 21


def test_problems_and_fields_are_printable_too() -> None:
    """What a server says about fields is cleaned like its messages."""
    error = UnprocessableEntityError("bad", errors={"a\nb": ["c\nd"]})
    assert error.errors == {"a b": ["c d"]}
    assert UnprocessableEntityError("bad").errors == {}
    assert ResponseValidationError("bad", problems=("a\nb",)).problems == ("a b",)
