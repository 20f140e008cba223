"""The token store that the environment names: ``MONITE_TOKEN_STORE`` and ``MONITE_TOKEN_STORE_KEYS``."""

from __future__ import annotations

import os

from monite_async_stores import Keyring, MemoryTokenStore, TokenStore, store_from_url

__all__ = ["keyring_from_env", "store_from_env"]


def keyring_from_env() -> Keyring | None:
    """Return the keyring of ``MONITE_TOKEN_STORE_KEYS``, or None when there is none.

    The keys are separated by commas or white space; the first one writes, all of them read.

    Raises:
        ValueError: A key is too short, or given twice.
    """
    keys = os.environ.get("MONITE_TOKEN_STORE_KEYS", "").replace(",", " ").split()
    problem = ""
    try:
        return Keyring(*keys) if keys else None
    except ValueError as exc:
        problem = f"MONITE_TOKEN_STORE_KEYS: {exc}"
    finally:
        del keys  # a traceback may show the variables of its frames
    raise ValueError(problem)


def store_from_env() -> TokenStore:
    """Return the store of ``MONITE_TOKEN_STORE``, or one in memory when it is not set.

    Raises:
        ValueError: There is no such store, or it cannot be used as it is configured.
        ImportError: It needs a package that is not installed.
    """
    url = os.environ.get("MONITE_TOKEN_STORE", "").strip()
    if not url:
        return MemoryTokenStore()
    keyring = keyring_from_env()
    problem: ValueError | ImportError
    try:
        return store_from_url(url, keyring=keyring)
    except ValueError as exc:  # no such store, a directory that will not do
        problem = ValueError(f"MONITE_TOKEN_STORE: {exc}")
    except ImportError as exc:
        problem = ImportError(f"MONITE_TOKEN_STORE: {exc}")
    finally:
        del url  # it may hold a password
    raise problem
