"""The framing of the fast engine against the one of the default engine: h11 is the oracle.

The runs here are short; ``FRAMING_EXAMPLES=20000`` in the environment makes the fuzzing long.
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
