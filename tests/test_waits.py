"""The waits of the resources: each asks for the right thing, and looks at a field that the answer has."""

from __future__ import annotations

import importlib
import typing
from typing import Any, cast

import httpx
import pydantic
import pytest

from monite_async import EntityClient, WorkFailedError
from monite_async import _waited as waited
from monite_async import _waits as waits
from monite_async._http.operation import Operation
from monite_async._waiting import Until
from tests.scripted import Scripted, client

WAITS: list[tuple[str, str, str, dict[str, object], dict[str, object]]] = [
    ("payables", "wait_for_ocr", "/payables/x", {"ocr_status": "success"}, {"ocr_status": "error"}),
    ("payable_credit_notes", "wait_for_ocr", "/payable_credit_notes/x", {"ocr_status": None}, {"ocr_status": "canceled"}),
    ("receipts", "wait_for_ocr", "/receipts/x", {"ocr_status": "success"}, {"ocr_status": "error"}),
    ("ocr_tasks", "wait_for", "/ocr_tasks/x", {"status": "success"}, {"status": "error"}),
    ("data_exports", "wait_for", "/data_exports/x", {"status": "new", "source_url": "https://f.test"}, {"status": "failed"}),
    ("receivables", "wait_for_pdf", "/receivables/x/pdf_link", {"file_url": "https://f.test"}, {}),
    ("receivables", "wait_for_issue", "/receivables/x", {"type": "invoice", "status": "issued"}, {"type": "invoice", "status": "failed"}),
    ("delivery_notes", "wait_for_pdf", "/delivery_notes/x", {"file_url": "https://f.test"}, {}),
    ("payable_purchase_orders", "wait_for_pdf", "/payable_purchase_orders/x", {"file_url": "https://f.test"}, {}),
    ("batch_payments", "wait_for", "/batch_payments/x", {"status": "partially_successful"}, {"status": "expired"}),
    ("accounting_synced_records", "wait_for", "/accounting_synced_records/x", {"sync_status": "done"}, {"sync_status": "error"}),
]  # fmt: skip


def _wait(acme: EntityClient, resource: str, name: str) -> Any:
    return getattr(getattr(acme, resource), name)


@pytest.mark.parametrize(("resource", "name", "path", "over", "failed"), WAITS, ids=lambda value: str(value)[:30])
async def test_each_wait_asks_for_its_own_thing(
    resource: str, name: str, path: str, over: dict[str, object], failed: dict[str, object]
) -> None:
    """A wait sends the GET of its resource, returns the answer that says so, and raises for the state of failure."""
    transport = Scripted(httpx.Response(200, json=over))
    async with client(transport, lenient=True) as monite:
        acme = monite.entity("e-1")
        answer = await _wait(acme, resource, name)("x", timeout=5)
        assert all(getattr(answer, field) == value for field, value in over.items())
        assert (transport.calls[0].method, transport.calls[0].url.path) == ("GET", "/v1" + path)
        if failed:
            transport.replies = [httpx.Response(200, json=failed)]
            with pytest.raises(WorkFailedError) as caught:
                await _wait(acme, resource, name)("x")
            assert caught.value.state in failed.values()


def _mixin(resource: str) -> type:
    """Return the class of ``_waits`` that a resource is made of."""
    module = importlib.import_module(f"monite_async.api.{resource}")
    bases = [base for kind in vars(module).values() if isinstance(kind, type) for base in kind.__mro__]
    (mixin,) = {base for base in bases if base.__module__ == waits.__name__}
    return mixin


def test_every_wait_is_tested() -> None:
    """No wait is left out of the list above, and none is on no resource."""
    kinds: list[type] = [getattr(waits, name) for name in waits.__all__]
    named = {(_mixin(resource).__name__, name) for resource, name, *_ in WAITS}
    assert named == {(kind.__name__, name) for kind in kinds for name in vars(kind) if name.startswith("wait_")}


def _models(kind: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(kind, type):
        return [kind] if issubclass(kind, pydantic.BaseModel) else []
    return [model for inner in typing.get_args(kind) for model in _models(inner)]


@pytest.mark.parametrize(("resource", "name"), [(resource, name) for resource, name, *_ in WAITS])
def test_each_wait_looks_at_fields_that_the_contract_has(resource: str, name: str) -> None:
    """Every model that may answer has the fields that are looked at, and the operation is the generated one."""
    module = importlib.import_module(f"monite_async.api.{resource}")
    method = getattr(_mixin(resource), name)
    values: list[object] = [
        vars(waited)[word] for word in method.__code__.co_names if word.isupper() and word in vars(waited)
    ]
    (operation,) = [cast("Operation[object]", value) for value in values if isinstance(value, Operation)]
    (until,) = [value for value in values if isinstance(value, Until)]
    known = [cast("Operation[object]", one) for one in vars(module).values() if isinstance(one, Operation)]
    assert (operation.method, operation.path, operation.result) in [(one.method, one.path, one.result) for one in known]
    assert isinstance(operation.result, str)
    home, _, model = operation.result.partition(":")
    kinds = _models(getattr(importlib.import_module(f"monite_async.models.{home}"), model))
    assert kinds
    for kind in kinds:
        assert {field for field in (until.state, until.ready) if field} <= set(kind.model_fields)
