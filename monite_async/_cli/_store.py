"""``monite-async store``: what lies in the token store of the environment; no value is ever opened to be shown."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import TypeVar

from monite_async._cli._exits import Exit, Stop
from monite_async._cli._output import Output, duration
from monite_async._store_env import keyring_from_env, store_from_env
from monite_async_stores import InspectableStore, RecordName, Resealed, TokenStore

__all__ = ["environment_store", "list_records", "purge", "rotate"]

T = TypeVar("T")

_AT_ONCE = 16
_MEANINGS: dict[Resealed, str] = {
    "resealed": "sealed anew with the first key",
    "current": "sealed with the first key before",
    "unreadable": "opened by no key of the keyring: left alone until it ends",
    "gone": "ended or replaced meanwhile",
}


async def environment_store() -> TokenStore:
    """Return the token store that the environment names.

    Raises:
        Stop: It cannot be made as it is configured.
    """
    try:
        return await asyncio.to_thread(store_from_env)  # making a directory of tokens looks at the disk
    except (ValueError, ImportError) as exc:
        problem = str(exc)
    raise Stop(Exit.CONFIGURATION, problem)


@contextlib.asynccontextmanager
async def _opened() -> AsyncGenerator[InspectableStore]:
    store = await environment_store()
    if not isinstance(store, InspectableStore):
        raise Stop(
            Exit.CONFIGURATION,
            "MONITE_TOKEN_STORE names no store that processes share: set it to redis://..., rediss://... or file:///path",
        )
    try:
        yield store
    finally:
        await store.aclose()


async def list_records(output: Output) -> None:
    """Print what is stored: names, generations, lives and the ids of sealing keys.

    Raises:
        StoreError: The store did not answer.
    """
    async with _opened() as store:
        found = await store.describe(await store.names())
    data = [
        {
            "record": one.name,
            "generation": one.gen,
            "lifetime": one.lifetime_ms / 1000,
            "expires_in": one.left_ms / 1000,
            "key": one.key,
        }
        for one in found
    ]
    rows = [
        {
            "record": one.name,
            "generation": str(one.gen),
            "lifetime": duration(one.lifetime_ms / 1000),
            "expires in": duration(one.left_ms / 1000),
            "sealed with": one.key or "?",
        }
        for one in found
    ]
    output.result(data, rows, empty="no tokens")


async def _each(do: Callable[[str], Coroutine[None, None, T]], names: Sequence[str]) -> list[T]:
    """Do something for every name, some at once, and return what came of it."""
    done: list[T] = []
    for start in range(0, len(names), _AT_ONCE):
        done += await asyncio.gather(*map(do, names[start : start + _AT_ONCE]))
    return done


async def purge(output: Output, names: Sequence[str]) -> None:
    """Drop records in every process that shares the store, and refuse what is being fetched for them right now.

    Args:
        output: Where the count goes.
        names: Which; none means all.

    Raises:
        StoreError: The store did not answer.
    """
    async with _opened() as store:
        wanted = list(names) or await store.names()
        await _each(lambda name: store.purge(RecordName(name)), wanted)
    output.result({"purged": len(wanted)}, [{"what": "purged", "value": str(len(wanted))}], columns=False)


async def rotate(output: Output) -> None:
    """Seal every value anew with the first key of the keyring, and print how many of which kind there were.

    Raises:
        StoreError: The store did not answer.
        Stop: There is no keyring, or a value could not be opened.
    """
    try:
        keyring = keyring_from_env()
    except ValueError as exc:
        problem = str(exc)
    else:
        problem = "" if keyring is not None else _NO_KEYRING
    if problem:
        raise Stop(Exit.CONFIGURATION, problem)
    async with _opened() as store:
        living = [one.name for one in await store.describe(await store.names())]
        found: Counter[str] = Counter(await _each(lambda name: store.reseal(RecordName(name)), living))
    counts = {kind: found[kind] for kind in _MEANINGS}
    rows = [{"what": kind, "count": str(counts[kind]), "": meaning} for kind, meaning in _MEANINGS.items()]
    output.result(counts, rows, columns=False)
    if counts["unreadable"]:
        raise Stop(
            Exit.FAILURE,
            f"{counts['unreadable']} values are sealed with keys that are not in MONITE_TOKEN_STORE_KEYS: "
            "add those keys behind the first one, or let the tokens end",
        )


_NO_KEYRING = (
    "MONITE_TOKEN_STORE_KEYS is not set: values are sealed with a key made from the client secret, and a new "
    "client secret gives new records by itself"
)
