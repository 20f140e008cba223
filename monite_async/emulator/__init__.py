"""A Monite to run against, in process or behind a socket.

In process::

    async with Emulator() as emulator:
        async with AsyncMonite(**emulator.client_options()) as monite:
            ...
            assert emulator.log.count("POST", "/auth/token") == 1

As a server: ``python -m monite_async.emulator --port 8765``, driven from elsewhere by ``Remote``.

It keeps entities, entity users, roles and payables, checks tokens, scopes and permissions, has a clock that tests move
(``emulator.clock.advance(1800)``) and faults that tests order
(``emulator.fail("POST", "/auth/token", status=503, times=2)``). What it does not emulate is answered 501. It shares no
code with the client's token and HTTP layers, so that it shares no mistake with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monite_async.emulator._clock import Clock
from monite_async.emulator._emulator import ClientOptions, Emulator, Snapshot
from monite_async.emulator._faults import Fault, Faults, OrderedFault
from monite_async.emulator._log import Entry, RequestLog
from monite_async.emulator._settings import EmulatorSettings

if TYPE_CHECKING:
    from monite_async.emulator._remote import Remote, RemoteClock, RemoteFault, RemoteOptions, launch
    from monite_async.emulator._server import listen

__all__ = [
    "ClientOptions",
    "Clock",
    "Emulator",
    "EmulatorSettings",
    "Entry",
    "Fault",
    "Faults",
    "OrderedFault",
    "Remote",
    "RemoteClock",
    "RemoteFault",
    "RemoteOptions",
    "RequestLog",
    "Snapshot",
    "launch",
    "listen",
]

_LATER = {
    "Remote": "_remote",
    "RemoteClock": "_remote",
    "RemoteFault": "_remote",
    "RemoteOptions": "_remote",
    "launch": "_remote",
    "listen": "_server",
}


def __getattr__(name: str) -> object:
    """Import what needs a socket when it is first asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
