"""Stored files: their checks, and the object that the API shows for one."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath

from monite_async.emulator._errors import refusal
from monite_async.emulator._state import World, iso

__all__ = ["DOCUMENTS", "FILES_PATH", "IMAGES", "PDF", "file_url", "keep_file", "store_file"]

DOCUMENTS = frozenset({"application/pdf", "image/png", "image/jpeg"})
"""What payables may have attached."""
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif"})
"""What a logo may be."""
PDF = b"%PDF-1.4\n%%EOF\n"
"""What every PDF that the emulator makes looks like."""
FILES_PATH = "/_emulator/files/"
"""Where the stored files are served."""

# The standard library's table would be read from disk on first use, in the middle of the event loop.
_BY_SUFFIX: Mapping[str, str] = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".pdf": "application/pdf",
    ".png": "image/png",
}


def keep_file(world: World, kind: str, content: bytes) -> str:
    """Store bytes of a media type and return the id under which they are served."""
    file_id = str(uuid.uuid4())
    world.state.files[file_id] = (kind, content)
    return file_id


def file_url(world: World, file_id: str) -> str:
    """Return the address of a stored file."""
    return f"{world.origin}{FILES_PATH}{file_id}"


def store_file(
    world: World, name: str, content: bytes, *, file_type: str, allowed: frozenset[str], limit: int, mimetype: str = ""
) -> dict[str, object]:
    """Store a file and return what the API shows of it.

    Args:
        world: Where to store it.
        name: Its name, which tells the type when ``mimetype`` does not.
        content: Its bytes.
        file_type: What it is for (``payables``, ``entity_logo``).
        allowed: The media types that are accepted.
        limit: Largest size, in bytes.
        mimetype: Its media type as sent.
    """
    kind = mimetype if mimetype in allowed else _BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), "")
    if kind not in allowed:
        raise refusal(400, "This type of file is not supported.")
    if len(content) > limit:
        raise refusal(400, f"The file is larger than {limit // 2**20} MB.")
    file_id = keep_file(world, kind, content)
    return {
        "id": file_id,
        "created_at": iso(world.clock.now()),
        "file_type": file_type,
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "mimetype": kind,
        "name": name[:512],
        "pages": [],
        "previews": [],
        "region": "eu-central-1",
        "size": len(content),
        "url": file_url(world, file_id),
    }
