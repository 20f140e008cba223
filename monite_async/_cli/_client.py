"""The client that commands use: configured by the environment, on the wire that the command line names."""

from __future__ import annotations

from monite_async import AsyncMonite
from monite_async._tokens.issuer import Wire
from monite_async_stores import TokenStore

__all__ = ["client", "wire_of"]


def wire_of(name: str) -> Wire:
    """Return the wire of a name: ``monite`` or ``finops``."""
    if name == "finops":
        from monite_async.experimental.tesouro import finops

        return finops()
    return Wire()


def client(wire: str, store: TokenStore | None = None, limit: float | None = None) -> AsyncMonite:
    """Return a client.

    Args:
        wire: The name of its wire.
        store: Its token store; default that of the environment.
        limit: Seconds that a call may take; default those of the library.

    Raises:
        ConfigurationError: The environment does not say what is needed, or something wrong.
    """
    if limit is None:
        return AsyncMonite(wire=wire_of(wire), token_store=store)
    return AsyncMonite(wire=wire_of(wire), token_store=store, timeout=limit, deadline=limit)
