"""Signatures of webhook deliveries: ``Monite-Signature: t=<unix seconds>,v1=<64 hex digits>``."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn, TypeAlias, cast

from monite_async._config import Hidden
from monite_async._errors import ConfigurationError, WebhookError

__all__ = [
    "DEFAULT_TOLERANCE",
    "SIGNATURE_HEADER",
    "Keys",
    "SignedString",
    "check_signature",
    "check_tolerance",
    "keys_of",
    "raw_bytes",
    "sign",
    "signed_string",
]

SIGNATURE_HEADER: Final = "Monite-Signature"
"""The header of a delivery that holds its signature (Monite, "Webhook signatures")."""

DEFAULT_TOLERANCE: Final = 300.0
"""Seconds that a signature may be old, or ahead of this machine's clock. Monite names no number: this one is ours."""

SignedString: TypeAlias = Callable[[str, bytes], bytes]
"""What is signed, from the text of ``t`` as it was received and the raw body."""

_HEADER_LIMIT = 4096
_CANDIDATES = 16
_SECONDS_DIGITS = 12


def signed_string(timestamp: str, body: bytes) -> bytes:
    """Return what a signature is made over: the time, a full stop, the raw body.

    This is inferred, not documented: the header has the form that Stripe's has, and this is what Stripe signs. Should
    Monite sign something else, pass your own function as ``signed_string=`` to ``verify``, ``sign`` and ``Receiver``.

    Args:
        timestamp: The text of ``t`` in the header, unix seconds.
        body: The body as it was received.
    """
    return timestamp.encode("ascii") + b"." + body


def sign(
    body: bytes, secret: str, *, timestamp: float | None = None, signed_string: SignedString = signed_string
) -> str:
    """Return the value of ``Monite-Signature`` for a body, for tests of your own receiver.

    Args:
        body: The raw body.
        secret: The secret of the subscription, ``whsec_`` included.
        timestamp: When it was signed, in unix seconds; default now.
        signed_string: What is signed.

    Raises:
        ConfigurationError: The body is not bytes, or the secret is empty.
    """
    hidden, raw = Hidden(secret), Hidden(body)
    del secret, body  # a traceback may show the variables of its frames
    when = str(int(time.time() if timestamp is None else timestamp))
    signature = _signature(hidden, when, raw, signed_string)
    if isinstance(signature, str):
        return f"t={when},v1={signature}"
    raise signature


def _signature(secret: Hidden, when: str, body: Hidden, signed: SignedString) -> str | ConfigurationError:
    """Return the signature, or what is wrong: with no traceback, whose frames would hold secret and body."""
    try:
        keys = keys_of([secret.value])
        return _digest(next(iter(keys)), _made(signed, when, raw_bytes(body.value)))
    except ConfigurationError as error:
        return error.with_traceback(None)


def _made(signed_string: SignedString, timestamp: str, body: bytes) -> bytes:
    """Return what is signed, checked before any key is at hand that a traceback could show."""
    signed = cast("object", signed_string(timestamp, body))
    del body
    if isinstance(signed, bytes):
        return signed
    kind = type(signed).__name__
    del signed
    raise ConfigurationError(f"signed_string must return the bytes that are signed, not {kind}")


def _digest(key: bytes, signed: bytes) -> str:
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


def raw_bytes(body: object) -> bytes:
    """Return a raw body, or say what to pass instead.

    Raises:
        ConfigurationError: It is not bytes: a decoded or parsed body is no longer what was signed.
    """
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray):
        return bytes(body)
    kind = type(body).__name__
    del body
    raise ConfigurationError(
        f"the raw body is needed, as bytes and as it was received, not {kind}: what has been decoded or parsed is no "
        "longer what was signed (Starlette and FastAPI: await request.body(); Django: request.body; aiohttp: await "
        "request.read(); Flask: request.get_data())"
    )


