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

import pytest

from monite_async._http.operation import Operation
from monite_async._options import UNSET, RequestOptions
from monite_async._pagination import AsyncPager
from monite_async._resource import Resource
from monite_async.api._scopes import EntityResources, EntityUserResources, PartnerResources, UserResources
from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._route import Route
from monite_async.models._shared import BizObjectsSchema

T = TypeVar("T")

TAGS = {"Entities", "Entity users", "Payables", "Roles"}
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


def _resources(mixin: type[Any], caller: Recorder) -> Iterator[Resource]:
    scope = _scope(mixin, caller)
    for name in sorted(vars(mixin)):
        if not name.startswith("_"):
            resource = getattr(scope, name)
            assert isinstance(resource, Resource)
            assert getattr(scope, name) is resource
            yield resource


def _methods(resource: Resource) -> Iterator[tuple[str, Any]]:
    for name in dir(resource):
        if not name.startswith("_") and name != "with_raw_response":
            yield name, getattr(resource, name)


CASES = [
    pytest.param(mixin, type(resource), name, id=f"{mixin.__name__}.{type(resource).__name__}.{name}")
    for mixin in (PartnerResources, EntityResources, EntityUserResources, UserResources)
    for resource in _resources(mixin, Recorder())
    for name, _ in _methods(resource)
]


async def _run(method: Any, *args: object, **kwargs: object) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        await method(*args, **kwargs)
    deprecated = hasattr(method, "__deprecated__")
    assert [entry.category for entry in told] == ([DeprecationWarning] if deprecated else [])


@pytest.mark.parametrize(("mixin", "kind", "name"), CASES)
async def test_a_method_says_what_the_contract_says(mixin: type[Any], kind: type[Resource], name: str) -> None:
    """Method, path, parameters and kind of body of every method are those of one operation of the contract."""
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
    fields: dict[str, object] = body or {}
    sent = [value for value in (*query.values(), *fields.values()) if value is not UNSET]
    assert sorted(map(str, sent)) == sorted(named.values())
    _check_scope(mixin, route)


def _check_scope(mixin: type[Any], route: Route) -> None:
    """A scope that names no entity has no operation that wants one."""
    if mixin in {PartnerResources, UserResources}:
        assert route.entity_header != "required"


@pytest.mark.parametrize(("mixin", "kind", "name"), CASES)
async def test_every_method_has_a_raw_twin(mixin: type[Any], kind: type[Resource], name: str) -> None:
    """``with_raw_response`` has each method, and passes the same on."""
    plain, twin = Recorder(), Recorder()
    method = getattr(kind(plain), name)
    needed = [key for key, entry in inspect.signature(method).parameters.items() if entry.default is entry.empty]
    given = {key: f"<{key}>" for key in needed}
    await _run(method, **given)
    resource: Any = kind(twin)
    response = getattr(resource.with_raw_response, name)
    assert mixin is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert (await response(**given)).status == 200
    assert [call[:4] for call in twin.calls] == [call[:4] for call in plain.calls]


def test_every_operation_of_the_four_groups_is_a_method() -> None:
    """No operation of these tags is forgotten, whichever scope it belongs to."""
    caller = Recorder()
    documented: set[str] = set()
    for mixin in (PartnerResources, EntityResources, EntityUserResources, UserResources):
        for resource in _resources(mixin, caller):
            for _, method in _methods(resource):
                found = re.search(r"``([A-Z]+ /\S+)``", method.__doc__)
                assert found is not None
                documented.add(found[1])
    assert documented == {f"{route.method} {route.path}" for route in ROUTES if route.tag in TAGS}


SEEN: dict[type[Any], dict[str, set[str]]] = {
    PartnerResources: {
        "entities": {
            "create",
            "list",
            "get",
            "update",
            "activate",
            "get_settings",
            "upload_logo",
            "get_partner_metadata",
        },
        "payables": {"get_validations", "update_validations", "reset_validations"},
    },
    EntityResources: {
        "entities": {"get_settings", "upload_logo"},
        "entity_users": {"create", "list", "get", "update", "delete"},
        "payables": {
            "list",
            "create",
            "submit_for_approval",
            "approve_payment_operation",
            "mark_as_paid",
            "upload_from_file",
        },
        "roles": {"list", "create", "get", "update", "delete"},
    },
    EntityUserResources: {
        "entities": {"get_settings"},
        "entity_users": {"get_me", "update_me", "get_my_role", "get_my_entity", "update_my_entity", "create"},
        "payables": {"list", "create", "attach_file"},
        "roles": {"list"},
    },
    UserResources: {
        "entities": {"get_settings"},
        "entity_users": {"get_me", "update_me", "get_my_role", "get_my_entity", "update_my_entity"},
        "payables": {"get_validations"},
    },
}
UNSEEN: dict[type[Any], dict[str, set[str]]] = {
    PartnerResources: {"entities": {"get_me"}, "payables": {"list", "create"}},
    EntityResources: {"entities": {"create", "get", "activate"}, "entity_users": {"get_me", "get_my_role"}},
    EntityUserResources: {"entities": {"create", "get", "get_partner_metadata"}},
    UserResources: {"entities": {"create"}, "entity_users": {"create", "list"}, "payables": {"list"}},
}


@pytest.mark.parametrize("mixin", SEEN)
def test_a_scope_has_what_it_can_call_and_nothing_else(mixin: type[Any]) -> None:
    """A partner-only call cannot be written on a user, nor one about an entity without naming it."""
    scope = _scope(mixin, Recorder())
    assert {name for name in vars(mixin) if not name.startswith("_")} == set(SEEN[mixin])
    for name, wanted in SEEN[mixin].items():
        assert wanted <= set(dir(getattr(scope, name)))
    for name, unwanted in UNSEEN[mixin].items():
        assert not unwanted & set(dir(getattr(scope, name)))


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
    assert isinstance(payables.list_history("p"), AsyncPager)
    assert caller.calls == []


def test_calls_import_no_models() -> None:
    """Importing every module of calls imports neither pydantic nor a model."""
    program = (
        "import sys; import monite_async.api._scopes, monite_async.api.entities, monite_async.api.entity_users;"
        "import monite_async.api.payables, monite_async.api.roles;"
        "print([name for name in sys.modules if name.startswith(('pydantic', 'httpx', 'monite_async.models'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
