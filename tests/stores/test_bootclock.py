"""Moments that outlive processes and reboots, on every platform's clocks."""

from __future__ import annotations

import ctypes
import time
from dataclasses import replace
from pathlib import Path

import pytest

from monite_async_stores import Granted, Hit
from monite_async_stores._bootclock import NO_BOOT, Moment, SystemBootClock, _sysctl, boot_identity, elapsed_ms
from tests.stores.file_bench import MovableClock, ask, records_in, store_value

BOOT = b"one boot of many"
THEN = Moment(BOOT, 1_000_000, 1_700_000_000_000)


def test_within_a_boot_only_its_own_clock_counts() -> None:
    """R28: in the same boot the wall clock may be stepped by a day either way, and the same time has passed."""
    for step_ms in (0, 86_400_000, -86_400_000):
        now = Moment(BOOT, THEN.boot_ms + 5_000, THEN.wall_ms + 5_000 + step_ms)
        assert elapsed_ms(THEN, now) == 5_000


def test_across_boots_the_wall_clock_counts() -> None:
    """R28: another boot's clock says nothing, so the wall clock has to."""
    now = Moment(b"another boot....", 3, THEN.wall_ms + 60_000)
    assert elapsed_ms(THEN, now) == 60_000


def test_a_machine_that_does_not_tell_its_boots_uses_the_wall_clock() -> None:
    """Two moments of unknown boots are not of the same boot."""
    then, now = replace(THEN, boot=NO_BOOT, boot_ms=0), Moment(NO_BOOT, 0, THEN.wall_ms + 7)
    assert elapsed_ms(then, now) == 7


@pytest.mark.parametrize(("ahead_ms", "passed"), [(0, 0), (5_000, 0), (5_001, None)])
def test_the_future_is_not_believed(ahead_ms: int, passed: int | None) -> None:
    """R28: a moment more than 5 s in the future shows that the clocks make no sense; up to that it is now."""
    assert elapsed_ms(THEN.minus(-ahead_ms), THEN) == passed
    assert elapsed_ms(replace(THEN.minus(-ahead_ms), boot=NO_BOOT), THEN) == passed


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_clocks_of_a_platform_move_on(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On each platform the boot's clock goes on with real time, or is not used at all."""
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC, raising=False)
    monkeypatch.setattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC, raising=False)
    clock = SystemBootClock(platform)
    before, now, after = time.monotonic_ns() // 1_000_000, clock.now(), time.monotonic_ns() // 1_000_000
    assert before <= now.boot_ms <= after if platform != "win32" else now.boot_ms == 0
    assert abs(now.wall_ms - time.time() * 1000) < 60_000
    assert len(now.boot) == 16


def test_this_machine_passes_time() -> None:
    """The moments of this machine follow each other, in one boot."""
    clock = SystemBootClock()
    first, second = clock.now(), clock.now()
    assert first.boot == second.boot
    assert elapsed_ms(first, second) is not None
    assert second.boot_ms >= first.boot_ms


def _proc(root: Path, boot_id: str, namespace: str | None = None) -> Path:
    kernel = root / "sys/kernel/random"
    kernel.mkdir(parents=True)
    (kernel / "boot_id").write_text(f"{boot_id}\n")
    if namespace is not None:
        (root / "self/ns").mkdir(parents=True)
        (root / "self/ns/time").symlink_to(namespace)
    return root


def test_linux_tells_its_boots_apart(tmp_path: Path) -> None:
    """Another boot, and a container with a boot clock of its own, have another identity; the same have the same."""
    one = boot_identity("linux", proc=_proc(tmp_path / "a", "7a395c7e"))
    assert one == boot_identity("linux", proc=_proc(tmp_path / "b", "7a395c7e"))
    assert one != boot_identity("linux", proc=_proc(tmp_path / "c", "9b395c7e"))
    shifted = boot_identity("linux", proc=_proc(tmp_path / "d", "7a395c7e", "time:[4026531834]"))
    assert len({one, shifted, boot_identity("linux", proc=_proc(tmp_path / "e", "7a395c7e", "time:[4026532000]"))}) == 3
    assert len(one) == len(shifted) == 16


