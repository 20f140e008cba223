"""The permissions of a role: which types of object there are, what can be done with each, and one method for each."""

from __future__ import annotations

from codegen.errors import ContractError
from codegen.ir import Alias, Choice, Contract, ListOf, Nullable, Object, Ref, Type, Union
from codegen.output import HEADER
from codegen.text import quoted

__all__ = ["PERMISSIONS_MODULE", "permissions_module"]

PERMISSIONS_MODULE = "monite_async/api/_permissions.py"
_ROOT = "RootSchema-Input"


def _values(contract: Contract, kind: Type) -> tuple[str, ...]:
    """Return the strings that a type allows, whatever names it goes by."""
    match kind:
        case Choice(values=values):
            return values
        case Nullable(inner=inner):
            return _values(contract, inner)
        case Ref(name=name) if isinstance(schema := contract.schemas[name], Alias):
            return _values(contract, schema.type)
        case _:
            raise ContractError(f"permissions: a list of words is expected, not {kind}")


def _field(contract: Contract, kind: Type, name: str) -> Type:
    schema = contract.schemas[kind.name] if isinstance(kind, Ref) else None
    if isinstance(schema, Object):
        for member in schema.members:
            if member.name == name:
                return member.type
    raise ContractError(f"permissions: {kind} has no field {name}")


def _item(kind: Type) -> Type:
    if isinstance(kind, Nullable):
        return _item(kind.inner)
    if isinstance(kind, ListOf):
        return kind.item
    raise ContractError(f"permissions: a list is expected, not {kind}")


def _tables(contract: Contract) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the actions by type of object, and the values that a permission has."""
    root = contract.schemas[_ROOT]
    kinds = root.type.members if isinstance(root, Alias) and isinstance(root.type, Union) else ()
    actions: dict[str, tuple[str, ...]] = {}
    values: tuple[str, ...] = ()
    for kind in kinds:
        action = _item(_field(contract, kind, "actions"))
        values = _values(contract, _field(contract, action, "permission"))
        named = _values(contract, _field(contract, action, "action_name"))
        actions |= dict.fromkeys(_values(contract, _field(contract, kind, "object_type")), named)
    return dict(sorted(actions.items())), values


def _literal(name: str, words: tuple[str, ...], about: str) -> str:
    return f'{name}: TypeAlias = Literal[{", ".join(map(quoted, words))}]\n"""{about}"""\n'


def _tuple(words: tuple[str, ...]) -> str:
    return f"({', '.join(map(quoted, words))}{',' if len(words) == 1 else ''})"


def _method(name: str, actions: tuple[str, ...]) -> str:
    arguments = ", ".join(f"{action}: Permission | None = None" for action in actions)
    given = ", ".join(f"{action}={action}" for action in actions)
    spoken = name.replace("_", " ")
    return (
        f"    def {name}(self, *, {arguments}) -> Self:\n"
        f'        """Say what may be done with objects of type {spoken}; what is left out stays as it was."""\n'
        f"        return self._with({quoted(name)}, {given})\n"
    )


def permissions_module(contract: Contract) -> str | None:
    """Return the module of the permissions, or None for a contract that knows no roles."""
    if _ROOT not in contract.schemas:
        return None
    actions, values = _tables(contract)
    every = tuple(dict.fromkeys(action for named in actions.values() for action in named))
    table = ", ".join(f"{quoted(name)}: {_tuple(named)}" for name, named in actions.items())
    parts = [
        HEADER.format(what="the types of object that roles speak of, and what can be done with them."),
        "from __future__ import annotations\n",
        "from collections.abc import Mapping",
        "from typing import Final, Literal, Self, TypeAlias\n",
        "from monite_async._permissions import PermissionSet\n",
        '__all__ = ["ACTIONS", "PERMISSIONS", "Action", "ObjectType", "Permission", "PermissionMethods"]\n',
        _literal("ObjectType", tuple(actions), "What a permission is about."),
        _literal("Action", every, "What a permission lets somebody do; not every object has every action."),
        _literal("Permission", values, "Whether somebody may, for everything or for what is their own."),
        f"ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {{{table}}}",
        f"PERMISSIONS: Final[tuple[str, ...]] = {_tuple(values)}\n\n",
        "class PermissionMethods(PermissionSet):",
        '    """One method for each type of object."""\n',
        "    __slots__ = ()\n",
        *(_method(name, named) for name, named in actions.items()),
    ]
    return "\n".join(parts)
