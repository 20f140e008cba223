"""What is in the files: nothing readable, nothing that can be altered or moved (T20), and no torn state."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async_stores import Granted, Hit, Keyring, Negative, RecordName
from monite_async_stores._bootclock import Moment
from monite_async_stores._file_format import Entry, Lease, State, claimed_left_ms, open_entry, owner_id, seal_entry
from monite_async_stores._file_records import FileRecords
from monite_async_stores._sealing import Sealer
from tests.stores.file_bench import NAME, OTHER, VALUE, ask, records_in, store_value

NOW = Moment(b"one boot of many", 5_000, 1_700_000_000_000)
SEALER = Sealer("monite")
_numbers = st.integers(0, 2**63 - 1)
_ids = st.binary(min_size=16, max_size=16)
_moments = st.builds(Moment, _ids, st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "monite_async_stores")


@given(gen=_numbers, life=_numbers, began=_moments, value=st.binary(max_size=2000))
def test_an_entry_comes_back(gen: int, life: int, began: Moment, value: bytes) -> None:
    """Any entry is read as it was written."""
    entry = Entry(gen, life, began, value)
    assert open_entry(SEALER, NAME, b"T", seal_entry(SEALER, NAME, b"T", entry)) == entry


@given(
    numbers=st.tuples(*[_numbers] * 5),
    lease=st.builds(Lease, _ids, _ids, _numbers, _moments),
    key=st.binary(min_size=4, max_size=4),
)
def test_a_state_comes_back(numbers: tuple[int, int, int, int, int], lease: Lease, key: bytes) -> None:
    """Any state is read as it was written, and loses only the lease when that is given back."""
    state = State(*numbers, lease, key)
    assert State.unpack(state.pack()) == state
    assert state.without_lease() == State(*numbers, key=key)
    assert state.without_lease().lease.left_ms(NOW) == 0


@given(cut=st.integers(0, 200), other=st.builds(State, _numbers, _numbers, _numbers, _numbers, _numbers))
@settings(max_examples=300)
def test_a_torn_state_is_none(cut: int, other: State) -> None:
    """A state that is half of one writing and half of another reads as none."""
    state = State(1, 2, 3, 4, 5, Lease(owner_id("a"), bytes(16), 5000, NOW))
    old, new = state.pack(), other.pack()
    torn = new[:cut] + old[cut:]
    assert State.unpack(torn) in (None, state, other)
    assert State.unpack(new[:cut]) in (None, other)


def test_a_state_of_another_format_is_none() -> None:
    """Numbers that another version of this package wrote in its own way are not taken for these."""
    import binascii

    body = b"MTL9" + State().pack()[4:-4]
    assert State.unpack(body + binascii.crc32(body).to_bytes(4, "big")) is None


def test_every_byte_counts() -> None:
    """T20: with any one byte of a file altered, cut off or added, it does not open."""
    content = seal_entry(SEALER, NAME, b"T", Entry(7, 60_000, NOW, VALUE))
    for place in range(len(content)):
        for mask in (0x01, 0xFF):
            altered = bytearray(content)
            altered[place] ^= mask
            assert open_entry(SEALER, NAME, b"T", bytes(altered)) is None
        assert open_entry(SEALER, NAME, b"T", content[:place]) is None
    assert open_entry(SEALER, NAME, b"T", content + b"\0") is None
    assert open_entry(SEALER, NAME, b"T", b"") is None


def test_an_entry_opens_in_its_own_place_only() -> None:
    """T20: a value is not a failure, and no entry is one of another record, generation or namespace."""
    content = seal_entry(SEALER, NAME, b"T", Entry(7, 60_000, NOW, VALUE))
    assert open_entry(SEALER, NAME, b"T", content) is not None
    assert open_entry(SEALER, NAME, b"N", content) is None
    assert open_entry(SEALER, NAME, b"N", content[:4] + b"N" + content[5:]) is None
    assert open_entry(SEALER, RecordName(OTHER.name, NAME.sealing_secret), b"T", content) is None
    assert open_entry(Sealer("another"), NAME, b"T", content) is None
    newer = seal_entry(SEALER, NAME, b"T", Entry(8, 60_000, NOW, VALUE))
    assert open_entry(SEALER, NAME, b"T", newer[:53] + content[53:]) is None


def test_nothing_claims_a_life_without_being_an_entry() -> None:
    """What a sweep goes by is the life that a file claims; a file that is none claims nothing."""
    content = seal_entry(SEALER, NAME, b"T", Entry(7, 60_000, NOW, VALUE))
    assert claimed_left_ms(content, NOW) == 60_000
    assert claimed_left_ms(content, NOW.minus(-60_000)) == 0
    assert claimed_left_ms(content[:52], NOW) is None
    assert claimed_left_ms(b"?" + content[1:], NOW) is None


def test_files_show_nothing(tmp_path: Path) -> None:
    """R26, R33: no file holds the value, the failure, the owner or the secret in the clear, and none is open to others."""
    records = records_in(tmp_path)
    gen = store_value(records)
    assert isinstance(ask(records, "the owner", bad_gen=gen), Granted)
    records.fail(NAME, "the owner", "terminal:auth:401", ttl_ms=60_000)
    ask(records, "the owner", name=OTHER)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name.rpartition(".")[2] for name in found} == {"tok", "neg", "lock", "live"}
    for secret in (VALUE, VALUE[7:30], b"terminal", b"the owner", NAME.sealing_secret):
        assert not any(secret in content for content in found.values())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_altered_files_are_misses(tmp_path: Path) -> None:
    """T20: whichever byte of a file is altered, there is a value or a lease, never an error, never another's value."""
    records = records_in(tmp_path)
    store_value(records)
    path = tmp_path / f"monite-{NAME.name}.tok"
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        altered = bytearray(content)
        altered[place] ^= 0x10
        path.write_bytes(altered)
        assert isinstance(ask(records, "maker"), Granted)
    path.write_bytes(content)
    assert isinstance(ask(records, "maker"), Hit)


