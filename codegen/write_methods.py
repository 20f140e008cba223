"""One operation as one method: its signature, its docstring, and the constant that names the operation."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir import Member, Object, Op, Ref, Type
from codegen.naming import argument, snake
from codegen.places import data_of
from codegen.plan import Method, Plan, Resource
from codegen.text import quoted
from codegen.write_docs import describe, filtered, of_path, raises, summary
from codegen.write_schemas import Inputs

__all__ = ["Methods"]


@dataclass(frozen=True, slots=True)
class _Argument:
    wire: str
    name: str
    type: str
    required: bool
    about: str

    def text(self) -> str:
        return f"{self.name}: {self.type}" if self.required else f"{self.name}: {self.type} | Unset = UNSET"


@dataclass(frozen=True, slots=True)
class _Signature:
    path: tuple[_Argument, ...]
    query: tuple[_Argument, ...]
    body: tuple[_Argument, ...]
    whole_body: bool

    @property
    def keywords(self) -> list[_Argument]:
        return sorted((*self.body, *self.query), key=lambda entry: not entry.required)

    def text(self) -> str:
        parts = ["self", *(entry.text() for entry in self.path), "*", *(entry.text() for entry in self.keywords)]
        return ", ".join([*parts, "options: RequestOptions | None = None"])


@dataclass(frozen=True, slots=True)
class Methods:
    """Writes methods."""

    plan: Plan
    inputs: Inputs

    def signature(self, resource: Resource, op: Op) -> _Signature:
        """Return the arguments of an operation."""
        inputs, lists = self.inputs, data_of(self.plan.contract, op.result) is not None
        taken: set[str] = set()

        def make(wire: str, kind: str, required: bool, about: str) -> _Argument:
            name = argument(wire, taken)
            taken.add(name)
            return _Argument(wire, name, kind, required, about)

        path = tuple(make(name, "str", True, of_path(name, resource)) for name in op.path_params)
        members = self.members(op)
        body: tuple[_Argument, ...] = ()
        if members is not None:
            body = tuple(
                make(
                    member.name,
                    self.inputs.member(member),
                    member.required,
                    self.about(member, op) + (" Deprecated." if member.deprecated else ""),
                )
                for member in members
            )
        elif op.body is not None:
            about = describe(inputs, "body", op.body, None)
            body = (make("body", self.inputs.type(op.body), op.body_required, about),)
        query = tuple(
            make(
                entry.name,
                self.query_type(entry.type),
                entry.required,
                filtered(inputs, entry.name, entry.type, entry.default, lists=lists),
            )
            for entry in op.query
        )
        return _Signature(path, query, body, members is None)

    def about(self, member: Member, op: Op) -> str:
        """Return what a field of a body may be; those of a search narrow a list."""
        if op.path.endswith("/search"):
            return filtered(self.inputs, member.name, member.type, member.default, lists=True)
        return describe(self.inputs, member.name, member.type, member.default)

    def query_type(self, kind: Type) -> str:
        """Return the type of a query parameter."""
        # A query has no null: what may be null in the contract is simply left out.
        return self.inputs.type(kind).removesuffix(" | None")

    def members(self, op: Op) -> tuple[Member, ...] | None:
        """Return the fields of the body, or None when it is no plain object."""
        schema = self.plan.contract.schemas[op.body.name] if isinstance(op.body, Ref) else None
        return schema.members if isinstance(schema, Object) else None

    def result(self, op: Op) -> str:
        """Return the type of the answer."""
        if op.binary:
            return "bytes"
        return "None" if op.result is None else self.python(op.result)

    def python(self, kind: Type) -> str:
        """Return the type of an answer, or of an item of a page."""
        return self.plan.names[kind.name] if isinstance(kind, Ref) else "object"

    def constant(self, resource: Resource, method: Method) -> str:
        """Return the constant that says what is asked of the call engine."""
        op = method.op
        words = [quoted(op.method), quoted(op.path)]
        if op.binary:
            words.append("bytes")
        elif isinstance(op.result, Ref):
            words.append(quoted(f"{self.plan.models.by_name[op.result.name]}:{self.plan.names[op.result.name]}"))
        elif op.result is not None:
            words.append("object")
        words += ["multipart=True"] if op.multipart else []
        # The engine goes by the method where nothing is said.
        # Only where it is one argument: fields of a body make one even if all of them are left out.
        words += ["needs_body=True"] if op.body_required and not op.multipart and self.members(op) is None else []
        words += ["idempotent=True"] if method.idempotent and op.method == "POST" else []
        return f"{_constant(resource, method)}: Final[Operation[{self.result(op)}]] = Operation({', '.join(words)})"

    def method(self, resource: Resource, method: Method) -> str:
        """Return the method."""
        op, signature = method.op, self.signature(resource, method.op)
        given = [f"path={_mapping(signature.path)}"] if signature.path else []
        given += [f"query={_mapping(signature.query)}"] if signature.query else []
        if signature.body:
            given.append(f"body={signature.body[0].name if signature.whole_body else _mapping(signature.body)}")
        if method.paging is not None and method.paging != "token":
            given.append(f"paging={quoted(method.paging)}")
        passed = ", ".join([_constant(resource, method), *given, "options=options"])
        lines = [f'    @deprecated("The API says that {op.method} {op.path} is deprecated.")'] if op.deprecated else []
        doc = self.docstring(resource, method, signature)
        if method.item is None:
            # Not a coroutine itself: its frame, with the body in its variables, would be in the traceback of a failure.
            head = f"    def {method.name}({signature.text()}) -> Call[{self.result(op)}]:"
            last = f"        return self._caller.call({passed})"
        else:
            pager = f"AsyncPager[{self.result(op)}, {self.python(method.item)}]"
            head = f"    def {method.name}({signature.text()}) -> {pager}:"
            last = f"        return AsyncPager(self._caller, {passed})"
        return "\n".join([*lines, head, *doc, last])

    def docstring(self, resource: Resource, method: Method, signature: _Signature) -> list[str]:
        """Return the lines of the docstring."""
        op = method.op
        lines = [summary(resource, method), "", f"``{op.method} {op.path}``"]
        lines += ["", "Deprecated: the API keeps it for old callers only."] if op.deprecated else []
        arguments = [f"    {entry.name}: {entry.about}" for entry in (*signature.path, *signature.keywords)]
        lines += ["", "Args:", *arguments, "    options: Options of this call."]
        lines += ["", "Returns:", f"    {self.returned(method)}"] if method.op.result or method.op.binary else []
        lines += ["", "Raises:", *(f"    {line}" for line in raises(op))]
        first, *rest = lines
        return [f'        """{first}', *(f"        {line}" if line else "" for line in rest), '        """']

    def returned(self, method: Method) -> str:
        """Return the sentence about the answer."""
        if method.item is not None:
            return f"A pager: await it for the first page, iterate it for every ``{self.python(method.item)}`` of all pages."
        if method.op.binary:
            return "The file."
        return (
            "Whatever the API says."
            if self.result(method.op) == "object"
            else f"The answer, a ``{self.result(method.op)}``."
        )


def _constant(resource: Resource, method: Method) -> str:
    below = resource.name.split(".")[1:]
    return "_" + "_".join([*map(snake, below), method.name]).upper()


def _mapping(entries: tuple[_Argument, ...]) -> str:
    return "{" + ", ".join(f"{quoted(entry.wire)}: {entry.name}" for entry in entries) + "}"
