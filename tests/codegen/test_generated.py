"""What is generated works: the synthetic contract is written, imported, type-checked and called."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codegen.build import render
from codegen.choices import ScopeRule
from codegen.errors import ContractError
from codegen.output import formatted
from codegen.plan import Choices, make_plan
from codegen.reader import read
from monite_async._options import UNSET
from monite_async._pagination import AsyncPager
from monite_async.models._base import Model, decode
from tests.codegen.synthetic import document, operation

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "models", "types", "emulator._contract")


def _files(raw: dict[str, Any]) -> dict[str, str]:
    return formatted(render(make_plan(read(raw), CHOICES), BODIES), ROOT / "pyproject.toml")


BODIES = ["Pets", "Kennels"]
SCOPES_ALL: tuple[Any, ...] = ("partner", "entity", "entity_user", "user")
CHOICES = Choices(
    scopes=[
        ScopeRule(("/pets/me",), ("entity_user", "user"), "mine"),
        ScopeRule(("/pets/checks*",), (), "nobody's"),
        ScopeRule(("/pets/{pet_id}/toys",), SCOPES_ALL, "everybody's"),
    ],
    names={"get_kennels": "list", "put_toys": "put_all", "get_photos": "list"},
    resources={},
    nested=frozenset({"/pets/{}/toys"}),
    families={},
    reads=frozenset(),
)


def _elsewhere(text: str) -> str:
    """Return a generated file as one of the package ``made``, its hand-written bases staying where they are."""
    for package in PACKAGES:
        text = text.replace(f"from monite_async.{package}.", f"from made.{package}.")
    text = text.replace("from monite_async._operations", "from made._operations")
    text = text.replace("from monite_async.emulator._route", "from made.emulator._route")
    return text.replace("from made.models._base", "from monite_async.models._base")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The synthetic contract as a package ``made`` that can be imported."""
    root = tmp_path_factory.mktemp("generated")
    for name, text in _files(document()).items():
        target = root / name.replace("monite_async/", "made/", 1)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_elsewhere(text), encoding="utf-8")
    for folder in ("made", "made/api", "made/models", "made/types", "made/emulator", "made/emulator/_contract"):
        (root / folder / "__init__.py").touch()
    # The two that read the tables, so that they read those of this contract.
    for name in ("_operations.py", "emulator/_route.py"):
        (root / "made" / name).write_text(_elsewhere((ROOT / "monite_async" / name).read_text()))
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.partition(".")[0] == "made"]:
        del sys.modules[name]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"made.{name}")


class Recorder:
    """Stands where the call engine stands."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []

    async def call(self, operation: Any, **given: Any) -> Any:
        """Record one call."""
        self.calls.append((operation, given))


def test_the_files_are_the_same_every_time() -> None:
    """Two runs give the same bytes, whatever the order of the contract's schemas."""
    turned = document()
    schemas = turned["components"]["schemas"]
    turned["components"]["schemas"] = dict(reversed(schemas.items()))
    assert _files(turned) == _files(document())


def test_the_files_pass_the_type_checker(made: Path) -> None:
    """Every construct comes out as code that mypy accepts in strict mode."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-version",
        "3.11",
        "--cache-dir",
        str(made / "cache"),
        "made",
    ]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Success"), done.stdout


def test_the_files_pass_the_linter(made: Path) -> None:
    """Every file passes the repository's rules for generated code."""
    for name, text in _files(document()).items():
        command = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--config",
            str(ROOT / "pyproject.toml"),
            "--stdin-filename",
            str(ROOT / name),
            "-",
        ]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout
    assert made.is_dir()


