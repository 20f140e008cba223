"""Reading a contract: every construct has one meaning, and what is not understood is refused."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.choices import Fix
from codegen.errors import ContractError
from codegen.ir import Alias, Anything, Choice, ListOf, MapOf, Nullable, Object, Op, Ref, Scalar, Union
from codegen.reader import fixed, read
from tests.codegen.synthetic import ERROR, document, operation

pytestmark = pytest.mark.checkout

CONTRACT = read(document())


def _object(name: str) -> dict[str, Any]:
    schema = CONTRACT.schemas[name]
    assert isinstance(schema, Object)
    return {member.name: member for member in schema.members}


def _op(name: str) -> Op:
    return next(op for op in CONTRACT.operations if op.operation_id == name)


def test_scalars_keep_their_limits() -> None:
    """A format that changes the way a value is written is its kind; limits are kept."""
    pet = _object("Pet-Input")
    assert pet["name"].type == Scalar("string", min_length=1, max_length=9, pattern="^[a-z]+$")
    assert pet["weight"].type == Scalar("number", above=0)
    assert pet["age"].type == Scalar("integer", minimum=0, maximum=30)
    assert pet["born"].type == Scalar("date")


def test_null_has_three_spellings() -> None:
    """``anyOf`` with null, a list of types, and null among the values of an enum all mean nullable."""
    assert _object("Pet-Input")["email"].type == Nullable(Scalar("email"))
    assert _object("Pet-Input")["seen"].type == Nullable(Scalar("date-time"))
    assert _object("Pet-Output")["shade"].type == Nullable(Choice(("dark", "light")))


def test_one_allof_is_a_name_and_several_are_one_object() -> None:
    """``allOf`` around one schema is that schema; of several objects it is their sum."""
    assert _object("Pet-Input")["colour"].type == Ref("Colour")
    assert list(_object("Dog")) == ["name", "barks"]
    assert _object("Dog")["name"].required


def test_containers() -> None:
    """Arrays nest, free objects are maps, an empty schema is anything."""
    pet = _object("Pet-Output")
    assert pet["grid"].type == ListOf(ListOf(Scalar("integer")))
    assert pet["by_name"].type == MapOf(Ref("Node"))
    assert pet["any"].type == Anything()
    assert _object("Pet-Input")["tags"].type == ListOf(Scalar("uuid"), 1, 3)
    assert _object("Pet-Input")["free"].type == MapOf(Anything())


def test_nested_objects_get_a_name() -> None:
    """An object inside an object becomes a schema of its own, named for its place."""
    assert _object("Pet-Input")["home"].type == Ref("PetInputHome")
    assert list(_object("PetInputHome")) == ["street", "class"]


def test_a_discriminator_pins_its_property() -> None:
    """The property that tells the members of a union apart is required in each, whatever its default says."""
    kind = _object("Ball")["kind"]
    assert (kind.required, kind.pinned, kind.default) == (True, True, None)
    toy = CONTRACT.schemas["Toy"]
    assert isinstance(toy, Alias)
    assert isinstance(toy.type, Union)
    assert (toy.type.discriminator, dict(toy.type.mapping)) == ("kind", {"ball": "Ball", "rope": "Rope"})


def test_a_telling_property_is_found_without_a_discriminator() -> None:
    """Where every member requires one property with values of its own, it serves as discriminator."""
    raw = document()
    words = {"A": ["a"], "B": ["b", "c"], "C": ["c"]}
    for name, values in words.items():
        raw["components"]["schemas"][name] = {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"type": "string", "enum": values}, "n": {"type": "integer"}},
        }
    refs = {name: {"$ref": f"#/components/schemas/{name}"} for name in words}
    raw["components"]["schemas"]["Told"] = {"anyOf": [refs["A"], refs["B"]]}
    raw["components"]["schemas"]["Vague"] = {"anyOf": [refs["B"], refs["C"]]}
    raw["components"]["schemas"]["Mixed"] = {"anyOf": [refs["A"], {"type": "string"}]}
    raw["components"]["schemas"]["Deep"] = {"type": "object", "additionalProperties": {"anyOf": [refs["A"], refs["B"]]}}
    schemas = read(raw).schemas

    def told(name: str) -> object:
        schema = schemas[name]
        assert isinstance(schema, Alias)
        kind = schema.type.value if isinstance(schema.type, MapOf) else schema.type
        assert isinstance(kind, Union)
        return kind.discriminator

    assert [told(name) for name in ("Told", "Vague", "Mixed", "Deep")] == ["kind", None, None, "kind"]


def test_operations() -> None:
    """Header, path order, success status, bodies and results of an operation are read off."""
    delete = _op("delete_photo")
    assert delete.path_params == ("pet_id", "photo_id")
    assert (delete.entity_header, _op("get_pets_me").entity_header) == ("required", "absent")
    assert _op("get_kennel_pets").entity_header == "optional"
    assert (_op("post_pets").status, _op("post_pets").statuses) == (201, (201, 422))
    assert (_op("put_photo").multipart, _op("put_photo").body) == (True, Ref("Photo"))
    assert (_op("get_photo").binary, _op("get_photo").result) == (True, None)
    assert (_op("reset_checks").body, _op("reset_checks").result) == (MapOf(Anything()), None)
    assert _op("delete_pets_id").deprecated
    assert CONTRACT.version == "2030-01-01"


def test_a_discriminator_has_to_be_a_choice() -> None:
    """A union told apart by something that is not a choice of strings stops the generator."""
    raw = document()
    raw["components"]["schemas"]["Rope"]["properties"]["kind"] = {"type": "string"}
    with pytest.raises(ContractError, match="Rope: kind tells objects apart"):
        read(raw)


def _with_schema(raw: dict[str, Any]) -> dict[str, Any]:
    result = document()
    result["components"]["schemas"]["Odd"] = raw
    return result


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "multipleOf": 3}, "unknown keywords"),
        ({"$ref": "#/components/schemas/Nowhere"}, "no schema"),
        ({"enum": [1, 2]}, "something else than strings"),
        ({"type": "tuple"}, "type 'tuple'"),
        ({"type": ["string", "integer"]}, "type"),
        ({"type": "string", "format": "runes"}, "format 'runes'"),
        ({"allOf": [{"type": "object"}, {"enum": ["a"]}]}, "not an object"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "object", "properties": {}}, "A": {"type": "object", "properties": {}}},
            },
            "is taken",
        ),
    ],
)
def test_what_is_not_understood_is_refused(schema: dict[str, Any], said: str) -> None:
    """A construct without a meaning here stops the generator, with its place."""
    with pytest.raises(ContractError, match=said) as caught:
        read(_with_schema(schema))
    assert str(caught.value).startswith("Odd")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"responses": {"200": ERROR, "201": ERROR}}, "exactly one"),
        ({"tags": []}, "exactly one"),
        ({"requestBody": {"content": {"text/csv": {"schema": {}}}}}, "body of type text/csv"),
    ],
)
def test_odd_operations_are_refused(change: dict[str, Any], said: str) -> None:
    """An operation without one success, one tag and a known kind of body stops the generator."""
    raw = document()
    raw["paths"]["/odd"] = {"get": operation("odd", **change)}
    with pytest.raises(ContractError, match=said):
        read(raw)


def test_an_optional_body_is_told_from_a_required_one() -> None:
    """A body is required only where the contract says so."""
    raw = document()
    del raw["paths"]["/pets"]["post"]["requestBody"]["required"]
    op = next(op for op in read(raw).operations if op.operation_id == "post_pets")
    assert (op.body_required, _op("post_pets").body_required) == (False, True)


def test_fixes_change_a_copy() -> None:
    """A correction sets or removes one value and leaves the document alone."""
    raw = document()
    after = fixed(
        raw,
        [
            Fix(("info", "version"), "2031-01-01", "newer"),
            Fix(("components", "schemas", "Photo", "required"), None, "not so"),
        ],
    )
    assert after["info"]["version"] == "2031-01-01"
    assert "required" not in after["components"]["schemas"]["Photo"]
    assert raw == document()


@pytest.mark.parametrize(
    "fix", [Fix(("info", "version"), "2030-01-01", "same"), Fix(("paths", "/nowhere", "get"), None, "gone")]
)
def test_a_fix_without_effect_is_refused(fix: Fix) -> None:
    """When the contract catches up, the correction has to go."""
    with pytest.raises(ContractError, match="corrects nothing"):
        fixed(document(), [fix])


def _kind(value: object) -> object:
    """Return the type of a value without narrowing it to a container of unknowns."""
    return type(value)


def _told(raw: Any) -> Any:
    """Return a document with words beside every schema, as the API serves it."""
    if _kind(raw) is list:
        return [_told(entry) for entry in raw]
    if _kind(raw) is not dict:
        return raw
    told: dict[str, Any] = {key: _told(value) for key, value in raw.items()}
    schema = {"type", "anyOf", "oneOf", "allOf", "$ref"} & told.keys() and not {"in", "properties"} & told.keys()
    return {**told, "title": "T", "description": "D", "example": 1, "x-order": 2} if schema else told


def test_words_and_internal_paths_say_nothing() -> None:
    """What the API serves about itself reads like the document without words, its own pages' paths left out."""
    raw = _told(document())
    raw["paths"]["/portal/pets"] = {"get": operation("get_portal_pets")}
    assert raw["components"]["schemas"]["Colour"]["title"] == "T"
    assert read(raw) == CONTRACT
