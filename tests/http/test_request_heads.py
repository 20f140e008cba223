"""Heads of requests against h11: what ours writes, h11 reads as a server; what h11's client refuses, ours refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monite_async._http.body import EMPTY, Body, BytesBody
from monite_async._http.exchange import Fields, Head, Outgoing
from monite_async._http.failures import BadRequestError
from monite_async._http.place import Place

CANARY: Final = "s3cr3t-canary"
HOST: Final = (b"host", b"api.example.com")
PLACE: Final = Place(("https", "api.example.com", 443), b"api.example.com")

BAD_VALUES: Final = {
    "CR": b"a\rb",
    "LF": b"a\nb",
    "a second field": b"a\r\nx: y",
    "the end of the head": b"a\r\n\r\n",
    "folded": b"a\r\n b",
    "NUL": b"a\0b",
    "vertical tab": b"a\x0bb",
    "space in front": b" a",
    "space behind": b"a ",
}
BAD_NAMES: Final = {
    "empty": b"",
    "colon": b"a:b",
    "space": b"a b",
    "space behind": b"a ",
    "CR": b"a\rb",
    "a second field": b"a: b\r\nc",
    "NUL": b"a\0",
    "beyond ASCII": b"\xe4",
}
BAD_TARGETS: Final = {
    "empty": b"",
    "space": b"/a b",
    "a second line": b"/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "tab": b"/\t",
    "NUL": b"/\0",
    "DEL": b"/\x7f",
    "beyond ASCII": b"/\xe4",
}
BAD_METHODS: Final = {"empty": "", "space": "GET /", "a second line": "GET\r\n", "beyond ASCII": "GÉT"}


@dataclass(frozen=True)
class Token:
    """A token that hides nothing."""

    header: bytes


def encode(method: str, target: bytes, fields: Fields, token: bytes | None = None, body: Body = EMPTY) -> bytes:
    """Return a request as ours writes it."""
    outgoing = Outgoing(method, PLACE, target, Head(fields), body)
    return outgoing.encode(None if token is None else Token(token))


def refused_by_h11(method: str, target: bytes, fields: Fields) -> bool:
    """Tell whether h11's client would not write it."""
    try:
        h11.Request(method=method.encode(), target=target, headers=list(fields))
    except h11.LocalProtocolError:
        return True
    return False


def check(method: str, target: bytes, fields: Fields, token: bytes | None, body: Body) -> None:
    """Hold ours against h11, in both of its roles."""
    secret = () if token is None else ((b"authorization", token),)
    try:
        wire = encode(method, target, fields, token, body)
    except BadRequestError:
        return
    assert not refused_by_h11(method, target, (*fields, *secret, *body.fields))
    server = h11.Connection(h11.SERVER)
    server.receive_data(wire)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (method.encode(), target)
    assert list(request.headers) == [*fields, *secret, *body.fields]
    content = b""
    while isinstance(event := server.next_event(), h11.Data):
        content += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert (content, server.trailing_data) == (body.content, (b"", False))


BODIES: Final = [
    EMPTY,
    BytesBody(b""),
    BytesBody(b'{"a":1}', b"application/json"),
    BytesBody(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
]
_LOWER: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_NAMES: Final = st.one_of(
    st.lists(st.sampled_from(_LOWER), min_size=1, max_size=12).map(bytes), st.sampled_from(list(BAD_NAMES.values()))
)
_VALUES: Final = st.one_of(
    st.lists(st.integers(0x20, 0x7E), max_size=20).map(bytes),
    st.binary(max_size=8),
    st.sampled_from(list(BAD_VALUES.values())),
)
_TARGETS: Final = st.one_of(
    st.lists(st.integers(0x21, 0x7E), max_size=30).map(lambda part: b"/" + bytes(part)),
    st.binary(max_size=8),
    st.sampled_from(list(BAD_TARGETS.values())),
)
_METHODS: Final = st.one_of(st.sampled_from(["GET", "POST", "PATCH", "X-Y!"]), st.text(max_size=4))
_SIZES: Final = {b"content-length", b"transfer-encoding"}


@example(method="GET", target=b"/a?b=c", fields=[(b"x", b"a\tb")], token=b"Bearer t", body=EMPTY)
@given(
    method=_METHODS,
    target=_TARGETS,
    fields=st.lists(st.tuples(_NAMES, _VALUES).filter(lambda field: field[0] not in {HOST[0], *_SIZES}), max_size=3),
    token=st.one_of(st.none(), _VALUES),
    body=st.sampled_from(BODIES),
)
def test_a_server_reads_exactly_the_request_that_was_meant(
    method: str, target: bytes, fields: list[tuple[bytes, bytes]], token: bytes | None, body: Body
) -> None:
    """Any bytes as method, target, fields and token: either h11's server reads just these, or nothing is written."""
    check(method, target, (HOST, *fields), token, body)


@pytest.mark.parametrize("value", list(BAD_VALUES.values()), ids=list(BAD_VALUES))
def test_a_value_that_could_end_its_line_is_refused(value: bytes) -> None:
    """No value of a field and no token gets another line into a head; the error does not quote it."""
    secret = value.replace(b"a", CANARY.encode())
    for fields, token in (((HOST, (b"x", secret)), None), ((HOST,), secret)):
        with pytest.raises(BadRequestError) as caught:
            encode("GET", b"/", fields, token)
        assert CANARY not in f"{caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("name", list(BAD_NAMES.values()), ids=list(BAD_NAMES))
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    """The name of a field is a token of RFC 9110, or nothing is written."""
    assert refused_by_h11("GET", b"/", (HOST, (name, b"x")))
    with pytest.raises(BadRequestError):
        encode("GET", b"/", (HOST, (name, b"x")))


@pytest.mark.parametrize("target", list(BAD_TARGETS.values()), ids=list(BAD_TARGETS))
def test_a_target_that_could_end_its_line_is_refused(target: bytes) -> None:
    """A target is at least one visible ASCII character and nothing else."""
    assert refused_by_h11("GET", target, (HOST,))
    with pytest.raises(BadRequestError):
        encode("GET", target, (HOST,))


@pytest.mark.parametrize("method", list(BAD_METHODS.values()), ids=list(BAD_METHODS))
def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    """A method is a token of RFC 9110."""
    assert refused_by_h11(method, b"/", (HOST,))
    with pytest.raises(BadRequestError):
        encode(method, b"/", (HOST,))
