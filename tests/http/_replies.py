"""Headers of answers, as the engines hand them on."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async._http.reply import ReplyHeaders

__all__ = ["reply_headers"]


def reply_headers(fields: Mapping[str, str] | None = None) -> ReplyHeaders:
    """Return the headers of an answer."""
    return ReplyHeaders.of((name.encode(), value.encode("latin-1")) for name, value in (fields or {}).items())
