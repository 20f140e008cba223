"""One test for hundreds of cases of one rule: all of them are tried, and each that fails is told of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

__all__ = ["each_case"]


@contextlib.contextmanager
def each_case() -> Generator[Callable[[str], AbstractContextManager[None]]]:
    """Give what to open around each case, with its name; in the end raise all failures together.

    A parameter makes a test of every case, which is more readable for dozens. Of hundreds, made from the models or the
    operations, pytest's own work for a test takes several times as long as the case itself.
    """
    failures: list[Exception] = []
    tried = 0

    @contextlib.contextmanager
    def case(name: str) -> Generator[None]:
        nonlocal tried
        tried += 1
        try:
            yield
        except Exception as exc:
            exc.add_note(f"This was the case {name}.")
            failures.append(exc)

    yield case
    assert tried, "there are no cases"
    if failures:
        raise ExceptionGroup(f"{len(failures)} cases failed", failures)
