"""All files of the generator from one contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codegen import choices
from codegen.output import LOCK, formatted, lock
from codegen.plan import Plan, make_plan
from codegen.reader import fixed, read
from codegen.write_api import api_module, scopes_module, table_module
from codegen.write_emulator import emulator_modules
from codegen.write_packages import models_package, types_package
from codegen.write_permissions import PERMISSIONS_MODULE, permissions_module
from codegen.write_schemas import models_module, types_module

__all__ = ["OWNED", "build", "render"]

OWNED = (
    "monite_async/api",
    "monite_async/models",
    "monite_async/types",
    "monite_async/emulator/_contract",
)
"""Folders in which a generated file that is no longer made is removed."""


def render(plan: Plan, body_tags: Sequence[str] | None = None) -> dict[str, str]:
    """Return the files of a plan, by path, before formatting."""
    emulator = emulator_modules(plan.contract, body_tags)
    files = {f"monite_async/emulator/_contract/{name}.py": text for name, text in emulator.items()}
    files["monite_async/api/_scopes.py"] = scopes_module(plan)
    files["monite_async/api/_table.py"] = table_module(plan)
    files["monite_async/models/__init__.py"] = models_package(plan)
    files["monite_async/types/__init__.py"] = types_package(plan)
    for resource in plan.resources:
        files[f"monite_async/api/{resource.module}.py"] = api_module(plan, resource)
    for module in sorted(set(plan.models.by_name.values())):
        files[f"monite_async/models/{module}.py"] = models_module(plan, module)
    for module in sorted(set(plan.types.by_name.values())):
        files[f"monite_async/types/{module}.py"] = types_module(plan, module)
    permissions = permissions_module(plan.contract)
    if permissions is not None:
        files[PERMISSIONS_MODULE] = permissions
    return files


def build(document: dict[str, Any], root: Path) -> dict[str, str]:
    """Return the files of a contract, formatted as the repository wants it.

    Args:
        document: The contract, as JSON.
        root: The root of the repository: its formatter's configuration is used.

    Raises:
        ContractError: The contract holds something that the generator does not understand.
    """
    plan = make_plan(read(fixed(document, choices.FIXES)))
    files = formatted(render(plan), root / "pyproject.toml")
    return {**files, LOCK: lock(json.dumps(document, sort_keys=True), files)}
