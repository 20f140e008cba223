"""The play of every operation, spoken through the typed methods of the client."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx

from monite_async import APIStatusError, AsyncMonite, operations
from monite_async.emulator import Emulator
from monite_async.models._base import Model
from tests.emulator.contract import Contract, Operation
from tests.emulator.drive import Driver
from tests.emulator.scenario import Scenario

__all__ = ["TypedScenario", "Wire"]


class Wire(httpx.AsyncBaseTransport):
    """What went over the wire last, on its way to the emulator and back."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.request: httpx.Request | None = None
        self.response: httpx.Response | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        response = await self.inner.handle_async_request(request)
        content = await response.aread()
        kept = httpx.Response(response.status_code, headers=response.headers, content=content)
        if not request.url.path.endswith("/auth/token") or b"client_credentials" not in request.content:
            self.request, self.response = request, kept
        return httpx.Response(response.status_code, headers=response.headers, content=content)


class TypedScenario(Scenario):
    """The play in which each line is a call of a typed method."""

    def __init__(self, contract: Contract, emulator: Emulator, driver: Driver, monite: AsyncMonite, wire: Wire) -> None:
        super().__init__(contract, emulator, driver)
        self.monite = monite
        self.wire = wire
        self.infos = {info.id: info for info in operations()}

    async def send(self, operation: Operation, body: object) -> httpx.Response:
        """Call the method of an operation, and compare what it sent with what it was to send."""
        if operation.path.startswith("/auth/"):  # these two are the token engine's, and no method of a resource
            return await super().send(operation, body)
        method = self.method(operation)
        path = [self.id_of(operation, name) for name in operation.names]
        query = self.query(operation)
        given = self.arguments(method, {**query, **self.fields(operation, method, body)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                result: object = await cast("Any", method(*path, **given))
            except APIStatusError:
                result = None
        assert self.wire.request is not None, operation.id
        assert self.wire.response is not None, operation.id
        self.compare(operation, body, query)
        if isinstance(result, Model) and result.drift:
            self.faults.append(f"{operation.id} is read with drift {result.drift}")
        return self.wire.response

    def method(self, operation: Operation) -> Callable[..., object]:
        """Return the method of an operation on the scope that has it."""
        info = self.infos[operation.id]
        scope: Any = self.monite if info.scope == "partner" else self.monite.entity(self.driver.entity_id)
        scope = scope.as_user(self.user) if info.scope == "user" else scope
        for name in (*info.resource.split("."), info.name):
            scope = getattr(scope, name)
        return cast("Callable[..., object]", scope)

    def fields(self, operation: Operation, method: Callable[..., object], body: object) -> Mapping[str, object]:
        """Return a body as the arguments that the method takes it by."""
        if operation.form is not None:
            extra = {"file_type": "attachments"} if operation.id == "post_files" else {}
            return {"file": b"\x89PNG\r\n\x1a\n" if "logo" in operation.path else b"%PDF-1.7", **extra}
        if body is None:
            return {}
        fields = cast("dict[str, object]", body)
        whole = "body" in inspect.signature(method).parameters and "body" not in fields
        return {"body": body} if whole else fields

    def arguments(self, method: Callable[..., object], given: Mapping[str, object]) -> dict[str, object]:
        """Return arguments under the names that Python allows."""
        known = inspect.signature(method).parameters
        named: dict[str, object] = {}
        for name, value in given.items():
            plain = name.replace(".", "_").replace("-", "_")
            named[plain if plain in known else f"{plain}_"] = value
        return named

    def compare(self, operation: Operation, body: object, query: Mapping[str, str]) -> None:
        """Note where the request on the wire is not the one that was meant, or not one that the contract allows."""
        request = cast("httpx.Request", self.wire.request)
        wanted = operation.path.split("{")[0]
        if request.method != operation.method or not request.url.path.startswith(f"/v1{wanted}"):
            self.faults.append(f"{operation.id} sent {request.method} {request.url.path}")
        if {name: request.url.params.get(name) for name in query} != query:
            self.faults.append(f"{operation.id} sent the query {request.url.params}")
        needs_entity = any(
            parameter["name"] == "x-monite-entity-id" and parameter.get("required")
            for parameter in operation.parameters
        )
        if needs_entity and request.headers.get("x-monite-entity-id") != self.driver.entity_id:
            self.faults.append(f"{operation.id} sent no entity header")
        if operation.body is not None and request.content:
            sent = json.loads(request.content)
            self.faults += [
                f"{operation.id} sent {fault}" for fault in self.contract.request_faults(operation.body, sent)
            ]
            if sent != json.loads(json.dumps(body)):
                self.faults.append(f"{operation.id} sent {sent} for {body}")
