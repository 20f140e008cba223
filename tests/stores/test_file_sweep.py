"""Sweeping a directory of token files: the dead go, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from monite_async_stores import (
    Granted,
    Hit,
    RecordName,
    StoreEvent,
)
from monite_async_stores._file_directory import TokenDirectory
from monite_async_stores._file_format import State
from monite_async_stores._file_lock import Flock
from monite_async_stores._file_records import FileRecords, _age
from monite_async_stores._sealing import Sealer
from tests.stores.file_bench import NAME, OTHER, MovableClock, ask, records_in, store_value

TOK = f"monite-{NAME.name}.tok"
LOCK = f"monite-{NAME.name}.lock"


def _sweep(records: FileRecords) -> int:
    """Sweep to the end; return how often there was a pause."""
    return sum(1 for _ in records.sweep())


def test_a_sweep_removes_what_nobody_needs(tmp_path: Path) -> None:
    """Dead values and failures, and what killed processes left, go; living values, leases and strangers stay."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    store_value(records, life_ms=1_000)
    store_value(records, name=OTHER)
    assert isinstance(ask(records, "a", bad_gen=2**50, name=OTHER), Granted)
    records.fail(OTHER, "a", "transient:server:503", ttl_ms=1_000)
    old, day = time.time() - 3600, time.time() - 8 * 86_400
    garbage, fresh = tmp_path / f"monite-{'0' * 32}.tok", tmp_path / f"monite-{'1' * 32}.tok"
    for name, age in (
        (f"monite-{NAME.name}.0123.tmp", old),
        (f"monite-{'2' * 32}.live", old),
        (garbage.name, day),
        (fresh.name, old),
        ("monite-probe.4567.tmp", time.time()),
        ("notes.txt", day),
        ("other-x.tmp", day),
    ):
        (tmp_path / name).write_bytes(b"anything")
        os.utime(tmp_path / name, (age, age))
    clock.advance(2)
    _sweep(records)
    left = {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"}
    alive = {name for name in left if name.endswith(".live")}
    assert left - alive == {f"monite-{OTHER.name}.tok", fresh.name, "monite-probe.4567.tmp", "notes.txt", "other-x.tmp"}
    assert alive == {records._pulse._path_of(records._pulse._id).name}
    assert isinstance(ask(records, name=OTHER), Hit)


def test_a_sweep_goes_through_any_number_of_files(tmp_path: Path) -> None:
    """R27: the dead go also behind more than ten thousand lock files, in steps between which others get to work."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    names = [RecordName(f"{number:032x}", b"secret") for number in range(40)]
    for number in range(11_000):
        (tmp_path / f"monite-{'f' * 16}{number:016x}.lock").touch()
    for name in names:
        store_value(records, name=name, life_ms=1_000)
    clock.advance(2)
    assert _sweep(records) >= 20
    assert not list(tmp_path.glob("*.tok"))
    assert len(list(tmp_path.glob("*.lock"))) == 11_040


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_sweep_that_is_left_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that is not brought to its end, because the process ends or forks, closes the directory."""
    monkeypatch.setattr("monite_async_stores._file_records._SLICE", 1)
    records = records_in(tmp_path)
    store_value(records)
    sweep = records.sweep()
    next(sweep)
    before = _open_files()
    sweep.close()
    assert _open_files() == before - 1


def test_a_sweep_waits_for_nobody(tmp_path: Path) -> None:
    """A dead value whose record somebody works on stays for the next sweep, and so does what cannot be looked at."""
    clock = MovableClock()
    records = records_in(tmp_path, clock=clock)
    store_value(records, life_ms=1_000)
    (tmp_path / f"monite-{OTHER.name}.tok").mkdir()
    clock.advance(2)
    with records._locks.hold(tmp_path / LOCK):
        _sweep(records)
    assert (tmp_path / TOK).exists()
    _sweep(records)
    assert not (tmp_path / TOK).exists()


def test_a_sweep_spares_what_came_meanwhile(tmp_path: Path) -> None:
    """A dead value that was replaced by a living one just before the sweep got its lock stays."""

    class Late(FileRecords):
        def _is_dead(self, path: Path) -> bool:
            looks.append(path)
            return len(looks) == 1

    looks: list[Path] = []
    clock = MovableClock()
    store_value(records_in(tmp_path, clock=clock))
    directory, sealer = TokenDirectory(tmp_path, "monite"), Sealer("monite")
    _sweep(Late(directory, sealer, Flock(), clock, _tell_nobody))
    assert len(looks) == 2
    assert (tmp_path / TOK).exists()


def _tell_nobody(event: StoreEvent, state: State) -> None: ...


def test_a_file_that_is_gone_has_no_age(tmp_path: Path) -> None:
    """What somebody else removed first is not too old."""
    assert _age(tmp_path / "missing") == 0.0
