"""How answers are read: the schemas made from the fields of our models are those that pydantic makes."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, cast

import pydantic
import pytest

from monite_async import models
from monite_async.models._base import Model, Moment, decode
from monite_async.models._reader import NotPlainError, plain_reader, schema_of
from tests.each import each_case

KINDS: dict[str, Any] = {
    name: kind for name in models.__all__ if (kind := getattr(models, name)) not in (Model, object, str)
}
UNREAD = {"metadata", "ref", "title", "serialization", "computed_fields", "custom_init", "root_model", "post_init"}
"""What says nothing about reading, or says of all models that they have nothing of the kind."""
WORD = {"type": "str"}


def _plain(schema: Any, shared: dict[str, Any]) -> Any:
    """Return a schema with every reference replaced by what it refers to, and all that does not matter left out."""
    if isinstance(schema, (list, tuple)):
        return [_plain(entry, shared) for entry in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("dict[str, Any]", schema)
    kind = known.get("type")
    if kind == "definitions":
        return _plain(known["schema"], {**shared, **{entry["ref"]: entry for entry in known["definitions"]}})
    if kind == "definition-ref":
        return _plain(shared[known["schema_ref"]], shared)
    left_out = set[str]() if kind is None else UNREAD  # without a type it is a table of fields, whatever their names
    found = {name: _plain(value, shared) for name, value in known.items() if name not in left_out and value is not None}
    if "extra_fields_behavior" in found:
        found.pop("title", None)
    if kind == "union" and WORD in found["choices"]:
        # A string is taken as it is, whether an open enum knows the word or not.
        found["choices"] = [choice for choice in found["choices"] if choice["type"] != "literal"]
        return found["choices"][0] if len(found["choices"]) == 1 else found
    return found


def _of_pydantic(kind: Any) -> Any:
    if isinstance(kind, type):
        model = cast("type[Model]", kind)
        model.model_rebuild()
        return model.__pydantic_core_schema__
    adapter = pydantic.TypeAdapter[Any](kind)
    adapter.rebuild()
    return adapter.core_schema


def test_our_schema_is_that_of_pydantic() -> None:
    """Every model and every name for a union or a list of them is read as pydantic itself would read it."""
    with each_case() as case:
        for name, kind in KINDS.items():
            with case(name):
                assert _plain(schema_of(kind), {}) == _plain(_of_pydantic(kind), {})


class _Checked(models.TagReadSchema):
    """A model of ours that a user has derived."""

    @pydantic.field_validator("name")
    @classmethod
    def _loud(cls, value: str) -> str:
        return value.upper()


class _Aliased(Model):
    """Stands for a generated model whose discriminator is called otherwise in Python."""

    kind: Literal["a"] = pydantic.Field(alias="type")


_Aliased.__module__ = "monite_async.models.made_up"


@pytest.mark.parametrize(
    "kind",
    [
        _Checked,
        list[_Checked],
        pydantic.BaseModel,
        bytes,
        dict[int, str],
        tuple[str, ...],
        Annotated[int, pydantic.Field(gt=1)],
        Annotated[int, pydantic.Field(gt=1), pydantic.Field(lt=9)],
        Annotated[models.TagReadSchema | int, pydantic.Field(discriminator="id")],
        Annotated[models.TagReadSchema | models.ErrorSchema, pydantic.Field(discriminator="id")],
        Annotated[_Aliased | _Checked, pydantic.Field(discriminator="kind")],
    ],
    ids=str,
)
def test_what_is_not_plain_is_left_to_pydantic(kind: Any) -> None:
    """A type that is not made of our models and of JSON's own types gets no reader of ours."""
    assert plain_reader(kind) is None
    with pytest.raises(NotPlainError):
        schema_of(kind)


def test_a_model_with_marks_of_its_own_is_left_to_pydantic() -> None:
    """A field that asks for more than a type can say is not read without pydantic."""

    class Bounded(Model):
        size: Annotated[int, pydantic.Field(gt=1, lt=9)]

    Bounded.__module__ = "monite_async.models.made_up"
    assert plain_reader(Bounded) is None


def test_a_field_is_read_under_the_name_of_the_wire() -> None:
    """A field that Python calls otherwise is read by its alias."""
    assert plain_reader(_Aliased) is not None
    assert decode(_Aliased, b'{"type": "a"}').kind == "a"


def test_a_derived_model_keeps_its_validators() -> None:
    """What a user adds to a model of ours takes part in reading an answer."""
    body = b'{"id": "1", "name": "office", "created_at": "2024-05-25T10:00:00Z", "updated_at": "2024-05-25T10:00:00Z"}'
    assert decode(_Checked, body).name == "OFFICE"
    assert decode(models.TagReadSchema, body).name == "office"


class _Tree(Model):
    """Stands for a generated model that leads back to itself."""

    since: Moment
    below: list[_Tree] | None = None


_Tree.__module__ = "monite_async.models.made_up"


def test_a_model_may_lead_back_to_itself() -> None:
    """A model that holds others of its kind is read to any depth."""
    _Tree.model_rebuild()
    text = '{"since": "2024-05-25T10:00:00", "below": [{"since": "2024-05-25T12:00:00+02:00", "below": []}]}'
    tree = decode(_Tree, text.encode())
    assert tree.below is not None
    assert tree.below[0].since == tree.since == dt.datetime(2024, 5, 25, 10, tzinfo=dt.UTC)
    assert plain_reader(_Tree) is not None