def test_models_read_every_construct(made: Path) -> None:
    """Maps, nested lists, recursion, awkward names, unions and open enums are read into attributes."""
    assert made.is_dir()
    kind = _module("models._kennels_pets").Pet
    body = {
        "id": "p",
        "copy": "c",
        "shade": "new shade",
        "colour": "green",
        "mood": None,
        "grid": [[1], [2, 3]],
        "born": "2020-01-02",
        "seen": "2020-01-02T03:04:05Z",
        "by_name": {"n": {"value": 1, "next": {"value": 2.5}, "forest": [{"green": True}, {"value": 3}]}},
        "_hidden": "h",
        "str": "s",
        "any": [1, {"x": None}],
        "toy": {"kind": "rope"},
        "found": {"kind": "ball", "size": 3},
    }
    pet: Any = decode(kind, json.dumps(body).encode())
    assert pet.drift == ()
    assert (pet.copy_, pet.f_hidden, pet.str_, pet.shade, pet.colour) == ("c", "h", "s", "new shade", "green")
    assert pet.by_name["n"].next.value == 2.5
    assert type(pet.by_name["n"].forest[0]).__name__ in {"Leaf", "Node"}
    assert type(pet.toy).__name__ == "Rope"
    assert type(pet.found).__name__ == "Ball"
    assert json.loads(pet.model_dump_json(exclude_unset=True))["_hidden"] == "h"


def test_required_and_optional_fields(made: Path) -> None:
    """A field is required where the contract says so; every other one is None by default, whatever its default there."""
    assert made.is_dir()
    pet = _module("models._kennels_pets").Pet
    assert {name for name, info in pet.model_fields.items() if info.is_required()} == {"id", "copy_", "shade"}
    assert pet.model_construct(id="1", copy_="", shade=None).grid is None


def test_inputs_are_typed_dicts(made: Path) -> None:
    """Nested inputs say which keys are required; a key that is no Python name is a key all the same."""
    assert made.is_dir()
    types = _module("types.pets")
    home = types.PetInputHomeInput
    assert typing.is_typeddict(home)
    assert set(home.__annotations__) == {"street", "class"}
    assert "Ball" not in types.__all__
    assert "BallInput" in types.__all__


async def test_methods_pass_names_of_the_wire(made: Path) -> None:
    """Dotted and reserved names are spelt for Python and sent as the wire has them."""
    assert made.is_dir()
    caller = Recorder()
    pets: Any = _module("api.pets").PetsForEntity(caller)
    pager = pets.list(at="2024-01-01", address_city="Berlin", class_="a", options_="b", colour__in=["red"])
    assert isinstance(pager, AsyncPager)
    await pager
    query: Mapping[str, object] = caller.calls[0][1]["query"]
    assert {key: value for key, value in query.items() if value is not UNSET} == {
        "at": "2024-01-01",
        "address.city": "Berlin",
        "class": "a",
        "options": "b",
        "colour__in": ["red"],
    }
    await pets.create(name="rex", from_="here")
    body = caller.calls[1][1]["body"]
    assert (body["from"], body["name"], body["colour"]) == ("here", "rex", UNSET)


async def test_bodies_that_are_no_plain_object_are_one_argument(made: Path) -> None:
    """A list, a union or a free-form object is passed whole, as ``body``."""
    assert made.is_dir()
    caller = Recorder()
    pets: Any = _module("api.pets").PetsForPartner(caller)
    await pets.toys.put_all("p", body=[{"kind": "ball"}])
    await pets.toys.create("p", body={"kind": "rope"})
    assert [given["body"] for _, given in caller.calls] == [[{"kind": "ball"}], {"kind": "rope"}]
    assert inspect.signature(pets.toys.create).parameters["body"].kind is inspect.Parameter.KEYWORD_ONLY