def test_altered_states_cost_a_lease_at_most(tmp_path: Path) -> None:
    """A state that was altered is forgotten: the value stays a hit, and generations go on above it."""
    records = records_in(tmp_path)
    gen = store_value(records)
    path = tmp_path / f"monite-{NAME.name}.lock"
    content = path.read_bytes()
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 0x10
        path.write_bytes(altered)
        assert isinstance(ask(records, "b"), Hit)
        answer = ask(records, "b", bad_gen=gen)
        assert isinstance(answer, Granted)
        assert answer.gen > gen


def test_swapped_files_are_misses(tmp_path: Path) -> None:
    """T20: one user's file in the place of another's gives nobody's token to anyone."""
    records = records_in(tmp_path)
    store_value(records, b"mine")
    store_value(records, b"yours", name=OTHER)
    mine, yours = (tmp_path / f"monite-{name.name}.tok" for name in (NAME, OTHER))
    mine_content, yours_content = mine.read_bytes(), yours.read_bytes()
    mine.write_bytes(yours_content)
    yours.write_bytes(mine_content)
    assert isinstance(ask(records), Granted)
    assert isinstance(ask(records, name=OTHER), Granted)


def test_a_failure_is_no_value(tmp_path: Path) -> None:
    """T20: a failure's file in the place of a value is a miss."""
    records = records_in(tmp_path)
    assert isinstance(ask(records, "a"), Granted)
    records.fail(NAME, "a", "terminal:auth:401", ttl_ms=60_000)
    assert isinstance(ask(records), Negative)
    stem = tmp_path / f"monite-{NAME.name}"
    stem.with_suffix(".neg").rename(stem.with_suffix(".tok"))
    assert isinstance(ask(records), Granted)


def test_keys_are_rotated_in_three_deployments(tmp_path: Path) -> None:
    """T20: with the new key added, made the writer and the old one removed, each deployment reads what it should."""
    old, new = "old key " * 4, "new key " * 4

    def deployed(*keys: str) -> FileRecords:
        return records_in(tmp_path, keyring=Keyring(*keys))

    gen = store_value(deployed(old))
    assert isinstance(ask(deployed(old, new)), Hit)
    assert isinstance(ask(deployed(new, old)), Hit)
    before = ask(deployed(new), "later")
    assert isinstance(before, Granted)
    deployed(new).fail(NAME, "later", "", ttl_ms=0)
    newer = store_value(deployed(new, old), bad_gen=gen)
    answer = ask(deployed(new))
    assert isinstance(answer, Hit)
    assert answer.gen == newer > gen
    assert isinstance(ask(deployed(old)), Granted)
