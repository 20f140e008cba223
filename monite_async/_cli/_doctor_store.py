"""The token store, tried out: a value goes in, is sealed, comes out again, and is dropped."""

from __future__ import annotations

import secrets

from monite_async._cli._exits import Exit
from monite_async._cli._findings import Finding, fail, good, warn
from monite_async_stores import Granted, Hit, InspectableStore, MemoryTokenStore, RecordName, StoreError, TokenStore

__all__ = ["look_at_store"]

_PROBE = "d0c70000000000000000000000000000"
"""One name for all times: in a directory, each name that was ever used leaves a small file behind."""

_LIFE_MS = 5_000


async def look_at_store(store: TokenStore) -> Finding:
    """Put a random value into the store, read it back and drop it."""
    if isinstance(store, MemoryTokenStore):
        advice = "with several processes, set MONITE_TOKEN_STORE; docs/stores.md says to what"
        return warn("store", "in memory: this process shares its tokens with no other", advice)
    kind = type(store).__name__
    try:
        return await _try_out(store, kind)
    except StoreError as exc:
        return fail(
            "store", Exit.STORE, f"{kind}: {exc}", "calls go on without it, each process with tokens of its own"
        )


async def _try_out(store: TokenStore, kind: str) -> Finding:
    record, owner = RecordName(_PROBE, secrets.token_bytes(32)), secrets.token_hex(8)
    value = secrets.token_bytes(32)
    answer = await store.acquire(record, owner, lease_ms=_LIFE_MS, bad_gen=0, min_left_ms=_LIFE_MS)
    if not isinstance(answer, Granted):
        return warn("store", f"{kind}: it answers; another doctor is at it", "run this again")
    await store.commit(record, owner, answer.gen, value, lifetime_ms=_LIFE_MS, left_ms=_LIFE_MS)
    back = await store.acquire(record, owner, lease_ms=_LIFE_MS, bad_gen=0, min_left_ms=0)
    described = await store.describe([_PROBE]) if isinstance(store, InspectableStore) else []
    await store.purge(record)
    if not isinstance(back, Hit) or back.value != value:
        advice = (
            "another process may have a keyring that has no key in common with MONITE_TOKEN_STORE_KEYS; run this again"
        )
        return fail("store", Exit.STORE, f"{kind}: it does not give back what was put into it", advice)
    sealed = f", sealed (key {described[0].key})" if described else ""
    return good("store", f"{kind}: reachable{sealed}; a value went in and came back")
