"""What a store or a keyring is made of is in no frame of the traceback of its refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from monite_async_stores import EncryptedFileTokenStore, Keyring, MemoryTokenStore, RedisTokenStore, store_from_url
from tests.proofs.canary import Canaries, told

KEY = "canary-key-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
AT = f"me:{KEY}@far.example"

WAYS: dict[str, Callable[[], object]] = {
    "short key": lambda: Keyring(KEY[:31]),
    "same key": lambda: Keyring(KEY, KEY.encode()),
    "no key": lambda: Keyring(KEY, cast("Any", 7)),
    "plain": lambda: RedisTokenStore.from_url(f"redis://{AT}:6379/0"),
    "plain cluster": lambda: RedisTokenStore.from_url(f"redis://{AT}:6379/0", cluster=True),
    "port": lambda: RedisTokenStore.from_url(f"rediss://{AT}:port/0"),
    "option": lambda: RedisTokenStore.from_url(f"rediss://{AT}/0?foo=bar"),
    "certificates": lambda: RedisTokenStore.from_url(f"rediss://{AT}/0?ssl_ca_certs=/nowhere.pem"),
    "timeout": lambda: RedisTokenStore.from_url(f"rediss://{AT}/0", timeout=0),
    "namespace": lambda: RedisTokenStore.from_url(f"rediss://{AT}/0", namespace="no name"),
    "client": lambda: RedisTokenStore(cast("Any", [KEY])),
    "scheme": lambda: store_from_url(f"weird://{AT}/0"),
    "plain by name": lambda: store_from_url(f"redis://{AT}/0?namespace=x"),
    "file": lambda: store_from_url(f"file://{AT}/x"),
    "directory": lambda: EncryptedFileTokenStore(Path(__file__), keyring=Keyring(KEY)),
    "namespace of files": lambda: EncryptedFileTokenStore(Path("x"), keyring=Keyring(KEY), namespace="../x"),
    "records": lambda: MemoryTokenStore(max_records=0),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_frame_of_a_refusal_holds_what_was_given(way: str) -> None:
    """Neither a password in a URL nor a key stands in a traceback with locals, and half-made stores can be shown."""
    canaries = Canaries()
    canaries.add(KEY[:31])
    with pytest.raises((ValueError, TypeError)) as caught:
        WAYS[way]()
    canaries.check(told(caught.value))
