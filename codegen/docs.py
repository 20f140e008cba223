"""``python -m codegen.docs``: the lists of the documentation: operations, models and types, the official client's names.

The first are made of the package. For the last the sources of the official client are read, never run: which request
each of its methods sends.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from monite_async import OperationInfo, models, operations
from monite_async import types as inputs

__all__ = ["OFFICIAL", "main", "migration_page", "models_page", "official_methods", "operations_page"]

OFFICIAL = "0.5.4"
_DOCS = Path(__file__).resolve().parents[1] / "docs"
_WHO = {
    "partner": "`monite`",
    "entity": "`acme`,\u00a0`ann`",
    "user": "`ann`,\u00a0`me`",
    "any": "all",
}
_WIDE = ["---", "hide: [toc]", "---", ""]
"""Gives a wide table the room of the table of contents."""
_LEGEND = """
`monite` is an `AsyncMonite`, `acme = monite.entity(entity_id)`, `ann = acme.as_user(user_id)`,
`me = monite.as_user(user_id)`.
"""


def operations_page(listed: Sequence[OperationInfo]) -> str:
    """Return the page with all operations."""
    lines = [
        *_WIDE,
        "# All operations",
        "",
        f"The {len(listed)} operations of the API, as `monite_async.operations()` lists them: `acme.payables.list()` sends",
        "`GET /payables`. The table is made by `python -m codegen.docs`.",
        _LEGEND,
        "Paged ones return an `AsyncPager`. Repeated ones are sent again when nobody knows what became of the first try;",
        "the others only when it cannot have been carried out.",
        "",
        "| method | on | paged | repeated | request |",
        "| --- | --- | --- | --- | --- |",
    ]
    for info in listed:
        marks = [_WHO[info.scope], "yes" if info.paged else "", "yes" if info.idempotent else ""]
        lines.append(f"| `{info.resource}.{info.name}` | {' | '.join(marks)} | `{info.method} {info.path}` |")
    return "\n".join(lines) + "\n"


def models_page(answers: Sequence[str], bodies: Sequence[str]) -> str:
    """Return the page with the names of all models and types."""
    lines = [
        *_WIDE,
        "# All models and types",
        "",
        "Made from the contract of the API, as is this list (`python -m codegen.docs`). Your editor knows the fields of each.",
        "",
        "## `monite_async.models`",
        "",
        f"What answers are read into, {len(answers)} names: classes of pydantic, unions of them, and kinds of text.",
        "A module of it is loaded when a name of it is used.",
        "",
        ", ".join(f"`{name}`" for name in answers),
        "",
        "## `monite_async.types`",
        "",
        f"What bodies are made of, {len(bodies)} names: a `TypedDict` for each object, a `Literal` for each list of values.",
        "They cost nothing at run time; a plain `dict` will do wherever one is asked for.",
        "",
        ", ".join(f"`{name}`" for name in bodies),
    ]
    return "\n".join(lines) + "\n"


def migration_page(listed: Sequence[OperationInfo], official: dict[tuple[str, str], str]) -> str:
    """Return the page that leads from the official client's names to ours."""
    ours = {_call(info.method, info.path): f"{info.resource}.{info.name}" for info in listed}
    gone = sorted(name for call, name in official.items() if call not in ours)
    lines = [
        *_WIDE,
        "# Names: from the official client to this one",
        "",
        f"The methods of the official client (`monite` {OFFICIAL} on PyPI, class `AsyncMonite`) and the methods here that",
        "send the same request. The table is made by `python -m codegen.docs`.",
        _LEGEND,
        "The entity is no setting of the whole client here: `monite.entity(entity_id)` sends it. Arguments keep the names",
        "of the wire (`address.city` is `address_city`); what the official client calls `request` is `body` here.",
        "",
        "| official client | here | on |",
        "| --- | --- | --- |",
    ]
    who = {f"{info.resource}.{info.name}": _WHO[info.scope] for info in listed}
    for call, name in sorted(official.items(), key=lambda entry: entry[1]):
        if call in ours:
            lines.append(f"| `{name}` | `{ours[call]}` | {who[ours[call]]} |")
    lines += ["", "## Only here", "", "Operations that the official client does not have:", ""]
    lines += [f"- `{ours[call]}`" for call in sorted(ours, key=lambda call: ours[call]) if call not in official]
    if gone:
        lines += ["", "## Only there", "", "Methods for requests that the contract does not know (any more):", ""]
        lines += [f"- `{name}`" for name in gone]
    return "\n".join(lines) + "\n"


def _call(method: str, path: str) -> tuple[str, str]:
    return method, "/" + re.sub(r"\{[^}]*\}", "{}", path).strip("/")


def official_methods(package: Path) -> dict[tuple[str, str], str]:
    """Return the methods of the official client by the request that they send, parameters as ``{}``.

    Args:
        package: The folder of the installed package ``monite``.
    """
    found: dict[tuple[str, str], str] = {}
    for path in sorted(package.rglob("raw_client.py")):
        resource = ".".join(path.relative_to(package).parts[:-1])
        for name, call in _requests(ast.parse(path.read_text(encoding="utf-8"))):
            found[call] = f"{resource}.{name}"
    return found


def _requests(module: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    for kind in module.body:
        if isinstance(kind, ast.ClassDef) and kind.name.startswith("Raw"):
            for method in kind.body:
                for call in ast.walk(method):
                    if isinstance(method, ast.FunctionDef) and isinstance(call, ast.Call):
                        sent = _request(call)
                        if sent:
                            yield method.name, sent


def _request(call: ast.Call) -> tuple[str, str] | None:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {"request", "stream"} or not call.args:
        return None
    verbs = [word.value for word in call.keywords if word.arg == "method"]
    if not verbs or not isinstance(verbs[0], ast.Constant):
        return None
    return _call(str(verbs[0].value), _path(call.args[0]))


def _path(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def main() -> None:
    """Write the pages; the last one only where the official client is installed."""
    (_DOCS / "operations.md").write_text(operations_page(operations()), encoding="utf-8")
    names = models_page(models.__all__, inputs.__all__)
    (_DOCS / "reference" / "models.md").write_text(names, encoding="utf-8")
    spec = importlib.util.find_spec("monite")
    if spec is None or spec.origin is None:
        print(f"docs/migration-names.md left as it is: monite {OFFICIAL} is not installed")
        return
    official = official_methods(Path(spec.origin).parent)
    (_DOCS / "migration-names.md").write_text(migration_page(operations(), official), encoding="utf-8")


if __name__ == "__main__":
    main()
