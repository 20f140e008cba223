"""For the reference pages: what griffe, which reads the sources, has to be told of them. Named in ``mkdocs.yml``.

- ``monite_async_stores._value.frozen`` makes dataclasses, as far as type checkers and readers are concerned. Told so,
  griffe's own extension for dataclasses writes their signatures, with the defaults.
- ``::`` before an indented block of a docstring is a sign of reStructuredText; the pages are Markdown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Values"]


class Values(griffe.Extension):
    """Changes what was read before other extensions look at it."""

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at the decorators of a class that was just read.

        Args:
            cls: The class.
        """
        for decorator in cls.decorators:
            if str(decorator.value) == "frozen":
                decorator.value = griffe.ExprName("dataclass", parent=griffe.ExprName("dataclasses"))

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at the docstring of anything that was just read.

        Args:
            obj: It.
        """
        if obj.docstring is not None:
            lone = re.sub(r"^\s*::\n", "", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r"::$", ":", lone, flags=re.MULTILINE)
