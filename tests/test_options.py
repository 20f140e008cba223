"""Options: what they accept, how they are laid over one another, and the difference between left out and null."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from monite_async import UNSET, ConfigurationError, RequestOptions, RetryPolicy, Unset
from monite_async._options import is_set


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1}, {"max_retries": 1.5}, {"max_retries": True}, {"base_wait": 0}, {"base_wait": -1},
        {"max_wait": math.nan}, {"max_retry_after": math.inf}, {"max_wait": "5"},
    ],
    ids=str,
)  # fmt: skip
def test_retry_policies_are_checked(wrong: dict[str, Any]) -> None:
    """A policy that makes no sense is refused by the name of its field."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"deadline": math.nan},
        {"timeout": True},
        {"retry": 3},
        {"headers": None},
        {"headers": [("a", "b")]},
        {"query": None},
    ],
    ids=str,
)
def test_request_options_are_checked(wrong: dict[str, Any]) -> None:
    """Options that make no sense are refused by name, before any call is made with them."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RequestOptions(**wrong)


def test_all_faults_of_a_policy_are_told_at_once() -> None:
    """One error lists everything that is wrong."""
    with pytest.raises(ConfigurationError, match=r"max_retries.*base_wait.*max_wait"):
        RetryPolicy(max_retries=-1, base_wait=0, max_wait=0)


def test_options_laid_over_options() -> None:
    """What is left open is taken from below; headers and query are merged, the upper ones winning."""
    base = RequestOptions(timeout=1, deadline=2, retry=RetryPolicy(0), headers={"a": "1", "b": "1"}, query={"q": 1})
    over = RequestOptions(timeout=9, headers={"b": "2"}, query={"r": 2}).over(base)
    assert over == RequestOptions(9, 2, RetryPolicy(0), {"a": "1", "b": "2"}, {"q": 1, "r": 2})
    assert RequestOptions().over(base) == base


def test_unset_is_not_none() -> None:
    """UNSET is one false value of a type of its own, which survives pickling as the same object."""
    assert isinstance(UNSET, Unset)
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert not is_set(UNSET)
    assert is_set(None)
