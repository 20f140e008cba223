"""What can go wrong between a request and its answer, as this library's own connections say it.

Nothing here holds a byte of a request or an answer. Who sends through these connections turns a failure into what its
own callers expect: an error of this library, or one of httpx.
"""

from __future__ import annotations

__all__ = [
    "BadAnswerError",
    "BadRequestError",
    "BrokenError",
    "ClosedError",
    "ConnectFailedError",
    "ConnectTimeoutError",
    "PoolTimeoutError",
    "ReadTimeoutError",
    "WireError",
    "WriteBrokenError",
    "WriteTimeoutError",
]


class WireError(Exception):
    """No answer could be had.

    Attributes:
        unsent: No byte of the request was handed to a socket, so that repeating it cannot do harm.
    """

    unsent = False


class ConnectFailedError(WireError):
    """No connection could be made."""

    unsent = True


class ConnectTimeoutError(ConnectFailedError):
    """No connection could be made in time."""


class PoolTimeoutError(WireError):
    """No connection became free in time."""

    unsent = True


class ClosedError(WireError):
    """The pool was closed."""


class BadRequestError(WireError):
    """The request is not one that HTTP/1.1 allows."""


class BadAnswerError(WireError):
    """What came is not an answer, or not a whole one."""


class BrokenError(WireError):
    """The connection broke before the answer was complete."""


class ReadTimeoutError(WireError):
    """The peer stayed silent for too long."""


class WriteBrokenError(WireError):
    """The connection broke while the request was sent."""


class WriteTimeoutError(WireError):
    """The peer took nothing of the request for too long."""
