"""The resources: one class per group of callers that see the same methods, and which scope has which."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.choices import Scope
from codegen.choices_names import MIXINS
from codegen.ir import refs_of
from codegen.naming import camel
from codegen.output import HEADER
from codegen.plan import SCOPE_ORDER, Method, Plan, Resource
from codegen.text import mentions, quoted
from codegen.write_docs import label
from codegen.write_methods import Methods
from codegen.write_schemas import Inputs

__all__ = ["api_module", "class_for", "scopes_module", "table_module"]

_SCOPE_WORDS: dict[Scope, str] = {
    "partner": "Partner",
    "entity": "Entity",
    "entity_user": "EntityUser",
    "user": "User",
}
_MIXIN_LINES: dict[Scope, str] = {
    "partner": "What a partner token can do without naming an entity.",
    "entity": "What a partner token can do inside one entity.",
    "entity_user": "What an entity user can do, with the entity named on every call.",
    "user": "What an entity user can do without naming an entity.",
}


# -- who sees what


@dataclass(frozen=True, slots=True)
class _View:
    """What a scope sees of a resource: groups of methods, by who has them, and classes of the resources below."""

    groups: tuple[tuple[Scope, ...], ...]
    children: tuple[tuple[str, str], ...]


def _groups(resource: Resource) -> dict[tuple[Scope, ...], list[Method]]:
    """Return the methods by the set of scopes that have them."""
    groups: dict[tuple[Scope, ...], list[Method]] = {}
    for method in resource.methods:
        if method.scopes:
            groups.setdefault(method.scopes, []).append(method)
    return groups


def _views(resource: Resource) -> dict[_View, Scope]:
    """Return what can be seen of a resource, each with the first scope that sees just that."""
    views: dict[_View, Scope] = {}
    for scope in SCOPE_ORDER:
        view = _view(resource, scope)
        if view.groups or view.children:
            views.setdefault(view, scope)
    return views


def _view(resource: Resource, scope: Scope) -> _View:
    groups = tuple(scopes for scopes in _groups(resource) if scope in scopes)
    found = ((child.attribute, class_for(child, scope)) for child in resource.children)
    return _View(groups, tuple((attribute, name) for attribute, name in found if name))


def _stem(resource: Resource) -> str:
    return camel(resource.name)


def _group_class(resource: Resource, scopes: tuple[Scope, ...]) -> str:
    """Return the name of the class that holds the methods of one group; public when all who see any see just those."""
    if len(_views(resource)) == 1:
        return _stem(resource)
    words = "And".join(_SCOPE_WORDS[scope] for scope in scopes)
    words = "All" if len(scopes) == len(SCOPE_ORDER) else words
    return f"_{_stem(resource)}Of{words}"


def class_for(resource: Resource, scope: Scope) -> str | None:
    """Return the class that a scope exposes as this resource, or None when it has nothing of it."""
    views = _views(resource)
    first = views.get(_view(resource, scope))
    if first is None:
        return None
    return _stem(resource) if len(views) == 1 else f"{_stem(resource)}For{_SCOPE_WORDS[first]}"


# -- classes


def _raw_class(name: str, methods: list[Method]) -> str:
    lines = [
        f"class {name}WithRawResponse:",
        f'    """The methods of ``{name.lstrip("_")}``, each answering a ``RawResponse``."""',
        "",
        f"    def __init__(self, resource: {name}) -> None:",
    ]
    for method in methods:
        # Wrapping is not calling: whoever calls is told.
        note = "  # pyright: ignore[reportDeprecated]" if method.op.deprecated else ""
        lines.append(f"        self.{method.name}: Final = raw(resource.{method.name}){note}")
    return "\n".join(lines)


def _raw_property(name: str) -> list[str]:
    return [
        "    @property",
        f"    def with_raw_response(self) -> {name}WithRawResponse:",
        '        """The same methods, answering status and headers beside the parsed body."""',
        f"        return {name}WithRawResponse(self)",
        "",
    ]


def _child_properties(view: _View) -> list[str]:
    lines: list[str] = []
    for attribute, name in view.children:
        lines += [
            "    @property",
            f"    def {attribute}(self) -> {name}:",
            f'        """Operations on {label(attribute)}."""',
            f"        return {name}(self._caller)",
            "",
        ]
    return lines


def _class(name: str, bases: str, about: str) -> list[str]:
    return [f"class {name}({bases}):", f'    """{about}"""', "", "    __slots__ = ()", ""]


def _about(resource: Resource) -> str:
    parts = resource.name.split(".")
    return f"Operations on {label(parts[-1])}" + (f" of {label(parts[-2])}" if len(parts) > 1 else "")


def _combined(resource: Resource, name: str, view: _View) -> list[str]:
    bases = [_group_class(resource, scopes) for scopes in view.groups]
    lines = _class(name, ", ".join(bases) or "Resource", f"{_about(resource)} that this scope can call.")
    lines += _child_properties(view)
    if not bases:
        return ["\n".join(lines)]
    lines += _raw_property(name)
    raw = [
        f"class {name}WithRawResponse({', '.join(base + 'WithRawResponse' for base in bases)}):",
        f'    """The methods of ``{name}``, each answering a ``RawResponse``."""',
        "",
        f"    def __init__(self, resource: {name}) -> None:",
        *(f"        {base}WithRawResponse.__init__(self, resource)" for base in bases),
    ]
    return ["\n".join(lines), "\n".join(raw)]


def _resource(methods: Methods, resource: Resource, public: set[str]) -> list[str]:
    """Return the classes of one resource, and note the names that others may use."""
    parts: list[str] = []
    groups, views = _groups(resource), _views(resource)
    whole = next(iter(views)) if len(views) == 1 else None
    for scopes, group in groups.items():
        name = _group_class(resource, scopes)
        # What people wrote belongs to those who can ask for a single thing.
        mixed = MIXINS.get(resource.name) if any(method.name == "get" for method in group) else None
        base = f"{mixed.partition(':')[2]}, Resource" if mixed else "Resource"
        lines = _class(name, base, f"{_about(resource)}.")
        lines += [*_child_properties(whole), *_raw_property(name)] if whole else []
        parts += ["\n".join([*lines, *("\n" + methods.method(resource, method) for method in group)])]
        parts.append(_raw_class(name, group))
    if whole and groups:
        public |= {_stem(resource), f"{_stem(resource)}WithRawResponse"}
        return parts
    for view, scope in views.items():
        shown = class_for(resource, scope)
        assert shown is not None
        made = _combined(resource, shown, view)
        public |= {shown, f"{shown}WithRawResponse"} if len(made) > 1 else {shown}
        parts += made
    return parts


def api_module(plan: Plan, top: Resource) -> str:
    """Return the module of one attribute of the client, with the resources below it."""
    writer = Methods(plan, Inputs(plan))
    family = list(top.family())
    methods = [method for each in family for method in each.methods]
    public: set[str] = set()
    parts = [writer.constant(each, method) for each in family for method in each.methods]
    for each in family:
        parts += _resource(writer, each, public)
    text = "\n\n".join(parts)
    mixins = [MIXINS[each.name] for each in family if each.name in MIXINS]
    return _head(plan, writer, top, methods, text, public, mixins) + text + "\n"


_ABOUT = (
    ("collections.abc", "Mapping"),
    ("collections.abc", "Sequence"),
    ("monite_async._files", "FileInput"),
    ("monite_async.models._base", "Model"),
)
"""What a module of calls may name besides the types of the contract."""


def _named(plan: Plan, writer: Methods, methods: list[Method]) -> dict[str, set[str]]:
    named: dict[str, set[str]] = {}
    for method in methods:
        for name in (*refs_of(method.op.result), *refs_of(method.item)):
            named.setdefault(f"monite_async.models.{plan.models.by_name[name]}", set()).add(plan.names[name])
        members = writer.members(method.op)
        bodies = [member.type for member in members] if members is not None else [method.op.body]
        for kind in (*bodies, *(query.type for query in method.op.query)):
            for name in refs_of(kind):
                home = f"monite_async.types.{plan.types.by_name[name]}"
                named.setdefault(home, set()).add(writer.inputs.name(name))
    return named


def _head(
    plan: Plan, writer: Methods, top: Resource, methods: list[Method], text: str, public: set[str], mixins: list[str]
) -> str:
    named = _named(plan, writer, methods)
    for module, name in _ABOUT:
        if mentions(text, name):
            named.setdefault(module, set()).add(name)
    guarded = ["import datetime as dt\n"] if "dt.d" in text else []
    guarded += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items())]
    options = "UNSET, RequestOptions, Unset" if "= UNSET" in text else "RequestOptions"
    typing = [
        *(["TYPE_CHECKING"] if guarded else []),
        *(["Any"] if "Any, " in text else []),
        "Final",
        *(["Literal"] if "Literal[" in text else []),
    ]
    runtime = [
        f"from typing import {', '.join(typing)}",
        "\nfrom typing_extensions import deprecated\n" if "@deprecated" in text else "",
        "from monite_async._http.operation import Operation" if methods else "",
        f"from monite_async._options import {options}",
        "from monite_async._pagination import AsyncPager" if "AsyncPager" in text else "",
        f"from monite_async._resource import {'Call, ' if 'Call[' in text else ''}Resource",
        "from monite_async._response import raw",
        *(f"from {module} import {name}" for module, _, name in sorted(mixin.partition(":") for mixin in mixins)),
    ]
    listed = ", ".join(quoted(name) for name in sorted(public))
    return "\n".join(
        [
            HEADER.format(what=f"calls on {label(top.name)}."),
            "from __future__ import annotations\n",
            *(line for line in runtime if line),
            *(["\nif TYPE_CHECKING:", *(f"    {line}" for line in guarded)] if guarded else []),
            f"\n__all__ = [{listed}]\n\n",
        ]
    )


# -- tables


def scopes_module(plan: Plan) -> str:
    """Return the module with one mixin per scope, each resource imported when it is first touched."""
    parts: list[str] = []
    imports: dict[str, set[str]] = {}
    for scope in SCOPE_ORDER:
        lines = [
            f"class {_SCOPE_WORDS[scope]}Resources:",
            f'    """{_MIXIN_LINES[scope]}"""',
            "",
            "    _caller: Caller",
        ]
        for resource in plan.resources:
            name = class_for(resource, scope)
            if name is None:
                continue
            imports.setdefault(resource.module, set()).add(name)
            lines += [
                "",
                "    @cached_property",
                f"    def {resource.module}(self) -> {name}:",
                f'        """{_about(resource)}."""',
                f"        from monite_async.api.{resource.module} import {name}",
                "",
                f"        return {name}(self._caller)",
            ]
        parts.append("\n".join(lines))
    listed = ", ".join(quoted(f"{word}Resources") for word in sorted(_SCOPE_WORDS.values()))
    head = [
        HEADER.format(what="which scope has which resources."),
        "from __future__ import annotations\n",
        "from functools import cached_property",
        "from typing import TYPE_CHECKING\n",
        "if TYPE_CHECKING:",
        "    from monite_async._http.operation import Caller",
        *(
            f"    from monite_async.api.{module} import {', '.join(sorted(names))}"
            for module, names in sorted(imports.items())
        ),
        f"\n__all__ = [{listed}]\n",
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(parts) + "\n"


def table_module(plan: Plan) -> str:
    """Return the module that lists all operations with their methods."""
    lines: list[str] = []
    for resource, method in plan.methods():
        op = method.op
        facts = (op.operation_id, op.method, op.path, method.scope, resource.name, method.name)
        words = [*map(quoted, facts), str(method.paging is not None), str(method.idempotent)]
        lines.append(f"    ({', '.join(words)}),")
    head = [
        HEADER.format(what="every operation of the API, in the fields of ``OperationInfo``."),
        "from __future__ import annotations\n",
        "from typing import TYPE_CHECKING, Final\n",
        "if TYPE_CHECKING:",
        "    from monite_async._operations import Row\n",
        '__all__ = ["ROWS"]\n',
        # One line each: the formatter would make thousands of them.
        "# fmt: off",
        "ROWS: Final[tuple[Row, ...]] = (",
    ]
    return "\n".join([*head, *lines, ")", "# fmt: on"]) + "\n"
