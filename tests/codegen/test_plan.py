"""Names, scopes and places: what the generator decides, and what people decided for it."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from codegen import choices
from codegen.choices import ScopeRule
from codegen.errors import ContractError
from codegen.naming import argument, camel, class_names, snake
from codegen.order import in_order
from codegen.places import singular
from codegen.plan import PAIRED, SCOPE_ORDER, SHARED, Choices, Plan, make_plan
from codegen.reader import read
from codegen.text import literal, statement
from tests.codegen.synthetic import document, operation

pytestmark = pytest.mark.checkout


def _plan(**changes: object) -> Plan:
    raw = document()
    raw["paths"].update(changes)
    return make_plan(read(raw), CHOICES)


CHOICES = Choices(
    scopes=[ScopeRule(("/pets/me",), ("user",), "mine"), ScopeRule(("/pets/checks*",), (), "nobody's")],
    names={},
    resources={"kennels": "homes"},
    nested=frozenset({"/pets/{}/toys"}),
    families={"homes": "places"},
    reads=frozenset({"post_toys"}),
)
PLAN = _plan()
METHODS = {method.op.operation_id: (resource.name, method) for resource, method in PLAN.methods()}


@pytest.mark.parametrize(
    ("operation_id", "resource", "name"),
    [
        ("get_pets", "pets", "list"),
        ("post_pets", "pets", "create"),
        ("get_pets_me", "pets", "get_me"),
        ("get_pets_id", "pets", "get"),
        ("patch_pets_id", "pets", "update"),
        ("delete_pets_id", "pets", "delete"),
        ("put_photo", "pets", "upload_photo"),
        ("get_photo", "pets", "get_photo"),
        ("delete_photo", "pets.photos", "delete"),
        ("get_photos", "pets.photos", "get"),
        ("post_photos", "pets.photos", "create"),
        ("get_visits", "pets.visits", "list"),
        ("put_visits", "pets.visits", "replace"),
        ("get_visit", "pets.visits", "get"),
        ("get_toys", "pets.toys", "list"),
        ("put_toys", "pets.toys", "update"),
        ("post_toys", "pets.toys", "create"),
        ("reset_checks", "pets", "reset_checks"),
        ("get_kennels", "homes", "get"),
        ("post_kennels", "homes", "create"),
        ("get_kennel_pets", "homes", "get_pets"),
    ],
)
def test_methods_are_named_by_verb_and_path(operation_id: str, resource: str, name: str) -> None:
    """A method is the verb, or the API's own word for what is done to the thing."""
    module, method = METHODS[operation_id]
    assert (module, method.name) == (resource, name)


def test_only_paged_answers_have_an_item() -> None:
    """A page needs a token to ask with and a token in the answer; a list with neither is a plain answer."""
    paged = {name for name, (_, method) in METHODS.items() if method.item is not None}
    assert paged == {"get_pets", "get_toys"}


@pytest.mark.parametrize(
    ("operation_id", "paging"), [("counted", "offset"), ("searched", "body"), ("asked", None), ("get_pets", "token")]
)
def test_pages_are_asked_for_in_three_ways(operation_id: str, paging: str | None) -> None:
    """A token in the query, a token in the body, or a count of what was seen; a limit alone makes no pages."""
    page = {"$ref": "#/components/schemas/PetPage"}
    numbers = [
        {"in": "query", "name": name, "required": False, "schema": {"type": "integer"}} for name in ("limit", "offset")
    ]
    body = {"type": "object", "properties": {"pagination_token": {"type": "string"}}}
    plan = _plan(
        **{
            "/pets/counted": {"get": operation("counted", result=page, parameters=numbers)},
            "/pets/asked": {"get": operation("asked", result=page, parameters=numbers[:1])},
            "/pets/search": {"post": operation("searched", result=page, body=body)},
        }
    )
    (found,) = [method.paging for _, method in plan.methods() if method.op.operation_id == operation_id]
    assert found == paging


def test_scopes_follow_the_header_and_the_rules() -> None:
    """With the header a call belongs to whoever names an entity, without it to all; a rule wins over both."""
    assert METHODS["get_pets"][1].scopes == ("entity", "entity_user")
    assert METHODS["get_kennels"][1].scopes == SCOPE_ORDER
    assert METHODS["get_kennel_pets"][1].scopes == SCOPE_ORDER
    assert METHODS["get_pets_me"][1].scopes == ("user",)
    assert METHODS["reset_checks"][1].scopes == ()
    told = {name: METHODS[name][1].scope for name in ("get_pets", "get_kennels", "get_pets_me")}
    assert told == {"get_pets": "entity", "get_kennels": "any", "get_pets_me": "user"}


def test_what_may_be_repeated_follows_the_method_and_the_choices() -> None:
    """GET, PUT and DELETE may be sent twice, POST and PATCH only where a person said that they read."""
    repeated = {
        name for name, (_, method) in METHODS.items() if method.idempotent and method.op.method in {"POST", "PATCH"}
    }
    assert repeated == {"post_toys"}
    assert all(method.idempotent for _, method in METHODS.values() if method.op.method in {"GET", "PUT", "DELETE"})


def test_two_operations_with_one_name_are_refused() -> None:
    """A clash of names is settled by a person, not by chance."""
    twice = {
        "/pets/{pet_id}/nap/{nap_id}": {"get": operation("nap_one")},
        "/pets/{pet_id}/nap": {"get": operation("nap")},
    }
    with pytest.raises(ContractError, match="named alike"):
        _plan(**twice)
    raw = document()
    raw["paths"].update(twice)
    plan = make_plan(read(raw), replace(CHOICES, names={"nap_one": "get_one"}))
    assert {"get", "get_one"} <= {method.name for resource, method in plan.methods() if resource.name == "pets.nap"}


