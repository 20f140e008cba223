"""From an OpenAPI 3.1 document to the generator's own values.

A construct that is not understood is an error: the generator never guesses.
"""

from __future__ import annotations

import copy
import json
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from codegen.choices import INTERNAL, Fix
from codegen.errors import ContractError
from codegen.ir import (
    Alias,
    Anything,
    Choice,
    Contract,
    Header,
    ListOf,
    MapOf,
    Member,
    Nullable,
    Object,
    Op,
    Query,
    Ref,
    Scalar,
    Schema,
    Type,
    Union,
)
from codegen.naming import camel
from codegen.unions import tell_apart

__all__ = ["fixed", "load", "read"]

_METHODS = ("get", "post", "put", "patch", "delete")
_PREFIX = "#/components/schemas/"
# Formats that change how a value is written; the others are ("color") plain strings and stay so.
_FORMATS = {"date-time", "date", "uuid", "email", "uri", "binary"}
_IGNORED_FORMATS = {"color", "hostname", "ipvanyaddress"}
_PLAIN = {"string", "integer", "number", "boolean"}
# Beside these nothing may stand in a schema: a new keyword is a new decision.
_KNOWN = {
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "contentEncoding", "contentMediaType", "default",
    "deprecated", "discriminator", "enum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum",
    "minItems", "minLength", "minimum", "oneOf", "pattern", "properties", "required", "serialization_alias", "type",
    "uniqueItems",
}  # fmt: skip

# What says nothing about a value, in the document that the API serves about itself: words, and hints for its pages.
_PROSE = {"description", "example", "examples", "externalDocs", "readOnly", "title", "writeOnly"}

Json = Mapping[str, Any]


def load(source: str) -> dict[str, Any]:
    """Return the JSON of a contract.

    Args:
        source: A file, or the ``https://`` address of the document that the API serves.

    Raises:
        OSError: It cannot be read.
    """
    if source.startswith(("https://", "http://")):
        with urllib.request.urlopen(source, timeout=60) as answer:
            text = answer.read()
    else:
        text = Path(source).read_bytes()
    document: dict[str, Any] = json.loads(text)
    return document


def fixed(document: Json, fixes: Iterable[Fix]) -> dict[str, Any]:
    """Return a copy of the document with corrections applied.

    Raises:
        ContractError: A correction finds nothing to correct: the contract moved on, and so should the correction.
    """
    result: dict[str, Any] = copy.deepcopy(dict(document))
    for fix in fixes:
        node: Any = result
        for key in fix.pointer[:-1]:
            node = node.get(key, {})
        key = fix.pointer[-1]
        if node.get(key) == fix.value:
            raise ContractError(f"the fix of {'/'.join(fix.pointer)} corrects nothing")
        if fix.value is None:
            del node[key]
        else:
            node[key] = copy.deepcopy(fix.value)
    return result


