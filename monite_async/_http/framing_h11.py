"""Answers read by h11, the strictest HTTP/1.1 parser in Python.

h11 sees a stand-in for each request, with the same method and the same ``Connection: close``, because only these two
bear on the answer; what goes over the wire never passes through it, so that no exception of its can hold any of it.
"""

from __future__ import annotations

import functools
from typing import Final

import h11

from monite_async._http.framing import CUT_OFF, HEAD_TOO_LARGE, INVALID, NO_ANSWER

__all__ = ["H11Framing"]

_END: Final = h11.EndOfMessage()
_TOO_LARGE: Final = 431
"""The status that h11 recommends to a server for a head that does not end."""


class H11Framing:
    """The ``Framing`` of the default engine; see there for the attributes.

    Args:
        max_head_bytes: Most bytes that the head of an answer may have, and the interim answers before it together.
    """

    __slots__ = (
        "_begun",
        "_h11",
        "_max_head_bytes",
        "_received",
        "chunks",
        "complete",
        "error",
        "headers",
        "reason",
        "status",
        "version",
    )

    def __init__(self, max_head_bytes: int) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head_bytes)
        self._max_head_bytes = max_head_bytes
        self._clear()

    def _clear(self) -> None:
        self._begun = False
        self._received = 0
        self.status: int = 0
        self.reason: bytes = b""
        self.version: bytes = b"1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.complete: bool = False
        self.error: str | None = None

    @property
    def reusable(self) -> bool:
        """See ``Framing.reusable``."""
        engine = self._h11
        done = self.complete and engine.their_state is engine.our_state is h11.DONE
        return done and engine.trailing_data == (b"", False)

    def begin(self, method: bytes, *, last: bool = False) -> None:
        """See ``Framing.begin``."""
        self._h11.send(_stand_in(method, last))
        self._h11.send(_END)
        self._begun = True
        if self._received or self._h11.trailing_data[1]:
            self._read()

    def feed(self, data: bytes) -> None:
        """See ``Framing.feed``."""
        if self.error is None:
            self._received += len(data)
            self._h11.receive_data(data)
            if self._begun:
                self._read()

    def eof(self) -> None:
        """See ``Framing.eof``."""
        if self.error is None:
            self._h11.receive_data(b"")
            if self._begun:
                self._read()

    def reset(self) -> None:
        """See ``Framing.reset``."""
        self._h11.start_next_cycle()
        self._clear()

    def _read(self) -> None:
        """Take in all that h11 can make of what has arrived."""
        engine = self._h11
        hint = 0
        while not self.complete:
            try:
                event = engine.next_event()
            except h11.RemoteProtocolError as exc:
                event, hint = h11.PAUSED, exc.error_status_hint
            if event is h11.NEED_DATA:
                return
            if isinstance(event, h11.Data):
                self.chunks.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.complete = True
            elif isinstance(event, h11.Response):
                self._head(event)
            elif not isinstance(event, h11.InformationalResponse):
                self.error = self._explain(hint)
            elif self._received - len(engine.trailing_data[0]) > self._max_head_bytes:
                self.error = HEAD_TOO_LARGE  # a server may send interim answers for ever
            if self.error is not None:
                return

    def _head(self, event: h11.Response) -> None:
        headers = list(event.headers)
        if self._received > self._max_head_bytes:
            # h11 counts only what it could not use yet: a head that came in one piece can be of any size.
            size = sum(len(name) + len(value) + 4 for name, value in headers)
            if size > self._max_head_bytes:
                self.error = HEAD_TOO_LARGE
                return
        self.status = event.status_code
        self.reason = event.reason
        self.version = event.http_version
        self.headers = headers

    def _explain(self, hint: int) -> str:
        if hint == _TOO_LARGE:
            return HEAD_TOO_LARGE
        if self._h11.trailing_data[1]:
            return CUT_OFF if self._received else NO_ANSWER
        return INVALID


@functools.lru_cache(maxsize=64)
def _stand_in(method: bytes, last: bool) -> h11.Request:
    headers = [(b"host", b"-")]
    if last:
        headers.append((b"connection", b"close"))
    return h11.Request(method=method, target=b"/", headers=headers)
