"""Sealed values: what opens, what does not, and that nothing shows a key."""

from __future__ import annotations

import copy
import itertools
import logging
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async_stores import Keyring, RecordName, StoreError
from monite_async_stores._sealing import Sealer

VALUE = b"Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"
OLD, NEW = "old key " * 4, b"new key " * 4
NAME = RecordName("ab" * 16, b"client secret")
OTHER = RecordName("cd" * 16, b"client secret")


@given(value=st.binary(max_size=4096), gen=st.integers(0, 2**53), life=st.integers(0, 10**12), context=st.binary())
def test_what_was_sealed_opens_where_it_belongs(value: bytes, gen: int, life: int, context: bytes) -> None:
    """Any bytes come back from their own place, and show nothing of themselves while sealed."""
    sealer = Sealer("monite")
    blob = sealer.seal(NAME, gen, life, value, context=context)
    assert sealer.open(NAME, gen, life, blob, context=context) == value
    assert len(blob) == 4 + 4 + 12 + len(value) + 16
    assert len(value) < 8 or value not in blob  # shorter ones may be there by chance, or be the first word of all blobs


def test_two_sealings_of_a_value_differ() -> None:
    """Every sealing draws a nonce of its own."""
    sealer = Sealer("monite")
    assert sealer.seal(NAME, 1, 1, VALUE) != sealer.seal(NAME, 1, 1, VALUE)


def test_a_flipped_byte_anywhere_is_a_miss() -> None:
    """Whatever byte of a sealed value is altered, wherever it is cut or grown, it does not open and raises nothing."""
    sealer = Sealer("monite")
    blob = sealer.seal(NAME, 7, 60_000, VALUE)
    for at in range(len(blob)):
        for mask in (0x01, 0x80, 0xFF):
            broken = blob[:at] + bytes((blob[at] ^ mask,)) + blob[at + 1 :]
            assert sealer.open(NAME, 7, 60_000, broken) is None
        assert sealer.open(NAME, 7, 60_000, blob[:at]) is None
    assert sealer.open(NAME, 7, 60_000, blob + b"\0") is None
    assert sealer.open(NAME, 7, 60_000, blob) == VALUE


@settings(max_examples=200)
@given(junk=st.binary(max_size=200))
def test_junk_is_a_miss(junk: bytes) -> None:
    """Bytes that nobody sealed do not open, with or without the right beginning."""
    sealer = Sealer("monite")
    blob = sealer.seal(NAME, 7, 60_000, VALUE)
    assert sealer.open(NAME, 7, 60_000, junk) is None
    assert sealer.open(NAME, 7, 60_000, blob[:8] + junk) is None


def test_a_moved_value_is_a_miss() -> None:
    """A sealed value opens under its own name, generation, lifetime, context, namespace and secret only."""
    sealer = Sealer("monite")
    blob = sealer.seal(NAME, 7, 60_000, VALUE, context=b"boot 1")
    assert sealer.open(NAME, 7, 60_000, blob, context=b"boot 1") == VALUE
    assert sealer.open(OTHER, 7, 60_000, blob, context=b"boot 1") is None
    assert sealer.open(NAME, 8, 60_000, blob, context=b"boot 1") is None
    assert sealer.open(NAME, 7, 60_001, blob, context=b"boot 1") is None
    assert sealer.open(NAME, 7, 60_000, blob, context=b"boot 2") is None
    assert Sealer("staging").open(NAME, 7, 60_000, blob, context=b"boot 1") is None
    rotated = RecordName(NAME.name, b"another client secret")
    assert sealer.open(rotated, 7, 60_000, blob, context=b"boot 1") is None


def test_keys_rotate_in_three_deploys() -> None:
    """Add, swap, remove: while two neighbouring deploys run side by side, each opens what the other seals."""
    deploys = [
        Keyring(OLD),
        Keyring(OLD, NEW),
        Keyring(NEW, OLD),
        Keyring(NEW),
    ]
    sealers = [Sealer("monite", ring) for ring in deploys]
    for before, after in itertools.pairwise(sealers):
        for one, other in ((before, after), (after, before)):
            assert other.open(NAME, 1, 1, one.seal(NAME, 1, 1, VALUE)) == VALUE
    assert sealers[3].open(NAME, 1, 1, sealers[0].seal(NAME, 1, 1, VALUE)) is None


def test_a_keyring_replaces_the_secret() -> None:
    """With a keyring the record's secret plays no part, and may be empty."""
    sealer = Sealer("monite", Keyring(NEW))
    blob = sealer.seal(RecordName(NAME.name), 1, 1, VALUE)
    assert sealer.open(NAME, 1, 1, blob) == VALUE
    assert Sealer("monite").open(NAME, 1, 1, blob) is None


def test_a_key_may_be_text_or_bytes() -> None:
    """The same key as text and as bytes is one key, and ``generate`` makes one that will do."""
    text = Keyring.generate()
    blob = Sealer("monite", Keyring(text)).seal(NAME, 1, 1, VALUE)
    assert Sealer("monite", Keyring(text.encode())).open(NAME, 1, 1, blob) == VALUE
    assert Keyring.generate() != text


