"""How answers are read: pydantic's core, told what a generated model looks like without the rest of pydantic.

Pydantic would ask its schema builder, and then every installed distribution whether it is a plugin of pydantic: 25
milliseconds of a process that reads one payable. The generated models use a few plain types; their schemas are made here
from ``model_fields``, and are those that pydantic makes (``tests/test_every_model.py`` compares all of them). Whatever
is not plain is left to pydantic.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from typing import Any, Final, cast

from pydantic_core import SchemaValidator, core_schema

from monite_async.models._base import Aware, Model

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

__all__ = ["NotPlainError", "plain_reader", "schema_of"]

_HOME: Final = __name__.rpartition(".")[0] + "."
_CONFIG: Final = core_schema.CoreConfig(
    extra_fields_behavior="allow", validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
)
_PLAIN: Final[dict[Any, core_schema.CoreSchema]] = {
    bool: core_schema.bool_schema(),
    dt.date: core_schema.date_schema(),
    float: core_schema.float_schema(),
    int: core_schema.int_schema(),
    object: core_schema.any_schema(),
    str: core_schema.str_schema(),
}


class NotPlainError(Exception):
    """A type that only pydantic knows how to read."""


def plain_reader(kind: Any) -> Callable[[bytes], Any] | None:
    """Return what turns JSON into a generated model, or a list, mapping or union of them; None for all other types."""
    try:
        schema = schema_of(kind)
    except NotPlainError:
        return None
    return SchemaValidator(schema).validate_json


def schema_of(kind: Any) -> core_schema.CoreSchema:
    """Return the schema of a type, as pydantic makes it.

    Raises:
        NotPlainError: It holds something that only pydantic knows how to read.
    """
    return _Builder().build(kind)


class _Builder:
    """Makes one schema. Models that occur once stand in place, others, as pydantic has it, beside it under their names."""

    __slots__ = ("_models", "_places")

    def __init__(self) -> None:
        self._models: dict[type, core_schema.ModelSchema] = {}
        self._places: dict[type, list[dict[str, Any]]] = {}

    def build(self, kind: Any) -> core_schema.CoreSchema:
        schema = self.of(kind)
        shared: list[core_schema.CoreSchema] = []
        for model, places in self._places.items():
            made = self._models[model]
            if len(places) == 1:
                places[0].clear()
                places[0].update(made)
            else:
                shared.append({**made, "ref": model.__name__})
        return core_schema.definitions_schema(schema, shared) if shared else schema

    def of(self, kind: Any) -> core_schema.CoreSchema:
        plain = _PLAIN.get(kind)
        if plain is not None:
            return plain
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
            return self._model(kind)
        origin: Any = typing.get_origin(kind)
        args = typing.get_args(kind)
        if origin is types.UnionType or origin is typing.Union:
            return self._union(args)
        if origin is list:
            return core_schema.ListSchema(type="list", items_schema=self.of(args[0]))
        if origin is dict and args[0] is str:
            return core_schema.dict_schema(_PLAIN[str], self.of(args[1]))
        if origin is typing.Literal:
            return core_schema.literal_schema(list(args))
        if origin is typing.Annotated and len(args) == 2:
            return self._annotated(args[0], args[1])
        raise NotPlainError

    def _annotated(self, kind: Any, mark: Any) -> core_schema.CoreSchema:
        if isinstance(mark, Aware):
            return mark.schema
        tag = getattr(mark, "discriminator", None)
        if isinstance(tag, str):
            return self._tagged(typing.get_args(kind), tag)
        raise NotPlainError

    def _union(self, kinds: tuple[Any, ...]) -> core_schema.CoreSchema:
        some = [kind for kind in kinds if kind is not types.NoneType]
        nullable = len(some) < len(kinds)
        if str in some:  # which takes the words of an open enum as well
            some = [kind for kind in some if typing.get_origin(kind) is not typing.Literal]
        choices = [self.of(kind) for kind in some]
        schema = choices[0] if len(choices) == 1 else core_schema.union_schema(list(choices))
        return core_schema.NullableSchema(type="nullable", schema=schema) if nullable else schema

    def _tagged(self, kinds: tuple[Any, ...], tag: str) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {}
        for kind in kinds:
            field = kind.model_fields[tag] if _is_ours(kind) else None
            if field is None or field.alias is not None or typing.get_origin(field.annotation) is not typing.Literal:
                raise NotPlainError
            choices |= {word: self._model(kind) for word in typing.get_args(field.annotation)}
        return core_schema.tagged_union_schema(choices, tag, strict=False, from_attributes=True)

    def _model(self, kind: type) -> core_schema.CoreSchema:
        if not _is_ours(kind):
            raise NotPlainError
        place = core_schema.definition_reference_schema(kind.__name__)
        self._places.setdefault(kind, []).append(cast("dict[str, Any]", place))
        if len(self._places[kind]) == 1:
            fields = {name: self._field(info) for name, info in kind.model_fields.items()}
            inner = core_schema.model_fields_schema(fields, model_name=kind.__name__)
            self._models[kind] = core_schema.model_schema(kind, inner, config=_CONFIG)
        return place

    def _field(self, info: FieldInfo) -> core_schema.ModelField:
        if len(info.metadata) > 1:
            raise NotPlainError
        if info.discriminator is not None:
            schema = self._annotated(info.annotation, info)
        else:
            schema = self._annotated(info.annotation, info.metadata[0]) if info.metadata else self.of(info.annotation)
        if not info.is_required():
            schema = core_schema.WithDefaultSchema(type="default", schema=schema, default=info.default)
        made = core_schema.ModelField(type="model-field", schema=schema)
        if info.validation_alias is not None:
            made["validation_alias"] = cast("str", info.validation_alias)
        return made


def _is_ours(kind: type) -> typing.TypeGuard[type[Model]]:
    # A user may have derived a model of ours, with validators or a configuration: those are pydantic's business.
    return issubclass(kind, Model) and kind.__module__.startswith(_HOME)