class _Reader:
    """Reads schemas and hoists nested objects to names of their own."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.raw: dict[str, Json] = dict(document.get("components", {}).get("schemas", {}))
        self.schemas: dict[str, Schema] = {}

    def contract(self) -> Contract:
        for name, raw in self.raw.items():
            self.schemas[name] = self.schema(name, raw)
        operations = tuple(
            self.operation(method, path, item[method])
            for path, item in self.document.get("paths", {}).items()
            for method in _METHODS
            if method in item and not path.startswith(INTERNAL)
        )
        version = str(self.document.get("info", {}).get("version", ""))
        return Contract(version=version, schemas=self.schemas, operations=operations)

    # -- schemas

    def schema(self, name: str, raw: Json) -> Schema:
        raw = self.merged(name, raw)
        if "properties" in raw:
            required = set(raw.get("required", ()))
            members = tuple(
                Member(
                    name=key,
                    type=self.type(f"{name}.{key}", value),
                    required=key in required,
                    default=value.get("default"),
                    deprecated=bool(value.get("deprecated")),
                )
                for key, value in raw["properties"].items()
            )
            return Object(name, members, closed=raw.get("additionalProperties") is False)
        return Alias(name, self.type(name, raw))

    def merged(self, where: str, raw: Json) -> Json:
        """Return an ``allOf`` of several objects as one object; anything else unchanged."""
        parts = raw.get("allOf", ())
        if len(parts) < 2:
            return raw
        properties: dict[str, Json] = {}
        required: list[str] = []
        for part in (*parts, {key: value for key, value in raw.items() if key != "allOf"}):
            whole = self.merged(where, self.resolve(part))
            properties.update(whole.get("properties", {}))
            required += whole.get("required", ())
            if "anyOf" in whole or "oneOf" in whole or "enum" in whole:
                raise ContractError(f"{where}: allOf of something that is not an object")
        rest = {key: value for key, value in raw.items() if key in {"additionalProperties", "default", "deprecated"}}
        return {**rest, "type": "object", "properties": properties, "required": required}

    def resolve(self, raw: Json) -> Json:
        return self.raw[raw["$ref"].removeprefix(_PREFIX)] if "$ref" in raw else raw

    def type(self, where: str, raw: Json) -> Type:
        raw = {key: value for key, value in raw.items() if key not in _PROSE and not key.startswith("x-")}
        unknown = set(raw) - _KNOWN
        if unknown:
            raise ContractError(f"{where}: unknown keywords {sorted(unknown)}")
        if "$ref" in raw:
            return self.ref(where, raw["$ref"])
        if len(raw.get("allOf", ())) == 1:
            return self.type(where, raw["allOf"][0])
        raw = self.merged(where, raw)
        for key in ("anyOf", "oneOf"):
            if key in raw:
                return self.union(where, raw, key)
        if "const" in raw:
            return Choice((str(raw["const"]),))
        if "enum" in raw:
            return self.choice(where, raw)
        return self.by_type(where, raw)

    def ref(self, where: str, target: str) -> Type:
        name = target.removeprefix(_PREFIX)
        if name not in self.raw:
            raise ContractError(f"{where}: no schema {target}")
        return Ref(name)

    def choice(self, where: str, raw: Json) -> Type:
        values = [value for value in raw["enum"] if value is not None]
        if not all(isinstance(value, str) for value in values):
            raise ContractError(f"{where}: an enum of something else than strings")
        choice = Choice(tuple(values))
        return choice if len(values) == len(raw["enum"]) else Nullable(choice)

    def union(self, where: str, raw: Json, key: str) -> Type:
        branches = [branch for branch in raw[key] if branch.get("type") != "null"]
        members = tuple(
            self.type(where if len(branches) == 1 else f"{where}.{number}", branch)
            for number, branch in enumerate(branches, 1)
        )
        discriminator: dict[str, Any] = raw.get("discriminator") or {}
        targets: dict[str, str] = discriminator.get("mapping", {})
        mapping = tuple((value, target.removeprefix(_PREFIX)) for value, target in targets.items())
        inner: Type = members[0] if len(members) == 1 else Union(members, discriminator.get("propertyName"), mapping)
        return inner if len(branches) == len(raw[key]) else Nullable(inner)

    def by_type(self, where: str, raw: Json) -> Type:
        kind = raw.get("type")
        if isinstance(kind, list):
            kinds: list[str] = list(map(str, cast("list[object]", kind)))
            plain = [name for name in kinds if name != "null"]
            if len(plain) != 1 or len(plain) == len(kinds):
                raise ContractError(f"{where}: type {kind}")
            return Nullable(self.by_type(where, {**raw, "type": plain[0]}))
        match kind:
            case "array":
                item = self.type(f"{where}.item", raw.get("items", {}))
                return ListOf(item, raw.get("minItems"), raw.get("maxItems"))
            case "object":
                return self.object(where, raw)
            case str() if kind in _PLAIN:
                return self.scalar(where, kind, raw)
            case None if not set(raw) - {"default", "deprecated"}:
                return Anything()
            case _:
                raise ContractError(f"{where}: type {kind!r}")

    def object(self, where: str, raw: Json) -> Type:
        if "properties" in raw:
            name = "".join(camel(part) for part in where.split("."))
            if name in self.raw or name in self.schemas:
                raise ContractError(f"{where}: the name {name} of a nested object is taken")
            self.schemas[name] = self.schema(name, raw)
            return Ref(name)
        extra = raw.get("additionalProperties", True)
        if extra is True or extra is False or not extra:
            return MapOf(Anything())
        return MapOf(self.type(f"{where}.value", extra))

    def scalar(self, where: str, kind: str, raw: Json) -> Type:
        form = raw.get("format")
        form = None if form in _IGNORED_FORMATS else form
        if form is not None and form not in _FORMATS:
            raise ContractError(f"{where}: format {form!r}")
        return Scalar(
            form or kind,
            minimum=raw.get("minimum"),
            maximum=raw.get("maximum"),
            above=raw.get("exclusiveMinimum"),
            min_length=raw.get("minLength"),
            max_length=raw.get("maxLength"),
            pattern=raw.get("pattern"),
        )

    # -- operations

    def operation(self, method: str, path: str, raw: Json) -> Op:
        where = f"{method.upper()} {path}"
        header: Header = "absent"
        query: list[Query] = []
        in_path: list[str] = []
        for parameter in raw.get("parameters", ()):
            name, place = str(parameter["name"]), parameter["in"]
            if place == "header" and name.lower() == "x-monite-entity-id":
                header = "required" if parameter.get("required") else "optional"
            elif place == "query":
                schema = parameter["schema"]
                kind = self.type(f"{where}?{name}", schema)
                query.append(Query(name, kind, bool(parameter["required"]), schema.get("default")))
            elif place == "path":
                in_path.append(name)
        success = [int(code) for code in raw["responses"] if code.startswith("2")]
        if len(success) != 1 or len(raw.get("tags", ())) != 1:
            raise ContractError(f"{where}: wants exactly one success status and one tag")
        result, binary = self.result(raw["operationId"], raw["responses"][str(success[0])])
        body, multipart = self.body(where, raw.get("requestBody", {}))
        return Op(
            operation_id=raw["operationId"],
            method=method.upper(),
            path=path,
            tag=raw["tags"][0],
            entity_header=header,
            # In the order of the template, whatever the order of the declarations.
            path_params=tuple(sorted(in_path, key=lambda name: path.index("{" + name + "}"))),
            query=tuple(query),
            status=success[0],
            statuses=tuple(sorted(int(code) for code in raw["responses"])),
            result=result,
            binary=binary,
            body=body,
            body_required=bool(raw.get("requestBody", {}).get("required")),
            multipart=multipart,
            deprecated=bool(raw.get("deprecated")),
        )

    def result(self, operation: str, response: Json) -> tuple[Type | None, bool]:
        for media, content in response.get("content", {}).items():
            if media != "application/json":
                return None, True
            kind = self.type(f"{operation}.result", content.get("schema", {}))
            if not isinstance(kind, Ref | Anything):
                # A list or a union written out in place: it needs a name to be found by.
                name = f"{camel(operation)}Result"
                self.schemas[name] = Alias(name, kind)
                kind = Ref(name)
            return kind, False
        return None, False

    def body(self, where: str, body: Json) -> tuple[Type | None, bool]:
        for media, content in body.get("content", {}).items():
            if media not in {"application/json", "multipart/form-data"}:
                raise ContractError(f"{where}: body of type {media}")
            return self.type(f"{where}.body", content["schema"]), media == "multipart/form-data"
        return None, False


def read(document: Json) -> Contract:
    """Return the contract as the generator's values.

    Raises:
        ContractError: Something in it is not understood.
    """
    return tell_apart(_Reader(document).contract())
