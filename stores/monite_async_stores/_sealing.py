"""Values sealed at rest: AES-256-GCM, under keys that can be rotated without a pause.

A sealed value is ``magic (4) | key id (4) | nonce (12) | ciphertext and tag``. What it belongs to (name, generation,
lifetime) is authenticated with it (AES-GCM's associated data, NIST SP 800-38D), so a value that was altered, or moved
to another record or generation, does not open. Keys come from key material by HKDF-SHA256 (RFC 5869), salted with the
namespace.

By default the key material is the record's own ``sealing_secret``: whoever can derive the key can already make the
values. A ``Keyring`` replaces it.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from monite_async_stores._discreet import discreet
from monite_async_stores._fork import renew_after_fork
from monite_async_stores._protocol import RecordName, StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Keyring", "Sealer"]

_MAGIC = b"MTS1"
_KEY_INFO = b"token-cache v1"
_ID_INFO = b"token-cache v1 key id"
_ID_END = len(_MAGIC) + 4
_NONCE_END = _ID_END + 12
_MIN_KEY_BYTES = 32
_MAX_SECRETS = 256
_WARN_SECONDS = 60.0

_log = logging.getLogger("monite_async_stores")


class Keyring:
    """Keys of your own to seal values with: the first one writes, all of them read.

    To rotate without a pause: deploy ``Keyring(old, new)`` everywhere, then ``Keyring(new, old)``, and after the
    longest lifetime ``Keyring(new)``.

    Args:
        keys: Key material, at least 32 random bytes each, as bytes or as text (``Keyring.generate()`` makes one).

    Raises:
        ValueError: There is no key, one is too short, or one is given twice.
    """

    __slots__ = ("_keys",)

    @discreet
    def __init__(self, *keys: bytes | str) -> None:
        material = tuple(key.encode() if isinstance(key, str) else bytes(key) for key in keys)
        if not material:
            raise ValueError("a Keyring needs at least one key: make one with Keyring.generate()")
        if any(len(key) < _MIN_KEY_BYTES for key in material):
            raise ValueError(f"a key must have at least {_MIN_KEY_BYTES} bytes: make one with Keyring.generate()")
        if len(set(material)) < len(material):
            raise ValueError("a Keyring must not hold the same key twice")
        self._keys = material

    @staticmethod
    def generate() -> str:
        """Return a new random key as text, for a secret manager or an environment variable."""
        return secrets.token_urlsafe(_MIN_KEY_BYTES)

    def __repr__(self) -> str:
        return "<Keyring>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring holds keys and cannot be pickled")


class _Key:
    """One derived key and its id."""

    __slots__ = ("cipher", "id", "shown")

    def __init__(self, material: bytes, salt: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.cipher: AESGCM = AESGCM(_derive(material, salt, _KEY_INFO, 32))
        self.id = _derive(material, salt, _ID_INFO, 4)
        self.shown = self.id.hex()


class Sealer:
    """Seals and opens the values of one namespace. Safe to use from any thread.

    Args:
        namespace: Separates deployments that share a storage: a value of one never opens in another.
        keyring: The keys to use; without one, keys are derived from each record's ``sealing_secret``.
        clock: Monotonic seconds, which limit how often a value that does not open is warned of.

    Raises:
        ImportError: The package ``cryptography`` is not installed.
    """

    __slots__ = ("__weakref__", "_by_secret", "_clock", "_lock", "_ring", "_salt", "_warn_after")

    def __init__(
        self, namespace: str, keyring: Keyring | None = None, *, clock: Callable[[], float] = monotonic
    ) -> None:
        try:
            import_module("cryptography.hazmat.primitives.ciphers.aead")  # missed now, not at the first token
        except ImportError:
            raise ImportError(
                "sealing stored values needs the package 'cryptography': pip install 'monite-async[redis,file]'"
            ) from None
        self._salt = namespace.encode()
        self._ring = None if keyring is None else tuple(_Key(key, self._salt) for key in keyring._keys)
        self._by_secret: dict[bytes, _Key] = {}
        self._lock = threading.Lock()
        self._clock = clock
        self._warn_after = float("-inf")
        renew_after_fork(self)

    def __repr__(self) -> str:
        return "<Sealer>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Sealer holds keys and cannot be pickled")

    def after_fork_in_child(self) -> None:
        """Make a new lock: the parent's may have been held while it forked."""
        self._lock = threading.Lock()

    def seal(self, record: RecordName, gen: int, lifetime_ms: int, value: bytes, *, context: bytes = b"") -> bytes:
        """Return the value sealed for this record, generation and lifetime.

        Args:
            record: Whose value.
            gen: Its generation.
            lifetime_ms: Its whole life in milliseconds.
            value: What to seal.
            context: More that belongs to the value, to be authenticated and not stored here.

        Raises:
            StoreError: There is no keyring, and the record has no secret to derive a key from.
        """
        key = self._keys(record)[0]
        # 96 random bits: a fleet may write 2**32 values under one key before a repeat is likelier than 2**-32.
        nonce = secrets.token_bytes(_NONCE_END - _ID_END)
        return b"".join(
            (_MAGIC, key.id, nonce, key.cipher.encrypt(nonce, value, _context(record, gen, lifetime_ms, context)))
        )

    def open(
        self, record: RecordName, gen: int, lifetime_ms: int, blob: bytes, *, context: bytes = b""
    ) -> bytes | None:
        """Return what ``seal`` was given, or None when the blob is not that: cut, altered, moved, of an unknown key.

        A failure logs one warning a minute, with nothing of the value in it.

        Raises:
            StoreError: There is no keyring, and the record has no secret to derive a key from.
        """
        keys = [key for key in self._keys(record) if blob[:_ID_END] == _MAGIC + key.id]
        for key in keys:
            try:
                return key.cipher.decrypt(
                    blob[_ID_END:_NONCE_END], blob[_NONCE_END:], _context(record, gen, lifetime_ms, context)
                )
            except Exception:  # noqa: BLE001, S112 - whatever is wrong with a stored value, it is a miss
                continue
        self._warn("it was altered or belongs elsewhere" if keys else "no key at hand made it")
        return None

    @staticmethod
    def key_of(blob: bytes) -> str:
        """Return the id of the key that a value was sealed with, as 8 hex characters; it is no secret."""
        return blob[len(_MAGIC) : _ID_END].hex()

    def writes_with(self, record: RecordName) -> str:
        """Return the id of the key that values of this record are sealed with from now on.

        Raises:
            StoreError: There is no keyring, and the record has no secret to derive a key from.
        """
        return self._keys(record)[0].shown

    def knows_for(self, record: RecordName, key: str) -> bool:
        """Tell whether values of this record that are sealed with the key of this id can be opened here.

        Raises:
            StoreError: There is no keyring, and the record has no secret to derive a key from.
        """
        return any(one.shown == key for one in self._keys(record))

    def learn(self, record: RecordName) -> None:
        """Derive what it takes to open the values of a record, so that ``knows`` knows of it.

        Raises:
            StoreError: There is no keyring, and the record has no secret to derive a key from.
        """
        self._keys(record)

    def knows(self, key: str) -> bool:
        """Tell whether values sealed with the key of this id can be opened here, whosever they are.

        Two deployments that share a storage and no key must not take each other's values for news: neither could read
        them, and each would replace what the other stored, for ever. Without a keyring the keys of the 256 secrets
        used last are known; news of others are made up for by looking.
        """
        if self._ring is not None:
            return any(one.shown == key for one in self._ring)
        with self._lock:
            return any(one.shown == key for one in self._by_secret.values())

    def _keys(self, record: RecordName) -> tuple[_Key, ...]:
        if self._ring is not None:
            return self._ring
        secret = record.sealing_secret
        if not secret:
            raise StoreError("nothing to seal with: the record has no sealing secret; give the store a Keyring")
        with self._lock:
            key = self._by_secret.pop(secret, None) or _Key(secret, self._salt)
            self._by_secret[secret] = key  # now the youngest in use
            if len(self._by_secret) > _MAX_SECRETS:
                del self._by_secret[next(iter(self._by_secret))]
        return (key,)

    def _warn(self, why: str) -> None:
        now = self._clock()
        with self._lock:
            if now < self._warn_after:
                return
            self._warn_after = now + _WARN_SECONDS
        _log.warning("a stored value could not be opened (%s); it counts as missing", why)


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(material)


def _context(record: RecordName, gen: int, lifetime_ms: int, context: bytes) -> bytes:
    return b"%s|%d|%d|%s" % (record.name.encode(), gen, lifetime_ms, context)
