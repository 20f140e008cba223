"""Headers that a caller may add: their form, and which are not the caller's to set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

from monite_async._errors import ConfigurationError

__all__ = ["check_headers", "encode_headers", "is_header_name"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_FRAMING: Final = frozenset(
    {
        "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that describe the connection or the body: only this library knows what to put there."""


def is_header_name(text: str) -> bool:
    """Tell whether a text can be the name of a header."""
    return _HEADER_NAME.fullmatch(text) is not None


def check_headers(faults: list[str], headers: object, reserved: Iterable[str]) -> None:
    """Note a fault for every header that is not well formed or not the caller's to set.

    Args:
        faults: Where to note them; never with a value in it.
        headers: What the caller gave.
        reserved: Names that this library sets from the scope, besides those that describe connection and body.
    """
    if not isinstance(headers, Mapping):
        faults.append("headers must be a mapping of strings")
        return
    banned = _FRAMING.union(name.lower() for name in reserved)
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            faults.append("a header name is not a token of visible ASCII characters (RFC 9110)")
        elif name.lower() in banned:
            faults.append(f"header {name} is set by the client and cannot be given")
        elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            faults.append(f"the value of header {name} must be visible ASCII on one line")


def encode_headers(headers: Mapping[str, str], reserved: Iterable[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return headers in the form of the wire; of two that differ in case only, the later one counts.

    Raises:
        ConfigurationError: One is malformed or reserved; all faults are told at once.
    """
    if not headers:
        return ()
    faults: list[str] = []
    check_headers(faults, headers, reserved)
    if faults:
        del headers  # which would stand in a traceback with locals
        raise ConfigurationError("headers: " + "; ".join(faults))
    last = {name.lower(): value for name, value in headers.items()}
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in last.items())