async def test_results_of_every_kind(made: Path) -> None:
    """A model, bytes, anything and nothing are told to the call engine apart."""
    assert made.is_dir()
    caller = Recorder()
    pets: Any = _module("api.pets").PetsForEntity(caller)
    await pets.get_photo("p")
    await pets.photos.delete("p", "f")
    await pets.upload_photo("p", file=b"x")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        await pets.delete("p")
    await pets.photos.list("p")
    told = [(operation.result, operation.multipart) for operation, _ in caller.calls]
    assert told == [
        (bytes, False),
        (object, False),
        ("pets:Empty", True),
        (None, False),
        ("pets:GetPhotosResult", False),
    ]
    assert typing.get_args(_module("models.pets").GetPhotosResult) == (_module("models._kennels_pets").Leaf,)
    assert caller.calls[1][1]["path"] == {"pet_id": "p", "photo_id": "f"}


def test_scopes_have_their_methods(made: Path) -> None:
    """Each scope's class has just what that scope may call; a resource that is the same for all has one class."""
    assert made.is_dir()
    scopes = _module("api._scopes")

    def names(mixin: str, *attributes: str) -> set[str]:
        found: Any = type("Scope", (getattr(scopes, mixin),), {"_caller": Recorder()})()
        for attribute in attributes:
            found = getattr(found, attribute)
        return {name for name in dir(found) if not name.startswith("_")} - {"with_raw_response"}

    toys = {"list", "put_all", "create"}
    assert names("PartnerResources", "pets") == {"toys"}
    assert names("PartnerResources", "pets", "toys") == toys
    assert names("UserResources", "pets") == {"toys", "get_me"}
    assert {"create", "photos", "visits"} <= names("EntityResources", "pets")
    assert names("EntityResources", "pets", "visits") == {"list", "get", "replace"}
    assert "get_me" not in names("EntityResources", "pets")
    assert {"create", "get_me"} <= names("EntityUserResources", "pets")
    assert names("UserResources", "kennels") == {"list", "create", "get_pets"}
    assert _module("api.kennels").__all__ == ["Kennels", "KennelsWithRawResponse"]
    assert "PetsPhotos" in _module("api.pets").__all__


def test_the_table_of_operations_is_what_the_methods_are_made_of(made: Path) -> None:
    """Each operation has one entry, which says where its method is and what it bears."""
    assert made.is_dir()
    table = {info.id: info for info in _module("_operations").operations()}
    assert len(table) == len(_module("emulator._contract.routes").ROUTES)
    photos = table["delete_photo"]
    assert (photos.resource, photos.name, photos.scope) == ("pets.photos", "delete", "entity")
    assert (photos.paged, photos.idempotent) == (False, True)
    assert (table["get_pets"].paged, table["post_pets"].idempotent) == (True, False)
    assert _module("api.pets")._PHOTOS_DELETE.path == photos.path


def test_docstrings_say_what_goes_in_and_out(made: Path) -> None:
    """Every method tells its call, its arguments with kinds and limits, its answer, and its failures."""
    assert made.is_dir()
    doc = str(_module("api.pets").PetsForEntity.list.__doc__)
    assert "List pets." in doc
    assert "``GET /pets``" in doc
    assert "limit: How many a page holds at most: whole number, 1 to 100; 100 by default." in doc
    assert "born__gt: Only with ``born`` greater than this: point in time with its offset (ISO 8601 if text)." in doc
    assert "colour__in: Only with ``colour`` one of these: one of ``red``, ``blue``." in doc
    assert "mail: Only with this value: e-mail address." in doc
    assert "pagination_token: Where to go on, as a page told" in doc
    assert "A pager: " in doc
    created = str(_module("api.pets").PetsForEntity.create.__doc__)
    assert "name: Text, 1 to 9 characters." in created
    assert "weight: Number, more than 0." in created
    assert "tame: True or false; true by default." in created
    assert "toy: One of 2 kinds of object, told apart by ``kind``." in created
    assert "notes: An object with keys of your own." in created
    assert "tags: List of 1 to 3 entries; each one UUID." in created
    gone = str(_module("api.pets").PetsForEntity.delete.__doc__)
    assert "Deprecated" in gone
    assert "Returns:" not in gone
    assert "Raises:" in gone