def test_macos_tells_its_boots_apart() -> None:
    """On macOS the kernel's boot session is the identity."""
    asked: list[bytes] = []

    def sysctl(name: bytes) -> bytes:
        asked.append(name)
        return b"9F2D3C60-1F5C-4A5B-8C7C-0E5B6A7D8E9F"

    identity = boot_identity("darwin", sysctl=sysctl)
    assert asked == [b"kern.bootsessionuuid"]
    assert identity not in (NO_BOOT, boot_identity("darwin", sysctl=lambda name: b"another session"))


def test_a_machine_may_not_tell_its_boots(tmp_path: Path) -> None:
    """Where the identity of a boot cannot be read, there is none, and no error."""

    def no_such_name(name: bytes) -> bytes:
        raise OSError(2, name.decode())

    assert boot_identity("linux", proc=tmp_path / "nothing here") == NO_BOOT
    assert boot_identity("darwin", sysctl=no_such_name) == NO_BOOT
    assert boot_identity("darwin", sysctl=lambda name: b"") == NO_BOOT
    assert boot_identity("win32") == NO_BOOT


class CLibrary:
    """A C library with macOS's ``sysctlbyname``, as ctypes presents it."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer

    def sysctlbyname(
        self, name: bytes, buffer: ctypes.Array[ctypes.c_char], size: object, new: None, new_size: ctypes.c_size_t
    ) -> int:
        assert (name, new, new_size.value) == (b"kern.bootsessionuuid", None, 0)
        if self._answer is None:
            return -1
        buffer.value = self._answer
        return 0


def test_the_c_library_is_asked_for_a_macos_name() -> None:
    """Without a reader of its own it asks the C library, which elsewhere knows no such function or name."""
    assert len(boot_identity("darwin")) == 16
    assert _sysctl(b"kern.bootsessionuuid", CLibrary(b"9F2D3C60")) == b"9F2D3C60"
    assert _sysctl(b"kern.bootsessionuuid", CLibrary(None)) == b""
    assert _sysctl(b"kern.bootsessionuuid", "a library without that function") == b""


def test_a_reboot_with_a_wall_clock_in_the_past(tmp_path: Path) -> None:
    """T22: after a reboot with the wall clock an hour back, a stored value is no hit, and one lease is granted."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    store_value(records)
    clock.reboot()
    clock.step_wall(-3600)
    assert isinstance(ask(records, "b"), Granted)


def test_a_reboot_with_a_good_wall_clock(tmp_path: Path) -> None:
    """R28: after a reboot a value lives on, by the wall clock, as long as it has life left."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    store_value(records)
    clock.reboot()
    clock.step_wall(600)
    answer = ask(records, "b")
    assert isinstance(answer, Hit)
    assert 1_190_000 < answer.left_ms <= 1_200_000
    clock.step_wall(1300)
    assert isinstance(ask(records, "b"), Granted)


def test_a_reboot_ends_a_lease_however_the_clocks_stand(tmp_path: Path) -> None:
    """A lease from before a reboot is nobody's, because nobody keeps its holder's file locked any more."""
    clock = MovableClock()
    before = records_in(tmp_path, clock=clock)
    assert isinstance(ask(before, "a"), Granted)
    before.rest()
    del before
    clock.reboot()
    clock.step_wall(-3)
    assert isinstance(ask(records_in(tmp_path, clock=clock), "b"), Granted)


def test_a_stepped_wall_clock_changes_no_life(tmp_path: Path) -> None:
    """T16, R28: with the wall clock stepped by a day either way, the value has the same life left."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    store_value(records)
    for step in (86_400, -2 * 86_400):
        clock.step_wall(step)
        answer = ask(records, "b")
        assert isinstance(answer, Hit)
        assert 1_790_000 < answer.left_ms <= 1_800_000
