"""From Python values to paths, queries, headers and JSON, with everything refused that has no sure form."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from typing import Any
from urllib.parse import parse_qsl, unquote

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async import UNSET, ConfigurationError
from monite_async._headers import check_headers, encode_headers
from monite_async._http.encode import encode_json, encode_path, encode_query, raw_path

ID = uuid.UUID("28c10852-7e78-43cf-abfb-efeed1834963")
RESERVED = ("authorization", "x-monite-version", "x-monite-entity-id")


class Color(enum.Enum):
    """An enum as users write them."""

    RED = "red"


class Level(enum.IntEnum):
    """An enum that is a number too."""

    HIGH = 3


class Name(str):
    """A string of a kind of its own."""

    __slots__ = ()


class Line(pydantic.BaseModel):
    """A model as users pass them."""

    name: str
    due: dt.datetime | None = None
    note: str | None = "default"


# -- paths


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("abc", "abc"),
        (ID, str(ID)),
        (7, "7"),
        (Color.RED, "red"),
        ("a/b", "a%2Fb"),
        ("a b?c#d%", "a%20b%3Fc%23d%25"),
        ("..%2f..", "..%252f.."),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        ("ü\n", "%C3%BC%0A"),
    ],
)
def test_a_path_value_is_one_quoted_segment(value: object, segment: str) -> None:
    """Whatever a value holds, it stays within its own segment of the path."""
    assert encode_path("/payables/{payable_id}/pay", {"payable_id": value}) == f"/payables/{segment}/pay"


@pytest.mark.parametrize("value", ["", " ", "\t\n", ".", "..", None, True, 1.5, UNSET, b"x", "\ud800", ["a"]], ids=repr)
def test_a_path_value_without_sense_is_refused(value: object) -> None:
    """Empty, blank, dotted and untyped path values would call another operation: they are refused by name."""
    with pytest.raises(ConfigurationError, match="payable_id"):
        encode_path("/payables/{payable_id}", {"payable_id": value})


def test_a_missing_path_value_is_refused() -> None:
    """A template is never sent with a hole in it."""
    with pytest.raises(ConfigurationError, match="payable_id"):
        encode_path("/payables/{payable_id}", {})


@given(st.text(min_size=1))
def test_a_path_value_comes_back(text: str) -> None:
    """Quoting loses nothing and adds no slash, whatever the text."""
    try:
        path = encode_path("/x/{id}", {"id": text})
    except ConfigurationError:
        assert not text.strip() or text in {".", ".."} or any("\ud800" <= ch <= "\udfff" for ch in text)
    else:
        assert path.isascii()
        assert path.count("/") == 2
        assert unquote(path[3:]) == text


@pytest.mark.parametrize(
    "path",
    [
        "", "payables", "//evil.test/x", "/a?b=1", "/a#b", "/a b", "/a\nb", "/a\\b", "/../auth", "/a/./b", "/%2e%2E/x",
        "/\ud800", 7,
    ],
    ids=repr,
)  # fmt: skip
def test_a_hand_written_path_without_sense_is_refused(path: Any) -> None:
    """A raw path stays below the base URL and holds a path only."""
    with pytest.raises(ConfigurationError, match="path"):
        raw_path(path)


def test_a_hand_written_path_is_kept() -> None:
    """What is quoted already stays as it is, what is not ASCII is quoted, parameters are left for later."""
    assert raw_path("/a%2Fb/ü/{id}/x:y") == "/a%2Fb/%C3%BC/{id}/x:y"


# -- queries


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, ""),
        ({"a": UNSET}, ""),
        ({"id__in": ["a", "b"]}, "id__in=a&id__in=b"),
        ({"id__in": (ID,)}, f"id__in={ID}"),
        ({"ok": True, "no": False}, "ok=true&no=false"),
        ({"n": 5, "x": 1.5, "d": decimal.Decimal("1.50")}, "n=5&x=1.5&d=1.50"),
        ({"s": Color.RED, "l": Level.HIGH, "t": Name("x")}, "s=red&l=3&t=x"),
        ({"day": dt.date(2024, 1, 2)}, "day=2024-01-02"),
        ({"at": dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)}, "at=2024-01-02T03%3A00%3A00Z"),
        (
            {"at": dt.datetime(2024, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))},
            "at=2024-01-02T01%3A00%3A00Z",
        ),
        ({"counterpart.name": "A & B=C+ü"}, "counterpart.name=A%20%26%20B%3DC%2B%C3%BC"),
        ({"a&b": "x"}, "a%26b=x"),
        ({"empty": ""}, "empty="),
    ],
    ids=str,
)
def test_queries(query: dict[str, object], text: str) -> None:
    """Lists repeat the key, booleans and times have one form, everything is percent-quoted."""
    assert encode_query(query) == text


@pytest.mark.parametrize(
    "value",
    [None, [], (), [None], {"a": 1}, object(), math.nan, math.inf, decimal.Decimal("NaN"), b"x", "\ud800", [[1]],
     dt.datetime(2024, 1, 2)],  # noqa: DTZ001 - a naive time is the point
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_query_value_without_a_form_is_refused(value: object) -> None:
    """None, empty lists and naive times are refused by name: a filter that vanishes returns everything."""
    with pytest.raises(ConfigurationError, match="status__in"):
        encode_query({"status__in": value})


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_a_query_comes_back(pairs: list[tuple[str, str]]) -> None:
    """A query parses back into what it was made of."""
    query = dict(pairs)
    try:
        text = encode_query(query)
    except ConfigurationError:
        assert any("\ud800" <= ch <= "\udfff" for pair in pairs for part in pair for ch in part)
    else:
        assert parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)) == list(query.items())


# -- headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "x"},
        {"X-Monite-Version": "2024-05-25"},
        {"X-MONITE-ENTITY-ID": "x"},
        {"Host": "x"},
        {"Content-Length": "1"},
        {"content-type": "text/plain"},
        {"Transfer-Encoding": "chunked"},
        {"bad name": "x"},
        {"": "x"},
        {"ü": "x"},
        {7: "x"},
        {"x-ok": "secret\r\nx-evil: 1"},
        {"x-ok": "secret\x00"},
        {"x-ok": "sécret"},
        {"x-ok": " secret "},
        {"x-ok": ""},
        {"x-ok": 7},
        [("x-ok", "secret")],
    ],
    ids=repr,
)
def test_headers_that_are_not_the_callers_are_refused(headers: Any) -> None:
    """Reserved, malformed and smuggling headers are refused, and no message repeats a value."""
    faults: list[str] = []
    check_headers(faults, headers, RESERVED)
    assert len(faults) == 1
    assert "ecret" not in faults[0]


def test_good_headers_are_encoded() -> None:
    """Names go in lower case, values as they are."""
    assert encode_headers({"X-Trace": "a b\tc"}, RESERVED) == ((b"x-trace", b"a b\tc"),)
    with pytest.raises(ConfigurationError, match=r"host.*Te"):
        encode_headers({"host": "a", "Te": "b"}, RESERVED)


# -- JSON


def test_json_of_everything_that_has_a_form() -> None:
    """Every kind of value that JSON or the API has a form for is sent in that form."""
    body = {
        "text": "ü", "name": Name("n"), "n": 2**63, "level": Level.HIGH, "x": 1.5, "ok": True, "none": None,
        "color": Color.RED, "id": ID, "day": dt.date(2024, 1, 2), "money": decimal.Decimal("1.50"),
        "at": dt.datetime(2024, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "list": [1, UNSET, {"a": UNSET, "b": 2}], "tuple": (1,), "set": {1}, "left_out": UNSET,
    }  # fmt: skip
    assert json.loads(encode_json(body)) == {
        "text": "ü", "name": "n", "n": 2**63, "level": 3, "x": 1.5, "ok": True, "none": None, "color": "red",
        "id": str(ID), "day": "2024-01-02", "money": "1.50", "at": "2024-01-02T03:00:00+02:00", "list": [1, {"b": 2}],
        "tuple": [1], "set": [1],
    }  # fmt: skip


def test_models_send_what_was_set() -> None:
    """A model's defaults are the server's business: only what was set is sent."""
    body = {"lines": [Line(name="a"), Line(name="b", note=None)]}
    assert json.loads(encode_json(body)) == {"lines": [{"name": "a"}, {"name": "b", "note": None}]}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (dt.datetime(2024, 1, 2), "body.lines.1"),  # noqa: DTZ001 - a naive time is the point
        (Line(name="x", due=dt.datetime(2024, 1, 2)), "body.lines.1.due"),  # noqa: DTZ001 - a naive time is the point
        (math.nan, "body.lines.1"),
        (math.inf, "body.lines.1"),
        (decimal.Decimal("Infinity"), "body.lines.1"),
        (b"secret", "body.lines.1"),
        (object(), "body.lines.1"),
        (complex(1, 2), "body.lines.1"),
        ("\ud800secret", "body.lines.1"),
        ({7: "secret"}, "body.lines.1"),
        ({"\ud800": "secret"}, "body.lines.1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json_without_a_form_is_refused_with_its_place(value: object, place: str) -> None:
    """What JSON has no form for is refused; the message says where it is and never what it is."""
    with pytest.raises(ConfigurationError) as caught:
        encode_json({"lines": ["fine", value]})
    assert place in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_body_that_holds_itself_is_refused() -> None:
    """A circle, or something as deep as one, ends in a clear error."""
    body: dict[str, object] = {}
    body["me"] = body
    with pytest.raises(ConfigurationError, match="nested"):
        encode_json(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=20,
    )
)
def test_json_comes_back(value: object) -> None:
    """Whatever JSON can hold arrives as it was."""
    assert json.loads(encode_json(value)) == value