def test_a_scope_without_anything_has_no_attribute() -> None:
    """A resource that a scope cannot use at all is not there to be tried."""
    raw = document()
    raw["paths"] = {"/pets": {"get": operation("get_pets", result={"$ref": "#/components/schemas/Named"})}}
    text = render(make_plan(read(raw), CHOICES), [])["monite_async/api/_scopes.py"]
    assert text.count("def pets") == 2
    assert "class PartnerResources" in text


def test_request_models_are_strict(made: Path) -> None:
    """The emulator's models refuse unknown keys, wrong kinds, and values out of bounds, and accept null for optional ones."""
    assert made.is_dir()
    homes = _module("emulator._contract.bodies").HOMES
    bodies = {name: _module(f"emulator._contract.bodies_{home}").BODIES[name] for name, home in homes.items()}

    def faults(name: str, body: Any) -> set[tuple[object, ...]]:
        model = bodies[name]
        with pytest.raises(ValueError, match="validation error") as caught:
            model.model_validate(body)
        errors: Any = caught.value
        return {tuple(entry["loc"]) for entry in errors.errors()}

    bodies["post_pets"].model_validate(
        {"name": "rex", "colour": None, "born": "2020-01-01", "seen": None, "tame": False}
    )
    bad: dict[str, object] = {
        "name": "",
        "age": "3",
        "weight": 0,
        "tame": None,
        "email": "nobody",
        "born": 5,
        "tags": [],
        "colour": "green",
        "home": {},
        "zz": 1,
    }
    wrong = {place[0] for place in faults("post_pets", bad)}
    assert wrong == set(bad)
    assert faults("post_toys", {"kind": "stick"}) == {()}
    toys: list[Any] = [{}]
    assert faults("put_toys", toys) == {(0,)}
    bodies["put_photo"].model_validate({"file": b"x", "size": "3"})
    bodies["reset_checks"].model_validate({"any": ["thing"]})


def test_routes_tell_what_the_contract_tells(made: Path) -> None:
    """Kinds, bounds, values and presence of query parameters are in the table of routes."""
    assert made.is_dir()
    routes = {route.operation_id: route for route in _module("emulator._contract.routes").ROUTES}
    query = {entry.name: entry for entry in routes["get_pets"].query}
    assert (query["limit"].kind, query["limit"].minimum, query["limit"].maximum) == ("integer", 1, 100)
    assert (query["colour__in"].array, query["colour__in"].enum) == (True, ("red", "blue"))
    assert (query["born__gt"].kind, query["at"].kind, query["at"].required) == ("date-time", "date", True)
    assert query["mail"].kind == "string"
    assert (routes["put_photo"].body, routes["put_photo"].multipart) == ("required", True)
    assert (routes["get_pets"].body, routes["get_kennel_pets"].entity_header) == ("absent", "optional")


def test_names_that_lead_to_each_other_are_refused() -> None:
    """Two unions that hold each other have no definition in Python and stop the generator."""
    raw = document()
    refs = {name: {"$ref": f"#/components/schemas/{name}"} for name in ("Left", "Right")}
    raw["components"]["schemas"]["Left"] = {"anyOf": [refs["Right"], {"type": "string"}]}
    raw["components"]["schemas"]["Right"] = {"type": "array", "items": refs["Left"]}
    raw["paths"]["/pets/odd"] = {"get": operation("odd", result=refs["Left"])}
    with pytest.raises(ContractError, match="lead to each other"):
        _files(raw)


def test_every_model_is_built_on_the_hand_written_base(made: Path) -> None:
    """Generated models are ``Model``: they keep unknown fields and note drift."""
    assert made.is_dir()
    module = _module("models.pets")
    kinds = [getattr(module, name) for name in module.__all__]
    assert all(issubclass(kind, Model) for kind in kinds if isinstance(kind, type))
    assert any(isinstance(kind, type) for kind in kinds)
