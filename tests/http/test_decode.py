"""From answers to values and errors, whatever the server sends."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async import MoniteError, ResponseValidationError, UnprocessableEntityError
from monite_async._http.decode import Answer, Inflater, UnsupportedEncodingError, api_error, read_error, reading
from monite_async.models._base import Model
from tests.http._replies import reply_headers

SECRET = "canary-secret"


class Plain(pydantic.BaseModel):
    """A model of a user's own."""

    id: int


class Thing(Model):
    """A model in the way of the generated ones."""

    id: int
    name: str | None = None


def parse(result: Any, answer: Answer, *, lenient: bool = False) -> Any:
    """Read an answer as what was asked for."""
    return reading(result)(answer, lenient)


def answer(content: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer with a JSON body, or with these bytes."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, reply_headers({"content-type": "application/json", "x-request-id": "rq-1", **headers}), data)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "No such payable"}}, "No such payable"),
        ({"error": {"type": "missing_api_version", "message": "Missing the header", "x": 1}}, "Missing the header"),
        ({"error": "plain text"}, "plain text"),
        ({"message": "API rate limit exceeded"}, "API rate limit exceeded"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "currency"], "msg": "field required", "type": "x"}]},
            "body.currency: field required",
        ),
        (
            [{"loc": ["header", "x-monite-version"], "msg": "bad date", "type": "x"}],
            "header.x-monite-version: bad date",
        ),
        ({"error": {"message": " \n"}, "message": "outer"}, "outer"),
    ],
    ids=str,
)
def test_the_shapes_of_error_bodies(body: object, message: str) -> None:
    """Each known shape of an error body gives the server's own message."""
    found = read_error(answer(body, 400))
    assert found.message == message
    assert found.known


@pytest.mark.parametrize(
    "body",
    [
        f"<html>{SECRET}</html>".encode(),
        f'"{SECRET}"'.encode(),
        b"\xff\xfe" + SECRET.encode(),
        b"17",
        b"null",
        json.dumps({"error": {"token": SECRET}}).encode(),
        json.dumps({"error": {"message": {"x": SECRET}}}).encode(),
        json.dumps({SECRET: SECRET}).encode(),
        json.dumps({"detail": [SECRET]}).encode(),
        json.dumps({"detail": []}).encode(),
        json.dumps([{"loc": [SECRET], "msg": 7}]).encode(),
        b"[" * 100_000,
        b"",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_an_unknown_error_body_is_described_not_quoted(body: bytes) -> None:
    """What has no known shape is told by its type and length; nothing of it gets into a message."""
    found = read_error(answer(body, 502))
    assert not found.known
    assert SECRET not in found.message
    assert found.message
    assert not found.errors


def test_an_unnamed_content_type() -> None:
    """A body without a content type is still described."""
    assert "unnamed" in read_error(Answer(502, reply_headers(), b"<html>")).message


def test_errors_by_field() -> None:
    """A 422 tells its fields, also those without a place, and the error survives pickling."""
    body = {
        "detail": [
            {"loc": ["body", "lines", 0, "price"], "msg": "not an int"},
            {"loc": ["body", "lines", 0, "price"], "msg": "too small"},
            {"msg": "whole body"},
            {"loc": "odd", "msg": "odd place"},
        ]
    }
    found = answer(body, 422)
    error = api_error(found, read_error(found), method="POST", path="/payables", attempts=1, elapsed=0.1)
    assert isinstance(error, UnprocessableEntityError)
    assert error.errors == {"body.lines.0.price": ["not an int", "too small"], "body": ["whole body", "odd place"]}
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.errors == error.errors
    assert copy.request_id == "rq-1"


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["error", "message", "detail", "loc", "msg", "x"]), inner, max_size=4),
    max_leaves=15,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_error_body_breaks_the_reader(body: bytes) -> None:
    """Whatever an error answer holds, it becomes one line of text."""
    found = answer(body, 400)
    text = str(api_error(found, read_error(found)))
    assert text.isprintable()


# -- results


@pytest.mark.parametrize(
    ("kind", "body", "result"),
    [
        (None, {"id": 1}, None),
        (type(None), {"id": 1}, None),
        (bytes, b"%PDF", b"%PDF"),
        (bytes, b"", b""),
        (dict, {"id": 1}, {"id": 1}),
        (dict[str, int], {"id": 1}, {"id": 1}),
        (list[Plain], [{"id": 1}], [Plain(id=1)]),
        (int, 7, 7),
        (Plain, {"id": 1, "new": 2}, Plain(id=1)),
        (object, [1, {"a": None}], [1, {"a": None}]),
        (object, b"", None),
    ],
    ids=str,
)
def test_results(kind: Any, body: object, result: object) -> None:
    """The body becomes what was asked for: any type that pydantic knows, bytes, parsed JSON, or nothing."""
    assert parse(kind, answer(body)) == result


