"""Which schemas belong together, and in what order they can be defined."""

from __future__ import annotations

from collections.abc import Iterable

from codegen.ir import Contract, Object, Type, refs_of, schema_refs

__all__ = ["closure", "in_order"]


def closure(contract: Contract, types: Iterable[Type | None]) -> set[str]:
    """Return the names of all schemas that these types need, directly or through others."""
    seen: set[str] = set()
    waiting = [name for kind in types for name in refs_of(kind)]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += schema_refs(contract.schemas[name])
    return seen


def in_order(contract: Contract, names: Iterable[str]) -> list[str]:
    """Return the names so that each schema comes after those it mentions; alphabetical where that leaves a choice.

    Members of a cycle come in the order in which they are met: their writer must quote names not yet defined.
    """
    wanted = set(names)
    done: dict[str, None] = {}
    entered: set[str] = set()

    def visit(name: str) -> None:
        if name in entered or name not in wanted:
            return
        entered.add(name)
        for other in sorted(schema_refs(contract.schemas[name])):
            visit(other)
        done[name] = None

    # Names for unions and lists first: in a cycle it is the class that can be quoted, never the name.
    for name in sorted(wanted, key=lambda name: (isinstance(contract.schemas[name], Object), name)):
        visit(name)
    return list(done)
