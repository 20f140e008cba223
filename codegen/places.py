"""Which resource an operation belongs to, and what its method is called there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from codegen.ir import Contract, ListOf, Object, Op, Ref, Type
from codegen.naming import snake

__all__ = ["Places", "data_of", "singular"]

_PLAIN = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_PARAMETER = re.compile(r"\{[^}]*\}")


class Places:
    """The resources of a contract: every first segment of a path, and below it every collection.

    A collection is a segment whose single things can be asked for (``/counterparts/{}/addresses/{}``), or one that a
    person named.
    """

    def __init__(
        self, contract: Contract, nested: Collection[str], resource_names: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        self._contract = contract
        self._names = names
        self._resource_names = resource_names
        self._templates = {_template(op.path) for op in contract.operations}
        self._roots: dict[str, str] = {}
        for op in contract.operations:
            segments = _template(op.path).strip("/").split("/")
            for end in range(1, len(segments) + 1):
                prefix = "/" + "/".join(segments[:end])
                collection = f"{prefix}/{{}}" in self._templates or prefix in nested
                if segments[end - 1] != "{}" and (end == 1 or collection):
                    self._roots[prefix] = self._dotted(segments[:end])

    def _dotted(self, segments: Sequence[str]) -> str:
        above = [
            self._roots[prefix] for end in range(1, len(segments)) if (prefix := _joined(segments[:end])) in self._roots
        ]
        name = snake(segments[-1])
        return f"{above[-1]}.{name}" if above else self._resource_names.get(name, name)

    def root(self, op: Op) -> tuple[str, int]:
        """Return the dotted name of the resource of an operation, and how many segments of its path lead there."""
        segments = _template(op.path).strip("/").split("/")
        # Every first segment is a resource: the longest beginning that is one is what is asked for.
        end = max(end for end in range(1, len(segments) + 1) if _joined(segments[:end]) in self._roots)
        return self._roots[_joined(segments[:end])], end

    def method_name(self, op: Op) -> str:
        """Return the name of a method: the verb, or the API's own word for the action.

        ``POST /payables/{id}/reject`` is ``reject``, ``GET .../settings`` is ``get_settings``, ``PUT .../logo`` with a
        file is ``upload_logo``, ``POST /payables/validations/reset`` is ``reset_validations``, and ``PUT`` on a
        collection is ``replace``.
        """
        if op.operation_id in self._names:
            return self._names[op.operation_id]
        _, depth = self.root(op)
        rest = op.path.strip("/").split("/")[depth:]
        words = [snake(part) for part in rest if not part.startswith("{")]
        verb = _PLAIN[op.method]
        many = op.method == "GET" and data_of(self._contract, op.result) is not None
        if not words:
            if rest:
                return verb
            # The whole of a collection is put in place of another; one thing is updated.
            collection = f"{_template(op.path)}/{{}}" in self._templates
            return "list" if many else "replace" if op.method == "PUT" and collection else verb
        if op.method == "POST":
            return "_".join((words[-1], *words[:-1]))
        return f"{'upload' if op.multipart else verb}_{words[-1]}"


def _template(path: str) -> str:
    return _PARAMETER.sub("{}", path).rstrip("/")


def _joined(segments: Sequence[str]) -> str:
    return "/" + "/".join(segments)


def singular(word: str) -> str:
    """Return the singular of a path segment: ``line_items``, ``processes``, ``entities``."""
    for ending, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending) + single
    return word


def data_of(contract: Contract, result: Type | None) -> tuple[Type, set[str]] | None:
    """Return what the ``data`` of an answer holds, and the names of all its fields."""
    if not isinstance(result, Ref):
        return None
    schema = contract.schemas[result.name]
    if not isinstance(schema, Object):
        return None
    fields = {member.name: member.type for member in schema.members}
    data = fields.get("data")
    return (data.item, set(fields)) if isinstance(data, ListOf) else None
