"""Tasks that belong to the library, not to whoever happened to start them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["own_task"]

T = TypeVar("T")


def own_task(work: Coroutine[Any, Any, T], *then: Callable[[asyncio.Task[T]], object]) -> asyncio.Task[T]:
    """Start work in the running loop with an empty context; the caller keeps a strong reference to the task.

    No trace span, tenant or deadline of the caller leaks into work that others wait for too, nor is any of it kept
    alive until that work is done: callbacks would hold the caller's context if they were not given one.

    Args:
        work: What to do.
        then: Called with the task when it is done.
    """
    context = contextvars.Context()
    task = asyncio.get_running_loop().create_task(work, context=context)
    for each in then:
        task.add_done_callback(each, context=context)
    # A loop may be closed under it; that is no programming error of the user's, to be logged when it is collected.
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - not in the type stubs
    return task
