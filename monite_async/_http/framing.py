"""The seam between a connection and whatever reads HTTP/1.1 answers on it.

A framing turns the bytes of one connection into answers, one exchange after another. It does no I/O, waits for nothing
and raises nothing: what is wrong with an answer stands in ``error``, in words of ours that quote no byte of it. Heads
of requests are made and checked elsewhere; a framing only has to know what the request was, because that decides how
its answer is delimited (RFC 9112, section 6.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["CUT_OFF", "HEAD_TOO_LARGE", "INVALID", "NO_ANSWER", "Framing", "MakeFraming"]

HEAD_TOO_LARGE: Final = "The head of the server's answer is too large"
NO_ANSWER: Final = "The server closed the connection without an answer"
CUT_OFF: Final = "The server closed the connection before its answer was complete"
INVALID: Final = "The server's answer is not valid HTTP/1.1"


class Framing(Protocol):
    """Reads the answers of one connection.

    One exchange: ``begin``, then ``feed`` for whatever arrives and ``eof`` when the peer ends its side; after each of
    them the attributes say how far the answer is. ``reset`` makes ready for the next exchange.

    Attributes:
        status: Status of the final answer; 0 until its head is there. Interim answers (1xx) are passed over; 101, which
            nobody asked for, is an error.
        reason: Its reason phrase.
        version: Its version, ``b"1.1"`` or ``b"1.0"``.
        headers: Its header fields in their order, names in lower case, values without white space around them;
            trailers are not among them.
        chunks: What has arrived of its body and nobody has taken yet, in order, without transfer coding. Whoever takes
            it puts an empty list in its place.
        complete: The answer is there to its end; nothing is added to ``chunks`` any more.
        error: One of the texts of this module once the answer is broken; what came before the break stays in ``status``
            and ``chunks``. Never set after ``complete``, never taken back, and nothing is read after it.
    """

    status: int
    reason: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    chunks: list[bytes]
    complete: bool
    error: str | None

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the answer is complete, and neither side said that it is the last.

        False for HTTP/1.0 (also with ``keep-alive``), for ``Connection: close``, after ``eof``, and when any byte came
        after the end of the answer: it would be taken for the next one.
        """
        ...

    def begin(self, method: bytes, *, last: bool = False) -> None:
        """Expect the answer to a request; what was fed before (a server may speak first) belongs to it.

        Args:
            method: Its method, a valid one.
            last: The request says ``Connection: close``.
        """
        ...

    def feed(self, data: bytes) -> None:
        """Read what arrived: never empty, never after ``eof``; without effect after an error."""
        ...

    def eof(self) -> None:
        """Note that the peer ended its side: that completes a body without another end, and breaks any other."""
        ...

    def reset(self) -> None:
        """Make ready for the next exchange; only when ``reusable``."""
        ...


MakeFraming = Callable[[int], Framing]
"""Makes the framing of a new connection; takes the most bytes that the head of an answer may have."""
