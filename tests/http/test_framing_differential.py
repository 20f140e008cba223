"""The framing of the fast engine against the one of the default engine: h11 is the oracle.

The runs here are short; ``FRAMING_EXAMPLES=20000`` in the environment makes the fuzzing long (with ``--timeout 0``).
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monite_async._http.framing import CUT_OFF, HEAD_TOO_LARGE, INVALID, NO_ANSWER, Framing, MakeFraming
from monite_async._http.framing_h11 import H11Framing
from monite_async._http.framing_llhttp import LlhttpFraming
from tests.http._answers import BAD, GOOD, MAX_HEAD, STRICTER, Sample, answers, damaged

EXAMPLES: Final = int(os.environ.get("FRAMING_EXAMPLES", "250"))
TEXTS: Final = {CUT_OFF, HEAD_TOO_LARGE, INVALID, NO_ANSWER}

Outcome = tuple[int, bytes, bytes, tuple[tuple[bytes, bytes], ...], bytes, bool, str | None, bool]


def outcome(framing: Framing) -> Outcome:
    """Return all that a framing says of an answer."""
    assert framing.error is None or framing.error in TEXTS
    assert not (framing.complete and framing.error)
    assert framing.complete or not framing.reusable
    # h11 writes the one transfer coding that it knows in lower case.
    headers = tuple((name, value.lower() if name == b"transfer-encoding" else value) for name, value in framing.headers)
    head = framing.status, framing.version, framing.reason, headers
    return *head, b"".join(framing.chunks), framing.complete, framing.error, framing.reusable


def read(make: MakeFraming, sample: Sample, cuts: list[int], *, end: bool) -> Outcome:
    """Feed an answer in pieces, cut at these places, and then perhaps the end of the connection."""
    framing = make(MAX_HEAD)
    framing.begin(sample.method, last=sample.last)
    edges = [0, *cuts, len(sample.raw)]
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            framing.feed(sample.raw[start:stop])
    if end:
        framing.eof()
    return outcome(framing)


def ways(sample: Sample) -> list[list[int]]:
    """Return where to cut: nowhere, at every byte, and everywhere at once."""
    inside = range(1, len(sample.raw))
    return [[], *([cut] for cut in inside), list(inside)]


@pytest.mark.parametrize("end", [False, True], ids=["open", "ended"])
@pytest.mark.parametrize("sample", list(GOOD.values()), ids=list(GOOD))
def test_both_make_the_same_of_an_answer_wherever_it_is_cut(sample: Sample, end: bool) -> None:
    """Status, head, body, completeness, fault and reuse are h11's, and no cut changes any of them."""
    expected = read(H11Framing, sample, [], end=end)
    for cuts in ways(sample):
        assert read(LlhttpFraming, sample, cuts, end=end) == expected


@pytest.mark.parametrize("sample", list(BAD.values()), ids=list(BAD))
def test_a_broken_answer_is_refused_wherever_it_is_cut(sample: Sample) -> None:
    """Ours refuses with one of our texts; h11 does too, unless the corpus says why it does not."""
    taken = read(H11Framing, sample, [], end=True)
    assert bool(sample.stricter) == (taken[6] is None)
    if sample.stricter:
        assert STRICTER[sample.stricter][1].search(sample.raw)
    whole = read(LlhttpFraming, sample, [], end=True)
    assert whole[6] is not None
    for cuts in ways(sample):
        found = read(LlhttpFraming, sample, cuts, end=True)
        assert (found[0], found[4], found[5]) == (whole[0], whole[4], False)
        assert found[6] is not None


def compare(sample: Sample, cuts: list[int], *, end: bool) -> None:
    """Hold ours against h11's outcome, cut in the same way."""
    ours = read(LlhttpFraming, sample, cuts, end=end)
    theirs = read(H11Framing, sample, cuts, end=end)
    if ours == theirs:
        return
    assert not ours[5], "ours calls complete what h11 does not, or something else"
    reasons = [name for name, (_, pattern) in STRICTER.items() if pattern.search(sample.raw)]
    if theirs[6] is not None:
        assert ours[6] is not None or not end, "ours takes what h11 refuses"
        assert ours[4] == theirs[4] or reasons
    elif not reasons:
        assert ours[6] is not None
        # Ours sees at once that bytes cannot begin an answer; h11 waits for their line to end.
        assert not theirs[5]
        assert read(H11Framing, sample, cuts, end=True)[6] is not None


@settings(max_examples=EXAMPLES, deadline=None)
@given(sample=answers(), seed=st.integers(0, 2**32))
def test_generated_answers_mean_the_same_to_both(sample: Sample, seed: int) -> None:
    """Valid or damaged, in any pieces: the same outcome, or a refusal of ours for one of the listed reasons."""
    random = Random(seed)
    for each in [sample, *(replace(sample, raw=damaged(sample.raw, random)) for _ in range(10))]:
        size = len(each.raw)
        cuts = sorted(random.sample(range(1, size), min(size - 1, random.randint(0, 5)))) if size > 1 else []
        compare(each, cuts, end=random.random() < 0.5)


