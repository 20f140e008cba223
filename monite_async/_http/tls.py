"""The one TLS context of the process."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading

__all__ = ["default_context"]

_lock = threading.Lock()
_context: ssl.SSLContext | None = None


async def default_context() -> ssl.SSLContext:
    """Return the context that all transports of this process share; the first call makes it, in a thread.

    Reading the certificate authorities takes some 15 ms, which the loop does not wait for. ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` replace the authorities that come with certifi, as they do for OpenSSL.

    Raises:
        OSError: The file or folder named by the environment cannot be read.
    """
    if _context is not None:
        return _context
    return await asyncio.get_running_loop().run_in_executor(None, _shared)


def _shared() -> ssl.SSLContext:
    global _context  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _context is None:
            _context = make_context()
        return _context


def make_context() -> ssl.SSLContext:
    """Make a context that verifies certificates and host names and speaks HTTP/1.1 only."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        import certifi

        file = certifi.where()
    context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    context.set_alpn_protocols(["http/1.1"])
    return context