def test_keys_of_one_id_are_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys whose four-byte ids happen to be equal are told apart by trying both."""
    ring = Sealer("monite", Keyring(OLD, NEW))
    new = Sealer("monite", Keyring(NEW))
    assert ring._ring is not None
    assert new._ring is not None
    for key in (*ring._ring, *new._ring):
        monkeypatch.setattr(key, "id", b"same")
    assert ring.open(NAME, 1, 1, new.seal(NAME, 1, 1, VALUE)) == VALUE


def test_a_record_without_a_secret_needs_a_keyring() -> None:
    """Nothing is ever sealed under a key that anybody could derive."""
    with pytest.raises(StoreError, match="Keyring"):
        Sealer("monite").seal(RecordName("ab" * 16), 1, 1, VALUE)


@pytest.mark.parametrize(
    ("keys", "text"), [((), "at least one key"), (("short",), "32 bytes"), ((OLD, OLD.encode()), "twice")]
)
def test_a_bad_keyring_says_what_to_do(keys: tuple[str | bytes, ...], text: str) -> None:
    """No key, a short key and a repeated key are refused, with no key in the message."""
    with pytest.raises(ValueError, match=text) as caught:
        Keyring(*keys)
    assert "short" not in str(caught.value).replace("too short", "")
    assert OLD not in str(caught.value)


def test_keys_of_secrets_are_kept_bounded() -> None:
    """The key derived from a secret is kept for the secrets in use, not for every secret that ever was."""
    sealer = Sealer("monite")
    first = sealer.seal(NAME, 1, 1, VALUE)
    for number in range(300):
        sealer.seal(RecordName("ab" * 16, b"secret %d" % number), 1, 1, VALUE)
    assert len(sealer._by_secret) == 256
    assert sealer.open(NAME, 1, 1, first) == VALUE


def test_a_sealer_knows_the_keys_that_it_can_open_with() -> None:
    """The id of a sealed value's key is known to who has that key in its ring, or has learned the secret, and only then."""
    both = Sealer("monite", Keyring(OLD, NEW))
    ids = [Sealer.key_of(Sealer("monite", Keyring(key)).seal(NAME, 1, 1, VALUE)) for key in (OLD, NEW)]
    assert all(both.knows(key) for key in ids)
    assert [Sealer("monite", Keyring(NEW)).knows(key) for key in ids] == [False, True]
    derived = Sealer("monite")
    own = Sealer.key_of(Sealer("monite").seal(NAME, 1, 1, VALUE))
    assert not derived.knows(own)
    derived.learn(NAME)
    assert derived.knows(own)
    assert derived.knows_for(OTHER, own), "of the same secret"
    assert not derived.knows_for(RecordName("ab" * 16, b"another secret"), own)
    assert both.knows_for(NAME, ids[0])
    assert not any(derived.knows(key) for key in (*ids, "", Sealer.key_of(b"")))
    assert not Sealer("elsewhere", Keyring(OLD)).knows(ids[0])


def test_a_failure_warns_once_a_minute_without_content(caplog: pytest.LogCaptureFixture) -> None:
    """A value that does not open logs one warning a minute, which says why and shows nothing of it."""
    now = [0.0]
    sealer = Sealer("monite", Keyring(NEW), clock=lambda: now[0])
    blob = sealer.seal(NAME, 1, 1, VALUE)
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            sealer.open(OTHER, 1, 1, blob)
        now[0] = 61.0
        Sealer("monite", Keyring(OLD)).open(NAME, 1, 1, blob)
        sealer.open(NAME, 1, 1, b"junk")
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    assert "altered" in texts[0]
    assert "no key" in texts[1]
    assert NAME.name not in caplog.text
    assert "eyJ0" not in caplog.text


@pytest.mark.parametrize("thing", [Keyring(NEW), Sealer("monite", Keyring(NEW)), Sealer("monite")], ids=repr)
def test_nothing_shows_a_key(thing: Keyring | Sealer) -> None:
    """Texts of what holds keys are constant, and it can be neither pickled nor copied."""
    assert f"{thing!r} {thing}" in ("<Keyring> <Keyring>", "<Sealer> <Sealer>")
    assert not hasattr(thing, "__dict__")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(thing)
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.copy(thing)


def test_a_forked_child_can_seal_though_the_lock_was_held() -> None:
    """A fork while another thread holds the sealer's lock leaves the child with a free one."""
    sealer = Sealer("monite")
    blob = sealer.seal(NAME, 1, 1, VALUE)
    with sealer._lock:
        sealer.after_fork_in_child()
        assert sealer.open(NAME, 1, 1, blob) == VALUE


def test_without_cryptography_it_says_what_to_install() -> None:
    """Importing the package needs no ``cryptography``; making a sealer without it names the extra to install."""
    code = """
import sys
sys.modules["cryptography"] = None
import monite_async_stores
assert "redis" not in sys.modules
keyring = monite_async_stores.Keyring("k" * 32)
from monite_async_stores._sealing import Sealer
try:
    Sealer("monite", keyring)
except ImportError as exc:
    assert "monite-async[redis,file]" in str(exc), exc
else:
    raise SystemExit("it did not fail")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