class Keys:
    """Secrets as keys; they never show themselves, not even in a traceback with locals."""

    __slots__ = ("_keys",)

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def __repr__(self) -> str:
        return f"<{len(self._keys)} secrets>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be pickled")


def keys_of(secrets: object) -> Keys:
    """Return secrets as keys, each text as it is, ``whsec_`` included.

    Raises:
        ConfigurationError: There is none, or one is not a text.
    """
    several: list[object] = [secrets] if isinstance(secrets, str) or not isinstance(secrets, Iterable) else [*secrets]
    good = [one.encode(errors="surrogatepass") for one in several if isinstance(one, str) and one]
    if good and len(good) == len(several):
        return Keys(good)
    del secrets, several, good
    raise ConfigurationError("secrets must be the secret of a subscription (whsec_...), or several: non-empty texts")


def check_tolerance(seconds: object) -> float:
    """Return a tolerance.

    Raises:
        ConfigurationError: It is not a number of seconds.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        raise ConfigurationError("tolerance must be a finite number of seconds, 0 or more")
    return float(seconds)


def check_signature(
    body: bytes,
    signature: object,
    keys: Keys,
    *,
    tolerance: float,
    now: float,
    signed_string: SignedString,
) -> None:
    """Return if one of the secrets made this signature, near enough to now.

    Every secret is tried with every candidate whatever the outcome, each comparison in constant time, and the time
    counts only once the signature is known to be good.

    Args:
        body: The raw body.
        signature: The value of the header, None when there was none.
        keys: The keys, hidden.
        tolerance: Seconds that the signature may be old or ahead.
        now: Unix seconds.
        signed_string: What is signed.

    Raises:
        WebhookError: It is missing, malformed, of another secret or body, or too old or too new.
        ConfigurationError: The function for what is signed returned no bytes.
    """
    timestamp, candidates = _parts(signature)
    genuine = _is_genuine(keys, _made(signed_string, timestamp, body), candidates)
    del body, signature, candidates  # a traceback may show the variables of its frames
    if not genuine:
        raise WebhookError(
            "the signature fits none of the secrets: is this subscription's secret among them, and was the body passed "
            "as it was received?"
        )
    age = now - int(timestamp)
    if not abs(age) <= tolerance:  # a clock that tells no number lets nothing through
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s ahead of this machine's clock"
        raise WebhookError(f"signed {when}, and {tolerance:g} s are allowed: a replay, or one of the clocks is wrong")


def _is_genuine(keys: Keys, signed: bytes, candidates: list[bytes]) -> bool:
    found = False
    for key in keys:
        expected = _digest(key, signed).encode("ascii")
        for candidate in candidates:
            found |= hmac.compare_digest(expected, candidate)
    return found


def _parts(signature: object) -> tuple[str, list[bytes]]:
    """Return the time and the ``v1`` signatures of a header; other schemes are passed over."""
    if isinstance(signature, bytes):
        signature = signature.decode("latin-1")
    if not isinstance(signature, str) or not signature:
        raise WebhookError(f"the request has no {SIGNATURE_HEADER} header")
    if len(signature) > _HEADER_LIMIT:
        raise WebhookError(f"the {SIGNATURE_HEADER} header is longer than {_HEADER_LIMIT} characters")
    pairs = [part.strip().partition("=") for part in signature.split(",")]
    times = {value for name, _, value in pairs if name == "t"}
    # Some servers put bytes that are no UTF-8 into the text as lone surrogates (PEP 383).
    candidates = [value.encode(errors="surrogatepass") for name, _, value in pairs if name == "v1"]
    timestamp = times.pop() if len(times) == 1 else ""
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _SECONDS_DIGITS
    if not digits or not 1 <= len(candidates) <= _CANDIDATES:
        raise WebhookError(f"the {SIGNATURE_HEADER} header is not of the form t=<unix seconds>,v1=<hex digits>")
    return timestamp, candidates
