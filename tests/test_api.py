"""Every generated method, called with next to nothing, says to the call engine what the contract says."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from monite_async._http.operation import Operation
from monite_async._operations import operations
from monite_async._options import UNSET, RequestOptions
from monite_async._pagination import AsyncPager
from monite_async._resource import Resource
from monite_async.api._scopes import EntityResources, EntityUserResources, PartnerResources, UserResources
from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._route import Route
from monite_async.models import BizObjectsSchema
from tests.each import each_case

T = TypeVar("T")

MIXINS: dict[str, type[Any]] = {
    "partner": PartnerResources,
    "entity": EntityResources,
    "entity_user": EntityUserResources,
    "user": UserResources,
}
SCOPES = {
    "partner": {"partner"},
    "entity": {"entity", "entity_user"},
    "user": {"entity_user", "user"},
    "any": set(MIXINS),
}
BY_CALL = {(route.method, route.path): route for route in ROUTES}
Recorded = tuple[Operation[Any], dict[str, object], dict[str, object], Any, RequestOptions | None]


class Recorder:
    """Stands where the call engine stands, and writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[Recorded] = []

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Record one call."""
        self.calls.append((operation, dict(path or {}), dict(query or {}), body, options))
        if options is not None and options.capture is not None:
            options.capture.status = 200
        return cast("T", None)


def _scope(mixin: type[Any], caller: Recorder) -> Any:
    made: Any = type("Scope", (mixin,), {})()
    made._caller = caller
    return made


def _resources(mixin: type[Any], caller: Recorder) -> Iterator[tuple[str, Resource]]:
    """Return the resources of a scope by their dotted names, those below others included."""
    scope = _scope(mixin, caller)
    for name in sorted(vars(mixin)):
        if not name.startswith("_"):
            resource = getattr(scope, name)
            assert isinstance(resource, Resource)
            assert getattr(scope, name) is resource
            yield from _below(name, resource)


def _below(name: str, resource: Resource) -> Iterator[tuple[str, Resource]]:
    yield name, resource
    for attribute in dir(resource):
        child = None if attribute.startswith("_") else getattr(resource, attribute)
        if isinstance(child, Resource):
            yield from _below(f"{name}.{attribute}", child)


def _methods(resource: Resource) -> Iterator[tuple[str, Any]]:
    for name in dir(resource):
        # What was written by hand has tests of its own.
        if name.startswith("_") or not hasattr(method := getattr(resource, name), "__module__"):
            continue
        if inspect.ismethod(method) and method.__func__.__module__.startswith("monite_async.api."):
            yield name, method


def _every_method() -> Iterator[tuple[type[Any], type[Resource], str]]:
    """Return the scope, the resource and the name of each method of the API."""
    for mixin in MIXINS.values():
        for _, resource in _resources(mixin, Recorder()):
            for name, _ in _methods(resource):
                yield mixin, type(resource), name


async def _run(method: Any, *args: object, **kwargs: object) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        await method(*args, **kwargs)
    deprecated = hasattr(method, "__deprecated__")
    assert [entry.category for entry in told] == ([DeprecationWarning] if deprecated else [])


async def test_every_method_says_what_the_contract_says() -> None:
    """Method, path, parameters and kind of body of every method are those of one operation of the contract."""
    with each_case() as case:
        for mixin, kind, name in _every_method():
            with case(f"{mixin.__name__}.{kind.__name__}.{name}"):
                await _says_what_the_contract_says(mixin, kind, name)


async def _says_what_the_contract_says(mixin: type[Any], kind: type[Resource], name: str) -> None:
    caller = Recorder()
    method = getattr(kind(caller), name)
    parameters = inspect.signature(method).parameters
    needed = {key: f"<{key}>" for key, entry in parameters.items() if entry.default is entry.empty}
    options = RequestOptions(timeout=2)
    positional = [
        value for key, value in needed.items() if parameters[key].kind is parameters[key].POSITIONAL_OR_KEYWORD
    ]
    named = {key: value for key, value in needed.items() if parameters[key].kind is parameters[key].KEYWORD_ONLY}
    await _run(method, *positional, **named, options=options)

    ((operation, path, query, body, passed),) = caller.calls
    route = BY_CALL[operation.method, operation.path]
    assert passed is options
    assert re.findall(r"\{(\w+)\}", operation.path) == list(path)
    assert list(path.values()) == positional
    assert list(query) == [entry.name for entry in route.query]
    assert operation.multipart is route.multipart
    assert (body is None) is (route.body == "absent")
    whole = {} if body is None else {"body": body}
    fields = cast("dict[str, object]", body if isinstance(body, dict) else whole)
    sent = [value for value in (*query.values(), *fields.values()) if value is not UNSET]
    assert sorted(map(str, sent)) == sorted(named.values())
    _check_scope(mixin, route)


def _check_scope(mixin: type[Any], route: Route) -> None:
    """A scope that names no entity has no operation that wants one."""
    if mixin in {PartnerResources, UserResources}:
        assert route.entity_header != "required"


async def test_every_method_has_a_raw_twin() -> None:
    """``with_raw_response`` has each method, and passes the same on."""
    with each_case() as case:
        for mixin, kind, name in _every_method():
            with case(f"{mixin.__name__}.{kind.__name__}.{name}"):
                await _has_a_raw_twin(kind, name)


async def _has_a_raw_twin(kind: type[Resource], name: str) -> None:
    plain, twin = Recorder(), Recorder()
    method = getattr(kind(plain), name)
    needed = [key for key, entry in inspect.signature(method).parameters.items() if entry.default is entry.empty]
    given = {key: f"<{key}>" for key in needed}
    await _run(method, **given)
    resource: Any = kind(twin)
    response = getattr(resource.with_raw_response, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert (await response(**given)).status == 200
    assert [call[:4] for call in twin.calls] == [call[:4] for call in plain.calls]


def test_every_operation_is_a_method_of_just_the_scopes_that_may_call_it() -> None:
    """No operation is forgotten, a partner-only call cannot be written on a user, nor one about an entity without it."""
    expected = {
        (scope, info.resource, info.name): f"{info.method} {info.path}"
        for info in operations()
        for scope in SCOPES[info.scope]
    }
    found: dict[tuple[str, str, str], str] = {}
    for scope, mixin in MIXINS.items():
        for name, resource in _resources(mixin, Recorder()):
            for method_name, method in _methods(resource):
                told = re.search(r"``([A-Z]+ /\S+)``", method.__doc__)
                assert told is not None
                found[scope, name, method_name] = told[1]
    assert found == expected
    assert {f"{route.method} {route.path}" for route in ROUTES} == set(expected.values())


def test_scopes_follow_the_header_of_the_contract() -> None:
    """What wants an entity named is only where one is; partner-only calls and those of the caller itself are apart."""
    headers = {route.operation_id: route.entity_header for route in ROUTES}
    for info in operations():
        assert (info.scope == "entity") is (headers[info.id] == "required"), info
    by_scope = {scope: {info.path for info in operations() if info.scope == scope} for scope in SCOPES}
    assert {"/entities", "/entities/{entity_id}", "/settings", "/webhook_subscriptions"} <= by_scope["partner"]
    me = {"/entities/me", "/entity_users/me", "/entity_users/my_entity", "/entity_users/my_role"}
    assert by_scope["user"] == me
    assert {"/files", "/entities/{entity_id}/logo", "/ocr_tasks"} <= by_scope["any"]


def test_operations_are_values_in_order() -> None:
    """The list is sorted, has no two of a kind, and tells pagers and harmless requests apart from the rest."""
    listed = operations()
    assert list(listed) == sorted(listed, key=lambda info: (info.resource, info.name))
    assert len({info.id for info in listed}) == len({(info.resource, info.name) for info in listed}) == len(listed)
    by_id = {info.id: info for info in listed}
    assert by_id["get_payables"].paged
    assert by_id["get_counterparts_id_addresses"].resource == "counterparts.addresses"
    for info in listed:
        assert info.idempotent or info.method in {"POST", "PATCH"}
    reading = {info.path for info in listed if info.idempotent and info.method == "POST"}
    assert all(path.endswith(("/search", "/preview")) for path in reading)


def test_paged_operations_are_pagers_and_no_others() -> None:
    """A method returns a pager just where the list of operations says so."""
    for scope, mixin in MIXINS.items():
        kinds = dict(_resources(mixin, Recorder()))
        for info in operations():
            if scope in SCOPES[info.scope]:
                returned = inspect.signature(getattr(kinds[info.resource], info.name)).return_annotation
                assert returned.startswith("AsyncPager[") is info.paged, info


async def test_what_bears_repeating_is_told_to_the_call_engine() -> None:
    """A search is sent with POST and may be repeated; creating goes by its method, and so may not."""
    caller = Recorder()
    receivables = _scope(EntityResources, caller).receivables
    await receivables.search()
    await receivables.create(body={})
    assert [call[0].idempotent for call in caller.calls] == [True, None]


async def test_names_of_the_wire_reach_the_wire() -> None:
    """An argument that Python cannot spell as the wire does is sent under the wire's name."""
    caller = Recorder()
    payables = _scope(EntityResources, caller).payables
    await payables.list(counterpart_name="Acme") if "counterpart_name" in inspect.signature(
        payables.list
    ).parameters else None
    await payables.list(created_at__gt="2024-01-01T00:00:00Z", id__in=["a", "b"])
    query = caller.calls[-1][2]
    assert query["created_at__gt"] == "2024-01-01T00:00:00Z"
    assert query["id__in"] == ["a", "b"]


