"""Time that several processes of one machine agree on, and that outlives none of them.

A life that a file carries must be read by a process that was not there when it began. The monotonic clock of one boot
means nothing in the next, and the wall clock can be stepped; so a moment is kept on both: as milliseconds since *this*
boot (suspended time included), with the boot's identity beside it, and as milliseconds since the epoch. Whoever reads it
in the same boot ignores the wall clock; everyone else has nothing but the wall clock, and distrusts it.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["NO_BOOT", "BootClock", "Moment", "SystemBootClock", "boot_identity", "elapsed_ms"]

NO_BOOT = bytes(16)
"""The identity of a boot that the machine does not tell."""

_FUTURE_MS = 5000
# Both go on while the machine is suspended: clock_gettime(2) of Linux, and of macOS (mach_continuous_time).
_CLOCKS = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC_RAW"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, on the machine's own scale and on the world's.

    Attributes:
        boot: Which boot of which machine, 16 bytes; ``NO_BOOT`` where that cannot be told.
        boot_ms: Milliseconds on that boot's clock.
        wall_ms: Milliseconds since the epoch, as the machine believed them.
    """

    boot: bytes
    boot_ms: int
    wall_ms: int

    def minus(self, milliseconds: int) -> Moment:
        """Return the moment so many milliseconds earlier."""
        return Moment(self.boot, self.boot_ms - milliseconds, self.wall_ms - milliseconds)


class BootClock(Protocol):
    """A source of moments; tests replace it by one that they move."""

    def now(self) -> Moment:
        """Return the present moment."""
        ...


def elapsed_ms(since: Moment, now: Moment) -> int | None:
    """Return the milliseconds that passed, at least 0, or None when the clocks make no sense.

    In the same boot only its own clock counts, so stepping the wall clock changes nothing. Across boots the wall clock
    is all there is: a moment more than 5 s in the future shows that it was stepped back, and nothing can be said.
    """
    same_boot = since.boot == now.boot != NO_BOOT
    passed = now.boot_ms - since.boot_ms if same_boot else now.wall_ms - since.wall_ms
    return None if passed < -_FUTURE_MS else max(0, passed)


class SystemBootClock:
    """The machine's own clocks."""

    __slots__ = ("_boot", "_clock_id")

    def __init__(self, platform: str = sys.platform) -> None:
        self._clock_id: int | None = getattr(time, _CLOCKS.get(platform, ""), None)
        self._boot = NO_BOOT if self._clock_id is None else boot_identity(platform)

    def now(self) -> Moment:
        """See ``BootClock.now``."""
        boot_ms = 0 if self._clock_id is None else time.clock_gettime_ns(self._clock_id) // 1_000_000
        return Moment(self._boot, boot_ms, time.time_ns() // 1_000_000)


def boot_identity(
    platform: str = sys.platform,
    *,
    proc: Path = Path("/proc"),
    sysctl: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return 16 bytes that differ from boot to boot and from machine to machine, or ``NO_BOOT``.

    Args:
        platform: As ``sys.platform`` has it; ``linux`` and ``darwin`` tell their boots apart.
        proc: Where Linux's proc(5) is mounted.
        sysctl: Reads a text of macOS's sysctl(3) by name; it raises ``OSError`` or returns nothing if there is none.
    """
    text = b""
    with suppress(OSError):
        if platform == "linux":
            text = (proc / "sys/kernel/random/boot_id").read_bytes().strip()
            # Containers may shift CLOCK_BOOTTIME (time_namespaces(7)): those in another namespace are another "boot".
            with suppress(OSError):
                text += str((proc / "self/ns/time").readlink()).encode()
        elif platform == "darwin":
            text = (sysctl or _sysctl)(b"kern.bootsessionuuid")
    return hashlib.sha256(text).digest()[:16] if text else NO_BOOT


def _sysctl(name: bytes, library: object = None) -> bytes:
    """Read a text by ``sysctlbyname`` of the C library; empty where there is no such function or text."""
    function = getattr(library or ctypes.CDLL(None), "sysctlbyname", None)
    buffer = ctypes.create_string_buffer(128)
    size = ctypes.c_size_t(len(buffer))
    if function is None or function(name, buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return b""
    return buffer.value
