"""For the reference pages: griffe, which reads the sources, shows classes made by ``frozen`` as the dataclasses they are.

``monite_async_stores._value.frozen`` is ``dataclass(frozen=True)`` to type checkers. Told so, griffe's own extension for
dataclasses writes the signatures, with the defaults. It is named in ``mkdocs.yml``.
"""

from __future__ import annotations

from typing import Any

import griffe

__all__ = ["Values"]


class Values(griffe.Extension):
    """Replaces the decorator before griffe's extension for dataclasses looks for it."""

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at the decorators of a class that was just read.

        Args:
            cls: The class.
        """
        for decorator in cls.decorators:
            if str(decorator.value) == "frozen":
                decorator.value = griffe.ExprName("dataclass", parent=griffe.ExprName("dataclasses"))
