"""The resources: one typed method per operation, grouped by who may call it."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.choices import Scope
from codegen.ir import Member, Object, Op, Ref, Type, refs_of
from codegen.naming import argument, camel
from codegen.output import HEADER
from codegen.plan import SCOPE_ORDER, Method, Plan, Resource
from codegen.text import mentions, quoted
from codegen.write_schemas import Inputs

__all__ = ["api_module", "class_for", "scopes_module"]

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


def _groups(resource: Resource) -> dict[tuple[Scope, ...], list[Method]]:
    """Return the methods by the set of scopes that have them."""
    groups: dict[tuple[Scope, ...], list[Method]] = {}
    for method in resource.methods:
        if method.scopes:
            groups.setdefault(method.scopes, []).append(method)
    return groups


def _stem(resource: Resource) -> str:
    return camel(resource.module)


def _group_class(resource: Resource, scopes: tuple[Scope, ...]) -> str:
    """Return the name of the class that holds the methods of one group; public when every scope has just those."""
    if len(_groups(resource)) == 1:
        return _stem(resource)
    words = "And".join(_SCOPE_WORDS[scope] for scope in scopes)
    words = "All" if len(scopes) == len(SCOPE_ORDER) else words
    return f"_{_stem(resource)}Of{words}"


def class_for(resource: Resource, scope: Scope) -> str | None:
    """Return the class that a scope exposes as this resource, or None when it has nothing of it."""
    groups = _groups(resource)
    mine = [scopes for scopes in groups if scope in scopes]
    if not mine:
        return None
    if len(groups) == 1:
        return _stem(resource)
    # Scopes that see the same methods share a class, named for the first of them.
    alike: list[Scope] = [other for other in SCOPE_ORDER if [scopes for scopes in groups if other in scopes] == mine]
    return f"{_stem(resource)}For{_SCOPE_WORDS[alike[0]]}"


# -- methods


@dataclass(frozen=True, slots=True)
class _Argument:
    wire: str
    name: str
    type: str
    required: bool

    def text(self) -> str:
        return f"{self.name}: {self.type}" if self.required else f"{self.name}: {self.type} | Unset = UNSET"


@dataclass(frozen=True, slots=True)
class _Signature:
    path: tuple[_Argument, ...]
    query: tuple[_Argument, ...]
    body: tuple[_Argument, ...]
    whole_body: bool

    def text(self) -> str:
        keywords = sorted((*self.body, *self.query), key=lambda entry: not entry.required)
        parts = ["self", *(entry.text() for entry in self.path), "*", *(entry.text() for entry in keywords)]
        return ", ".join([*parts, "options: RequestOptions | None = None"])


@dataclass(frozen=True, slots=True)
class _Api:
    plan: Plan
    inputs: Inputs

    def signature(self, op: Op) -> _Signature:
        taken: set[str] = set()

        def make(wire: str, kind: str, required: bool) -> _Argument:
            name = argument(wire, taken)
            taken.add(name)
            return _Argument(wire, name, kind, required)

        path = tuple(make(name, "str", True) for name in op.path_params)
        members = self.members(op)
        body: tuple[_Argument, ...] = ()
        if members is not None:
            body = tuple(make(member.name, self.inputs.member(member), member.required) for member in members)
        elif op.body is not None:
            body = (make("body", self.inputs.type(op.body), op.body_required),)
        query = tuple(make(entry.name, self.query_type(entry.type), entry.required) for entry in op.query)
        return _Signature(path, query, body, members is None)

    def query_type(self, kind: Type) -> str:
        # A query has no null: what may be null in the contract is simply left out.
        return self.inputs.type(kind).removesuffix(" | None")

    def members(self, op: Op) -> tuple[Member, ...] | None:
        """Return the fields of the body, or None when it is no plain object."""
        schema = self.plan.contract.schemas[op.body.name] if isinstance(op.body, Ref) else None
        return schema.members if isinstance(schema, Object) else None

    def result(self, op: Op) -> str:
        if op.binary:
            return "bytes"
        return "None" if op.result is None else self.python(op.result)

    def python(self, kind: Type) -> str:
        return self.plan.names[kind.name] if isinstance(kind, Ref) else "object"

    def constant(self, method: Method) -> str:
        op = method.op
        words = [quoted(op.method), quoted(op.path)]
        if op.binary:
            words.append("bytes")
        elif isinstance(op.result, Ref):
            words.append(quoted(f"{self.plan.models.by_name[op.result.name]}:{self.plan.names[op.result.name]}"))
        elif op.result is not None:
            words.append("object")
        words += ["multipart=True"] if op.multipart else []
        return f"{_constant(method)}: Final[Operation[{self.result(op)}]] = Operation({', '.join(words)})"

    def method(self, method: Method) -> str:
        op, signature = method.op, self.signature(method.op)
        given = [f"path={_mapping(signature.path)}"] if signature.path else []
        given += [f"query={_mapping(signature.query)}"] if signature.query else []
        if signature.body:
            given.append(f"body={signature.body[0].name if signature.whole_body else _mapping(signature.body)}")
        passed = ", ".join([_constant(method), *given, "options=options"])
        lines = [f'    @deprecated("The API says that {op.method} {op.path} is deprecated.")'] if op.deprecated else []
        if method.item is None:
            lines += [
                f"    async def {method.name}({signature.text()}) -> {self.result(op)}:",
                f'        """{_sentence(op)}"""',
                f"        return await self._call({passed})",
            ]
        else:
            pager = f"AsyncPager[{self.result(op)}, {self.python(method.item)}]"
            lines += [
                f"    def {method.name}({signature.text()}) -> {pager}:",
                f'        """{_sentence(op)}\n\n        Await it for the first page, iterate for all items.\n        """',
                f"        return AsyncPager(self._caller, {passed})",
            ]
        return "\n".join(lines)


def _constant(method: Method) -> str:
    return f"_{method.name.upper()}"


def _mapping(entries: tuple[_Argument, ...]) -> str:
    return "{" + ", ".join(f"{quoted(entry.wire)}: {entry.name}" for entry in entries) + "}"


def _sentence(op: Op) -> str:
    errors = ", ".join(str(status) for status in op.statuses if status >= 400)
    parts = [f"Send ``{op.method} {op.path}``; answers {op.status}", f"or fails with {errors}" if errors else ""]
    return ", ".join(part for part in parts if part) + "." + (" Deprecated." if op.deprecated else "")


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
        lines.append(f"        self.{method.name} = raw(resource.{method.name}){note}")
    return "\n".join(lines)


def _property(name: str) -> list[str]:
    return [
        "    @property",
        f"    def with_raw_response(self) -> {name}WithRawResponse:",
        '        """The same methods, answering status and headers beside the parsed body."""',
        f"        return {name}WithRawResponse(self)",
    ]


def _combined(name: str, bases: list[str]) -> str:
    lines = [
        f"class {name}({', '.join(bases)}):",
        f'    """Operations of ``{name.partition("For")[0]}`` that this scope can call."""',
        "",
        "    __slots__ = ()",
        "",
        *_property(name),
        "",
        f"class {name}WithRawResponse({', '.join(base + 'WithRawResponse' for base in bases)}):",
        f'    """The methods of ``{name}``, each answering a ``RawResponse``."""',
        "",
        f"    def __init__(self, resource: {name}) -> None:",
        *(f"        {base}WithRawResponse.__init__(self, resource)" for base in bases),
    ]
    return "\n".join(lines)


def api_module(plan: Plan, resource: Resource) -> str:
    """Return the module of one resource."""
    api = _Api(plan, Inputs(plan))
    groups = _groups(resource)
    methods = [method for group in groups.values() for method in group]
    parts = [api.constant(method) for method in methods]
    public: set[str] = set()
    for scopes, group in groups.items():
        name = _group_class(resource, scopes)
        body = [
            f"class {name}(Resource):",
            f'    """Operations of the group {quoted(resource.tag)}."""',
            "",
            "    __slots__ = ()",
            "",
        ]
        body += _property(name) if len(groups) == 1 else []
        parts.append("\n".join([*body, "", *("\n" + api.method(method) for method in group)]))
        parts.append(_raw_class(name, group))
        public |= {name, f"{name}WithRawResponse"} if len(groups) == 1 else set()
    if len(groups) > 1:
        combined: dict[str, list[str]] = {}
        for scope in SCOPE_ORDER:
            bases = [_group_class(resource, scopes) for scopes in groups if scope in scopes]
            shown_as = class_for(resource, scope)
            if shown_as:
                combined[shown_as] = bases
        for shown, bases in combined.items():
            parts.append(_combined(shown, bases))
            public |= {shown, f"{shown}WithRawResponse"}
    text = "\n\n".join(parts)
    return _head(plan, api, resource, methods, text, public) + text + "\n"


_ABOUT = (
    ("collections.abc", "Mapping"),
    ("collections.abc", "Sequence"),
    ("monite_async._files", "FileInput"),
    ("monite_async.models._base", "Model"),
)
"""What a module of calls may name besides the types of the contract."""


def _head(plan: Plan, api: _Api, resource: Resource, methods: list[Method], text: str, public: set[str]) -> str:
    named: dict[str, set[str]] = {}
    for method in methods:
        for name in (*refs_of(method.op.result), *refs_of(method.item)):
            named.setdefault(f"monite_async.models.{plan.models.by_name[name]}", set()).add(plan.names[name])
        members = api.members(method.op)
        bodies = [member.type for member in members] if members is not None else [method.op.body]
        for kind in (*bodies, *(query.type for query in method.op.query)):
            for name in refs_of(kind):
                named.setdefault(f"monite_async.types.{plan.types.by_name[name]}", set()).add(api.inputs.name(name))
    for module, name in _ABOUT:
        if mentions(text, name):
            named.setdefault(module, set()).add(name)
    guarded = ["import datetime as dt\n"] if "dt.d" in text else []
    guarded += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items())]
    options = "UNSET, RequestOptions, Unset" if "= UNSET" in text else "RequestOptions"
    typing = ["TYPE_CHECKING"] if guarded else []
    typing += ["Final", "Literal"] if "Literal[" in text else ["Final"]
    runtime = [
        f"from typing import {', '.join(typing)}",
        "\nfrom typing_extensions import deprecated\n" if "@deprecated" in text else "",
        "from monite_async._http.operation import Operation",
        f"from monite_async._options import {options}",
        "from monite_async._pagination import AsyncPager" if "AsyncPager" in text else "",
        "from monite_async._resource import Resource",
        "from monite_async._response import raw",
    ]
    listed = ", ".join(quoted(name) for name in sorted(public))
    return "\n".join(
        [
            HEADER.format(what=f"calls of the group {resource.tag}."),
            "from __future__ import annotations\n",
            *(line for line in runtime if line),
            *(["\nif TYPE_CHECKING:", *(f"    {line}" for line in guarded)] if guarded else []),
            f"\n__all__ = [{listed}]\n\n",
        ]
    )


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
                f'        """Operations of the group {quoted(resource.tag)}."""',
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
