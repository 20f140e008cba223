"""A small contract with every construct that the generator knows."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["ERROR", "document", "operation"]

ERROR: dict[str, Any] = {"description": "Error"}
_VERSION: dict[str, Any] = {"in": "header", "name": "x-monite-version", "required": True, "schema": {"type": "string"}}
_ENTITY: dict[str, Any] = {"in": "header", "name": "x-monite-entity-id", "required": True, "schema": {"type": "string"}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: dict[str, Any], required: bool = False) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": required, "schema": schema}


def operation(
    name: str,
    *,
    tag: str = "Pets",
    result: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    media: str = "application/json",
    parameters: list[dict[str, Any]] | None = None,
    status: str = "200",
    entity: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """Return one operation of a contract."""
    content = {} if result is None else {"content": {"application/json": {"schema": result}}}
    raw: dict[str, Any] = {
        "tags": [tag],
        "operationId": name,
        "parameters": [_VERSION, *([_ENTITY] if entity else []), *(parameters or [])],
        "responses": {status: {"description": "OK", **content}, "422": ERROR},
    }
    if body is not None:
        raw["requestBody"] = {"required": True, "content": {media: {"schema": body}}}
    return {**raw, **more}


_TEXT: dict[str, Any] = {"type": "string"}
_SCHEMAS: dict[str, Any] = {
    "Colour": {"type": "string", "enum": ["red", "blue"]},
    "Mood2": {"type": "string", "enum": ["good"]},
    "Pet-Input": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^[a-z]+$"},
            "colour": {"allOf": [_ref("Colour")]},
            "age": {"type": "integer", "minimum": 0, "maximum": 30},
            "weight": {"type": "number", "exclusiveMinimum": 0},
            "tame": {"type": "boolean", "default": True},
            "email": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
            "born": {"type": "string", "format": "date"},
            "seen": {"type": ["string", "null"], "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string", "format": "uuid"}, "minItems": 1, "maxItems": 3},
            "from": _TEXT,
            "home": {"type": "object", "properties": {"street": _TEXT, "class": _TEXT}, "required": ["street"]},
            "notes": {"type": "object", "additionalProperties": {"type": "integer"}},
            "free": {"type": "object"},
            "toy": {"anyOf": [_ref("Ball"), _ref("Rope")]},
        },
    },
    "Pet-Output": {
        "type": "object",
        "required": ["id", "shade", "copy"],
        "properties": {
            "id": _TEXT,
            "colour": _ref("Colour"),
            "shade": {"type": "string", "enum": ["dark", "light", None]},
            "mood": _ref("Mood2"),
            "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
            "born": {"type": "string", "format": "date"},
            "seen": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]},
            "by_name": {"type": "object", "additionalProperties": _ref("Node")},
            "copy": _TEXT,
            "_hidden": _TEXT,
            "str": _TEXT,
            "any": {},
            "toy": _ref("Toy"),
            "found": {"anyOf": [_ref("Ball"), _ref("Rope"), {"type": "null"}]},
        },
    },
    "Node": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "number"},
            "next": _ref("Node"),
            "forest": {"type": "array", "items": _ref("Tree")},
        },
    },
    "Tree": {"anyOf": [_ref("Node"), _ref("Leaf")]},
    "Leaf": {"type": "object", "properties": {"green": {"type": "boolean"}}},
    "Toy": {
        "oneOf": [_ref("Ball"), _ref("Rope")],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"ball": "#/components/schemas/Ball", "rope": "#/components/schemas/Rope"},
        },
    },
    "Ball": {
        "type": "object",
        "properties": {"kind": {"type": "string", "const": "ball", "default": "ball"}, "size": {"type": "integer"}},
    },
    "Rope": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "enum": ["rope", "cord"]}},
    },
    "Named": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
    "Dog": {"allOf": [_ref("Named"), {"type": "object", "properties": {"barks": {"type": "boolean"}}}]},
    "PetPage": {
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"type": "array", "items": _ref("Pet-Output")}, "next_pagination_token": _TEXT},
    },
    "Photo": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, "size": {"type": "integer"}},
    },
    "Empty": {"type": "object", "properties": {}},
    "List": {"type": "object", "properties": {"only": _TEXT}},
}

_ID: dict[str, Any] = {"in": "path", "name": "pet_id", "required": True, "schema": _TEXT}
_PATHS: dict[str, Any] = {
    "/pets": {
        "get": operation(
            "get_pets",
            result=_ref("PetPage"),
            parameters=[
                _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}),
                _query("pagination_token", _TEXT),
                _query("address.city", _TEXT),
                _query("class", _TEXT),
                _query("options", _TEXT),
                _query("colour__in", {"type": "array", "items": _ref("Colour")}),
                _query("born__gt", {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
                _query("at", {"anyOf": [{"type": "string", "format": "date"}, {"type": "string"}]}, required=True),
                _query("mail", {"type": "string", "format": "email"}),
            ],
        ),
        "post": operation("post_pets", body=_ref("Pet-Input"), result=_ref("Pet-Output"), status="201"),
    },
    "/pets/me": {"get": operation("get_pets_me", result=_ref("Dog"), entity=False)},
    "/pets/{pet_id}": {
        "get": operation("get_pets_id", result=_ref("Pet-Output"), parameters=[_ID]),
        "patch": operation("patch_pets_id", body=_ref("List"), result=_ref("Toy"), parameters=[_ID]),
        "delete": operation("delete_pets_id", status="204", parameters=[_ID], deprecated=True),
    },
    "/pets/{pet_id}/photo": {
        "put": operation(
            "put_photo", body=_ref("Photo"), media="multipart/form-data", result=_ref("Empty"), parameters=[_ID]
        ),
        "get": {
            **operation("get_photo", parameters=[_ID]),
            "responses": {"200": {"description": "OK", "content": {"image/png": {}}}},
        },
    },
    "/pets/{pet_id}/photos/{photo_id}": {
        "delete": operation(
            "delete_photo",
            result={},
            parameters=[{"in": "path", "name": "photo_id", "required": True, "schema": _TEXT}, _ID],
        ),
    },
    "/pets/{pet_id}/toys": {
        "get": operation("get_toys", result=_ref("PetPage"), parameters=[_ID, _query("pagination_token", _TEXT)]),
        "put": operation(
            "put_toys", body={"type": "array", "items": _ref("Toy")}, result=_ref("Toy"), parameters=[_ID]
        ),
        "post": operation(
            "post_toys", body={"anyOf": [_ref("Ball"), _ref("Rope")]}, result=_ref("Toy"), parameters=[_ID]
        ),
    },
    "/pets/checks/reset": {"post": operation("reset_checks", body={"type": "object"}, status="204")},
    "/pets/{pet_id}/photos": {
        "get": operation("get_photos", result={"type": "array", "items": _ref("Leaf")}, parameters=[_ID]),
        "post": operation("post_photos", result=_ref("Leaf"), parameters=[_ID]),
    },
    "/pets/{pet_id}/visits": {
        "get": operation("get_visits", tag="Visits", result=_ref("PetPage"), parameters=[_ID]),
        "put": operation("put_visits", tag="Visits", result=_ref("PetPage"), parameters=[_ID]),
    },
    "/pets/{pet_id}/visits/{visit_id}": {
        "get": operation(
            "get_visit",
            tag="Visits",
            result=_ref("Leaf"),
            parameters=[_ID, {"in": "path", "name": "visit_id", "required": True, "schema": _TEXT}],
        ),
    },
    "/kennels": {
        "get": operation("get_kennels", tag="Kennels", result=_ref("Named"), entity=False),
        "post": operation("post_kennels", tag="Kennels", body=_ref("Named"), result=_ref("Colour"), entity=False),
    },
    "/kennels/{kennel_id}/pets": {
        "get": operation(
            "get_kennel_pets",
            tag="Kennels",
            result=_ref("PetPage"),
            entity=False,
            parameters=[
                {"in": "path", "name": "kennel_id", "required": True, "schema": _TEXT},
                {**_ENTITY, "required": False},
                {"in": "header", "name": "x-odd", "schema": _TEXT},
            ],
        )
    },
}


def document() -> dict[str, Any]:
    """Return a fresh copy of the contract."""
    return copy.deepcopy(
        {"openapi": "3.1.0", "info": {"version": "2030-01-01"}, "paths": _PATHS, "components": {"schemas": _SCHEMAS}}
    )
