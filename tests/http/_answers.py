"""Answers for the two framings: a corpus made by hand, and a generator of valid and of broken ones.

Where ``LlhttpFraming`` refuses what h11 takes, the reason stands here, as data: ``STRICTER``. There is no list for the
other direction, because nothing may be on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Final

from hypothesis import strategies as st

__all__ = ["BAD", "GOOD", "MAX_HEAD", "STRICTER", "Sample", "answers", "damaged"]

MAX_HEAD: Final = 2048
"""Most bytes of a head, for all that is made here."""


@dataclass(frozen=True)
class Sample:
    """What a server sends.

    Attributes:
        raw: Its bytes.
        method: Method of the request.
        last: The request said ``Connection: close``.
        stricter: Why only h11 takes it, a key of ``STRICTER``; empty when both agree.
    """

    raw: bytes
    method: bytes = b"GET"
    last: bool = False
    stricter: str = ""


_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
STRICTER: Final[dict[str, tuple[str, re.Pattern[bytes]]]] = {
    "bare line feed": (
        "a peer that ends lines at CRLF only sees another message than we do",
        re.compile(rb"(?<!\r)\n"),
    ),
    "folded line": (
        "obsolete (RFC 9112, section 5.2); what it belongs to is read differently by different parsers",
        re.compile(rb"\n[\t ]"),
    ),
    "control character": (
        "not allowed in a field value (RFC 9110, section 5.5)",
        re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    ),
    "other version": ("no version of HTTP/1 that exists", re.compile(rb"HTTP/(?!1\.[01])")),
    "repeated length": (
        "h11 makes one of lengths that agree; no honest server sends two",
        re.compile(rb"(?is)content-length:[^\r\n]*,|content-length:.*content-length:"),
    ),
    "length and chunks": (
        "the mark of request smuggling (RFC 9112, section 6.3); h11 takes the chunks",
        re.compile(rb"(?is)content-length:.*transfer-encoding:|transfer-encoding:.*content-length:"),
    ),
    "interim body": (
        "an interim answer has none, so it has no length either (RFC 9110, section 8.6); h11 passes over the field",
        re.compile(rb"(?is)HTTP/1\.[01] 1.*(content-length|transfer-encoding):"),
    ),
    "size in a trailer": (
        "it comes too late to mean anything honest; h11 passes over the field when it is valid",
        re.compile(rb"(?is)\n0+(;[^\n]*)?\r\n.*(content-length|transfer-encoding):"),
    ),
    "tab after a size": (
        "llhttp takes `chunked` and a tab for another coding, and its releases differ on lengths; no server sends one",
        re.compile(rb"(?i)(content-length|transfer-encoding):[^\r\n]*\t"),
    ),
    "odd chunk line": (
        "h11 takes anything after a semicolon, white space at the end, and 20 digits",
        re.compile(rb"\n[0-9A-Fa-f]+[\t ;]|[0-9A-Fa-f]{16}"),
    ),
    "long head": (
        "h11 counts neither the line of the status nor white space in a head that comes in one piece",
        re.compile(rb"(?s)HTTP/.{%d}" % (MAX_HEAD - 300)),
    ),
}
"""Why ours refuses what h11 takes, and what such an answer looks like."""


def _ok(*lines: bytes, status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"HTTP/" + version + b" " + status, *lines, b"", b""])


_CHUNKED: Final = _ok(b"transfer-encoding: chunked")
_TWO: Final = _ok(b"content-length: 2")

GOOD: Final[dict[str, Sample]] = {
    "length": Sample(_TWO + b"ok"),
    "length zero": Sample(_ok(b"content-length: 0")),
    "length with zeros in front": Sample(_ok(b"content-length: 0002") + b"ok"),
    "no reason": Sample(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
    "empty reason": Sample(_ok(b"content-length: 2", status=b"200 ") + b"ok"),
    "reason beyond ASCII": Sample(_ok(b"content-length: 0", status=b"200 \xc3\xa4\t x")),
    "odd status": Sample(_ok(b"content-length: 0", status=b"999 what")),
    "white space around values": Sample(_ok(b"a:\t x  y \t", b"b:", b"c: ", b"Content-LENGTH:2 ") + b"ok"),
    "obs-text in a value": Sample(_ok(b"a: \xff\x80", b"content-length: 0")),
    "every token character": Sample(_ok(b"!#$%&'*+-.^_`|~09AZaz: x", b"content-length: 0")),
    "repeated fields": Sample(_ok(b"set-cookie: a", b"Set-Cookie: b", b"content-length: 0")),
    "chunks": Sample(_CHUNKED + b"3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n"),
    "chunks in capitals": Sample(_ok(b"Transfer-Encoding:  Chunked ") + b"A\r\n0123456789\r\n0\r\n\r\n"),
    "chunk extensions": Sample(_CHUNKED + b'3;a\r\nabc\r\n1;b="c;d";e=f\r\nx\r\n0;g=h\r\n\r\n'),
    "many last zeros": Sample(_CHUNKED + b"000\r\n\r\n"),
    "chunks that hold framing": Sample(_CHUNKED + b"7\r\n0\r\n\r\nx\n\r\n0\r\n\r\n"),
    "trailers": Sample(_CHUNKED + b"1\r\na\r\n0\r\nx-sum: 1\r\ny:\r\n\r\n"),
    "204": Sample(_ok(status=b"204 No Content")),
    "204 with a length": Sample(_ok(b"content-length: 5", status=b"204 No Content")),
    "204 with chunks": Sample(_ok(b"transfer-encoding: chunked", status=b"204 No Content")),
    "304 with a length": Sample(_ok(b"content-length: 9", status=b"304 Not Modified")),
    "304 with a body": Sample(_ok(b"content-length: 2", status=b"304 Not Modified") + b"ok"),
    "205 without a length": Sample(_ok(status=b"205 Reset")),
    "answer to HEAD": Sample(_ok(b"content-length: 9"), b"HEAD"),
    "answer to HEAD in chunks": Sample(_CHUNKED, b"HEAD"),
    "answer to HEAD with a body": Sample(_TWO + b"ok", b"HEAD"),
    "until close": Sample(_ok() + b"all of it\r\n\r\n"),
    "until close, nothing": Sample(_ok()),
    "interim answers": Sample(
        _ok(status=b"100 Continue") + _ok(b"link: </a>", status=b"103 Early Hints") + _TWO + b"ok"
    ),
    "interim answer that says close": Sample(_ok(b"connection: close", status=b"100 Continue") + _TWO + b"ok"),
    "the server closes": Sample(_ok(b"connection: x, Close ", b"content-length: 2") + b"ok"),
    "the server closes in a second field": Sample(_ok(b"connection: x", b"connection: close", b"content-length: 0")),
    "almost closes": Sample(_ok(b"connection: closed, not-close", b"content-length: 0")),
    "the client closes": Sample(_TWO + b"ok", last=True),
    "HTTP/1.0": Sample(_ok(b"content-length: 2", version=b"1.0") + b"ok"),
    "HTTP/1.0, keep-alive": Sample(_ok(b"content-length: 2", b"connection: keep-alive", version=b"1.0") + b"ok"),
    "HTTP/1.0 in chunks": Sample(_ok(b"transfer-encoding: chunked", version=b"1.0") + b"1\r\na\r\n0\r\n\r\n"),
    "HTTP/1.0 until close": Sample(_ok(version=b"1.0") + b"x"),
    "upgrade offered": Sample(_ok(b"upgrade: h2c", b"connection: upgrade", b"content-length: 2") + b"ok"),
    "upgrade offered, chunks": Sample(
        _ok(b"upgrade: h2c", b"connection: upgrade", b"transfer-encoding: chunked") + b"1\r\na\r\n0\r\n\r\n"
    ),
    "white space before a size": Sample(_ok(b"content-length: \t 2") + b"ok"),
    "white space before a coding": Sample(_ok(b"transfer-encoding:\t chunked ") + b"1\r\na\r\n0\r\n\r\n"),
    "white space after a length": Sample(_ok(b"content-length: 2  ") + b"ok"),
    "bytes after a length": Sample(_TWO + b"okX"),
    "another answer after a length": Sample((_TWO + b"ok") * 2),
    "another answer after chunks": Sample((_CHUNKED + b"1\r\na\r\n0\r\n\r\n") * 2),
    "an answer until close after chunks": Sample(_CHUNKED + b"0\r\n\r\n" + _ok() + b"more"),
    "bytes after chunks": Sample(_CHUNKED + b"0\r\n\r\nX"),
    "an empty line after chunks": Sample(_CHUNKED + b"0\r\n\r\n\r\n"),
    "an empty line after no body": Sample(_ok(b"content-length: 0") + b"\r\n"),
    "an answer after no body": Sample(_ok(status=b"204 No Content") + _TWO + b"ok"),
    "bytes after close": Sample(_ok(b"connection: close", b"content-length: 2") + b"okX"),
    "answer to CONNECT refused": Sample(_ok(b"content-length: 2", status=b"407 Proxy") + b"ok", b"CONNECT"),
    "length cut off": Sample(_TWO + b"o"),
    "chunk cut off": Sample(_CHUNKED + b"9\r\nabc"),
    "chunk size cut off": Sample(_CHUNKED + b"9"),
    "last chunk missing": Sample(_CHUNKED + b"3\r\nabc\r\n"),
    "end of trailers missing": Sample(_CHUNKED + b"0\r\na: b\r\n"),
    "head cut off": Sample(_TWO[:20]),
    "only interim answers": Sample(_ok(status=b"100 Continue")),
    "nothing": Sample(b""),
    "the largest head": Sample(_ok(b"content-length: 0", b"x: " + b"y" * (MAX_HEAD - 43))),
}
"""Whole answers and cut ones: both framings make the same of them, whatever that is."""

_NAME: Final = b"s3cr3t-canary"
BAD: Final[dict[str, Sample]] = {
    "garbage": Sample(b"GARBAGE " + _NAME + b"\r\n\r\n"),
    "an empty line first": Sample(b"\r\n" + _TWO + b"ok"),
    "white space first": Sample(b" " + _TWO + b"ok"),
    "TLS alert": Sample(b"\x15\x03\x01\x00\x02\x02\x46"),
    "a request": Sample(b"GET / HTTP/1.1\r\nhost: " + _NAME + b"\r\n\r\n"),
    "lower case protocol": Sample(b"http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    "HTTP/0.9": Sample(b"<html>" + _NAME + b"</html>\r\n\r\n"),
    "HTTP/2.0": Sample(_ok(b"content-length: 0", version=b"2.0"), stricter="other version"),
    "HTTP/1.2": Sample(_ok(b"content-length: 0", version=b"1.2"), stricter="other version"),
    "long version": Sample(_ok(b"content-length: 0", version=b"1.11")),
    "two spaces in the status line": Sample(_ok(b"content-length: 0", status=b" 200 OK")),
    "a tab in the status line": Sample(b"HTTP/1.1\t200 OK\r\ncontent-length: 0\r\n\r\n"),
    "no status": Sample(b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n"),
    "short status": Sample(_ok(b"content-length: 0", status=b"20 OK")),
    "long status": Sample(_ok(b"content-length: 0", status=b"2000 OK")),
    "status below 100": Sample(_ok(b"content-length: 0", status=b"099 OK")),
    "status that is no number": Sample(_ok(b"content-length: 0", status=b"2\xb20 OK")),
    "no space before the reason": Sample(_ok(b"content-length: 0", status=b"200OK")),
    "NUL in the reason": Sample(_ok(b"content-length: 0", status=b"200 O\0K")),
    "CR in the reason": Sample(_ok(b"content-length: 0", status=b"200 O\rK")),
    "interim answer with a length": Sample(
        _ok(b"content-length: 3", status=b"102 x") + _TWO + b"ok", stricter="interim body"
    ),
    "interim answer with chunks": Sample(
        _ok(b"transfer-encoding: chunked", status=b"102 x") + _TWO + b"ok", stricter="interim body"
    ),
    "interim answer with another coding": Sample(_ok(b"transfer-encoding: gzip", status=b"102 x") + _TWO + b"ok"),
    "101": Sample(_ok(b"upgrade: x", b"connection: upgrade", status=b"101 Switching")),
    "101 later": Sample(_ok(status=b"100 Continue") + _ok(status=b"101 Switching")),
    "CONNECT taken": Sample(_ok(), b"CONNECT"),
    "CONNECT taken with a length": Sample(_ok(b"content-length: 0"), b"CONNECT"),
    "no colon": Sample(_ok(_NAME, b"content-length: 0")),
    "no name": Sample(_ok(b": " + _NAME, b"content-length: 0")),
    "space before the colon": Sample(_ok(b"content-length : 2") + b"ok"),
    "space in a name": Sample(_ok(b"a b: " + _NAME, b"content-length: 0")),
    "name beyond ASCII": Sample(_ok(b"\xe4: x", b"content-length: 0")),
    "NUL in a name": Sample(_ok(b"a\0: x", b"content-length: 0")),
    "NUL in a value": Sample(_ok(b"a: " + _NAME + b"\0", b"content-length: 0")),
    "CR in a value": Sample(_ok(b"a: b\rcontent-length: 9", b"content-length: 0")),
    "vertical tab in a value": Sample(_ok(b"a: b\x0bc", b"content-length: 0")),
    "control character in a value": Sample(_ok(b"a: b\x01c", b"content-length: 0"), stricter="control character"),
    "DEL in a value": Sample(_ok(b"a: b\x7fc", b"content-length: 0"), stricter="control character"),
    "first field folded": Sample(_ok(b" a: b", b"content-length: 0")),
    "folded field": Sample(_ok(b"a: b", b"\tc", b"content-length: 0"), stricter="folded line"),
    "folded length": Sample(_ok(b"content-length:", b" 2") + b"ok", stricter="folded line"),
    "line feeds only": Sample(_TWO.replace(b"\r\n", b"\n") + b"ok", stricter="bare line feed"),
    "one line feed": Sample(_ok(b"a: b\ncontent-length: 2") + b"ok", stricter="bare line feed"),
    "line feed ends the head": Sample(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok", stricter="bare line feed"),
    "negative length": Sample(_ok(b"content-length: -2") + b"ok"),
    "length with a plus": Sample(_ok(b"content-length: +2") + b"ok"),
    "length in hex": Sample(_ok(b"content-length: 0x2") + b"ok"),
    "length with an underscore": Sample(_ok(b"content-length: 1_0") + b"0123456789"),
    "length with a space": Sample(_ok(b"content-length: 1 0") + b"0123456789"),
    "length in other digits": Sample(_ok("content-length: ٢".encode()) + b"ok"),
    "empty length": Sample(_ok(b"content-length:") + b"ok"),
    "length beyond 64 bits": Sample(_ok(b"content-length: 2" + b"0" * 19) + b"ok"),
    "length beyond measure": Sample(_ok(b"content-length: " + b"9" * 30) + b"ok"),
    "lengths in conflict": Sample(_ok(b"content-length: 1", b"content-length: 2") + b"ok"),
    "lengths in conflict, 204": Sample(_ok(b"content-length: 1", b"content-length: 2", status=b"204 x")),
    "lengths in conflict, one field": Sample(_ok(b"content-length: 1, 2") + b"ok"),
    "the same length twice": Sample(
        _ok(b"content-length: 2", b"content-length: 2") + b"ok", stricter="repeated length"
    ),
    "the same length twice, one field": Sample(_ok(b"content-length: 2, 2") + b"ok", stricter="repeated length"),
    "length, then chunks": Sample(
        _ok(b"content-length: 2", b"transfer-encoding: chunked") + b"0\r\n\r\n", stricter="length and chunks"
    ),
    "chunks, then length": Sample(
        _ok(b"transfer-encoding: chunked", b"content-length: 5") + b"0\r\n\r\n", stricter="length and chunks"
    ),
    "other coding": Sample(_ok(b"transfer-encoding: gzip") + b"x"),
    "codings": Sample(_ok(b"transfer-encoding: gzip, chunked") + b"0\r\n\r\n"),
    "codings in two fields": Sample(_ok(b"transfer-encoding: gzip", b"transfer-encoding: chunked") + b"0\r\n\r\n"),
    "chunked twice": Sample(_ok(b"transfer-encoding: chunked", b"transfer-encoding: chunked") + b"0\r\n\r\n"),
    "identity": Sample(_ok(b"transfer-encoding: identity") + b"x"),
    "empty coding": Sample(_ok(b"transfer-encoding:") + b"x"),
    "quoted coding": Sample(_ok(b'transfer-encoding: "chunked"') + b"0\r\n\r\n"),
    "coding with NUL": Sample(_ok(b"transfer-encoding: chunked\0") + b"0\r\n\r\n"),
    "coding with a parameter": Sample(_ok(b"transfer-encoding: chunked;a=b") + b"0\r\n\r\n"),
    "length with a tab": Sample(_ok(b"content-length: 2 \t") + b"ok", stricter="tab after a size"),
    "coding with a tab": Sample(
        _ok(b"transfer-encoding: chunked\t") + b"1\r\na\r\n0\r\n\r\n", stricter="tab after a size"
    ),
    "no chunk size": Sample(_CHUNKED + b"\r\n"),
    "chunk size that is no number": Sample(_CHUNKED + _NAME + b"\r\n"),
    "negative chunk size": Sample(_CHUNKED + b"-1\r\n"),
    "chunk size with a plus": Sample(_CHUNKED + b"+1\r\na\r\n0\r\n\r\n"),
    "chunk size with 0x": Sample(_CHUNKED + b"0x1\r\na\r\n0\r\n\r\n"),
    "space before a chunk size": Sample(_CHUNKED + b" 1\r\na\r\n0\r\n\r\n"),
    "space after a chunk size": Sample(_CHUNKED + b"1 \r\na\r\n0\r\n\r\n", stricter="odd chunk line"),
    "chunk size beyond measure": Sample(_CHUNKED + b"f" * 30 + b"\r\na\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": Sample(_CHUNKED + b"1" + b"0" * 16 + b"\r\na"),
    "empty chunk extension": Sample(_CHUNKED + b"1;\r\na\r\n0\r\n\r\n", stricter="odd chunk line"),
    "NUL in a chunk extension": Sample(_CHUNKED + b"1;a\0\r\na\r\n0\r\n\r\n", stricter="odd chunk line"),
    "line feed in a chunk extension": Sample(_CHUNKED + b"1;a\n0\r\n\r\n"),
    "line feed after a chunk size": Sample(_CHUNKED + b"1\na\r\n0\r\n\r\n"),
    "line feed after a chunk": Sample(_CHUNKED + b"1\r\na\n0\r\n\r\n"),
    "bytes after a chunk": Sample(_CHUNKED + b"1\r\naXX0\r\n\r\n"),
    "chunk longer than its size": Sample(_CHUNKED + b"1\r\nabc\r\n0\r\n\r\n"),
    "no colon in a trailer": Sample(_CHUNKED + b"0\r\n" + _NAME + b"\r\n\r\n"),
    "space before a trailer's colon": Sample(_CHUNKED + b"0\r\na : b\r\n\r\n"),
    "folded trailer": Sample(_CHUNKED + b"0\r\na: b\r\n c\r\n\r\n", stricter="folded line"),
    "line feeds after trailers": Sample(_CHUNKED + b"0\r\na: b\n\n", stricter="bare line feed"),
    "coding in a trailer": Sample(_CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n"),
    "the same coding in a trailer": Sample(
        _CHUNKED + b"0\r\ntransfer-encoding: chunked\r\n\r\n", stricter="size in a trailer"
    ),
    "length in a trailer": Sample(_CHUNKED + b"0\r\ncontent-length: 9\r\n\r\n", stricter="size in a trailer"),
    "a head too large": Sample(_ok(b"x: " + b"y" * MAX_HEAD)),
    "a head that does not end": Sample(b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD),
    "an interim head that does not end": Sample(_ok(status=b"100 x") + b"HTTP/1.1 100 x\r\nx: " + b"y" * MAX_HEAD),
    "a head too large by its white space": Sample(
        _ok(b"x:" + b" " * MAX_HEAD, b"content-length: 0"), stricter="long head"
    ),
}
"""Answers that ours refuses; h11 as well, but for those with a reason."""


# Generated ones.

_VALUE: Final = st.one_of(
    st.sampled_from([b"", b"x", b"a b", b"close", b"keep-alive, Close", b"\xff", b"0", b"chunked"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"), max_size=8).map(
        lambda text: text.encode("latin-1")
    ),
)
_FIELD: Final = st.tuples(
    st.sampled_from([b"connection", b"Connection", b"X-Request-Id", b"a", b"upgrade", b"server", b"trailer"]),
    st.sampled_from([b":", b": ", b":\t "]),
    _VALUE,
    st.sampled_from([b"", b"", b" ", b"\t"]),
).map(b"".join)
_STATUS: Final = st.sampled_from(
    [
        b"200 OK",
        b"200 OK",
        b"201",
        b"404 Not Found",
        b"500 ",
        b"204 x",
        b"304 x",
        b"205 x",
        b"100 x",
        b"103 x",
        b"101 x",
    ]
)
_HEX: Final = st.sampled_from([b"%x", b"%X", b"0%x", b"000%x"])


@st.composite
def _chunks(draw: st.DrawFn) -> bytes:
    parts = draw(st.lists(st.tuples(_HEX, st.binary(min_size=1, max_size=30), _extension()), max_size=4))
    out = b"".join(size % len(data) + extension + b"\r\n" + data + b"\r\n" for size, data, extension in parts)
    trailers = draw(st.lists(_FIELD, max_size=2))
    return out + b"0" + draw(_extension()) + b"\r\n" + b"".join(each + b"\r\n" for each in trailers) + b"\r\n"


def _extension() -> st.SearchStrategy[bytes]:
    return st.sampled_from([b"", b"", b"", b";a", b";a=b", b';a="b c"', b";a=b;c=d"])


@st.composite
def _one(draw: st.DrawFn) -> bytes:
    """Draw one answer; its framing is right, or left out."""
    kind = draw(st.sampled_from(["length", "length", "chunks", "chunks", "close", "none"]))
    fields = draw(st.lists(_FIELD, max_size=4))
    body = b""
    if kind == "length":
        body = draw(st.binary(max_size=40))
        fields.insert(draw(st.integers(0, len(fields))), b"Content-Length: %d" % len(body))
    elif kind == "chunks":
        body = draw(_chunks())
        fields.insert(draw(st.integers(0, len(fields))), b"Transfer-Encoding: chunked")
    elif kind == "close":
        body = draw(st.binary(max_size=40))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    return b"\r\n".join([b"HTTP/" + version + b" " + draw(_STATUS), *fields, b"", b""]) + body


_SPLICES: Final = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b";", b",", b"0", b"1", b"f", b"\x01", b"\x0b", b"\x7f", b"\x85", b"\xff",
    b"Content-Length: 3\r\n", b"content-length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: gzip\r\n",
    b"Connection: close\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 x\r\n\r\n", b"5, 5", b"\r\n ",
]  # fmt: skip


def damaged(raw: bytes, random: Random) -> bytes:
    """Return what is left of an answer after up to three accidents, most of them where something begins."""
    for _ in range(random.randint(1, 3)):
        starts = [found.end() for found in re.finditer(rb"\r\n|:", raw)]
        at = random.choice(starts) if starts and random.random() < 0.5 else random.randint(0, len(raw))
        some = random.randint(1, 4)
        splice = random.choice(_SPLICES)
        put, gone = random.choice(
            [
                (splice, 0),
                (splice, 0),
                (b"", some),
                (random.randbytes(1), 1),
                (raw[at : at + 10 * some], 0),
                (b"", len(raw)),
            ]
        )
        raw = raw[:at] + put + raw[at + gone :]
    return raw


METHODS: Final = [b"GET", b"GET", b"GET", b"POST", b"HEAD", b"CONNECT"]


def answers() -> st.SearchStrategy[Sample]:
    """Return a strategy for what a server sends: one of the corpus, or an answer or two that were never seen."""
    made = st.lists(_one(), min_size=1, max_size=2).map(b"".join)
    known = st.sampled_from([*GOOD.values(), *BAD.values()])
    return st.one_of(known, st.builds(Sample, made, st.sampled_from(METHODS), st.booleans()))
