"""What holds for every generated model, input and method; the cases are made from the models themselves."""

from __future__ import annotations

import ast
import datetime as dt
import importlib
import inspect
import json
import pkgutil
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest

import monite_async.api
from monite_async import models
from monite_async import types as inputs
from monite_async._http.operation import Operation
from monite_async.models._base import Model, decode
from tests.each import each_case

MODELS: dict[str, type[Model]] = {
    name: kind
    for name in models.__all__
    if isinstance(kind := getattr(models, name), type) and issubclass(kind, Model) and kind is not Model
}
API = [
    importlib.import_module(f"monite_async.api.{found.name}")
    for found in pkgutil.iter_modules(monite_async.api.__path__)
]


def _answers() -> dict[str, Any]:
    """Return the kinds of all answers that are models, or made of them."""
    kinds: list[Any] = [thing for module in API for thing in vars(module).values() if isinstance(thing, Operation)]
    results = {kind.result for kind in kinds if isinstance(kind.result, str)}
    return {result: getattr(models, result.partition(":")[2]) for result in sorted(results)}


ANSWERS = _answers()
PLAIN: dict[Any, Any] = {
    dt.datetime: "2024-05-25T10:00:00.123456+00:00",
    dt.date: "2024-05-25",
    str: "some text",
    int: 12345,
    float: 1.5,
    bool: True,
    object: {"any": 1},
}


