"""What every paged, every uploading and every binary operation of the API has in common, tried on each of them."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest

from monite_async import AsyncMonite, AsyncPager
from monite_async._http.operation import Operation
from monite_async._http.retry import Outcome
from monite_async._operations import OperationInfo, operations
from tests.each import each_case
from tests.scripted import Scripted, client

PAGED = [info for info in operations() if info.paged]
# A fifth one, the analytics of receivables, takes a token that no answer of the contract gives: it is no list in pages.
FORGETFUL = {
    "get_accounting_synced_records",
    "get_accounting_tax_rates",
    "get_ledger_accounts",
    "get_receivables",
}


def constants(info: OperationInfo) -> list[Operation[Any]]:
    """Return what the module of an operation says to the call engine about it."""
    module = importlib.import_module(f"monite_async.api.{info.resource.partition('.')[0]}")
    known: list[Operation[Any]] = [value for value in vars(module).values() if isinstance(value, Operation)]
    return [value for value in known if (value.method, value.path) == (info.method, info.path)]


UPLOADS = [info for info in operations() if any(value.multipart for value in constants(info))]
BINARY = [info for info in operations() if any(value.result is bytes for value in constants(info))]


def method_of(monite: AsyncMonite, info: OperationInfo) -> Callable[..., Any]:
    """Return the method of an operation, on a scope that has it."""
    scope: Any = monite if info.scope == "partner" else monite.entity("e-1")
    scope = scope.as_user("u-1") if info.scope == "user" else scope
    for name in (*info.resource.split("."), info.name):
        scope = getattr(scope, name)
    return cast("Callable[..., Any]", scope)


def call(method: Callable[..., Any], **given: object) -> Any:
    """Call a method with what it cannot do without."""
    parameters = inspect.signature(method).parameters.values()
    needed = {entry.name: "x" for entry in parameters if entry.default is entry.empty}
    positional = [needed.pop(entry.name) for entry in parameters if entry.kind is entry.POSITIONAL_OR_KEYWORD]
    return method(*positional, **{**needed, **given})


def ids(info: OperationInfo) -> str:
    """Return what a test case is called."""
    return info.id


def test_the_lists_are_as_long_as_the_contract_says() -> None:
    """37 lists with a token in the query, one search with it in the body, two that count; 8 uploads; one file."""
    assert len(PAGED) == 40
    assert {info.id for info in PAGED} >= FORGETFUL
    assert (len(UPLOADS), len(BINARY)) == (8, 1)


def test_every_method_is_repeated_as_the_list_of_operations_says() -> None:
    """What a method tells the call engine agrees with ``operations()``: there is such a call, and it may be repeated."""
    with each_case() as case:
        for info in operations():
            with case(info.id):
                told = constants(info)
                assert told
                for value in told:
                    assert Outcome(info.method, retries=0, idempotent=value.idempotent).harmless == info.idempotent


@pytest.mark.parametrize("info", PAGED, ids=ids)
async def test_every_paged_list_goes_on(info: OperationInfo) -> None:
    """The second page is asked for with the token and the same limit and nothing else, in the body with the body."""
    counts = "offset" in inspect.signature(method_of(client(Scripted()), info)).parameters
    first = httpx.Response(200, content=b'{"data": [{}, {}], "next_pagination_token": "t-2"}')
    transport = Scripted(first, httpx.Response(200, json={"data": [{}]}))
    async with client(transport, lenient=True) as monite:
        pager = call(method_of(monite, info), limit=2)
        assert isinstance(pager, AsyncPager)
        assert transport.calls == []
        items: list[object] = await cast("AsyncPager[Any, object]", pager).collect()
    assert len(items) == 3
    one, two = transport.calls
    assert (one.method, one.url.path) == (two.method, two.url.path)
    if info.method == "POST":
        body = json.loads(one.content)
        assert json.loads(two.content) == {**body, "pagination_token": "t-2"}
        assert (body["limit"], two.url.query) == (2, b"")
    elif counts:
        assert dict(two.url.params) == {**dict(one.url.params), "offset": "2"}
    else:
        assert dict(two.url.params) == {"pagination_token": "t-2", "limit": "2"}


@pytest.mark.parametrize("info", PAGED, ids=ids)
async def test_every_paged_list_has_a_raw_first_page(info: OperationInfo) -> None:
    """``with_raw_response`` of a list, nested or not, gives status, request id and the first page."""
    answer = httpx.Response(200, json={"data": [{}]}, headers={"x-request-id": "rq-3"})
    transport = Scripted(answer)
    async with client(transport, lenient=True) as monite:
        resource: Any = getattr(method_of(monite, info), "__self__")  # noqa: B009 - a function has none for type checkers
        raw = await call(getattr(resource.with_raw_response, info.name))
    assert (raw.status, raw.request_id, raw.parsed.request_id, len(raw.parsed.data)) == (200, "rq-3", "rq-3", 1)
    assert len(transport.calls) == 1


@pytest.mark.parametrize("info", UPLOADS, ids=ids)
async def test_every_upload_sends_its_file(info: OperationInfo) -> None:
    """The file goes out as the field ``file`` of a form, with the name and the type that its first bytes tell."""
    transport = Scripted(httpx.Response(200, json={}))
    async with client(transport, lenient=True) as monite:
        await call(method_of(monite, info), file=b"%PDF-1.7 canary")
    (sent,) = transport.calls
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert (
        b'name="file"; filename="upload.pdf"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7 canary\r\n'
        in sent.content
    )


@pytest.mark.parametrize("info", BINARY, ids=ids)
async def test_every_file_comes_as_bytes(info: OperationInfo) -> None:
    """An operation whose answer is a file gives its bytes, and does not ask for JSON."""
    transport = Scripted(httpx.Response(200, content=b"%PDF", headers={"content-type": "application/pdf"}))
    async with client(transport) as monite:
        assert await call(method_of(monite, info)) == b"%PDF"
    assert transport.calls[0].headers["accept"] == "*/*"
