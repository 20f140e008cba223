"""The TLS contexts of the process: one for nearly everybody."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading

__all__ = ["default_context"]

_lock = threading.Lock()
_contexts: dict[tuple[bool, bool], ssl.SSLContext] = {}
_ORPHANS: list[object] = []
"""Contexts of a parent process; kept, because connections of its threads may have been in the midst of using them."""


async def default_context(*, trust_env: bool = True, http2: bool = False) -> ssl.SSLContext:
    """Return the context that all connections of this process share; the first call makes it, in a thread.

    Reading the certificate authorities takes some 15 ms, which the loop does not wait for.

    Args:
        trust_env: Whether ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace the authorities that come with certifi, as
            they do for OpenSSL.
        http2: For connections that may speak HTTP/2: what is offered in a handshake is a property of the context.

    Raises:
        OSError: The file or folder named by the environment cannot be read.
    """
    context = _contexts.get((trust_env, http2))
    if context is not None:
        return context
    return await asyncio.get_running_loop().run_in_executor(None, _shared, trust_env, http2)


def _shared(trust_env: bool = True, http2: bool = False) -> ssl.SSLContext:
    with _lock:
        key = trust_env, http2
        if key not in _contexts:
            _contexts[key] = make_context(trust_env=trust_env, http2=http2)
        return _contexts[key]


def make_context(*, trust_env: bool = True, http2: bool = False) -> ssl.SSLContext:
    """Make a context that verifies certificates and host names; see ``default_context``."""
    file, folder = (os.environ.get(name) if trust_env else None for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    if not file and not folder:
        import certifi

        file = certifi.where()
    context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


def _forked() -> None:
    """Start anew in a forked child: another thread may have held our lock, or one of those inside OpenSSL's contexts."""
    global _lock, _contexts
    _ORPHANS.append(_contexts)
    _lock, _contexts = threading.Lock(), {}


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forked)
