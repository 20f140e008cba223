"""Values: what ``dataclass(frozen=True)`` promises holds for them as well."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import pytest

from monite_async_stores import Committed, Hit, RecordName
from monite_async_stores._value import changed, frozen


@frozen
class Sample:
    """A value with fields of every kind."""

    name: str
    count: int = 2
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    secret: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


def test_fields_come_by_place_or_by_name_or_from_their_defaults() -> None:
    """A value takes its fields in order or by name; what is left out has its default, made anew where it can change."""
    one, other = Sample("a"), Sample(count=3, name="b", notes={"x": "y"})
    assert (one.name, one.count, one.notes, one.secret) == ("a", 2, {}, "")
    assert (other.name, other.count, other.notes) == ("b", 3, {"x": "y"})
    assert one.notes is not Sample("a").notes


UNFIT: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("a",), {"nme": 1}),
    (("a",), {"name": "b"}),
    (("a", 1, {}, "s", 5), {}),
    ((), {"count": 1, "x": 2}),
]


@pytest.mark.parametrize(("args", "given"), UNFIT)
def test_what_does_not_fit_is_refused(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """A field that is missing, unknown, given twice or one too many is an error that names the fields there are."""
    with pytest.raises(TypeError, match=r"Sample\(\) takes name, count, notes, secret"):
        Sample(*args, **given)


def test_values_are_checked_when_they_are_made_and_when_they_are_changed() -> None:
    """What a class checks holds for every instance; a changed value is another one."""
    one = Sample("a")
    assert changed(one, count=5) == Sample("a", 5)
    assert one.count == 2
    with pytest.raises(ValueError, match="negative"):
        changed(one, count=-1)


def test_values_are_compared_and_shown_by_their_fields() -> None:
    """Equal fields make equal values of one class; a field that is kept out of that, or of the repr, is."""
    one = Sample("a", secret="s3cr3t")
    assert one == Sample("a")
    assert one != Sample("b")
    unlike: Any = ("a", 2, {}, "s3cr3t")
    assert one != unlike
    assert repr(one) == "Sample(name='a', count=2, notes={})"
    assert len({Hit(1, b"v", 2, 3), Hit(1, b"v", 2, 3), Hit(2, b"v", 2, 3)}) == 2
    assert hash(RecordName("n", b"s")) == hash(RecordName("n"))


@frozen
class Terse:
    """A value that says itself how it is shown."""

    text: str

    def __repr__(self) -> str:
        return "<Terse>"


def test_what_a_class_defines_itself_is_kept() -> None:
    """A class of values may show itself in its own way."""
    assert repr(Terse("a")) == "<Terse>"
    assert Terse("a") == Terse("a")


def test_values_cannot_be_changed() -> None:
    """Nothing can be set on a value or taken from it."""
    one: Any = Sample("a")
    for name in ("name", "other"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(one, name, "b")
    with pytest.raises(AttributeError, match="cannot be changed"):
        del one.name


def test_values_can_be_copied_pickled_and_matched() -> None:
    """A value survives a copy and a pickle, unless its class forbids that, and matches by position."""
    hit = Hit(1, b"v", 2, 3)
    assert copy.copy(hit) == copy.deepcopy(hit) == pickle.loads(pickle.dumps(hit)) == hit
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(RecordName("n"))
    match hit:
        case Hit(gen, value):
            assert (gen, value) == (1, b"v")


def test_help_shows_the_fields() -> None:
    """The signature of a class of values is that of its fields."""
    assert list(inspect.signature(Sample).parameters) == ["name", "count", "notes", "secret"]
    assert inspect.signature(Sample).parameters["count"].default == 2
    assert not inspect.signature(Committed).parameters