BOTH: Final = pytest.mark.parametrize("make", [H11Framing, LlhttpFraming], ids=["h11", "llhttp"])


@BOTH
@pytest.mark.parametrize("end", [False, True], ids=["open", "ended"])
@pytest.mark.parametrize("name", ["length", "chunks", "until close", "head cut off", "nothing", "bytes after a length"])
def test_what_a_server_says_before_it_is_asked_belongs_to_the_answer(make: MakeFraming, name: str, end: bool) -> None:
    """Bytes, and the end of the connection, that come before the request was sent count as if they came after it."""
    sample = GOOD[name]
    for early in range(len(sample.raw) + 1):
        framing = make(MAX_HEAD)
        for piece in filter(None, (sample.raw[: early // 2], sample.raw[early // 2 : early])):
            framing.feed(piece)
        ended = end and early == len(sample.raw)
        if ended:
            framing.eof()
        assert (framing.status, framing.complete, framing.error) == (0, False, None)
        framing.begin(sample.method)
        if early < len(sample.raw):
            framing.feed(sample.raw[early:])
        if end and not ended:
            framing.eof()
        assert outcome(framing) == read(make, sample, [], end=end)


@BOTH
def test_one_framing_reads_one_answer_after_another(make: MakeFraming) -> None:
    """After a reset nothing of an answer is left: the next one means what it means on a new connection."""
    framing = make(MAX_HEAD)
    for sample in GOOD.values():
        expected = read(make, sample, [], end=False)
        if expected[7]:
            framing.begin(sample.method)
            framing.feed(sample.raw)
            assert outcome(framing) == expected
            framing.reset()
            assert outcome(framing) == (0, b"1.1", b"", (), b"", False, None, False)


@BOTH
def test_the_end_of_a_connection_after_a_whole_answer_changes_only_its_reuse(make: MakeFraming) -> None:
    """An answer that was complete stays so when the server closes, or says more, but nothing can follow it."""
    for late in (b"", b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny"):
        framing = make(MAX_HEAD)
        framing.begin(b"GET")
        framing.feed(GOOD["length"].raw)
        assert framing.reusable
        if late:
            framing.feed(late)
        else:
            framing.eof()
        assert (framing.complete, framing.error, framing.reusable) == (True, None, False)
        assert framing.chunks == [b"ok"]


@BOTH
def test_nothing_is_read_after_an_error(make: MakeFraming) -> None:
    """A broken answer stays broken in the same way, whatever follows, the end of the connection included."""
    framing = make(MAX_HEAD)
    framing.begin(b"GET")
    framing.feed(BAD["lengths in conflict"].raw)
    framing.feed(GOOD["length"].raw)
    framing.eof()
    assert outcome(framing) == (0, b"1.1", b"", (), b"", False, INVALID, False)


@BOTH
@pytest.mark.parametrize("start", [b"1;x=", b"0\r\nx: "], ids=["chunk extension", "trailer"])
def test_what_is_not_body_does_not_go_on_for_ever(make: MakeFraming, start: bytes) -> None:
    """An endless extension of a chunk, or an endless trailer, is broken off at the limit for heads."""
    framing = make(MAX_HEAD)
    framing.begin(b"GET")
    framing.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n" + start)
    for _ in range(MAX_HEAD // 100 + 1):
        framing.feed(b"y" * 100)
    assert (framing.error, framing.chunks, framing.complete) == (HEAD_TOO_LARGE, [b"ok"], False)


@BOTH
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_interim_answers_do_not_go_on_for_ever(make: MakeFraming, size: int) -> None:
    """Interim answers are passed over up to the size of a head, all of them together, however they arrive."""
    interim = b"HTTP/1.1 103 x\r\n\r\n"
    for count in (MAX_HEAD // len(interim), MAX_HEAD // len(interim) + 1):
        framing = make(MAX_HEAD)
        framing.begin(b"GET")
        raw = interim * count + GOOD["the largest head"].raw
        for start in range(0, len(raw), size):
            framing.feed(raw[start : start + size])
        fits = len(interim) * count <= MAX_HEAD
        assert (framing.error, framing.complete) == ((None, True) if fits else (HEAD_TOO_LARGE, False))


def test_a_head_has_a_bounded_number_of_fields() -> None:
    """Fields are counted as well as bytes: the smallest ones would cost the most memory."""
    framing = LlhttpFraming(64 * 1024)
    framing.begin(b"GET")
    framing.feed(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 512 + b"\r\n")
    assert framing.status == 200
    framing = LlhttpFraming(64 * 1024)
    framing.begin(b"GET")
    framing.feed(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 513 + b"\r\n")
    assert outcome(framing) == (0, b"1.1", b"", (), b"", False, HEAD_TOO_LARGE, False)
