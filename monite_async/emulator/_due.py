"""What goes on by itself: let happen what was to happen by now, whether or not anybody looks."""

from __future__ import annotations

from monite_async.emulator import _generic, _payable_base
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._state import World

__all__ = ["settle_due"]


def settle_due(world: World) -> None:
    """Bring everything up to date of which something was to happen by now."""
    now = world.clock.now()
    for record_id, (path, moment) in list(world.state.due.items()):
        if moment > now:
            continue
        del world.state.due[record_id]
        record = world.state.table(path).get(record_id)
        if record is None:
            continue
        if path == "/payables":
            _payable_base.settle(world, record)
        else:
            _generic.settle(world, record, COLLECTIONS[path])
