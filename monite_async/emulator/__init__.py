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

from monite_async.emulator._clock import Clock
from monite_async.emulator._emulator import ClientOptions, Emulator, Snapshot
from monite_async.emulator._faults import Fault, Faults, OrderedFault
from monite_async.emulator._log import Entry, RequestLog
from monite_async.emulator._settings import EmulatorSettings

__all__ = [
    "ClientOptions",
    "Clock",
    "Emulator",
    "EmulatorSettings",
    "Entry",
    "Fault",
    "Faults",
    "OrderedFault",
    "RequestLog",
    "Snapshot",
]
