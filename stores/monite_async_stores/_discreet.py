"""Functions that are given secrets, and whose failures show none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["discreet"]

P = ParamSpec("P")
T = TypeVar("T")


def discreet(function: Callable[P, T]) -> Callable[P, T]:
    """Have whatever a function raises come without its frames: a traceback may show what stands in them.

    Args:
        function: One that is given a password or a key, whose errors say without a traceback what is wrong.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - it is raised below, from where nothing is left of the arguments
            failure = exc
        del args, kwargs
        failure.__traceback__ = failure.__context__ = None
        raise failure

    return run
