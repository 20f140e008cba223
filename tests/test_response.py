"""``with_raw_response``: status and headers beside the parsed body, and nothing of them in a log."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import httpx
import pytest

from monite_async._errors import ConfigurationError
from monite_async._http.operation import Operation
from monite_async._options import Capture, RequestOptions
from monite_async._response import RawResponse, raw
from monite_async.api.payables import PayablesForEntity

T = TypeVar("T")


class Caller:
    """Answers every call with its path, and reports status and headers as the call engine does."""

    def __init__(self, reports: bool = True) -> None:
        self.reports = reports
        self.seen: list[RequestOptions | None] = []

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Answer with the path of the operation."""
        self.seen.append(options)
        if self.reports and options is not None and options.capture is not None:
            options.capture.status = 203
            options.capture.headers = httpx.Headers({"X-Request-Id": "q-1", "set-cookie": "s3cr3t"})
        return cast("T", operation.path)


async def test_a_raw_response_has_status_headers_and_body() -> None:
    """The raw twin of a method takes the same arguments and gives what came around the body."""
    response = await PayablesForEntity(Caller()).with_raw_response.get("p-1")
    assert response.status == 203
    assert response.headers["x-request-id"] == "q-1"
    assert response.request_id == "q-1"
    assert cast("object", response.parsed) == "/payables/{payable_id}"


async def test_the_repr_shows_no_value() -> None:
    """Printing a raw response shows the names of its headers, never a value, nor the body."""
    response = await PayablesForEntity(Caller()).with_raw_response.get("p-1")
    assert repr(response) == "<RawResponse status 203, str, headers set-cookie, x-request-id>"
    assert repr(RawResponse(200, {}, {"secret": 1})) == "<RawResponse status 200, dict, headers none>"
    assert RawResponse(200, {}, None).request_id is None


async def test_raw_of_a_paged_list_is_its_first_page() -> None:
    """A list in pages gives the first page raw."""
    response = await PayablesForEntity(Caller()).with_raw_response.list(limit=3)
    assert response.status == 203
    assert cast("object", response.parsed) == "/payables"


async def test_options_of_the_caller_are_kept() -> None:
    """Options given to a raw method count as ever, and are not changed."""
    caller, options = Caller(), RequestOptions(timeout=4, headers={"x": "y"})
    await PayablesForEntity(caller).with_raw_response.get("p-1", options=options)
    assert options.capture is None
    (seen,) = caller.seen
    assert seen == options
    assert seen is not options


async def test_two_raw_calls_do_not_share_what_they_capture() -> None:
    """Every call captures into a place of its own."""
    caller = Caller()
    method = PayablesForEntity(caller).with_raw_response.get
    await method("a")
    await method("b")
    first, second = [options.capture for options in caller.seen if options is not None]
    assert first is not second


async def test_a_caller_that_reports_nothing_is_an_error() -> None:
    """Status and headers are never made up."""
    with pytest.raises(ConfigurationError, match="does not report"):
        await PayablesForEntity(Caller(reports=False)).with_raw_response.get("p-1")


def test_capture_is_part_of_neither_equality_nor_repr() -> None:
    """Options with a capture are the same options, and merging options keeps it."""
    capture = Capture()
    plain, capturing = RequestOptions(timeout=1), RequestOptions(timeout=1, capture=capture)
    assert plain == capturing
    assert "apture" not in repr(capturing)
    assert plain.over(capturing).capture is capture
    assert capturing.over(plain).capture is capture


def test_raw_keeps_name_and_docs() -> None:
    """The raw twin of a method looks like the method to help()."""
    method = PayablesForEntity(Caller()).get
    assert (raw(method).__name__, raw(method).__doc__) == (method.__name__, method.__doc__)


def test_a_raw_response_pickles() -> None:
    """A raw response is a value: it can be pickled and compared."""
    response = RawResponse(200, {"a": "b"}, [1])
    assert pickle.loads(pickle.dumps(response)) == response