def test_models_know_their_request() -> None:
    """A model of the API knows the request id of its answer, keeps unknown fields, and bears with ill-typed ones."""
    odd = answer({"id": 1, "name": {"odd": 1}, "new": 2})
    with pytest.raises(ResponseValidationError, match="at name") as caught:
        parse(Thing, odd)
    assert (caught.value.request_id, caught.value.status) == ("rq-1", 200)
    thing = parse(Thing, odd, lenient=True)
    assert isinstance(thing, Thing)
    assert (thing.id, thing.request_id) == (1, "rq-1")
    with pytest.raises(ResponseValidationError):
        thing.name  # noqa: B018 - reading it is what raises


def test_generated_models_are_found_by_name() -> None:
    """``module:Class`` names a generated model."""
    role = parse("roles:RoleResponse", answer({"id": "x", "name": "payer"}), lenient=True)
    assert role.name == "payer"


@pytest.mark.parametrize("kind", [Plain, Thing, list[Plain], dict, int, object, "roles:RoleResponse"], ids=str)
@pytest.mark.parametrize("body", [f"<html>{SECRET}".encode(), f'{{"id": "{SECRET}'.encode(), f'"{SECRET}'.encode()])
def test_an_answer_that_is_not_json(kind: Any, body: bytes) -> None:
    """A 2xx without JSON is a typed error with the request id, and nothing of the body in it or behind it."""
    with pytest.raises(ResponseValidationError) as caught:
        parse(kind, answer(body))
    error = caught.value
    assert error.request_id == "rq-1"
    assert error.__context__ is None
    assert SECRET not in f"{error} {error.problems}"


@pytest.mark.parametrize("kind", [Plain, Thing, dict, "roles:RoleResponse"], ids=str)
def test_an_answer_without_a_body(kind: Any) -> None:
    """Where a body is needed, an empty answer is a typed error."""
    with pytest.raises(ResponseValidationError, match="no body"):
        parse(kind, answer(b""))


def test_problems_name_places_only() -> None:
    """What does not fit a user's own model is listed by place and kind, not by value."""
    with pytest.raises(ResponseValidationError) as caught:
        parse(list[Plain], answer([{"id": SECRET}]))
    assert caught.value.problems == ("0.id: int_parsing",)


def test_answers_do_not_show_themselves() -> None:
    """The text of an answer is its status."""
    assert repr(answer(SECRET.encode(), 201)) == "<Answer 201>"


# -- content codings


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_compressed_bodies_come_back(data: bytes, step: int) -> None:
    """Whatever was compressed comes back, in whatever pieces it arrives."""
    for coding, packed in (("gzip", gzip.compress(data, mtime=0)), ("deflate", zlib.compress(data))):
        inflater = Inflater(coding)
        pieces = [inflater.feed(packed[at : at + step], 10_000) for at in range(0, len(packed), step)]
        inflater.finish()
        assert b"".join(pieces) == data


def test_a_bomb_gives_one_byte_too_many_and_no_more() -> None:
    """A small body that inflates to a huge one is stopped one byte past what was asked for."""
    bomb = gzip.compress(bytes(10_000_000))
    assert len(Inflater("gzip").feed(bomb, 1000)) == 1001


@pytest.mark.parametrize(
    "packed", [b"not gzip at all", gzip.compress(b"x", mtime=0)[:-4], gzip.compress(b"x", mtime=0) + b"more"]
)
def test_damaged_compression_is_found(packed: bytes) -> None:
    """Garbage, a cut-off stream and trailing bytes are noticed, and not behind a traceback with the data in it."""
    inflater = Inflater("gzip")

    def inflate() -> None:
        inflater.feed(packed, 1000)
        inflater.finish()

    with pytest.raises(UnsupportedEncodingError) as caught:
        inflate()
    assert caught.value.__context__ is None


def test_unknown_codings_are_refused() -> None:
    """A coding that was never offered is an error, not a guess."""
    with pytest.raises(UnsupportedEncodingError):
        Inflater("br")


def test_an_error_is_a_monite_error() -> None:
    """Whatever the status, the error is one that callers can catch as a family."""
    assert isinstance(api_error(answer({}, 418), read_error(answer({}, 418))), MoniteError)
