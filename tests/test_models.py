"""Answers that are not what the contract says harm nobody who does not ask for the part that is odd."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import gc
import json
import pickle
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monite_async import models
from monite_async._errors import ResponseValidationError
from monite_async.models import RoleResponse, entities, entity_users, payables, roles
from monite_async.models._base import Model, decode

# -- valid answers -----------------------------------------------------------------------------------------------


def _sample(kind: Any) -> Any:
    """Return JSON that fits a type, every field filled."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _sample(arguments[0])
    if origin is typing.Union or origin is types.UnionType:
        return _sample(next(branch for branch in arguments if branch is not type(None)))
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [_sample(arguments[0]), _sample(arguments[0])]
    if origin is dict:
        return {"free": _sample(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return {info.alias or name: _sample(info.annotation) for name, info in kind.model_fields.items()}
    plain: dict[Any, Any] = {
        dt.datetime: "2024-05-25T10:00:00.123456+00:00",
        dt.date: "2024-05-25",
        str: "some text",
        int: 12345,
        float: 1.5,
        bool: True,
        object: {"any": 1},
    }
    return plain[kind]


KINDS: list[Any] = [
    payables.PayablePaginationResponse,
    models.PayableHistoryPaginationResponse,
    models.PayableTemplatesVariablesObjectList,
    entities.EntityPaginationResponse,
    models.EntityResponse,
    models.SettingsResponse,
    entity_users.EntityUserPaginationResponse,
    roles.RolePaginationResponse,
    RoleResponse,
]

Path = tuple[str | int, ...]


def _kind(value: object) -> object:
    """Return the type of a value without narrowing it to a container of unknowns."""
    return type(value)


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Return the path of every value inside a JSON value."""
    if _kind(value) is dict:
        for key, inner in value.items():
            yield (*path, key)
            yield from _places(inner, (*path, key))
    elif _kind(value) is list:
        for at, inner in enumerate(value):
            yield from _places(inner, (*path, at))


def _changed(value: Any, path: Path, new: Any) -> Any:
    """Return a copy with one value replaced, or left out when ``new`` is ``...``."""
    result = copy.deepcopy(value)
    node = result
    for step in path[:-1]:
        node = node[step]
    if new is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = new
    return result


def _read(value: Any, path: Path) -> Any:
    """Read a field of a decoded answer along a path of its JSON; give the error when that is how it ends."""
    try:
        for step in path:
            value = value[step] if isinstance(step, int) or _kind(value) is dict else getattr(value, step)
    except (ResponseValidationError, AttributeError, IndexError, KeyError, TypeError) as error:
        return error
    return value


def _wholes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Return every readable scalar of a decoded answer with its path."""
    if isinstance(value, Model):
        for name in {*type(value).model_fields, *(value.model_extra or {})}:
            try:
                inner = getattr(value, name)
            except ResponseValidationError:
                continue
            yield from _wholes(inner, (*path, name))
    elif _kind(value) is list:
        for at, inner in enumerate(value):
            yield from _wholes(inner, (*path, at))
    else:
        yield path, value


ODD: list[Any] = [
    ...,
    None,
    True,
    -1,
    1.5,
    "",
    "2024-13-99",
    "unheard_of",
    [],
    {},
    [None],
    [[]],
    [1],
    {"a": None},
    {"type": "odd"},
]
JSON = st.sampled_from(ODD)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_odd_value_leaves_all_others_readable(data: st.DataObject) -> None:
    """Whatever one value of an answer becomes, everything outside of it reads as before and it reads or raises one error."""
    kind = data.draw(st.sampled_from(KINDS))
    valid = _sample(kind)
    path = data.draw(st.sampled_from(sorted(_places(valid), key=str)))
    new = data.draw(JSON)
    before = decode(kind, json.dumps(valid).encode())
    after = decode(kind, json.dumps(_changed(valid, path, new)).encode(), lenient=True)

    # Which object it is hangs on what it says it is: with another word it is of no known kind, and stays raw.
    telling = path[-1] in {"type", "object_type"} or "event_data" in path
    listed = any(isinstance(step, int) for step in path)
    for place, value in _wholes(before):
        within = place[: len(path)] == path or path[: len(place)] == place
        if within or (telling and place[: len(path) - 1] == path[:-1]) or "event_data" in place:
            continue
        found = _read(after, place)
        # A list of plain values, or one with something that is no object in it, cannot be read in part.
        assert found == value or (listed and isinstance(found, ResponseValidationError) and found.problems)
    found = _read(after, path)
    if isinstance(found, ResponseValidationError):
        assert found.problems
        assert found.problems[0].startswith(str(path[0]))
    elif isinstance(found, Exception):
        assert new is ... or listed or telling


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_model_with_odd_values_can_be_dumped_and_kept(data: st.DataObject) -> None:
    """A drifted answer dumps without a warning, survives pickling and copying, and remembers what was odd."""
    kind = data.draw(st.sampled_from(KINDS))
    valid = _sample(kind)
    path = data.draw(st.sampled_from(sorted(_places(valid), key=str)))
    body = json.dumps(_changed(valid, path, data.draw(JSON))).encode()
    model = decode(kind, body, request_id="r-1", lenient=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(model.model_dump(), dict)
        assert isinstance(json.loads(model.model_dump_json()), dict)
    for twin in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert twin == model
        assert (twin.request_id, twin.drift) == ("r-1", model.drift)


@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    """JSON that is not even an object where a model is expected raises, and the text holds nothing of it."""
    with pytest.raises(ResponseValidationError) as caught:
        decode(RoleResponse, json.dumps(body).encode())
    assert caught.value.problems == ("body: expected object",)
    assert caught.value.__context__ is None


@given(body=st.binary())
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    """Bytes that are not JSON raise, with no trace of them in the error or behind it."""
    with pytest.raises(ResponseValidationError) as caught:
        decode(RoleResponse, b"\xff" + body)
    assert str(caught.value) == "the answer is not JSON"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_answer_that_does_not_fit_raises_with_every_place() -> None:
    """Unless asked to be lenient, an answer with an odd part raises, and says where it is odd but not what stands there."""
    body = json.dumps({**ROLE, "name": {"secret": "s3cr3t"}, "created_at": None}).encode()
    with pytest.raises(ResponseValidationError, match="at created_at, name; lenient=True") as caught:
        decode(RoleResponse, body)
    assert caught.value.problems == ("created_at: expected date-time", "name: expected string")
    assert "s3cr3t" not in repr(caught.value)
    assert caught.value.__context__ is None


# -- what models promise -----------------------------------------------------------------------------------------

ROLE: dict[str, Any] = {
    "id": "r",
    "created_at": "2024-05-25T10:00:00+00:00",
    "updated_at": "2024-05-25T10:00:00Z",
    "name": "payer",
    "status": "frozen",
    "permissions": {"objects": [{"object_type": "payable", "actions": [{"action_name": "levitate"}]}]},
    "colour": {"new": "field"},
}


def _role(**changes: object) -> RoleResponse:
    return decode(RoleResponse, json.dumps({**ROLE, **changes}).encode(), request_id="q-7", lenient=True)


def test_unknown_enum_values_and_fields_are_kept() -> None:
    """Values and fields that the contract does not know are no drift: they are there to be read."""
    role = _role()
    assert role.status == "frozen"
    assert role.model_extra == {"colour": {"new": "field"}}
    assert role.drift == ()
    assert role.created_at == dt.datetime(2024, 5, 25, 10, tzinfo=dt.UTC)


def test_the_request_id_is_on_the_outermost_model_only() -> None:
    """``request_id`` is the answer's, on the model that is its body; models made by hand have none."""
    assert _role().request_id == "q-7"
    assert _role().permissions.request_id is None
    assert Model().request_id is None


def test_optional_fields_may_be_null() -> None:
    """A field that the contract does not require may be null whatever the contract says."""
    page = decode(payables.PayablePaginationResponse, b'{"data": [], "next_pagination_token": null}')
    assert page.next_pagination_token is None
    assert page.drift == ()


def test_reading_an_odd_field_names_it_and_not_its_value() -> None:
    """The error of reading a drifted field names field and place, never what stood there."""
    role = _role(name={"secret": "s3cr3t"})
    assert role.drift == ("name: expected string",)
    with pytest.raises(ResponseValidationError, match="field name of RoleResponse") as caught:
        _ = role.name
    assert "s3cr3t" not in repr(caught.value) + str(caught.value.problems) + repr(role)


def test_a_missing_required_field_is_told() -> None:
    """A required field that is not there is drift as well."""
    body = json.dumps({key: value for key, value in ROLE.items() if key != "created_at"}).encode()
    assert decode(RoleResponse, body, lenient=True).drift == ("created_at: expected date-time, which is missing",)


def test_a_plain_attribute_error_stays_one() -> None:
    """A name that is no field at all is an AttributeError, drift or not."""
    for role in (_role(), _role(name=1)):
        assert not hasattr(role, "no_such_thing")


def test_drift_is_found_deep_inside() -> None:
    """One odd field in a list of objects in an object spoils itself only, and every level can tell."""
    role = _role(permissions={"objects": [{"object_type": "payable", "actions": [{"action_name": 5}, {}]}]})
    place = "permissions.objects.0.actions.0.action_name: expected string"
    assert role.drift == (place,)
    permissions = role.permissions
    assert permissions.drift == (place,)
    assert permissions.objects is not None
    first = permissions.objects[0]
    assert first.object_type == "payable"
    assert first.actions is not None
    assert [action.drift for action in first.actions] == [(place,), ()]


def test_an_object_of_an_unknown_kind_stays_readable() -> None:
    """A union whose distinguishing word is new gives a plain model with everything in it."""
    thing = decode(models.EntityResponse, b'{"type": "trust", "id": "e-1", "nested": {"a": 1}}')
    assert type(thing) is Model
    assert thing.model_extra == {"type": "trust", "id": "e-1", "nested": {"a": 1}}
    assert thing.drift == ("body: expected one of EntityOrganizationResponse, EntityIndividualResponse",)


def test_the_word_that_tells_objects_apart_picks_the_model() -> None:
    """An entity is read as what its type says, however much else is odd in it."""
    thing: Any = decode(models.EntityResponse, b'{"type": "individual", "id": 5}', lenient=True)
    assert type(thing) is models.EntityIndividualResponse
    assert thing.type == "individual"
    missing: Any = decode(
        models.EntityResponse, b'{"id": "x", "individual": {"first_name": "Ann", "last_name": "B"}}', lenient=True
    )
    assert missing.id == "x"
    with pytest.raises(ResponseValidationError):
        _ = missing.type


def test_without_the_telling_word_the_better_fit_wins() -> None:
    """An entity without a type is read as the kind that leaves fewer holes, whichever the contract names first."""
    for part, kind in (
        ({"organization": {"legal_name": "Acme"}}, models.EntityOrganizationResponse),
        ({"individual": {"first_name": "Ann", "last_name": "B"}}, models.EntityIndividualResponse),
    ):
        assert type(decode(models.EntityResponse, json.dumps({"id": "e", **part}).encode(), lenient=True)) is kind


def test_a_list_with_something_that_is_no_object_is_unreadable_as_a_whole() -> None:
    """An item is never dropped in silence: the list that holds it raises."""
    page = decode(
        roles.RolePaginationResponse,
        json.dumps({"data": [ROLE, None], "next_pagination_token": "t"}).encode(),
        lenient=True,
    )
    assert page.next_pagination_token == "t"
    assert page.drift == ("data.1: expected object",)
    with pytest.raises(ResponseValidationError, match="field data"):
        _ = page.data
    grid: Any = decode(list[list[int]], b"[[1], [2]]")
    assert grid == [[1], [2]]
    with pytest.raises(ResponseValidationError) as caught:
        decode(list[list[int]], b'[[1], [2, "no"]]', lenient=True)
    assert caught.value.problems == ("1.1: expected integer",)


class _Map(Model):
    by_name: dict[str, RoleResponse]
    words: dict[str, int] | None = None
    mode: Literal["a", "b"] | None = None


def test_maps_are_kept_entry_by_entry_without_telling_their_keys() -> None:
    """Entries of a map drift one by one; a key is content and appears in no report."""
    body: dict[str, Any] = {"by_name": {"k3y": {**ROLE, "name": []}}, "words": {"x": "no"}, "mode": "z"}
    holder = decode(_Map, json.dumps({**body, "mode": None}).encode(), lenient=True)
    assert holder.drift == ("by_name.*.name: expected string", "words.*: expected integer")
    assert holder.by_name["k3y"].id == "r"
    unreadable = decode(_Map, json.dumps({**body, "by_name": 1, "mode": {}}).encode(), lenient=True)
    assert unreadable.drift == (
        "by_name: expected object",
        "words.*: expected integer",
        "mode: expected string",
    )


def test_results_need_not_be_models() -> None:
    """Lists, maps and plain values are decoded too, and drift in a list of models is kept apart as in a model."""
    assert decode(dict[str, int], b'{"a": 1}') == {"a": 1}
    assert decode(object, b"null", request_id="x") is None
    both = decode(list[RoleResponse], json.dumps([ROLE, {**ROLE, "name": 0}]).encode(), lenient=True)
    assert [role.drift for role in both] == [(), ("1.name: expected string",)]
    with pytest.raises(ResponseValidationError) as caught:
        decode(list[int], b'["no"]')
    assert caught.value.problems == ("0: expected integer",)


def test_models_of_other_people_are_decoded_strictly() -> None:
    """A pydantic model that is not ours has nowhere to note drift: it fits or it raises."""

    class Theirs(pydantic.BaseModel):
        count: int

    assert decode(Theirs, b'{"count": 3}', request_id="x").count == 3
    with pytest.raises(ResponseValidationError):
        decode(Theirs, b'{"count": "many"}')


def test_reports_are_bounded() -> None:
    """A page of nothing but odd items reports the first of them, not megabytes."""
    page = decode(roles.RolePaginationResponse, json.dumps({"data": [{} for _ in range(100)]}).encode(), lenient=True)
    assert len(page.data) == 100
    assert len(page.drift) == 50


def test_models_can_be_changed_and_dumped_by_their_names_on_the_wire() -> None:
    """Read, modify, send back: a changed field is what is dumped."""
    role = _role()
    role.name = "approver"
    assert json.loads(role.model_dump_json())["name"] == "approver"
    assert role.model_dump(include={"name"}) == {"name": "approver"}


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("fits", [True, False])
def test_a_large_answer_leaves_the_collector_as_it_was(enabled: bool, fits: bool) -> None:
    """The collector of garbage rests while a large answer is read, and is on again after it only if it was before."""
    data = b'{"data": [%s]}' % b", ".join([b'"a long enough string"'] * 5000)
    kind = dict[str, list[str]] if fits else dict[str, list[int]]
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.nullcontext() if fits else pytest.raises(ResponseValidationError):
            decode(kind, data)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
