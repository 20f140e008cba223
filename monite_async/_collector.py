"""The garbage collector, kept from looking through what is being made and will stay."""

from __future__ import annotations

import gc

__all__ = ["AtRest"]


class AtRest:
    """Lets the collector of the process rest for milliseconds; nothing may be awaited meanwhile.

    Thousands of new objects and no garbage, a page of an answer or a module of models: the collector would look through
    all of them again and again. One that the program has switched off stays off.
    """

    # Not a generator with ``contextmanager``: the exception that ends one is the allocation that sets the collector off,
    # once it is on again and while all that was made is still new. It doubles the time of a page that is soon let go of.
    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()
