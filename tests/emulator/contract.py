"""The contract as a judge: it says what requests and answers must look like, through a library that knows OpenAPI.

Only answers are judged a little milder than it says: older services answer ``null`` where a property is merely not
required, and so does the emulator.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS31Validator

from monite_async.emulator._message import as_list, as_object

__all__ = ["CONTRACT", "Contract", "Operation"]

CONTRACT = Path(__file__).resolve().parents[3] / "shared" / "contract" / "monite-openapi-2024-05-25.json"
Json = dict[str, Any]


class Operation:
    """One operation of the contract."""

    def __init__(self, method: str, path: str, raw: Json) -> None:
        self.method = method.upper()
        self.path = path
        self.id = str(raw["operationId"])
        self.tag = str(raw["tags"][0])
        self.status = next(int(code) for code in raw["responses"] if code.startswith("2"))
        answers: Json = raw["responses"][str(self.status)].get("content", {})
        self.answer: Json | None = answers.get("application/json", {}).get("schema")
        bodies: Json = raw.get("requestBody", {}).get("content", {})
        self.form: Json | None = bodies.get("multipart/form-data", {}).get("schema")
        self.body: Json | None = bodies.get("application/json", {}).get("schema")
        self.body_required = bool(raw.get("requestBody", {}).get("required"))
        self.parameters: list[Json] = raw.get("parameters", [])

    @property
    def names(self) -> list[str]:
        """The names of the path parameters in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def _possible(schemas: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schemas without a mistake that several have: to forbid, beside a union, all that the union allows."""
    unions = ("anyOf", "oneOf")
    return {
        name: {key: value for key, value in schema.items() if key != "additionalProperties"}
        if any(key in schema for key in unions) and "properties" not in schema
        else schema
        for name, schema in schemas.items()
    }


def _mild(schemas: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schemas with null allowed for every property that is not required."""
    made: dict[str, Json] = copy.deepcopy(dict(schemas))
    waiting: list[object] = list(made.values())
    while waiting:
        node = waiting.pop()
        waiting += as_list(node)
        schema = as_object(node)
        if schema:
            waiting += schema.values()
            properties = as_object(schema.get("properties"))
            for name in set(properties) - set(map(str, as_list(schema.get("required")))):
                properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    return made


class Contract:
    """The whole contract.

    Attributes:
        operations: Every operation by its id.
    """

    def __init__(self) -> None:
        document: Json = json.loads(CONTRACT.read_text(encoding="utf-8"))
        self.schemas: dict[str, Json] = _possible(document["components"]["schemas"])
        self._mild = _mild(self.schemas)
        self.operations: dict[str, Operation] = {}
        for path, item in document["paths"].items():
            for method in ("get", "post", "put", "patch", "delete"):
                if method in item:
                    operation = Operation(method, path, item[method])
                    self.operations[operation.id] = operation

    def request_faults(self, schema: Json, value: object) -> list[str]:
        """Return what is wrong with a request body, strictly."""
        return list(self._faults(schema, value, self.schemas))

    def answer_faults(self, schema: Json, value: object) -> list[str]:
        """Return what is wrong with an answer."""
        return list(self._faults(schema, value, self._mild))

    def _faults(self, schema: Json, value: object, schemas: Mapping[str, Json]) -> Iterator[str]:
        whole = {**schema, "components": {"schemas": schemas}}
        checker = OAS31Validator.FORMAT_CHECKER
        for error in OAS31Validator(whole, format_checker=checker).iter_errors(value):
            yield f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"

    def resolved(self, schema: Json) -> Json:
        """Follow references, and the only member of an ``allOf``."""
        while True:
            if "$ref" in schema:
                schema = self.schemas[str(schema["$ref"]).rsplit("/", 1)[1]]
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            else:
                return schema

    def sample(self, schema: Json, known: Mapping[str, object], name: str = "", *, full: bool = False) -> Any:
        """Return a value that the schema allows.

        Args:
            schema: The schema.
            known: Values by the name of the property, for those that must mean something.
            name: The property that the value is for.
            full: Whether properties that are not required are given too.
        """
        if name in known and not self.request_faults(schema, known[name]):
            return known[name]
        schema = self.resolved(schema)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                branches = [branch for branch in schema[key] if branch.get("type") != "null"]
                return self.sample(branches[0], known, name, full=full)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if kind == "object":
            required = schema.get("required", ())
            return {
                key: self.sample(inner, known, key, full=full)
                for key, inner in schema.get("properties", {}).items()
                if key in required or (full and key in known)
            }
        if kind == "array":
            count = max(1, schema.get("minItems", 0))
            return [self.sample(schema.get("items", {}), known, name.removesuffix("s"), full=full)] * count
        return _scalar(kind, schema, name)


_TEXTS = {
    "date": "2026-03-01",
    "date-time": "2026-03-01T12:00:00+00:00",
    "email": "somebody@acme.test",
    "hostname": "acme.test",
    "uri": "https://acme.test/x",
    "uuid": "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e",
}


def _scalar(kind: str, schema: Json, name: str) -> Any:
    if kind == "boolean":
        return True
    if kind in {"integer", "number"}:
        number = max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        return int(number) if kind == "integer" else number
    text = _TEXTS.get(schema.get("format", ""), name or "text")
    if name.endswith("url"):
        text = _TEXTS["uri"]
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1000)]