async def test_nested_arguments_are_plain_dicts_or_models() -> None:
    """Dict literals and models pass the type checkers where the contract has objects, and reach the engine unchanged."""
    caller = Recorder()
    acme = EntityResources()
    acme._caller = caller
    permissions = BizObjectsSchema.model_validate({"objects": []})
    await acme.roles.create(
        name="payer",
        permissions={
            "objects": [
                {"object_type": "payable", "actions": [{"action_name": "pay", "permission": "allowed"}]},
                {"object_type": "entity_user", "actions": [{"action_name": "read", "permission": "a new word"}]},
            ]
        },
    )
    await acme.roles.update("r", permissions=permissions)
    await acme.payables.update("p", due_date=dt.date(2030, 1, 2), tag_ids=("a", "b"), currency="XTS")
    first, second, third = (call[3] for call in caller.calls)
    assert first["permissions"]["objects"][0]["actions"] == [{"action_name": "pay", "permission": "allowed"}]
    assert second["permissions"] is permissions
    assert (third["due_date"], third["tag_ids"]) == (dt.date(2030, 1, 2), ("a", "b"))


async def test_null_is_not_left_out() -> None:
    """``None`` is sent as null; what was not given is ``UNSET``."""
    caller = Recorder()
    await _scope(EntityResources, caller).roles.update("r", name=None)
    assert caller.calls[0][3] == {"name": None, "permissions": UNSET}


async def test_paged_lists_are_pagers() -> None:
    """Paged operations give an ``AsyncPager`` at once; nothing is sent before it is used."""
    caller = Recorder()
    payables = _scope(EntityUserResources, caller).payables
    assert isinstance(payables.list(), AsyncPager)
    assert isinstance(payables.history.list("p"), AsyncPager)
    assert caller.calls == []


def test_calls_import_no_models() -> None:
    """Importing every module of calls imports neither pydantic nor a model."""
    program = (
        "import importlib, pkgutil, sys; import monite_async.api as api;"
        "[importlib.import_module(f'monite_async.api.{found.name}') for found in pkgutil.iter_modules(api.__path__)];"
        "print([name for name in sys.modules if name.startswith(('pydantic', 'httpx', 'monite_async.models'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
