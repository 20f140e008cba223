"""The garbage collector, kept from looking through what is being made and will stay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator

__all__ = ["at_rest"]


@contextlib.contextmanager
def at_rest() -> Generator[None, None, None]:
    """Let the collector of the process rest for milliseconds; nothing may be awaited meanwhile.

    Thousands of new objects and no garbage, a page of an answer or a module of models: the collector would look through
    all of them again and again. One that the program has switched off stays off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
