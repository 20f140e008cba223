"""What must be made anew in a forked child: locks, leases, owner names, everything bound to the parent's loops."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Protocol

__all__ = ["ForkAware", "renew_after_fork"]


class ForkAware(Protocol):
    """Something that holds state which a forked child must not use."""

    def after_fork_in_child(self) -> None:
        """Replace what belongs to the parent; called in the child before anything else runs there."""
        ...


_alive: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def renew_after_fork(thing: ForkAware) -> None:
    """Have ``thing.after_fork_in_child()`` called in every forked child, as long as the thing lives."""
    _alive.add(thing)


def _in_child() -> None:
    for thing in list(_alive):
        thing.after_fork_in_child()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_in_child)
