"""The faces of ``models`` and ``types``: every name in one place, its module loaded when it is first used."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from codegen.output import HEADER
from codegen.plan import Plan
from codegen.text import quoted
from codegen.write_schemas import Inputs

__all__ = ["models_package", "types_package"]


def models_package(plan: Plan) -> str:
    """Return ``models/__init__.py``."""
    homes = {plan.names[name]: home for name, home in plan.models.by_name.items()}
    return _package(
        "models", "every model by its name.", {**homes, **dict.fromkeys(("Anything", "Model", "Moment"), "_base")}
    )


def types_package(plan: Plan) -> str:
    """Return ``types/__init__.py``."""
    inputs = Inputs(plan)
    return _package(
        "types", "every input by its name.", {inputs.name(name): home for name, home in plan.types.by_name.items()}
    )


def _lines(names: Iterable[str], indent: str) -> list[str]:
    return textwrap.wrap("".join(f"{name}, " for name in names), 118, initial_indent=indent, subsequent_indent=indent)


def _package(package: str, what: str, homes: dict[str, str]) -> str:
    by_home: dict[str, list[str]] = {}
    for name in sorted(homes):
        by_home.setdefault(homes[name], []).append(name)
    seen: list[str] = []
    table: list[str] = []
    for home, names in sorted(by_home.items()):
        seen += [f"    from monite_async.{package}.{home} import (", *_lines(names, "        "), "    )"]
        table += [f"    {quoted(home)}: (", *_lines(map(quoted, names), "        "), "    ),"]
    return "\n".join(
        [
            HEADER.format(what=what),
            "from __future__ import annotations\n",
            "import importlib",
            "from typing import TYPE_CHECKING, Final\n",
            "# fmt: off",
            *(["if TYPE_CHECKING:", *seen] if seen else []),
            "",
            "__all__ = [",
            *_lines(map(quoted, sorted(homes)), "    "),
            "]",
            "",
            "_HOMES: Final[dict[str, tuple[str, ...]]] = {",
            *table,
            "}",
            "# fmt: on",
            "",
            "",
            "def __getattr__(name: str) -> object:",
            "    for home, names in _HOMES.items():",
            "        if name in names:",
            '            value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)',
            "            globals()[name] = value",
            "            return value",
            '    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")',
            "",
            "",
            "def __dir__() -> list[str]:",
            "    return list(__all__)",
            "",
        ]
    )
