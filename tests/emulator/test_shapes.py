"""Answers are built to the contract's shapes out of whatever is known."""

from __future__ import annotations

from monite_async.emulator._contract.shapes import RESULTS, Shape
from monite_async.emulator._message import as_object
from monite_async.emulator._shapes import Context, build, members
from tests.emulator.contract import CONTRACT

NOW = "2026-03-01T12:00:00.000000+00:00"
ME = "0f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"
TAG = "1f7b5a3e-8d5a-4b6e-9d0e-1f2a3b4c5d6e"


def found(record_id: str) -> dict[str, object] | None:
    """Return the only thing that is stored."""
    return {"id": TAG, "name": "vip"} if record_id == TAG else None


CONTEXT = Context(now=NOW, origin="https://emulator.test", entity_id="", author=ME, find=found)


def made(kind: Shape, value: object, name: str = "field") -> object:
    """Build one required member of an object."""
    source = {} if value is None else {name: value}
    answer = build(("object", (name, True, kind)), source, CONTEXT)
    return as_object(answer)[name]


def test_what_is_known_is_shown_and_the_rest_invented_in_kind() -> None:
    """A fitting value is kept; a required one that is missing or does not fit is made up in its kind."""
    cases: tuple[tuple[Shape, object, object], ...] = (
        ("string", "a", "a"),
        ("string", None, ""),
        (("scalar", "string", None, 8), None, "field---"),
        ("integer", 5, 5),
        ("integer", True, 0),
        (("scalar", "integer", 3, None), None, 3),
        ("number", 1.5, 1.5),
        ("boolean", None, False),
        ("boolean", True, True),
        ("date", "2026-01-02T03:04:05+00:00", "2026-01-02"),
        ("date", None, NOW[:10]),
        ("date-time", "2026-01-02", "2026-01-02T00:00:00+00:00"),
        ("date-time", None, NOW),
        ("email", None, "nobody@emulator.test"),
        ("uri", None, "https://emulator.test/field"),
        ("any", None, None),
        ("any", [1], [1]),
        (("null", "string"), None, None),
        (("null", "string"), 5, None),
        (("enum", "a", "b"), "b", "b"),
        (("enum", "a", "b"), "c", "a"),
        (("list", "integer"), [1, 2], [1, 2]),
        (("list", "integer"), "x", []),
        (("map", "integer"), {"a": 1}, {"a": 1}),
        (("union", None, "integer", "string"), "x", "x"),
    )
    for kind, value, wanted in cases:
        assert made(kind, value) == wanted, (kind, value)
    assert made("uuid", None, "created_by") == ME


def test_what_is_not_required_is_null_unless_known() -> None:
    """An optional member is null, the contract's default, or what fits; what does not fit is null as well."""
    shape: Shape = ("object", ("a", False, "string"), ("b", False, "integer", 7), ("c", False, ("list", "string")))
    assert build(shape, {"c": {}}, CONTEXT) == {"a": None, "b": 7, "c": None}
    assert build(shape, {"a": "x", "b": "y", "c": ["z"]}, CONTEXT) == {"a": "x", "b": None, "c": ["z"]}
    inner: Shape = ("object", ("m", False, ("map", "integer")), ("u", False, ("union", None, "integer", ("enum", "q"))))
    assert build(inner, {"m": [], "u": "z"}, CONTEXT) == {"m": None, "u": None}


def test_of_several_shapes_the_best_is_taken() -> None:
    """In a union the pinned word decides, then how much of the value a shape shows and what it would lack."""
    cat: Shape = ("object", ("type", True, ("enum", "cat")), ("lives", False, "integer"))
    dog: Shape = ("object", ("type", True, ("enum", "dog")), ("name", True, "string"))
    either: Shape = ("union", "type", cat, dog)
    assert build(either, {"type": "dog", "name": "rex"}, CONTEXT) == {"type": "dog", "name": "rex"}
    assert build(either, {}, CONTEXT) == {"type": "cat", "lives": None}
    assert set(members(either)) == {"type", "lives", "name"}
    assert members("string") == {}


def test_what_is_named_by_id_is_shown_whole() -> None:
    """A member whose id is known, alone or in a list, is looked up; what is not found is left out."""
    tag: Shape = ("object", ("id", True, "uuid"), ("name", True, "string"))
    shape: Shape = ("object", ("tag", False, tag), ("tags", False, ("list", tag)))
    shown = build(shape, {"tag_id": TAG, "tag_ids": [TAG, ME]}, CONTEXT)
    assert shown == {"tag": found(TAG), "tags": [found(TAG)]}
    assert build(shape, {"tag_id": ME}, CONTEXT) == {"tag": None, "tags": None}


if CONTRACT.is_file():  # the contract is not part of the repository
    from tests.emulator.contract import Contract

    def test_an_answer_out_of_nothing_is_what_the_contract_says() -> None:
        """Whatever is not known, an answer has all that the contract demands, but for lists that may not be empty."""
        contract = Contract()
        faults: list[str] = []
        for name, shape in RESULTS.items():
            schema = contract.operations[name].answer
            assert schema is not None
            found_faults = contract.answer_faults(schema, build(shape, {}, CONTEXT))
            faults += [f"{name} {fault}" for fault in found_faults if not fault.endswith("should be non-empty")]
        assert len(RESULTS) > 300
        assert faults == []