def _branches(kind: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type, null left out."""
    if typing.get_origin(kind) is typing.Annotated:
        return _branches(typing.get_args(kind)[0])
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return tuple(
            branch for inner in typing.get_args(kind) if inner is not type(None) for branch in _branches(inner)
        )
    return (kind,)


@cache
def _sample(kind: Any, *, full: bool = True) -> str:
    """Return JSON that fits a type: every field, or those only that must be there."""
    return json.dumps(_value(kind, full))


def _value(kind: Any, full: bool) -> Any:
    first = _branches(kind)[0]
    origin, arguments = typing.get_origin(first), typing.get_args(first)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [_value(arguments[0], full)]
    if origin is dict:
        return {"free": _value(arguments[1], full)}
    if isinstance(first, type) and issubclass(first, pydantic.BaseModel):
        return {
            info.alias or name: _value(info.annotation, full)
            for name, info in first.model_fields.items()
            if full or info.is_required()
        }
    return PLAIN[first]


def _open(kind: Any) -> bool:
    """Tell whether a field takes any word: enums do, and are plain strings where models are made."""
    return str in _branches(kind)


def test_there_are_models_for_all_answers() -> None:
    """The whole of the API is here: hundreds of models, and a model for the answer of every operation."""
    assert len(MODELS) > 350
    assert len(ANSWERS) > 150


def test_a_model_can_be_built_and_reads_its_own_fields() -> None:
    """Every model builds, and reads an answer with all fields, with the required ones only, and with null elsewhere."""
    with each_case() as case:
        for name, kind in MODELS.items():
            with case(name):
                kind.model_rebuild(force=True)
                whole: dict[str, Any] = json.loads(_sample(kind))
                least: dict[str, Any] = json.loads(_sample(kind, full=False))
                for body in (whole, least, {**dict.fromkeys(whole), **least}):
                    model = decode(kind, json.dumps(body).encode())
                    assert model.drift == ()
                    assert not model.model_extra
                    assert json.loads(model.model_dump_json(exclude_unset=True)).keys() == body.keys()
                for field, info in kind.model_fields.items():
                    if not info.is_required():
                        assert getattr(decode(kind, json.dumps(least).encode()), field) is None


def test_a_model_keeps_what_the_contract_does_not_know() -> None:
    """An unknown field and an unknown word of an enum are kept as they came, and no drift."""
    with each_case() as case:
        for name, kind in MODELS.items():
            with case(name):
                whole = json.loads(_sample(kind))
                words = {
                    info.alias or field: "unheard_of"
                    for field, info in kind.model_fields.items()
                    if _open(info.annotation)
                }
                model: Any = decode(kind, json.dumps({**whole, **words, "brand_new": {"x": [1]}}).encode())
                assert model.drift == ()
                assert model.brand_new == {"x": [1]}
                dumped = json.loads(model.model_dump_json(exclude_unset=True))
                assert {key: dumped[key] for key in words} == words


def test_points_in_time_know_their_offset() -> None:
    """A date-time is aware, whether the API wrote the offset or left it out and so meant UTC, leniently read or not."""
    with each_case() as case:
        for name, kind in MODELS.items():
            with case(name):
                body = _sample(kind)
                written = decode(kind, body.encode())
                for text in (body, body.replace("+00:00", "")):
                    for lenient in (False, True):
                        model = decode(kind, text.encode(), lenient=lenient)
                        assert model == written
                        moments = [value for value in vars(model).values() if isinstance(value, dt.datetime)]
                        assert all(moment.utcoffset() == dt.timedelta(0) for moment in moments)


def test_a_point_in_time_is_aware_beside_what_does_not_fit() -> None:
    """In an answer of which only a part fits, a date-time without an offset is in UTC as well; its own offset is kept."""
    body = {"id": 5, "created_at": "2024-05-25T10:00:00", "updated_at": "2024-05-25T10:00:00+02:00", "name": "x"}
    tag: Any = decode(models.TagReadSchema, json.dumps(body).encode(), lenient=True)
    assert tag.drift != ()
    assert tag.created_at == dt.datetime(2024, 5, 25, 10, tzinfo=dt.UTC)
    assert tag.updated_at.utcoffset() == dt.timedelta(hours=2)


def test_every_answer_can_be_read() -> None:
    """The answer of every operation is read from bytes, be it a model, a union or a list."""
    with each_case() as case:
        for name, kind in ANSWERS.items():
            with case(name):
                assert decode(kind, _sample(kind).encode()) is not None
                assert decode(kind, _sample(kind, full=False).encode()) is not None


def _discriminated() -> Iterator[tuple[str, str]]:
    for name, kind in MODELS.items():
        for field, info in kind.model_fields.items():
            if info.discriminator is not None:
                yield name, field


@pytest.mark.parametrize(("name", "field"), list(_discriminated()))
def test_an_unknown_kind_of_object_is_no_failure(name: str, field: str) -> None:
    """Where a word tells which object it is, a new word leaves the rest of the answer readable."""
    kind = MODELS[name]
    info = kind.model_fields[field]
    whole = json.loads(_sample(kind))
    key = info.alias or field
    assert isinstance(info.discriminator, str)
    whole[key] = {**whole[key], info.discriminator: "brand_new"}
    model = decode(kind, json.dumps(whole).encode())
    others = [other for other in kind.model_fields if other != field]
    assert all(getattr(model, other) == getattr(decode(kind, _sample(kind).encode()), other) for other in others)


# -- hints


@cache
def _guarded(module: types.ModuleType) -> dict[str, Any]:
    """Return the names that a module imports for type checkers only."""
    assert module.__file__ is not None
    names: dict[str, Any] = {}
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__file__, "exec"), names)  # our own imports
    return names


def test_the_hints_of_every_method_resolve() -> None:
    """Every name in the signature of a method exists where the module says that it comes from."""
    with each_case() as case:
        for module in API:
            with case(module.__name__):
                names = _guarded(module)
                for _, kind in inspect.getmembers(module, inspect.isclass):
                    if kind.__module__ != module.__name__:
                        continue
                    for name, member in vars(kind).items():
                        method = member.fget if isinstance(member, property) else member
                        if inspect.isfunction(method):
                            hints = typing.get_type_hints(inspect.unwrap(method), localns=names)
                            assert "return" in hints, f"{kind.__name__}.{name}"


def test_the_hints_of_every_input_resolve() -> None:
    """Every name in an input exists, and so does the input under its public name."""
    with each_case() as case:
        for name in inputs.__all__:
            with case(name):
                thing = getattr(inputs, name)
                if not typing.is_typeddict(thing):
                    assert thing is not None
                    continue
                module = importlib.import_module(thing.__module__)
                hints = typing.get_type_hints(thing, localns={**vars(module), **_guarded(module)})
                assert hints.keys() == thing.__annotations__.keys()


@pytest.mark.parametrize("package", [models, inputs], ids=["models", "types"])
def test_packages_list_what_they_have_and_nothing_else(package: types.ModuleType) -> None:
    """Public names are sorted and can be had; one that is not there says so."""
    assert package.__all__ == sorted(package.__all__)
    assert dir(package) == package.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(package, "nonsense")  # noqa: B009 - type checkers know that it is not there


SECRET = re.compile(r"(?:^|_)(?:password|secret|token)$")
SECRETS = [
    pytest.param(kind, field, id=f"{name}.{field}")
    for name, kind in MODELS.items()
    for field in kind.model_fields
    if SECRET.search(field) and not field.endswith("pagination_token")
]


def test_there_are_secrets_in_answers() -> None:
    """Tokens of the API, of webhooks, of financing and of banks are among what answers hold."""
    fields = {str(case.values[1]) for case in SECRETS}
    assert fields >= {"access_token", "connect_token", "link_token", "secret", "session_token"}


@pytest.mark.parametrize(("kind", "field"), SECRETS)
def test_secrets_are_not_in_the_repr_of_an_answer(kind: type[Model], field: str) -> None:
    """What gives access to something can be read, and stays out of logs that hold the ``repr`` of an answer."""
    body = {**json.loads(_sample(kind)), field: "s3cr3t"}
    for model in (
        decode(kind, json.dumps(body).encode()),
        decode(kind, json.dumps({field: "s3cr3t"}).encode(), lenient=True),
    ):
        assert getattr(model, field) == "s3cr3t"
        assert "s3cr3t" not in repr(model)
        assert "s3cr3t" not in str(model)