def test_resources_below_others_are_a_tree() -> None:
    """A collection below another thing is a resource of its own, on its parent and in its parent's module."""
    (pets,) = [resource for resource in PLAN.resources if resource.name == "pets"]
    assert [child.name for child in pets.children] == ["pets.photos", "pets.toys", "pets.visits"]
    assert {child.module for child in pets.children} == {"pets"}
    assert [child.attribute for child in pets.children] == ["photos", "toys", "visits"]
    assert [each.name for each in pets.family()][-1] == "pets"


@pytest.mark.parametrize(
    ("word", "one"),
    [
        ("diaries", "diary"),
        ("addresses", "address"),
        ("fuss", "fuss"),
        ("data", "data"),
        ("boxes", "box"),
        ("ids", "id"),
    ],
)
def test_one_of_many_is_named_in_the_singular(word: str, one: str) -> None:
    """A sentence about one thing of a collection carries the collection's singular."""
    assert singular(word) == one


def test_a_long_choice_is_wrapped_between_values_only() -> None:
    """Wrapping changes the layout of a statement and nothing of its meaning, however odd its values."""
    values = [f"value {number}, with 'quotes' | and bars" for number in range(20)]
    text = f"Word: TypeAlias = {literal(values)} | str"
    wrapped = statement(text)
    assert max(map(len, wrapped.splitlines())) < 130
    assert ast.dump(ast.parse(wrapped)) == ast.dump(ast.parse(text))
    assert statement("short = Literal[1]") == "short = Literal[1]"
    assert statement("x = " + "a | " * 60 + "b").count("\n") == 0
    assert statement(f"x = {literal(['y' * 200])}").count("\n") == 0


def test_schemas_live_with_their_family_or_are_shared() -> None:
    """What two families share has a module of its own if it is much; a body that becomes arguments needs no place."""
    assert PLAN.models.by_name["Dog"] == "pets"
    assert PLAN.models.by_name["PetPage"] == "_pets_places"
    assert PLAN.models.by_name["Named"] == "places"
    assert PLAN.types.by_name["Ball"] == "pets"
    assert "Pet-Input" not in PLAN.types.by_name
    assert "Named" not in PLAN.types.by_name
    raw = document()
    raw["paths"]["/barns"] = {"get": operation("get_barns", result={"$ref": "#/components/schemas/PetPage"})}
    raw["paths"]["/barns/all"] = {"get": operation("get_all", result={"$ref": "#/components/schemas/Named"})}
    homes = make_plan(read(raw), CHOICES).models.by_name
    assert (homes["PetPage"], homes["Named"]) == (SHARED, PAIRED)


def test_a_body_that_others_mention_keeps_its_place() -> None:
    """A body stays a named input when another input holds it."""
    raw = document()
    raw["paths"]["/pets/{pet_id}/hide"] = {
        "post": operation("hide", body={"type": "array", "items": {"$ref": "#/components/schemas/List"}})
    }
    assert make_plan(read(raw), CHOICES).types.by_name["List"] == "pets"


def test_schemas_come_after_what_they_mention() -> None:
    """The order of definition follows the references, cycles aside, and is always the same."""
    contract = PLAN.contract
    order = in_order(contract, contract.schemas)
    assert order == in_order(contract, reversed(list(contract.schemas)))
    for later, earlier in (("PetPage", "Pet-Output"), ("Pet-Output", "Toy"), ("Toy", "Ball"), ("Tree", "Leaf")):
        assert order.index(earlier) < order.index(later)


@pytest.mark.parametrize(
    ("schemas", "names"),
    [
        (("Role-Input", "Role-Output"), ("Role", "Role")),
        (("Role", "Role-Input"), ("Role", "RoleInput")),
        (("Action2",), ("Action",)),
        (("Action2", "Action3"), ("Action2", "Action3")),
        (("Action", "Action2"), ("Action", "Action2")),
        (("Action2", "Action-Input"), ("Action2", "Action")),
        (("Body_put_entities_id_logo",), ("BodyPutEntitiesIdLogo",)),
        (("BatchList",), ("BatchList",)),
        (("None",), ("None_",)),
    ],
)
def test_class_names_lose_what_the_framework_added(schemas: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Numbers and sides that tell framework classes apart are dropped where the short name is free."""
    assert tuple(class_names(dict.fromkeys(schemas)).values()) == names


@pytest.mark.parametrize(
    ("wire", "taken", "python"),
    [
        ("address.city", (), "address_city"),
        ("class", (), "class_"),
        ("options", (), "options_"),
        ("self", (), "self_"),
        ("pet_id", ("pet_id",), "pet_id_"),
        ("created_at__gt", (), "created_at__gt"),
    ],
)
def test_arguments_are_spelt_for_python(wire: str, taken: tuple[str, ...], python: str) -> None:
    """What Python cannot spell, or uses already, gets another spelling; the rest stays as on the wire."""
    assert argument(wire, taken) == python


def test_words() -> None:
    """Tags and paths become module names, operation ids become class names."""
    assert (snake("Data export - extra data"), camel("put_entities_id_logo")) == (
        "data_export_extra_data",
        "PutEntitiesIdLogo",
    )


def test_every_choice_has_a_reason() -> None:
    """Rules of scope and corrections of the contract say where they come from."""
    reasons = [rule.reason for rule in choices.SCOPES] + [fix.reason for fix in choices.FIXES]
    assert all(len(reason.split()) > 4 for reason in (*reasons, *choices.READS.values()))
